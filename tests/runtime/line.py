"""A way to an API server in the same process, over a network that a test commands."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from marie_operator.runtime import Unreachable
from marie_operator.runtime.transport import Reply, Request, Stream
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from tests.runtime.direct import DirectTransport

LOST_AFTER = 30.0
"""Seconds after which a client takes an answer for lost."""

Way = Callable[[], float | None]
"""Seconds that a message takes; None when it never arrives."""


class Line:
    """One client's way, as its transport.

    A request that has left goes on when the sender no longer waits for its answer, and is carried out then.

    Args:
        server: Where it leads.
        way: Asked once for each direction of each request, and for each change that a watch brings.

    Attributes:
        way: May be changed.
        sent: When each request left, until when its answer was waited for, and the request.
    """

    def __init__(self, server: EmbeddedApiServer, way: Way = lambda: 0.0) -> None:
        self._direct = DirectTransport(server)
        self.url = self._direct.url
        self.way = way
        self.sent: list[tuple[float, float, Request]] = []
        self._under_way: set[asyncio.Task[Reply]] = set()

    async def exchange(self, request: Request) -> Reply:
        """Send a request and read the whole answer."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        task = asyncio.create_task(self._carried(request))
        self._under_way.add(task)
        task.add_done_callback(self._arrived)
        try:
            return await asyncio.shield(task)
        finally:
            self.sent.append((began, loop.time(), request))

    def _arrived(self, task: asyncio.Task[Reply]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()

    async def _carried(self, request: Request) -> Reply:
        await self._travel(request)
        reply = await self._direct.exchange(request)
        await self._travel(request)
        return reply

    async def _travel(self, request: Request) -> None:
        seconds = self.way()
        await asyncio.sleep(LOST_AFTER if seconds is None else seconds)
        if seconds is None:
            raise Unreachable(f"{request}: no answer in time", maybe_sent=True)

    @asynccontextmanager
    async def stream(self, request: Request, *, silence: float) -> AsyncIterator[Stream]:
        """Send a request and read the answer as it comes."""
        await self._travel(request)
        async with self._direct.stream(request, silence=silence) as stream:
            yield Stream(stream.status, self._brought(stream.chunks, silence), stream.retry_after)

    async def _brought(self, chunks: AsyncIterator[bytes], silence: float) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            seconds = self.way()
            if seconds is None:
                # Nothing comes any more, and nobody says so.
                await asyncio.sleep(silence)
                raise Unreachable("the watch is silent", maybe_sent=True)
            await asyncio.sleep(seconds)
            yield chunk

    async def close(self) -> None:
        """Forget what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
