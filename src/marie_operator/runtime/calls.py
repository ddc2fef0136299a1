"""Calls of an API server: encoded, sent, tried again where that is safe, counted, and decoded."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import structlog
from pydantic_core import from_json, to_json

from marie_operator.runtime.clock import Clock
from marie_operator.runtime.decoding import refusal
from marie_operator.runtime.errors import ApiError, Unauthorized, Unreachable
from marie_operator.runtime.metrics import NO_ANSWER
from marie_operator.runtime.resource import Object
from marie_operator.runtime.transport import Reply, Request, Stream, Transport

MAX_RETRIES = 10
CONNECTION_RETRIES = 2
MAX_WARNINGS = 100
"""Different warnings that are told; some name objects, and a log has no use for each of them."""
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})

log = structlog.get_logger(__name__)


class RequestMetrics(Protocol):
    """Where requests are counted."""

    def request(self, *, code: str, method: str, host: str, seconds: float | None) -> None:
        """One attempt was answered; ``code`` is ``NO_ANSWER`` when none came, ``seconds`` None for a watch."""
        ...

    def retry(self, *, code: str, method: str, host: str) -> None:
        """A request is about to be sent again; ``code`` is what the last attempt came to."""
        ...


class Calls:
    """Calls one API server.

    Args:
        transport: Carries the requests.
        clock: For durations.
        metrics: Counts requests; None for none.
        jitter: Yields numbers in [0, 1); spreads retries.
    """

    def __init__(
        self, transport: Transport, *, clock: Clock, metrics: RequestMetrics | None, jitter: Callable[[], float]
    ) -> None:
        self.transport = transport
        self._clock = clock
        self._metrics = metrics
        self._jitter = jitter
        self._host = transport.url.partition("://")[2]
        self._warned: set[str] = set()

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | Sequence[Object] | None = None,
        content_type: str = "application/json",
        repeatable: bool = False,
        check: Callable[[], None] | None = None,
    ) -> Object:
        """One call with its retries.

        A server that names a time to come back gets the request again then (N-01): it has not acted on it. A broken
        connection tells nothing, so only what may safely happen twice is sent again.

        Args:
            method: In capitals.
            path: Without the server's address.
            query: Not yet encoded.
            body: Not yet encoded; None where there is none.
            content_type: Of the body.
            repeatable: Whether it may safely happen twice, although its method does not say so.
            check: Raises NotLeader to keep a write from leaving.

        Raises:
            ApiError: the server refused.
            Unreachable: no answer came, or none that an API server gives.
        """
        request = Request(method, path, query or {}, None if body is None else to_json(body), content_type, check)
        retries, broken, renewed = 0, 0, False
        while True:
            if check is not None:
                check()
            try:
                return await self._attempt(request)
            except Unauthorized:
                # A token may have been replaced between reading it and the server's looking at it.
                if renewed:
                    raise
                renewed = True
                self._count_retry(method, "401")
            except ApiError as error:
                if error.retry_after is None or retries >= MAX_RETRIES or error.code not in {429, 500, 502, 503, 504}:
                    raise
                retries += 1
                self._count_retry(method, str(error.code))
                await asyncio.sleep(error.retry_after * (1 + 0.1 * self._jitter()))
            except Unreachable as error:
                safe = repeatable or method in _IDEMPOTENT or not error.maybe_sent
                if not safe or broken >= CONNECTION_RETRIES:
                    raise
                broken += 1
                self._count_retry(method, NO_ANSWER)
                await asyncio.sleep(0.1 * 2**broken * (1 + self._jitter()))

    @asynccontextmanager
    async def stream(self, request: Request, *, silence: float) -> AsyncIterator[Stream]:
        """An answer of success that goes on; asked for once.

        Args:
            request: What to ask.
            silence: Seconds without a byte after which the connection is taken for dead.

        Raises:
            ApiError: the server refused.
            Unreachable: no answer came.
        """
        answered = False
        try:
            async with self.transport.stream(request, silence=silence) as stream:
                answered = True
                self._count(request.method, str(stream.status))
                if stream.status != 200:
                    content = b"".join([chunk async for chunk in stream.chunks])
                    raise refusal(Reply(stream.status, content, stream.retry_after), f"watch {request.path}")
                yield stream
        except Unreachable:
            if not answered:
                self._count(request.method, NO_ANSWER)
            raise

    async def _attempt(self, request: Request) -> Object:
        started = self._clock.monotonic()
        try:
            reply = await self.transport.exchange(request)
        except Unreachable:
            self._count(request.method, NO_ANSWER, self._clock.monotonic() - started)
            raise
        self._count(request.method, str(reply.status), self._clock.monotonic() - started)
        if reply.warnings:
            self._pass_on(reply.warnings)
        if reply.status >= 300:
            raise refusal(reply, str(request))
        try:
            decoded: Object = from_json(reply.body)
        except ValueError as error:
            raise Unreachable(f"{request}: the answer is not JSON", maybe_sent=True) from error
        return decoded

    def _pass_on(self, warnings: Sequence[str]) -> None:
        """Log what the server warns of, such as a version that it will no longer serve: each once (N-04)."""
        for warning in warnings:
            told = warning.partition('"')[2].rpartition('"')[0].replace('\\"', '"') or warning
            if told not in self._warned and len(self._warned) < MAX_WARNINGS:
                self._warned.add(told)
                log.warning("the API server warns", warning=told)

    def _count(self, method: str, code: str, seconds: float | None = None) -> None:
        if self._metrics is not None:
            self._metrics.request(code=code, method=method, host=self._host, seconds=seconds)

    def _count_retry(self, method: str, code: str) -> None:
        if self._metrics is not None:
            self._metrics.retry(code=code, method=method, host=self._host)
