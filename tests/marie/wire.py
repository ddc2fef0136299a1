"""A server below HTTP: it sends the bytes it is told to, and breaks off when told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from marie_operator.marie.client import Gateway, Submission
from marie_operator.marie.transport import HttpTransport

KEY = "mas_EXAMPLE-KEY-000000000000000000000000000000000000000000"
INVOICE = Submission(uri="s3://marie/extract/one__t=4", queue="extract", planner="extract", ref_type="extract")


@dataclass
class Wire:
    """One end of the wire.

    Attributes:
        url: Where it is.
        answer: Sent for every request.
        answers: By request line, instead.
        silent: Send nothing, and keep the connection.
        delay: Seconds until the answer is sent.
        reset: Break the connection off when the answer has been sent, rather than end it.
        heads: What was asked, up to the empty line.
        bodies: What came with it.
        open: Connections.
    """

    url: str = ""
    answer: bytes = b""
    answers: Callable[[str], bytes] | None = None
    silent: bool = False
    delay: float = 0.0
    reset: bool = False
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    open: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def lines(self) -> list[str]:
        return [head.split("\r\n")[0] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            await self._serve(reader, writer)
        finally:
            self.open.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        lengths = [line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length:")]
        self.bodies.append(await reader.readexactly(int(lengths[0])) if lengths else b"")
        if self.silent:
            await reader.read()
        await asyncio.sleep(self.delay)
        writer.write(self.answers(self.lines[-1]) if self.answers else self.answer)
        with contextlib.suppress(ConnectionError):  # The client may have read enough.
            await writer.drain()
        if self.reset:
            writer.transport.abort()
        writer.close()


@asynccontextmanager
async def wire() -> AsyncIterator[tuple[Wire, Gateway]]:
    """A server, and a client of it."""
    end = Wire()
    server = await asyncio.start_server(end.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    end.url = f"http://{host}:{port}"
    async with server:
        async with aiohttp.ClientSession() as session:
            yield end, Gateway(HttpTransport(session), end.url)
        while end.open:
            await asyncio.wait(end.open)


def response(status: str, body: bytes, *headers: str) -> bytes:
    """A response that ends with its connection."""
    head = (f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers)
    return "\r\n".join((*head, "", "")).encode() + body
