"""How requests reach the API server: what carries them is a collaborator, so that a simulation can be the network."""

import asyncio
import contextlib
import functools
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from marie_operator.runtime.connection import Access, Connection
from marie_operator.runtime.errors import NotLeader, Silent, Unreachable

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
"""Seconds without a byte after which a call, other than a watch, is given up."""
CALL_TIMEOUT = 70.0
"""Seconds after which a call is given up although bytes come: a server ends each by itself after 60."""
CALL_CONNECTIONS = 32
_NO_LIMIT = 0
_PATH = "/:@!$&'()*+,;=~"
"""What may stand in a path as it is (RFC 3986, 3.3)."""
_TCP = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}
_TCP_OPTIONS = [(getattr(socket, name), value) for name, value in _TCP.items() if hasattr(socket, name)]
"""Those that this system has: macOS has another name for the first, and nothing like the last."""

SocketFactory = Callable[[Any], socket.socket]


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: In capitals.
        path: Without the server's address.
        query: Not yet encoded.
        body: None where there is none.
        content_type: Of the body.
        check: Raises NotLeader to keep a write from leaving; called when it is about to.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "application/json"
    check: Callable[[], None] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer.

    Attributes:
        status: Of HTTP.
        body: As received.
        retry_after: Seconds that the server asks to wait; None where it names none.
        warnings: What the server has to say about the request although it served it.
    """

    status: int
    body: bytes
    retry_after: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on.

    Attributes:
        status: Of HTTP.
        chunks: What comes, in pieces of any size; its end is the answer's.
        retry_after: Seconds that the server asks to wait; None where it names none.
    """

    status: int
    chunks: AsyncIterator[bytes]
    retry_after: float | None = None


class Transport(Protocol):
    """Carries requests to one API server."""

    @property
    def url(self) -> str:
        """The API server's address, to be shown."""
        ...

    async def exchange(self, request: Request) -> Reply:
        """Send a request and read the whole answer.

        Raises:
            Unreachable: none came.
        """
        ...

    def stream(self, request: Request, *, silence: float) -> AbstractAsyncContextManager[Stream]:
        """Send a request and read the answer as it comes; leaving it ends the request.

        Args:
            request: What to ask.
            silence: Seconds without a byte, or until the headers, after which the connection is taken for dead (W-13).

        Raises:
            Silent: nothing came for that long; also out of ``chunks``.
            Unreachable: no answer came, or it broke off; also out of ``chunks``.
        """
        ...

    async def close(self) -> None:
        """End every connection."""
        ...


