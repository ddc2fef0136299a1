"""The runtime's client on the embedded API server without sockets, so that virtual time holds for both."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from marie_operator.runtime import Client, LoopClock, Silent, Unreachable
from marie_operator.runtime.transport import READ_TIMEOUT, Reply, Request, Stream
from marie_operator.testing.apiserver.answers import Answer
from marie_operator.testing.apiserver.direct import call_of
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer


class DirectTransport:
    """Carries requests to an API server in this process.

    Args:
        server: Which.

    Attributes:
        down: Whether nobody listens.
        lag: Seconds that each event of a watch, and each answer to a read, is late.
        answers: Seconds that each answer to a write is late.
    """

    url = "direct://"

    def __init__(self, server: EmbeddedApiServer) -> None:
        self._server = server
        self.down = False
        self.lag = 0.0
        self.answers = 0.0

    async def exchange(self, request: Request) -> Reply:
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                answer = await self._answer(request)
        except TimeoutError as error:
            raise Unreachable(f"{request}: no answer in time", maybe_sent=True) from error
        if late := self.lag if request.method == "GET" else self.answers:
            await asyncio.sleep(late)
        warnings = tuple(value for name, value in answer.headers if name == "Warning")
        return Reply(answer.code, answer.body, _retry_after(answer), warnings)

    @asynccontextmanager
    async def stream(self, request: Request, *, silence: float) -> AsyncIterator[Stream]:
        try:
            async with asyncio.timeout(silence):
                answer = await self._answer(request)
        except TimeoutError as error:
            raise Silent(f"{request}: no answer in time", maybe_sent=True) from error
        chunks = self._chunks(answer, request, silence)
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

    async def _chunks(self, answer: Answer, request: Request, silence: float) -> AsyncGenerator[bytes, None]:
        if answer.stream is None:
            yield answer.body
            return
        lines = aiter(answer.stream)
        while True:
            try:
                async with asyncio.timeout(silence):
                    line = await anext(lines)
            except StopAsyncIteration:
                break
            except TimeoutError as error:
                raise Silent(f"{request}: no answer in time", maybe_sent=True) from error
            if self.lag:
                await asyncio.sleep(self.lag)
            yield line
        if answer.broken:
            raise Unreachable(f"{request}: the connection broke", maybe_sent=True)


def _retry_after(answer: Answer) -> float | None:
    value = dict(answer.headers).get("Retry-After", "")
    return float(value) if value.isdigit() else None


def client_of(server: EmbeddedApiServer, transport: DirectTransport | None = None) -> Client:
    """A client of this server."""
    return Client(transport or DirectTransport(server), clock=LoopClock(), jitter=lambda: 0.0)
