"""Spans of reconciles and requests. Whoever is given no tracer does nothing for it, and loads nothing.

``opentelemetry`` has the tracer; any other with these methods does as well.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Protocol, TypeAlias, TypeVar

import structlog

from marie_operator.runtime.resource import ObjectKey
from marie_operator.runtime.transport import Reply, Request, Stream, Transport

R = TypeVar("R")
Attributes: TypeAlias = Mapping[str, str | int]


class Span(Protocol):
    """A piece of work while it is done."""

    def set(self, name: str, value: str | int) -> None:
        """Say something more about it."""
        ...

    def failed(self, problem: str) -> None:
        """It did not come to a good end."""
        ...


class Tracer(Protocol):
    """Where spans go."""

    def span(
        self, name: str, attributes: Attributes, *, outgoing: bool = False, root: bool = False
    ) -> AbstractContextManager[Span]:
        """The span of what is done in the block, below the one it is in; an exception makes it a failed one.

        Args:
            name: What is done, without the names of objects.
            attributes: More of it, names included.
            outgoing: Whether another program does it.
            root: Whether it is on nobody's behalf: a trace of its own.
        """
        ...

    def headers(self) -> Mapping[str, str]:
        """What to send along so that another program's spans go below this one (W3C Trace Context)."""
        ...


def reconciling(
    controller: str, reconcile: Callable[[ObjectKey], Awaitable[R]], tracer: Tracer, result: Callable[[R], str]
) -> Callable[[ObjectKey, str], Awaitable[R]]:
    """``reconcile`` with a span for each key, and the cause why it was queued.

    Args:
        controller: Its name.
        reconcile: What is to be traced.
        tracer: Where spans go.
        result: What a good end is called in the metrics.
    """

    async def traced(key: ObjectKey, cause: str) -> R:
        attributes = {
            "controller": controller,
            "k8s.namespace.name": key.namespace,
            "name": key.name,
            "cause": cause,
            "reconcile": str(structlog.contextvars.get_contextvars().get("reconcile", "")),
        }
        with tracer.span(f"reconcile {controller}", attributes) as span:
            try:
                found = await reconcile(key)
            except asyncio.CancelledError:
                span.set("result", "error")
                span.failed("cancelled, as at its timeout")
                raise
            except Exception:
                span.set("result", "error")
                raise
            span.set("result", result(found))
            return found

    return traced


class TracedTransport:
    """A span for each call to the API server; watches have none, since they last for minutes.

    Args:
        carrier: Carries the requests.
        tracer: Where spans go.
    """

    def __init__(self, carrier: Transport, tracer: Tracer) -> None:
        self._carrier = carrier
        self._tracer = tracer

    @property
    def url(self) -> str:
        """The API server's address."""
        return self._carrier.url

    async def exchange(self, request: Request) -> Reply:
        """Send a request and read the whole answer.

        Raises:
            Unreachable: none came.
        """
        attributes = {"http.request.method": request.method, "url.full": self.url + request.path}
        with self._tracer.span(f"API server {request.method}", attributes, outgoing=True) as span:
            reply = await self._carrier.exchange(request)
            span.set("http.response.status_code", reply.status)
            if reply.status >= 400:
                span.failed(f"HTTP {reply.status}")
            return reply

    @asynccontextmanager
    async def stream(self, request: Request, *, silence: float) -> AsyncIterator[Stream]:
        """As the carrier's.

        Raises:
            Unreachable: no answer came, or it broke off; also out of ``chunks``.
        """
        async with self._carrier.stream(request, silence=silence) as stream:
            yield stream

    async def close(self) -> None:
        """End every connection."""
        await self._carrier.close()