class HttpTransport:
    """Over HTTP, to a server that kubectl would use.

    Args:
        access: Where and as whom.
        user_agent: Names the program in the server's audit log.
    """

    def __init__(self, access: Access, *, user_agent: str) -> None:
        self._access = access
        self._headers = {"User-Agent": user_agent, "Accept": "application/json"}
        self._pools: _Pools | None = None
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._streams: set[asyncio.Timeout] = set()
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The API server's address."""
        return self._access.url

    async def exchange(self, request: Request) -> Reply:
        """Send a request and read the whole answer.

        Raises:
            Unreachable: none came.
        """
        # A wait for a free connection is no trouble of the network, and has the call's whole time.
        limits = aiohttp.ClientTimeout(total=CALL_TIMEOUT, sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT)
        connection = await self._access.current()
        try:
            with self._pools_of(connection).call() as session:
                async with await self._sent(session, connection, request, limits) as response:
                    warnings = tuple(response.headers.getall("Warning", ()))
                    return Reply(response.status, await response.read(), _retry_after(response), warnings)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error.__cause__, NotLeader):
                raise error.__cause__ from None
            raise _unreachable(request, error) from error

    @asynccontextmanager
    async def stream(self, request: Request, *, silence: float) -> AsyncIterator[Stream]:
        """Send a request and read the answer as it comes; leaving it ends the request.

        Raises:
            Silent: nothing came for that long; also out of ``chunks``.
            Unreachable: no answer came, or it broke off; also out of ``chunks``.
        """
        limits = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT, sock_read=silence)
        connection = await self._access.current()
        session = self._pools_of(connection).watches
        patience, answered = asyncio.timeout(silence), False
        try:
            async with patience, await self._sent(session, connection, request, limits) as response:
                answered = True
                patience.reschedule(None)
                self._streams.add(patience)
                yield Stream(response.status, response.content.iter_any(), _retry_after(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if answered and patience.expired():
                raise Unreachable(f"{request}: ended, since the certificates have changed", maybe_sent=True) from error
            if patience.expired():
                raise Silent(f"{request}: no answer in time", maybe_sent=True) from error
            if isinstance(error.__cause__, NotLeader):
                raise error.__cause__ from None
            raise _unreachable(request, error) from error
        finally:
            self._streams.discard(patience)

    async def close(self) -> None:
        """End every connection."""
        if self._pools is not None:
            await self._pools.close()
        for ending in self._retiring:
            ending.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        for left in self._sockets:
            # Its TLS waits for a farewell, which a peer that is gone never says; the event loop would wait as well.
            with contextlib.suppress(OSError):
                left.shutdown(socket.SHUT_RDWR)

    async def _sent(
        self,
        session: aiohttp.ClientSession,
        connection: Connection,
        request: Request,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        query = _encoded(*request.query.items())
        # Encoded here, once: aiohttp's own way takes as long as to send the request.
        url = URL(connection.url + quote(request.path, safe=_PATH) + query, encoded=True)
        headers = {} if request.body is None else {"Content-Type": request.content_type}
        if connection.authorization:
            headers["Authorization"] = connection.authorization
        response = await session.request(
            request.method,
            url,
            data=_Checked(request) if request.check else request.body,
            headers=headers,
            timeout=limits,
            proxy=connection.proxy,
            server_hostname=connection.server_name,
            allow_redirects=False,
        )
        if response.status == 401:
            self._access.refused(connection)
        return response

    def _pools_of(self, connection: Connection) -> "_Pools":
        """Connections under the trust and the client certificate of the moment: those made under others end."""
        before = self._pools
        if before is not None and before.tls is connection.tls:
            return before
        self._pools = _Pools(connection.tls, self._headers, self._opened)
        if before is not None:
            # They begin anew from where they were.
            for stream in self._streams:
                stream.reschedule(asyncio.get_running_loop().time())
            self._streams.clear()
            ending = asyncio.create_task(before.retire())
            self._retiring.add(ending)
            ending.add_done_callback(self._retiring.discard)
        return self._pools

    def _opened(self, address: Any) -> socket.socket:
        result = _socket(address)
        self._sockets.add(result)
        return result


class _Pools:
    """Connections of one TLS context.

    One pool for calls, bounded so that a burst queues here and not on the server (W-23); watches hold their
    connection for minutes and must never wait behind calls.
    """

    def __init__(self, tls: ssl.SSLContext | None, headers: Mapping[str, str], opened: SocketFactory) -> None:
        def session(limit: int) -> aiohttp.ClientSession:
            trust = tls if tls is not None else True
            pool = aiohttp.TCPConnector(limit=limit, ssl=trust, socket_factory=opened, keepalive_timeout=60)
            return aiohttp.ClientSession(connector=pool, headers=headers)

        self.tls = tls
        self._calls = session(CALL_CONNECTIONS)
        self.watches = session(_NO_LIMIT)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def call(self) -> Iterator[aiohttp.ClientSession]:
        """Where a call is made, which is under way while this is entered."""
        self._under_way += 1
        self._idle.clear()
        try:
            yield self._calls
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def retire(self) -> None:
        """Let calls finish, of which some must not happen twice; then end every connection."""
        try:
            await self._idle.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """End every connection."""
        await self.watches.close()
        await self._calls.close()


def _socket(address: Any) -> socket.socket:
    """A socket that notices a dead peer within a minute (N-03)."""
    family, kind, protocol, *_ = address
    result = socket.socket(family=family, type=kind, proto=protocol)
    result.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _TCP_OPTIONS:
        result.setsockopt(socket.IPPROTO_TCP, option, value)
    return result


@functools.lru_cache(maxsize=64)
def _encoded(*query: tuple[str, str]) -> str:
    """Nearly every request has one of few queries."""
    return f"?{urlencode(query)}" if query else ""


def _unreachable(request: Request, error: Exception) -> Unreachable:
    if isinstance(error, aiohttp.SocketTimeoutError):
        return Silent(f"{request}: no answer in time", maybe_sent=True)
    sent = not isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return Unreachable(f"{request}: {_sentence(error)}", maybe_sent=sent)


class _Checked(aiohttp.BytesPayload):
    """A body that is checked when it is about to be written, and the headers with it, which wait for it.

    A request may have waited long for a connection until then: in the pool, or with the whole process.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request.body or b"", content_type=request.content_type)
        self._check = request.check

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if self._check is not None:
            self._check()
        await super().write_with_length(writer, content_length)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdigit() else None


def _sentence(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "") or error.certificate_error
        return f"the server's certificate is not trusted ({why}); is the certificate authority given the server's?"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
