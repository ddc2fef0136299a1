"""A bad network between a client and a server on the loopback interface, as a test commands."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from marie_operator.testing.apiserver import certificates

_PIECE = 65_536
_LARGEST = 1 << 30
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "host"})


class Way(Flag):
    """Directions."""

    UP = auto()
    """From the client to the server."""
    DOWN = auto()
    """From the server to the client."""
    BOTH = UP | DOWN


_NOWHERE = Way(0)


@dataclass(eq=False)
class _Link:
    """One client's connection and the one that was made for it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    frozen: Way = _NOWHERE

    def reset(self) -> None:
        """Break both off without a farewell."""
        for writer in (self.client, self.server):
            # With a linger of no seconds a close is an RST.
            if (end := writer.get_extra_info("socket")) is not None:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class TcpProxy:
    """Passes bytes on, TLS or not, until it is told otherwise; runs while it is entered.

    A client that knew the server's address gets the proxy's instead: ``127.0.0.1`` and ``port``.

    Args:
        port: The server's, on the loopback interface.

    Attributes:
        port: Where it listens.
        frozen: Directions whose bytes vanish, while all connections stay: a half-open network. What vanished does not
            come later, so that a connection that it happened to is of no use any more.
        piece: The most bytes that are passed on at once.
        pause: Seconds between one piece and the next.
        refusing: Whether new connections are reset at once.
        connections: How many were made.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.port = 0
        self.frozen = _NOWHERE
        self.piece = _PIECE
        self.pause = 0.0
        self.refusing = False
        self.connections = 0
        self._replies = 0
        self._budget: int | None = None
        self._links: dict[_Link, asyncio.Task[None]] = {}
        self._listener: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.close()
        tasks = list(self._links.values())
        self.cut()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def open(self) -> int:
        """How many connections there are at the moment."""
        return len(self._links)

    def cut(self) -> None:
        """Reset every connection that there is."""
        for link in list(self._links):
            link.reset()

    def forget(self) -> None:
        """Make every connection that there is half-open, and none that comes: a box on the way was restarted."""
        for link in self._links:
            link.frozen = Way.BOTH

    def reset_after(self, replied: int, *, times: int) -> None:
        """Reset connections that are yet to be made in the middle of what the server says.

        Args:
            replied: Bytes from the server on one connection, those of TLS included, that are passed on.
            times: How many connections it happens to.
        """
        self._budget, self._replies = replied, times

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refusing:
            _Link(writer, writer).reset()
            return
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            _Link(writer, writer).reset()
            return
        link = _Link(writer, to_server)
        task = asyncio.current_task()
        if task is not None:
            self._links[link] = task
        budget = self._budget if self._replies else None
        self._replies -= budget is not None
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(link, reader, Way.UP, None))
                both.create_task(self._pump(link, from_server, Way.DOWN, budget))
        except* (OSError, _Spent):
            link.reset()
        finally:
            del self._links[link]
            for end in (writer, to_server):
                end.close()
            for end in (writer, to_server):
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _pump(self, link: _Link, reader: asyncio.StreamReader, way: Way, budget: int | None) -> None:
        writer = link.server if way is Way.UP else link.client
        while content := await reader.read(self.piece):
            if budget is not None:
                content = content[:budget]
                budget -= len(content)
            if not way & (self.frozen | link.frozen):
                writer.write(content)
                await writer.drain()
            if budget == 0:
                raise _Spent
            if self.pause:
                await asyncio.sleep(self.pause)
        if not way & (self.frozen | link.frozen) and writer.can_write_eof():
            writer.write_eof()


class _Spent(Exception):  # noqa: N818
    """As much was passed on as was to be."""


@dataclass
class Refusal:
    """A rule of a HttpProxy: requests that are answered with an error instead of being passed on.

    Attributes:
        status: The answer's.
        retry_after: Seconds that it asks to wait; None for no such header.
        body: What a proxy without an idea of Kubernetes would say.
        methods: Only these; empty for all.
        path: Only where this is part of the path.
        times: How often, before the rule is spent; None for ever.
        met: How many requests it has met.
    """

    status: int
    retry_after: int | None = None
    body: str = "upstream connect error or disconnect/reset before headers"
    methods: Collection[str] = ()
    path: str = ""
    times: int | None = None
    met: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Whether it is this request's turn; counts it when it is."""
        if self.times is not None and self.met >= self.times:
            return False
        if self.path not in path or (self.methods and method not in self.methods):
            return False
        self.met += 1
        return True


class HttpProxy:
    """Passes requests on to a server with TLS, under a certificate of its own; runs while it is entered.

    Tokens pass through it, client certificates do not.

    Args:
        url: The server's.
        authority: The certificate that the server's is checked with.
        directory: For its own key and certificate.

    Attributes:
        rules: The first that meets a request has its way; may be changed at any time.
        port: Where it listens, on the loopback interface.
        passed: How many requests were passed on.
    """

    def __init__(self, url: str, *, authority: Path, directory: Path) -> None:
        self.rules: Sequence[Refusal] = ()
        self.port = 0
        self.passed = 0
        self._url = url
        self._authority = authority
        self._directory = directory
        self._stack = contextlib.AsyncExitStack()

    @property
    def certificate(self) -> Path:
        """What clients have to trust."""
        return self._directory / "apiserver.crt"

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._directory.mkdir, parents=True, exist_ok=True)
        tls, _ = await asyncio.to_thread(certificates.make, self._directory)
        trust = await asyncio.to_thread(ssl.create_default_context, cafile=str(self._authority))
        async with contextlib.AsyncExitStack() as stack:
            self._session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0, ssl=trust),
                    auto_decompress=False,
                    timeout=aiohttp.ClientTimeout(total=None),
                )
            )
            app = web.Application(client_max_size=_LARGEST)
            app.router.add_route("*", "/{path:.*}", self._answer)
            runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            self.port = runner.addresses[0][1]
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._stack.aclose()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        for rule in self.rules:
            if rule.meets(request.method, request.path):
                headers = {} if rule.retry_after is None else {"Retry-After": str(rule.retry_after)}
                return web.Response(status=rule.status, headers=headers, text=rule.body)
        self.passed += 1
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        content = await request.read()
        try:
            async with self._session.request(
                request.method, self._url + request.raw_path, headers=headers, data=content or None
            ) as reply:
                return await self._passed_on(request, reply)
        except aiohttp.ClientError as error:
            return web.Response(status=502, text=f"{error!r}")

    async def _passed_on(self, request: web.Request, reply: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=reply.status)
        for name, value in reply.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                response.headers.add(name, value)
        await response.prepare(request)
        async for chunk in reply.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response
