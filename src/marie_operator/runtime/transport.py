"""How requests reach the API server: what carries them is a collaborator, so that a simulation can be the network."""

import functools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from marie_operator.runtime.connection import Connection
from marie_operator.runtime.errors import NotLeader, Unreachable

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
"""Seconds without a byte after which a call, other than a watch, is given up."""
CALL_CONNECTIONS = 32
_PATH = "/:@!$&'()*+,;=~"
"""What may stand in a path as it is (RFC 3986, 3.3)."""
_CALL_LIMITS = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT)


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
            silence: Seconds without a byte after which the connection is taken for dead (W-13).

        Raises:
            Unreachable: no answer came, or it broke off; also out of ``chunks``.
        """
        ...

    async def close(self) -> None:
        """End every connection."""
        ...


class HttpTransport:
    """Over HTTP, to a server that kubectl would use.

    Args:
        connection: Where and as whom.
        user_agent: Names the program in the server's audit log.
    """

    def __init__(self, connection: Connection, *, user_agent: str) -> None:
        self._connection = connection
        headers = {"User-Agent": user_agent, "Accept": "application/json"}
        # One pool for calls, bounded so that a burst queues here and not on the server (W-23); watches hold their
        # connection for minutes and must never wait behind calls.
        self._calls = aiohttp.ClientSession(connector=connection.connector(CALL_CONNECTIONS), headers=headers)
        self._watches = aiohttp.ClientSession(connector=connection.connector(0), headers=headers)

    @property
    def url(self) -> str:
        """The API server's address."""
        return self._connection.url

    async def exchange(self, request: Request) -> Reply:
        """Send a request and read the whole answer.

        Raises:
            Unreachable: none came.
        """
        try:
            async with await self._sent(self._calls, request, _CALL_LIMITS) as response:
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
            Unreachable: no answer came, or it broke off; also out of ``chunks``.
        """
        limits = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT, sock_read=silence)
        try:
            async with await self._sent(self._watches, request, limits) as response:
                yield Stream(response.status, response.content.iter_any(), _retry_after(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error.__cause__, NotLeader):
                raise error.__cause__ from None
            raise _unreachable(request, error) from error

    async def close(self) -> None:
        """End every connection."""
        await self._calls.close()
        await self._watches.close()

    async def _sent(
        self, session: aiohttp.ClientSession, request: Request, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        query = _encoded(*request.query.items())
        # Encoded here, once: aiohttp's own way takes as long as to send the request.
        url = URL(self._connection.url + quote(request.path, safe=_PATH) + query, encoded=True)
        headers = {} if request.body is None else {"Content-Type": request.content_type}
        if authorization := await self._connection.authorization():
            headers["Authorization"] = authorization
        return await session.request(
            request.method,
            url,
            data=_Checked(request) if request.check else request.body,
            headers=headers,
            timeout=limits,
            proxy=self._connection.proxy,
            server_hostname=self._connection.server_name,
            allow_redirects=False,
        )


@functools.lru_cache(maxsize=64)
def _encoded(*query: tuple[str, str]) -> str:
    """Nearly every request has one of few queries."""
    return f"?{urlencode(query)}" if query else ""


def _unreachable(request: Request, error: Exception) -> Unreachable:
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
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
