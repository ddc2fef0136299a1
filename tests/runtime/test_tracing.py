"""Traces, as OpenTelemetry's in-memory exporter has them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry

from marie_operator.marie.client import Gateway
from marie_operator.marie.tracing import TracedTransport as TracedGatewayTransport
from marie_operator.marie.transport import HttpTransport
from marie_operator.runtime import Client, Controller, LoopClock, Metrics, ObjectKey, Result, TerminalError
from marie_operator.runtime.errors import Unreachable
from marie_operator.runtime.opentelemetry import OpenTelemetryTracer
from marie_operator.runtime.otlp import tracing
from marie_operator.runtime.resource import SERVICES
from marie_operator.runtime.tracing import TracedTransport, Tracer
from marie_operator.runtime.transport import Reply, Request, Stream

KEY = ObjectKey("n", "a")


class Traces:
    """A tracer, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Tracer = OpenTelemetryTracer(provider)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()


class Wire:
    """An API server that gives the same answer, or none."""

    url = "https://api"

    def __init__(self, status: int = 200) -> None:
        self.status = status

    async def exchange(self, request: Request) -> Reply:
        if self.status == 0:
            raise Unreachable(f"{request}: down", maybe_sent=False)
        return Reply(self.status, b'{"metadata": {}}')

    @asynccontextmanager
    async def stream(self, request: Request, *, silence: float) -> AsyncIterator[Stream]:
        async def nothing() -> AsyncIterator[bytes]:
            for _ in ():
                yield b""

        yield Stream(200, nothing())

    async def close(self) -> None:
        return


async def reconciled(traces: Traces, result: Result | Exception, *, calls: Client | None = None) -> None:
    """One reconcile with this end, after one call."""
    ended = asyncio.Event()

    async def reconcile(key: ObjectKey) -> Result:
        if calls is not None:
            await calls.get(SERVICES, key)
        ended.set()
        if isinstance(result, Exception):
            raise result
        return result

    controller = Controller(
        "thing", reconcile, clock=LoopClock(), metrics=Metrics(CollectorRegistry()), tracer=traces.tracer
    )
    controller.enqueue(KEY, cause="gateway")
    stopping = asyncio.Event()
    task = asyncio.create_task(controller.run(stopping))
    await ended.wait()
    stopping.set()
    await task


@pytest.mark.parametrize(
    ("result", "named", "status"),
    [
        (Result(), "success", StatusCode.UNSET),
        (Result(requeue_after=60), "requeue_after", StatusCode.UNSET),
        (TerminalError("never"), "error", StatusCode.ERROR),
        (Unreachable("down", maybe_sent=False), "error", StatusCode.ERROR),
    ],
)
async def test_a_reconcile_is_a_span_with_its_key_cause_and_result(
    result: Result | Exception, named: str, status: StatusCode
) -> None:
    traces = Traces()
    await reconciled(traces, result)
    (span,) = traces.spans
    assert span.name == "reconcile thing"
    assert span.attributes is not None
    expected = {"controller": "thing", "k8s.namespace.name": "n", "name": "a", "cause": "gateway", "result": named}
    assert expected.items() <= dict(span.attributes).items()
    assert span.attributes["reconcile"]
    assert span.status.status_code == status


@pytest.mark.looptime
async def test_a_reconcile_that_is_cancelled_at_its_timeout_has_failed() -> None:
    traces = Traces()

    async def reconcile(_: ObjectKey) -> Result:
        await asyncio.sleep(1000)
        return Result()

    controller = Controller(
        "thing", reconcile, timeout=1, clock=LoopClock(), metrics=Metrics(CollectorRegistry()), tracer=traces.tracer
    )
    controller.enqueue(KEY)
    stopping = asyncio.Event()
    task = asyncio.create_task(controller.run(stopping))
    await asyncio.sleep(1.001)
    stopping.set()
    await task
    assert [span.status.status_code for span in traces.spans] == [StatusCode.ERROR]


@pytest.mark.parametrize(("status", "code"), [(200, StatusCode.UNSET), (404, StatusCode.ERROR), (0, StatusCode.ERROR)])
async def test_requests_to_the_api_server_are_below_the_reconcile_that_makes_them(
    status: int, code: StatusCode
) -> None:
    traces = Traces()
    client = Client(TracedTransport(Wire(status), traces.tracer), clock=LoopClock(), jitter=lambda: 0.0)
    if status == 200:
        await reconciled(traces, Result(), calls=client)
        *calls, reconcile = traces.spans
        assert [call.parent for call in calls] == [reconcile.context]
    else:
        with pytest.raises(Exception, match="GET /api/v1"):
            await client.get(SERVICES, KEY)
        calls = list(traces.spans)
    assert {call.name for call in calls} == {"API server GET"}
    assert {call.kind for call in calls} == {SpanKind.CLIENT}
    assert {call.status.status_code for call in calls} == {code}
    assert calls[0].attributes is not None
    assert calls[0].attributes["url.full"] == "https://api/api/v1/namespaces/n/services/a"


async def test_watches_have_no_span() -> None:
    traces = Traces()
    client = Client(TracedTransport(Wire(), traces.tracer), clock=LoopClock())
    async for _ in client.watch(SERVICES, resource_version="1", timeout=1):
        raise AssertionError
    assert traces.spans == ()


async def test_a_gateway_hears_of_the_trace_that_it_is_asked_in() -> None:
    traces, heard = Traces(), list[str]()

    async def answer(request: web.Request) -> web.Response:
        heard.append(request.headers.get("traceparent", ""))
        return web.json_response({"planners": []})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, ClientSession() as session:
        transport = TracedGatewayTransport(HttpTransport(session), traces.tracer)
        with traces.tracer.span("reconcile thing", {}):
            await Gateway(transport, str(server.make_url("/"))).planners()
    span, reconcile = traces.spans
    assert span.parent is None
    assert span.context != reconcile.context
    assert span.context is not None
    assert heard == [f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"]
    assert span.name == "gateway GET /api/planners"
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 200


async def test_spans_go_to_the_endpoint_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[tuple[str, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        received.append((request.path, await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    async with TestServer(app) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", str(server.make_url("/")))
        async with tracing(os.environ, name="my-operator", version="1") as tracer:
            assert tracer is not None
            with tracer.span("reconcile thing", {"name": "a"}):
                pass
    ((path, body),) = received
    assert path == "/v1/traces"
    assert b"reconcile thing" in body
    assert b"my-operator" in body


async def test_without_an_endpoint_nothing_of_it_is_loaded() -> None:
    async with tracing({}, name="my-operator", version="1") as tracer:
        assert tracer is None
    code = "import sys, marie_operator.cli.run; print([name for name in sys.modules if 'opentelemetry' in name])"
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
