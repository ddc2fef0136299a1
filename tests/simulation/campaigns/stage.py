"""The simulated world as a campaign needs it: one operator, calm weather, and what compares in two of them."""

import asyncio
import functools
import gc
import random
from collections.abc import Callable, Coroutine, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from marie_operator.testing import manifests, virtual
from marie_operator.testing.api import Api
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.audit import Request
from marie_operator.testing.gateway import OutcomePolicy, Outcomes, SimulatedGateways
from marie_operator.testing.kubelet import NodeSpec
from tests.simulation.replica import Replica
from tests.simulation.world import OPERATOR, World, installed

Object = dict[str, Any]
T = TypeVar("T")

KEYS = tuple(f"{folder}/{number}.pdf" for folder in ("all", "documents") for number in range(1, 5))
"""What is in every bucket."""
QUIET = 75.0
"""Seconds without a change after which a world has settled: a gateway at rest is asked all once a minute."""
PATIENCE = 1800.0
EXPECTED = frozenset({"the API server warns", "gateway does not take work"})
"""Warnings of what users asked for: values that the API server frowns upon, and a gateway that its change restarts."""
UNTOLD = frozenset({"leases", "events", "nodes"})
"""What changes for ever, or tells of what has changed."""

KINDS: Mapping[str, str] = {
    "services": "/api/v1",
    "secrets": "/api/v1",
    "configmaps": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "pods": "/api/v1",
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "ingresses": "/apis/networking.k8s.io/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "jobs": "/apis/batch/v1",
    "marieclusters": "/apis/marie.ai/v1alpha1",
    "mariejobs": "/apis/marie.ai/v1alpha1",
}


def path(kind: str, name: str = "") -> str:
    return f"{KINDS[kind]}/namespaces/default/{kind}" + (f"/{name}" if name else "")


class _Even(random.Random):
    """Whose keys and passwords are all the same, so that what is made of them compares."""

    def randbytes(self, n: int) -> bytes:
        return bytes(n)


class Stage:
    """What a campaign acts on, while it is entered.

    Args:
        outcomes: What becomes of documents.

    Attributes:
        log: What the operator has logged, parsed.
    """

    def __init__(self, outcomes: OutcomePolicy) -> None:
        nodes = [NodeSpec("node-1", capacity={"nvidia.com/gpu": "64"})]
        self._world = World(installed(), _Even(1), nodes=nodes, lease_period=600, outcome=outcomes, keys=KEYS)
        self.log: list[MutableMapping[str, Any]] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.log = stack.enter_context(structlog.testing.capture_logs())
            await stack.enter_async_context(self._world)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def server(self) -> EmbeddedApiServer:
        return self._world.server

    @property
    def api(self) -> Api:
        return self._world.api

    @property
    def gateways(self) -> SimulatedGateways:
        return self._world.gateways

    @property
    def operator(self) -> Replica:
        return self._world.replicas[0]

    def crash(self) -> None:
        """End the operator's process before it can do anything else; what it has sent arrives."""
        self._world.network.send(self.operator.crash())

    async def get(self, kind: str, name: str) -> Object:
        found: Object = await self.api.get(path(kind, name))
        return found

    async def list(self, kind: str) -> Sequence[Object]:
        found: Sequence[Object] = (await self.api.get(path(kind)))["items"]
        return found

    async def apply(self, *objects: Object) -> None:
        await manifests.apply(self.api, objects)

    async def settle(self) -> None:
        """Wait until nobody has changed anything for a while.

        Raises:
            AssertionError: there is no end to changes.
        """
        mark, loop = self.server.audit.mark(), asyncio.get_running_loop()
        begin = last = loop.time()
        while (now := loop.time()) - last < QUIET:
            await asyncio.sleep(3)
            if _changes(self.server.audit.requests(since=mark, writes=True)):
                mark, last = self.server.audit.mark(), now + 3
            if now - begin > PATIENCE:
                recent = [str(each) for each in _changes(self.server.audit.requests(writes=True))[-6:]]
                raise AssertionError(f"still changing after {PATIENCE:g} s: {recent}")

    def complaints(self) -> Sequence[str]:
        """What the operator has logged as wrong, once."""
        told = [each for each in self.log if each["event"] not in EXPECTED]
        self.log.clear()
        return [str(each) for each in told if each["log_level"] not in {"debug", "info"}]

    def writes(self, since: int) -> Sequence[Request]:
        """What the operator has changed since then, events included."""
        found = self.server.audit.requests(user=OPERATOR.name, since=since, writes=True)
        return [each for each in found if each.code < 400 and each.resource != "leases"]


def _changes(requests: Sequence[Request]) -> Sequence[Request]:
    return [each for each in requests if each.code < 400 and each.resource not in UNTOLD]


@functools.cache
def _prepared() -> None:
    """Leave out of the collector's sight what all stages share."""
    installed()
    gc.collect()
    gc.freeze()


def run(main: Callable[[Stage], Coroutine[Any, Any, T]], *, outcomes: OutcomePolicy | None = None) -> T:
    """Tell a story in a world of its own."""
    _prepared()

    async def story() -> T:
        async with Stage(outcomes or Outcomes()) as stage:
            return await main(stage)

    gc.disable()
    try:
        return virtual.run(story)
    finally:
        gc.enable()
        gc.collect()
