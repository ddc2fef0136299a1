"""The controller, the monitors and a simulated Marie together, with faults between them.

Marie runs twenty times as fast as recorded, and so do the clocks that decide when a doubt is settled.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest

from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers import kinds
from marie_operator.marie.database import Place
from marie_operator.marie.gateways import Gateways
from marie_operator.marie.transport import HttpTransport
from marie_operator.runtime import SystemClock
from marie_operator.runtime.resource import SECRETS, Object, ObjectKey
from marie_operator.testing.gateway import Fault, Outcome, SimulatedGateways, SimulatedMarie
from marie_operator.testing.gateway.identity import VERSION
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.operator_process import KEY, Events, served
from tests.controllers.mariejob.samples import SINGLE, job
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
async def staged(
    subject: MarieJob, *, seconds: float = 1.0, key: str = "mas_key", version: str = VERSION
) -> AsyncIterator[Stage]:
    gateways = SimulatedGateways(speed=SPEED, outcome=lambda _: Outcome(seconds), version=version)
    async with gateways.serve() as url:
        marie = gateways.cluster(*CLUSTER)
        marie.api_keys = {key}
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


@pytest.mark.parametrize("version", [VERSION, "5.0.0"])
async def test_a_kill_in_mid_batch_loses_and_doubles_nothing(version: str) -> None:
    async with staged(job(batch={"maxInFlight": 4}), seconds=10, version=version) as stage:
        async with operator(stage):
            await stage.until(lambda: stage.in_flight() > 0)
        async with operator(stage):
            await stage.until(lambda: len(stage.marie.dags) > 0)
        async with operator(stage):
            await stage.finished()
        assert stage.status["phase"] == "Succeeded"
        assert stage.status["result"]["documentCount"] == len(KEYS)
        done_once(stage, len(KEYS))


@pytest.mark.parametrize("version", [VERSION, "5.0.0"])
async def test_a_gateway_that_misbehaves_delays_the_batch_and_no_more(version: str) -> None:
    async with staged(job(), version=version) as stage:
        stage.marie.faults = [
            Fault("/api/v1/invoke", times=2, lost=True),
            Fault("/api/v1/invoke", times=2, status=503),
            Fault("/api/v1/invoke", times=2, status=500, effect=True),
            Fault("/api/v1/invoke", times=2, status=200, body=b"<html>rubbish</html>"),
            Fault("/api/debug", times=2, status=500),
            Fault("/api/jobsXX", times=3, status=500),
            Fault("/api/jobs/", times=3, status=500),
        ]
        async with operator(stage):
            await stage.finished()
        assert stage.status["phase"] == "Succeeded"
        done_once(stage, len(KEYS))


async def test_a_refused_key_is_said_and_another_one_taken_up() -> None:
    async with staged(job(SINGLE), key="mas_other") as stage, operator(stage):
        await stage.until(lambda: "does not accept the key" in stage.status.get("message", ""))
        secret = {"metadata": {"namespace": "docs", "name": "c-api-key"}, "data": {"apiKey": "bWFzX290aGVy"}}
        stage.api.put(SECRETS, secret)
        await stage.finished()
        assert stage.status["phase"] == "Succeeded"
        done_once(stage, 1)
