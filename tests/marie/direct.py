"""Requests to a simulated gateway in this process, without a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from prometheus_client import CollectorRegistry

from marie_operator.marie.gateways import Gateways
from marie_operator.marie.metrics import GatewayMetrics
from marie_operator.marie.transport import Request, Response, Unanswered
from marie_operator.runtime import LoopClock, ObjectKey
from marie_operator.testing.gateway import Outcome, SimulatedGateways, SimulatedMarie
from marie_operator.testing.gateway.exchange import Request as Asked
from marie_operator.testing.gateway.identity import VERSION
from tests.marie.wire import KEY

CLUSTER, JOB = ObjectKey("n", "c"), ObjectKey("n", "j")
EXECUTOR = "extract_executor"


async def once(body: bytes) -> AsyncIterator[bytes]:
    """A body in one piece."""
    yield body


class Direct:
    """Carries every request to one gateway.

    Args:
        marie: The gateway.
        latency: Seconds that a request takes on its way, and its answer.
    """

    def __init__(self, marie: SimulatedMarie, *, latency: float = 0.0) -> None:
        self._marie = marie
        self._latency = latency

    @asynccontextmanager
    async def exchange(self, request: Request) -> AsyncIterator[Response]:
        """Ask it; a connection that it breaks leaves open whether it has acted."""
        path, _, query = request.path.partition("?")
        pairs = dict(pair.split("=", 1) for pair in query.split("&") if pair)
        content = b"" if request.body is None else json.dumps(request.body).encode()
        bearer = f"Bearer {request.key}" if request.key else ""
        await self._pass()
        if not self._marie.serving:
            raise Unanswered("connection refused", maybe_sent=False)
        reply = await self._marie.respond(Asked(request.method, path, pairs, bearer, content))
        await self._pass()
        if reply is None:
            raise Unanswered("broke off", maybe_sent=True)
        yield Response(reply.status, once(reply.body))

    async def _pass(self) -> None:
        if self._latency:
            await asyncio.sleep(self._latency)


@contextmanager
def watched(marie: SimulatedMarie, transport: Direct | None = None) -> Iterator[Gateways]:
    """One gateway, watched in virtual time."""
    gateways = Gateways(
        transport or Direct(marie),
        clock=LoopClock(),
        metrics=GatewayMetrics(CollectorRegistry()),
        on_cluster=lambda _: None,
        on_job=lambda _: None,
    )
    gateways.ensure(CLUSTER, "direct")
    yield gateways
    gateways.forget(CLUSTER)


def serving(*, seconds: float, version: str = VERSION) -> SimulatedMarie:
    """A gateway that has started, with one executor whose tasks take so long."""
    marie = SimulatedGateways(version=version, outcome=lambda _: Outcome(seconds)).cluster(*CLUSTER)
    marie.api_keys = {KEY}
    marie.start()
    marie.register(EXECUTOR, "10.0.0.1:52010", 4)
    return marie
