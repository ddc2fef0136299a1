"""Traces, where the environment says where to."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from marie_operator.runtime.errors import StartError
from marie_operator.runtime.tracing import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


@asynccontextmanager
async def tracing(environment: Mapping[str, str], *, name: str, version: str) -> AsyncIterator[Tracer | None]:
    """A tracer that sends spans by OTLP over HTTP; None, and nothing loaded, unless an endpoint is set.

    Sampling, headers, certificates and the rest are told by OpenTelemetry's own variables.

    Args:
        environment: The process's.
        name: Of the service, unless OTEL_SERVICE_NAME says another.
        version: Of the service.

    Raises:
        StartError: it is asked for, but not installed.
    """
    asked = next((variable for variable in ENDPOINTS if environment.get(variable)), "")
    if not asked or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - optional
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        from marie_operator.runtime.opentelemetry import OpenTelemetryTracer  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise StartError(
            f"{asked} asks for traces, but {error.name} is not installed;"
            " run: pip install 'marie-operator[tracing]', or unset it"
        ) from error
    attributes = {
        "service.name": environment.get("OTEL_SERVICE_NAME", name),
        "service.version": version,
    }
    provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield OpenTelemetryTracer(provider, version=version)
    finally:
        # What is not sent yet is sent now, which waits for the network.
        await asyncio.to_thread(provider.shutdown)
