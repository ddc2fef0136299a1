"""The operator and everything around it, in one process and in virtual time.

The API server is the embedded one, with what a controller manager, a scheduler and a kubelet do; gateways are
simulated, and so is the object store. Replicas of the operator reach all of them over a network that may do its worst.
"""

import asyncio
import random
from collections.abc import Callable, Container, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from marie_operator.builders import association
from marie_operator.marie.database import Connect
from marie_operator.runtime import Clock
from marie_operator.testing import manifests, virtual
from marie_operator.testing.apiserver.authorization import User
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.gateway import OutcomePolicy, Outcomes, SimulatedGateways
from marie_operator.testing.gateway.identity import VERSION
from marie_operator.testing.kubelet import LEASE_PERIOD, Behaviour, FakeKubelet, NodeSpec
from marie_operator.testing.pods import MariePods
from marie_operator.testing.workloads import ALL, Controller, Periods, Workloads
from tests.simulation.network import Network
from tests.simulation.replica import NAMESPACE, SUBMITTER_IMAGE, Replica
from tests.simulation.stored import Stored
from tests.simulation.submitters import Submitters
from tests.simulation.trace import Trace

CONFIG = Path(__file__).parents[2] / "config"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
OPERATOR = User.service_account(NAMESPACE, "marie-operator")


class VirtualClock:
    """The loop's time, from a fixed beginning."""

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """The time of day."""
        return BEGINNING + timedelta(seconds=self.monotonic())


class World:
    """Everything, while it is entered.

    Args:
        origin: An API server with whose objects its own begins; see ``installed``.
        source: Decides all that is left to chance.
        usual: Seconds that a message of the operator's takes, at least and at most; without, none.
        replicas: Of the operator.
        terms: Seconds of lease duration, renew deadline and retry period; None for replicas that lead as they start.
        nodes: That pods are placed on.
        behaviours: Of pods.
        lease_period: Seconds between the renewals of a node's lease.
        outcome: What becomes of documents.
        api_key: What gateways let in that have no other.
        keys: What is in every bucket, in any order.
        page_size: How many keys a listing brings at a time.
        trace: What happened.
        connect: Makes the operator's connections to databases; None where it uses none.
        controllers: Of the controller manager and the scheduler.
        version: Of Marie.

    Attributes:
        objects: What Marie and the operator stored, by bucket and key.
        server: The API server.
        api: A client of it that may everything.
        gateways: Marie.
        kubelet: Runs the pods.
        submitters: What runs in submitter pods.
        network: Between the operator and the servers.
        replicas: Of the operator; they run once they are started.
        on_send: Called with a process and what it sends, when a write or a submission is about to leave.
    """

    def __init__(
        self,
        origin: EmbeddedApiServer,
        source: random.Random,
        *,
        usual: tuple[float, float] | None = None,
        replicas: int = 1,
        terms: tuple[float, float, float] | None = None,
        nodes: Sequence[NodeSpec] = (NodeSpec("node-1"),),
        behaviours: Sequence[Behaviour] = (),
        lease_period: float = LEASE_PERIOD,
        outcome: OutcomePolicy = Outcomes(),  # noqa: B008 - frozen
        api_key: str = "mas_none",
        keys: Sequence[str] = (),
        page_size: int = 3,
        trace: Trace | None = None,
        connect: Connect | None = None,
        controllers: Sequence[type[Controller]] = ALL,
        version: str = VERSION,
    ) -> None:
        self.source = source
        self.clock: Clock = VirtualClock()
        self.trace = trace or Trace()
        self.connect = connect
        self.keys = sorted(keys)
        self.page_size = page_size
        self.network = Network(source, usual)
        self.on_send: Callable[[str, str], None] = lambda *_: None
        self.server = EmbeddedApiServer(
            seed=source.getrandbits(64), now=self.clock.now, users={"operator": OPERATOR}, like=origin
        )
        self.api = self.server.direct()
        self.objects = Stored()
        self.gateways = SimulatedGateways(outcome=outcome, store=self._store, version=version)
        pods = MariePods(
            self.gateways,
            cluster_label=association.CLUSTER_LABEL,
            role_label=association.NODE_TYPE_LABEL,
            executors=lambda _: ["extract_executor"],
            api_key=api_key,
            api=self.api,
        )
        self.submitters = Submitters(self)
        submitting = {association.NODE_TYPE_LABEL: association.SUBMITTER}
        self.kubelet = FakeKubelet(
            self.api,
            nodes=nodes,
            behaviours=[
                Behaviour(submitting, image=SUBMITTER_IMAGE, program=self.submitters),
                *behaviours,
            ],
            on_ready=pods.ready,
            on_gone=pods.gone,
            lease_period=lease_period,
            now=self.clock.now,
        )
        periods = Periods(node_monitor=lease_period / 2, node_grace=4 * lease_period)
        self._workloads = Workloads(self.api, controllers=controllers, periods=periods, now=self.clock.now)
        self.replicas = [Replica(self, f"operator-{each + 1}", terms) for each in range(replicas)]
        self._stack = AsyncExitStack()

    def _store(self, key: str, content: bytes) -> None:
        """Marie stores a result."""
        self.objects["marie", key] = content

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.api)
            await stack.enter_async_context(self._workloads)
            await stack.enter_async_context(self.kubelet)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for replica in self.replicas:
            if replica.running:
                await replica.stop()
        await self._stack.aclose()


def confined(origin: EmbeddedApiServer, kinds: Container[tuple[str, str]]) -> EmbeddedApiServer:
    """A server with another's objects that serves some of its kinds alone, since whoever collects garbage follows all.

    Args:
        origin: The other.
        kinds: Group and plural name of each that has objects.
    """
    server = EmbeddedApiServer(seed=2, now=VirtualClock().now, like=origin)
    for kind in server.server.kinds:
        if "list" in kind.verbs and (kind.group, kind.plural) not in kinds:
            server.server.kinds.remove(kind.group, kind.plural)
    return server


@cache
def installed() -> EmbeddedApiServer:
    """An API server on which the operator is installed; to be asked for outside of a loop."""

    async def install() -> EmbeddedApiServer:
        server = EmbeddedApiServer(seed=1, now=VirtualClock().now)
        async with server.direct() as api:
            objects = manifests.read(CONFIG / "default/namespace.yaml", CONFIG / "crd", CONFIG / "rbac")
            await manifests.apply(api, objects)
        return server

    return virtual.run(install)
