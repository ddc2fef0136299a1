"""The controller of jobs, its monitors and a simulated Marie: in virtual time, without a socket."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers import kinds
from marie_operator.runtime.resource import Object, ObjectKey
from marie_operator.testing import virtual
from marie_operator.testing.gateway import OutcomePolicy, SimulatedGateways
from marie_operator.testing.gateway.identity import VERSION
from tests.controllers.mariejob.operator_process import KEY, Events, served
from tests.controllers.mariejob.whole import whole
from tests.marie.direct import Direct
from tests.simulation.world import VirtualClock

CLUSTER = ObjectKey("docs", "c")
PATIENCE = 1200.0
"""Seconds, which are virtual: a doubt is settled, and a retry made, long before."""
LATENCY = 0.05
"""Seconds that a request takes on its way, and its answer: a crash meets either."""
LONG = 100_000
"""A turn that no run comes to."""


class Doomed(virtual.Process):
    """A process that stops for ever before its n-th turn.

    Attributes:
        turns: How many it has had.
        fell: Set once it has.
    """

    def __init__(self, last: int) -> None:
        super().__init__()
        self.turns = 0
        self.fell = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._last = last

    def holds(self, handle: asyncio.Handle) -> bool:
        """Count a turn."""
        self.turns += 1
        if self.turns == self._last:
            self.stop()
            self.fell.set()
        return super().holds(handle)


class Surroundings:
    """What is outside of the operator.

    Args:
        subject: The job.
        keys: What is in the bucket.
        outcome: What becomes of documents.
        version: Of Marie.
        api_key: What its gateway lets in.
    """

    def __init__(
        self,
        subject: MarieJob,
        keys: Sequence[str],
        outcome: OutcomePolicy,
        *,
        version: str = VERSION,
        api_key: str = "mas_key",
    ) -> None:
        self.api = served(subject)
        self.marie = SimulatedGateways(outcome=outcome, version=version).cluster(*CLUSTER)
        self.marie.api_keys = {api_key}
        self.marie.start()
        self.marie.register("extract_executor", "10.0.0.1:52010", 4)
        self._keys = keys

    @property
    def status(self) -> Object:
        """The job's."""
        status: Object = self.api.objects[kinds.MARIE_JOBS, KEY].get("status", {})
        return status

    @property
    def submissions(self) -> Counter[str]:
        """How many DAGs there are for each attempt at a document."""
        return Counter(dag.ref_id for dag in self.marie.dags)

    def started(self, last: int = LONG) -> Doomed:
        """A process of the operator that lives until its n-th turn."""
        process = Doomed(last)

        async def parts() -> None:
            clock = VirtualClock()
            found = whole(
                self.api, Direct(self.marie, latency=LATENCY), self._keys, events=Events(), clock=clock, timers=clock
            )
            found.gateways.ensure(CLUSTER, "direct")
            await asyncio.gather(*found.parts)

        process.task = process.start(parts())
        return process

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once the world, which announces nothing, is as expected."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.5)

    async def ended(self) -> None:
        """Wait until the job is over."""
        await self.until(lambda: self.status.get("phase") in {"Succeeded", "Failed"})
