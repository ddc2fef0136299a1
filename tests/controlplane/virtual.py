"""The same without a socket: the operator runs beside the embedded control plane, in one process and virtual time.

What becomes of it is what becomes of a process, without what makes one: the command line, signals, HTTP.
"""

import contextlib
import json
import random
from collections.abc import Iterator, Mapping
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import looptime
import structlog

from marie_operator.testing import manifests
from marie_operator.testing.api import Api
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.audit import Requests
from marie_operator.testing.gateway import Outcome, SimulatedGateways
from marie_operator.testing.kubelet import FakeKubelet, NodeSpec
from marie_operator.testing.virtual import VirtualLoop
from tests.controlplane.world import API_KEY
from tests.simulation.replica import Replica
from tests.simulation.stored import Stored
from tests.simulation.world import World as Simulation

TERMS = (15.0, 10.0, 2.0)
"""Lease duration, renew deadline and retry period, in seconds, as the operator's are."""
LATENCY = (0.0005, 0.005)
"""Seconds that a message takes, at least and at most: a crash is to meet some on their way."""

_LOG: ContextVar[list[str]] = ContextVar("log")


class TestLoop(VirtualLoop, looptime.LoopTimeEventLoop):
    """A loop in virtual time that looptime takes for one of its own: any other it makes into one, with sockets."""

    def setup_looptime(self, **_: Any) -> None:
        """Nothing is to be set up."""


class VirtualOperator:
    """An operator that is a part of the test's own process.

    Args:
        simulation: What it runs in.
        name: Of its own.
        lease: Of leader election; empty for none.
    """

    def __init__(self, simulation: Simulation, name: str, lease: str) -> None:
        self._lines: list[str] = []
        self._error: BaseException | None = None
        self._replica = Replica(simulation, name, TERMS if lease else None, lease=lease)
        self._replica.ended = self._ended
        simulation.replicas.append(self._replica)

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return "\n".join(self._lines)

    async def start(self) -> None:
        """Start it."""
        context = copy_context()
        context.run(_LOG.set, self._lines)
        context.run(self._replica.start)

    async def end(self) -> int:
        """Ask it to end, and wait until it has; its exit code."""
        await self._replica.stop()
        return 0 if self._error is None else 1

    async def kill(self) -> None:
        """As a power cut would."""
        await self._replica.crash()

    def _ended(self, _: Replica, error: BaseException | None) -> None:
        self._error = error
        if error is not None:
            self._lines.append(f"ended with {error!r}")


class VirtualBuckets:
    """An object store whose buckets all hold the same."""

    def __init__(self, keys: list[str], objects: Stored) -> None:
        self._keys = keys
        self._objects = objects

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Make an object."""
        self._keys.append(key)

    def objects(self, bucket: str) -> Mapping[str, bytes]:
        """What Marie and the operator stored in a bucket."""
        return {key: self._objects[bucket, key] for key in self._objects.under(bucket)}


@dataclass(frozen=True)
class VirtualStage:
    """Everything around a test's operators; of its own, since it costs next to nothing."""

    simulation: Simulation

    @classmethod
    def made(cls, origin: EmbeddedApiServer) -> "VirtualStage":
        """One whose API server begins as another one is."""
        nodes = [NodeSpec(f"node-{n}", {"nvidia.com/gpu": "64"}, {"accelerator": "nvidia-gpu"}) for n in (1, 2)]
        simulation = Simulation(
            origin,
            random.Random(1),
            usual=LATENCY,
            replicas=0,
            nodes=nodes,
            outcome=lambda _: Outcome(seconds=1.0),
            api_key=API_KEY,
        )
        return cls(simulation)

    @property
    def api(self) -> Api:
        """The API server, as its administrator."""
        return self.simulation.api

    @property
    def audit(self) -> Requests:
        """What the API server was asked for."""
        return self.simulation.server.audit

    @property
    def kubelet(self) -> FakeKubelet:
        """Runs the pods."""
        return self.simulation.kubelet

    @property
    def gateways(self) -> SimulatedGateways:
        """Marie."""
        return self.simulation.gateways

    @property
    def s3(self) -> VirtualBuckets:
        """Where documents are."""
        return VirtualBuckets(self.simulation.keys, self.simulation.objects)

    def operator(self, name: str, namespace: str, folder: Path, *, lease: str) -> VirtualOperator:
        """An operator that can be started."""
        return VirtualOperator(self.simulation, name, lease)

    async def apply(self, namespace: str, folder: Path) -> None:
        """Apply the manifests of a folder."""
        await manifests.apply(self.api, manifests.read(folder), namespace=namespace)

    async def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        """Scale a Deployment as a person does who uses kubectl."""
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}/scale?fieldManager=kubectl"
        await self.api.patch(path, {"spec": {"replicas": replicas}})

    async def crash_apiserver(self) -> None:
        """Let nobody reach the API server: the operator is all that it crashes for."""
        self.simulation.network.down.add("apiserver")
        self.simulation.server.server.end_watches()

    async def start_apiserver(self) -> None:
        """Let it be reached again."""
        self.simulation.network.down.discard("apiserver")


@contextlib.contextmanager
def logs_kept() -> Iterator[None]:
    """Have what an operator logs in its own log, while entered; everybody else logs as before."""
    before = structlog.get_config()
    structlog.configure(**before | {"processors": [_kept, *before["processors"]], "cache_logger_on_first_use": False})
    try:
        yield
    finally:
        structlog.configure(**before)


def _kept(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put an event into the log of the operator in whose context it happens."""
    lines = _LOG.get(None)
    if lines is None:
        return event
    if method != "debug":
        levelled = structlog.stdlib.add_log_level(logger, method, event)
        lines.append(json.dumps(structlog.processors.format_exc_info(logger, method, levelled), default=str))
    raise structlog.DropEvent
