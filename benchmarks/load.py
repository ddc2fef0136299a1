"""A load of HTTP requests over several connections, light enough that the server is what is measured."""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator

_END_OF_HEADERS = b"\r\n\r\n"
_EVENT = b'{"type":"'


def request(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Connection(asyncio.Protocol):
    """Sends one request after another, each when the answer of the last is whole."""

    def __init__(self, requests: Iterator[bytes], code: bytes) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._expected = b"HTTP/1.1 " + code
        self._answer = bytearray()
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._missing and (end := self._answer.find(_END_OF_HEADERS)) >= 0:
            head = bytes(self._answer[:end]).lower()
            if not self._answer.startswith(self._expected):
                self.done.set_exception(ValueError(bytes(self._answer).decode()))
                self._transport.abort()
                return
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            self._missing = end + len(_END_OF_HEADERS) + length
        if self._missing and len(self._answer) >= self._missing:
            self._answer.clear()
            self._missing = 0
            self._next()

    def _next(self) -> None:
        following = next(self._requests, None)
        if following is None:
            self.done.set_result(None)
            self._transport.close()
        else:
            self._transport.write(following)


async def send(address: tuple[str, int], requests: Iterable[bytes], *, code: int, connections: int) -> None:
    """Send requests, as many at a time as there are connections.

    Args:
        address: Host and port.
        requests: Whole, as ``request`` makes them.
        code: What each is to be answered with.
        connections: How many; they are opened first.

    Raises:
        ValueError: an answer has another code; the message is the answer.
    """
    left, loop = iter(requests), asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: _Connection(left, str(code).encode()), *address)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in opened))


class _Listener(asyncio.Protocol):
    """Asks for a watch and counts the events that come."""

    def __init__(self, request: bytes, events: int) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        self._request = request
        self._missing = events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        for each in (self.begun, self.done):
            if not each.done():
                each.set_exception(exc or ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        if not self.begun.done():
            self.begun.set_result(None)
        self._missing -= data.count(_EVENT)
        if self._missing <= 0 and not self.done.done():
            self.done.set_result(None)
            self._transport.close()


async def watch(address: tuple[str, int], request: bytes, events: int) -> Awaitable[None]:
    """Open a watch; what is returned ends when so many events have come.

    Args:
        address: Host and port.
        request: As ``request`` makes it.
        events: How many.
    """
    loop = asyncio.get_running_loop()
    _, listener = await loop.create_connection(lambda: _Listener(request, events), *address)
    await listener.begun
    return listener.done
