"""Spans by OpenTelemetry; needs ``marie-operator[tracing]``, and is imported only where it is asked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.context import Context

from marie_operator.runtime.tracing import Attributes, Span


class OpenTelemetryTracer:
    """A ``Tracer``.

    Args:
        provider: Samples, and sends spans to where they are kept.
        version: Of the program whose spans these are.
    """

    def __init__(self, provider: trace.TracerProvider, *, version: str = "") -> None:
        self._tracer = provider.get_tracer("marie_operator", version)

    @contextmanager
    def span(self, name: str, attributes: Attributes, *, outgoing: bool = False, root: bool = False) -> Iterator[Span]:
        """The span of what is done in the block, below the one it is in; an exception makes it a failed one."""
        kind = trace.SpanKind.CLIENT if outgoing else trace.SpanKind.INTERNAL
        above = Context() if root else None
        with self._tracer.start_as_current_span(name, above, kind=kind, attributes=dict(attributes)) as span:
            yield _Span(span)

    def headers(self) -> Mapping[str, str]:
        """What to send along so that another program's spans go below this one (W3C Trace Context)."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def failed(self, problem: str) -> None:
        self._span.set_status(trace.StatusCode.ERROR, problem)
