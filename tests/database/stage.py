"""The controller, the monitors and a simulated Marie over HTTP, beside a real PostgreSQL: its time is not virtual.

Marie runs twenty times as fast as recorded, and so do the clocks that decide when a doubt is settled.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp

from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers import kinds
from marie_operator.marie.database import Place
from marie_operator.marie.gateways import Gateways
from marie_operator.marie.transport import HttpTransport
from marie_operator.runtime import SystemClock
from marie_operator.runtime.resource import Object, ObjectKey
from marie_operator.testing.gateway import Outcome, SimulatedGateways, SimulatedMarie
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.operator_process import KEY, Events, served
from tests.controllers.mariejob.whole import whole

SPEED = 20
CLUSTER = ObjectKey("docs", "c")
KEYS = [f"invoices/{number}.pdf" for number in range(8)]


class FastClock:
    """The loop's time, accelerated."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() * SPEED

    def now(self) -> datetime:
        return datetime.now(UTC)


class Stage:
    """Marie, the API server and the bucket."""

    def __init__(self, api: ApiServer, marie: SimulatedMarie, url: str) -> None:
        self.api, self.marie, self.url = api, marie, url
        self.events = Events()

    @property
    def status(self) -> Object:
        status: Object = self.api.objects[kinds.MARIE_JOBS, KEY].get("status", {})
        return status

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once the world, which announces nothing, is as expected."""
        async with asyncio.timeout(300):
            while not holds():
                await asyncio.sleep(0.02)

    async def finished(self) -> None:
        await self.until(lambda: self.status.get("phase") in {"Succeeded", "Failed", "Cancelled"})

    def in_flight(self) -> int:
        return len(self.status.get("documents", {}).get("inFlight", ()))


@asynccontextmanager
async def staged(subject: MarieJob, *, seconds: float = 1.0) -> AsyncIterator[Stage]:
    gateways = SimulatedGateways(speed=SPEED, outcome=lambda _: Outcome(seconds))
    async with gateways.serve() as url:
        marie = gateways.cluster(*CLUSTER)
        marie.api_keys = {"mas_key"}
        marie.start()
        marie.register("extract_executor", "10.0.0.1:52010", 4)
        yield Stage(served(subject), marie, f"{url}/docs/c")


@asynccontextmanager
async def operator(stage: Stage, database: Place | None = None) -> AsyncIterator[Gateways]:
    """One process of the operator, killed at the end."""
    async with aiohttp.ClientSession() as session:
        found = whole(
            stage.api, HttpTransport(session), KEYS, events=stage.events, clock=FastClock(), timers=SystemClock()
        )
        gateways, tasks = found.gateways, [asyncio.create_task(each) for each in found.parts]
        gateways.ensure(CLUSTER, stage.url, database=database)
        try:
            yield gateways
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


def done_once(stage: Stage, documents: int) -> None:
    refs = [dag.ref_id for dag in stage.marie.dags]
    assert len(set(refs)) == len(refs) == documents
