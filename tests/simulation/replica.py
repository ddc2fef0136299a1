"""One replica of the operator as a process: it starts, is stopped, continued, killed, and starts again."""

import asyncio
import random
from collections.abc import Callable
from typing import Protocol

from prometheus_client import CollectorRegistry

from marie_operator.cli.assembly import Operator
from marie_operator.marie.database import Connect
from marie_operator.runtime import Client, Clock, Elector, LeadershipLost, Metrics
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.gateway import SimulatedGateways
from marie_operator.testing.virtual import Process
from tests.simulation.network import Network
from tests.simulation.stored import Stored
from tests.simulation.trace import Trace
from tests.simulation.wires import ApiWire, BucketWire, GatewayWire, ObjectsWire, Port

NAMESPACE, LEASE = "marie-system", "marie-operator"
SUBMITTER_IMAGE = "marieai/marie-operator:simulated"


class Surroundings(Protocol):
    """What a replica runs in."""

    server: EmbeddedApiServer
    gateways: SimulatedGateways
    network: Network
    trace: Trace
    clock: Clock
    connect: Connect | None
    source: random.Random
    keys: list[str]
    objects: Stored
    page_size: int

    def on_send(self, who: str, what: str) -> None:
        """A write or a submission is about to leave a process."""


class Watchdog:
    """Kills a process that is not heard from in time, whether or not it runs.

    Args:
        kill: Ends the process.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self._timer: asyncio.TimerHandle | None = None

    @property
    def due(self) -> float | None:
        """When it will kill, if it is not told otherwise."""
        return None if self._timer is None or self._timer.cancelled() else self._timer.when()

    def arm(self, seconds: float) -> None:
        """Kill in so many seconds, and no longer when it was told before."""
        self.disarm()
        self._timer = asyncio.get_running_loop().call_later(max(seconds, 0.001), self._kill)

    def disarm(self) -> None:
        """Let the process be."""
        if self._timer is not None:
            self._timer.cancel()


class Replica:
    """A replica.

    Args:
        around: What it runs in.
        name: Of the replica; each of its lives has a name of its own.
        terms: Seconds of lease duration, renew deadline and retry period; None for one that leads as soon as it runs.
        lease: The name of the lease.

    Attributes:
        life: How often it was started.
        ended: Called with how a life ended: the error it ended with, None for a clean stop or for being killed.
        port: Where the present life's messages leave.
        operator: The present life's.
    """

    def __init__(
        self, around: Surroundings, name: str, terms: tuple[float, float, float] | None = None, *, lease: str = LEASE
    ) -> None:
        self._around = around
        self._name = name
        self._terms = terms
        self._lease = lease
        self.life = 0
        self.ended: Callable[[Replica, BaseException | None], None] = _unexpected
        self.process = Process()
        self.port = self._made_port()
        self.operator: Operator | None = None
        self._watchdog: Watchdog | None = None
        self._stop = asyncio.Event()
        self._main: asyncio.Task[None] | None = None

    @property
    def identity(self) -> str:
        """The present life's name."""
        return f"{self._name}.{self.life}"

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._main is not None and not self._main.done()

    def start(self) -> None:
        """Begin a new life, which knows nothing of the ones before."""
        self.life += 1
        self.process, self._stop = Process(), asyncio.Event()
        self.port = self._made_port()
        self._around.trace.note(self.identity, "starts")
        self._main = self.process.start(self._run())
        self._main.add_done_callback(self._done)

    async def stop(self) -> None:
        """End cleanly, as SIGTERM asks for."""
        self._stop.set()
        if self._main is not None:
            await asyncio.wait([self._main])

    async def crash(self) -> None:
        """End at once, as SIGKILL does; what it has sent is on its way."""
        self._around.trace.note(self.identity, "is killed")
        await self.process.kill()

    async def stall(self, seconds: float) -> None:
        """Let nothing of it run but the watchdog, which is no part of the loop that it watches."""
        process, loop = self.process, asyncio.get_running_loop()
        process.stop()
        due = self._watchdog.due if self._watchdog is not None else None
        if due is None or due > loop.time() + seconds:
            await asyncio.sleep(seconds)
            process.resume()
            return
        await asyncio.sleep(due - loop.time())
        if not process.dead:
            self._around.trace.note(self.identity, "is killed by its watchdog")
            await process.kill()

    async def _run(self) -> None:
        around, port, name = self._around, self.port, self.identity
        metrics, jitter = Metrics(CollectorRegistry()), around.source.random

        def client() -> Client:
            token = around.server.token("operator")
            return Client(ApiWire(around.server.server, token, port), clock=around.clock, jitter=jitter)

        elector = None
        if self._terms is not None:
            duration, deadline, period = self._terms
            self._watchdog = Watchdog(lambda: around.network.send(self.crash()))
            elector = Elector(
                client(),
                namespace=NAMESPACE,
                name=self._lease,
                identity=name,
                lease_duration=duration,
                renew_deadline=deadline,
                retry_period=period,
                clock=around.clock,
                metrics=metrics,
                jitter=jitter,
                watchdog=self._watchdog,
            )
        self.operator = Operator(
            client(),
            elector=elector,
            transport=GatewayWire(around.gateways, port),
            lister=BucketWire(around.keys, around.page_size, port),
            objects=ObjectsWire(around.objects, port),
            gateway_url=lambda key, _: f"{key.namespace}/{key.name}",
            namespaces=(),
            concurrency=4,
            instance=name,
            clock=around.clock,
            metrics=metrics,
            submitter_image=SUBMITTER_IMAGE,
            connect=around.connect,
            entropy=around.source.randbytes,
            jitter=jitter,
        )
        await self.operator.manager().run(self._stop)

    def _made_port(self) -> Port:
        around = self._around
        return Port(around.network, self.process, self.identity, around.trace, around.on_send)

    def _done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        self._around.trace.note(self.identity, f"ended: {error}" if error is not None else "ended")
        self.ended(self, error)
        if not self.process.dead:
            # With its main program ends all that it has left, such as the timer of its watchdog.
            self._around.network.send(self.process.kill())


def _unexpected(replica: Replica, error: BaseException | None) -> None:
    if error is not None and not isinstance(error, LeadershipLost):
        raise RuntimeError(f"{replica.identity} ended") from error
