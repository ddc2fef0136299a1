"""The runtime's client on the embedded API server without sockets, so that virtual time holds for both."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from marie_operator.runtime import Client, LoopClock, Unreachable
from marie_operator.runtime.transport import Reply, Request, Stream
from marie_operator.testing.apiserver.answers import Answer
from marie_operator.testing.apiserver.direct import call_of
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer


class DirectTransport:
    """Carries requests to an API server in this process.

    Args:
        server: Which.

    Attributes:
        down: Whether nobody listens.
    """

    url = "direct://"

    def __init__(self, server: EmbeddedApiServer) -> None:
        self._server = server
        self.down = False

    async def exchange(self, request: Request) -> Reply:
        answer = await self._answer(request)
        warnings = tuple(value for name, value in answer.headers if name == "Warning")
        return Reply(answer.code, answer.body, _retry_after(answer), warnings)

    @asynccontextmanager
    async def stream(self, request: Request, *, silence: float) -> AsyncIterator[Stream]:
        answer = await self._answer(request)
        chunks = _chunks(answer, request)
        try:
            yield Stream(answer.code, chunks, _retry_after(answer))
        finally:
            await chunks.aclose()

    async def close(self) -> None:
        """Nothing is open."""

    async def _answer(self, request: Request) -> Answer:
        if self.down:
            raise Unreachable(f"{request}: connection refused", maybe_sent=False)
        target = f"{request.path}?{urlencode(dict(request.query))}"
        call = call_of(
            request.method, target, request.body, content_type=request.content_type, token=self._server.token()
        )
        answer = await self._server.server.handle(call)
        if answer.dropped:
            raise Unreachable(f"{request}: the connection broke", maybe_sent=True)
        return answer


async def _chunks(answer: Answer, request: Request) -> AsyncGenerator[bytes, None]:
    if answer.stream is None:
        yield answer.body
        return
    async for chunk in answer.stream:
        yield chunk
    if answer.broken:
        raise Unreachable(f"{request}: the connection broke", maybe_sent=True)


def _retry_after(answer: Answer) -> float | None:
    value = dict(answer.headers).get("Retry-After", "")
    return float(value) if value.isdigit() else None


def client_of(server: EmbeddedApiServer, transport: DirectTransport | None = None) -> Client:
    """A client of this server."""
    return Client(transport or DirectTransport(server), clock=LoopClock(), jitter=lambda: 0.0)
