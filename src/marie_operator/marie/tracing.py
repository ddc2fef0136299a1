"""Spans of requests to gateways."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from marie_operator.marie.metrics import route_of
from marie_operator.marie.transport import Request, Response, Transport
from marie_operator.runtime.tracing import Tracer


class TracedTransport:
    """A span for each request to a gateway, under which the gateway's own spans go.

    Args:
        carrier: Carries the requests.
        tracer: Where spans go.
    """

    def __init__(self, carrier: Transport, tracer: Tracer) -> None:
        self._carrier = carrier
        self._tracer = tracer

    @asynccontextmanager
    async def exchange(self, request: Request) -> AsyncIterator[Response]:
        """Send a request; leaving the block ends it.

        Raises:
            Unanswered: no answer came, or it broke off; also out of ``chunks``.
        """
        attributes = {"http.request.method": request.method, "url.full": request.base + request.path}
        name = f"gateway {request.method} {route_of(request.path)}"
        # A monitor asks on nobody's behalf, be it that a reconcile has started it.
        with self._tracer.span(name, attributes, outgoing=True, root=True) as span:
            told = replace(request, headers={**request.headers, **self._tracer.headers()})
            async with self._carrier.exchange(told) as response:
                span.set("http.response.status_code", response.status)
                if response.status >= 400:
                    span.failed(f"HTTP {response.status}")
                yield response
