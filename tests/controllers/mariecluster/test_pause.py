"""The pause of Marie 5's scheduler around a change that waits: what it is for, and that it always ends."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from marie_operator.api.mariecluster import MarieClusterStatus
from marie_operator.controllers.mariecluster import pause
from marie_operator.marie.dialect import Dialect
from marie_operator.marie.gateways import GatewayView
from marie_operator.testing.gateway import Fault, SimulatedMarie
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_executors import at_work, batch, done, notes, scale
from tests.controllers.mariecluster.test_upgrade import (
    NEW,
    attempts,
    change_group,
    change_server,
    image,
    is_new,
    nothing_waits,
)

pytestmark = pytest.mark.embedded

FIFTH = "5.0.0"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD = "marieai/marie:4.0.0"
PAUSE, UNPAUSE = "POST /api/scheduler/pause", "POST /api/scheduler/unpause"

FAILED = '{"status": "error", "result": "Failed to pause scheduler: no"}'
"""As Marie says it, with HTTP 200 (marie/serve/runtimes/servers/marie_gateway.py)."""


def marie(plane: Plane) -> SimulatedMarie:
    return plane.gateways.cluster("default", "c")


def others_submit(plane: Plane, documents: int) -> None:
    """Documents reach Marie past the operator."""
    for number in range(documents):
        about = {"ref_id": f"other-{number}", "uri": "s3://b/d", "planner": "extract", "policy": "allow_all"}
        marie(plane).engine.submit({"name": "extract", "metadata": about})


async def told(plane: Plane) -> str:
    """The reason of the condition, or nothing."""
    conditions = (await plane.get("marieclusters", "c"))["status"]["conditions"]
    return next((each["reason"] for each in conditions if each["type"] == "SchedulerPaused"), "")


async def paused(plane: Plane) -> bool:
    return marie(plane).engine.paused


async def goes_on(plane: Plane) -> bool:
    """Whether the pause is over, and nobody believes otherwise."""
    return not marie(plane).engine.paused and marie(plane).engine.running and await told(plane) == ""


async def idle(plane: Plane) -> bool:
    return not marie(plane).engine.unfinished


@pytest.mark.parametrize(("version", "made"), [("4.0.0", False), (FIFTH, True)])
def test_under_a_steady_load_of_others_a_change_is_made_between_two_documents(version: str, made: bool) -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 1, busy=1, seconds=20.0)
        others_submit(plane, 10)
        await change_server(plane)
        await asyncio.sleep(60)
        assert await is_new(plane) is made
        await plane.until(lambda: idle(plane), seconds=600)
        await plane.until(lambda: done(plane), seconds=60)
        await plane.until(lambda: nothing_waits(plane), seconds=60)
        await plane.until(lambda: goes_on(plane), seconds=60)
        assert attempts(plane) == [1] * 11
        assert await notes(plane, "UpgradeForced") == []

    run(story, version=version)


def test_the_pause_is_told_before_it_is_made_and_the_cluster_stays_ready() -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 1, busy=1, seconds=60.0)
        marie(plane).faults += [Fault("/api/scheduler/pause", delay=10.0)]
        await change_server(plane)
        await plane.condition("c", "SchedulerPaused", reason="PausedForChange", seconds=10)
        assert not await paused(plane)
        await plane.until(lambda: paused(plane), seconds=20)
        await asyncio.sleep(5)
        await plane.condition("c", "Ready", seconds=1)
        await plane.until(lambda: is_new(plane), seconds=90)
        await plane.until(lambda: goes_on(plane), seconds=60)
        # The new process has never been paused.
        assert marie(plane).requests[UNPAUSE] == 0

    run(story, version=FIFTH)


async def withdrawn(plane: Plane) -> None:
    await change_server(plane, OLD)


async def hurried(plane: Plane) -> None:
    await plane.patch("marieclusters", "c", {"spec": {"upgradeStrategy": {"type": "Immediate"}}})


async def too_late(plane: Plane) -> None:
    await plane.patch("marieclusters", "c", {"spec": {"upgradeStrategy": {"deadlineSeconds": 20}}})


async def suspended(plane: Plane) -> None:
    await plane.patch("marieclusters", "c", {"spec": {"suspend": True}})
    await asyncio.sleep(30)
    assert await told(plane) == ""
    await plane.patch("marieclusters", "c", {"spec": {"suspend": False}})


async def left_alone(plane: Plane) -> None:
    await plane.patch("marieclusters", "c", {"metadata": {"annotations": {"marie.ai/reconcile": "paused"}}})


async def left_alone_by_another(plane: Plane) -> None:
    await plane.replica.crash()
    await left_alone(plane)
    plane.replica.start()


@pytest.mark.parametrize("end", [withdrawn, hurried, too_late, suspended, left_alone, left_alone_by_another])
@pytest.mark.parametrize("change", [change_server, change_group])
def test_the_pause_ends_with_what_it_was_for(change: Any, end: Any) -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 1, busy=1, seconds=600.0)
        await change(plane)
        await plane.until(lambda: paused(plane), seconds=20)
        if end is withdrawn and change is change_group:
            await change_group(plane, OLD)
        else:
            await end(plane)
        await plane.until(lambda: goes_on(plane), seconds=120)

    run(story, version=FIFTH)


@pytest.mark.parametrize("withdraws", [False, True], ids=["the change stays", "the change is withdrawn"])
@pytest.mark.parametrize("tenths", [*range(0, 40, 4), 60, 100])
def test_the_pause_ends_whenever_the_operator_dies(tenths: int, withdraws: bool) -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 1, busy=1, seconds=30.0)
        await change_group(plane)
        await asyncio.sleep(tenths / 10)
        await plane.replica.crash()
        if withdraws:
            await change_group(plane, OLD)
        await asyncio.sleep(15)
        plane.replica.start()

        async def settled() -> bool:
            as_wanted = await image(plane, "c-executor-extract") == (OLD if withdraws else NEW)
            return as_wanted and await nothing_waits(plane) and await goes_on(plane)

        await plane.until(settled, seconds=120)
        await asyncio.sleep(30)
        assert await settled()
        await plane.until(lambda: done(plane), seconds=120)
        assert attempts(plane) == [1]

    run(story, version=FIFTH)


def status(reason: str = "") -> MarieClusterStatus:
    pausing = {"type": "SchedulerPaused", "status": "True", "reason": reason, "message": "", "lastTransitionTime": NOW}
    return MarieClusterStatus.model_validate({"conditions": [pausing] if reason else []})


BEGUN = status("PausedForChange")
ABLE = GatewayView(reachable=True, running=True, dialect=Dialect(FIFTH, pauses=True), paused=False)


@pytest.mark.parametrize(
    "gateway",
    [None, GatewayView(problem="away"), replace(ABLE, paused=None), replace(ABLE, paused=True)],
    ids=["not asked", "does not answer", "not looked at since", "paused"],
)
def test_the_end_of_a_pause_is_believed_when_it_is_seen(gateway: GatewayView | None) -> None:
    assert pause.order(BEGUN, False) is False
    assert pause.told(BEGUN, False, gateway, server=True).reason == "PauseEnds"
    assert pause.told(BEGUN, False, ABLE, server=True).reason is None
    assert pause.told(BEGUN, False, gateway, server=False).reason is None


@pytest.mark.parametrize(
    "gateway",
    [None, replace(ABLE, paused=None), replace(ABLE, paused=True), replace(ABLE, dialect=Dialect("4.0.0"))],
    ids=["not asked", "not known", "somebody else's", "not able"],
)
def test_a_pause_begins_where_there_is_none_and_can_be_one(gateway: GatewayView | None) -> None:
    assert pause.order(status(), True) is None
    assert pause.told(status(), True, ABLE, server=True).reason == "PausedForChange"
    assert pause.told(status(), True, gateway, server=True).reason is None
    assert pause.told(status(), False, ABLE, server=True).reason is None


def test_a_pause_is_kept_while_what_it_was_for_is_being_made() -> None:
    assert (pause.order(BEGUN, None), pause.order(status(), None)) == (True, None)
    assert pause.told(BEGUN, None, ABLE, server=True).reason == "PausedForChange"


def test_somebody_else_s_pause_is_waited_with_and_left_alone() -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 1, busy=1, seconds=60.0)
        others_submit(plane, 3)
        marie(plane).engine.pause(True)
        await plane.condition("c", "ServerPodReady", "False", reason="SchedulerStopped", seconds=20)
        await change_group(plane)
        await plane.condition("c", "UpgradePending", seconds=20)
        await asyncio.sleep(10)
        assert not await is_new(plane, "c-executor-extract")
        await plane.until(lambda: is_new(plane, "c-executor-extract"), seconds=60)
        await asyncio.sleep(60)
        assert await paused(plane)
        assert await told(plane) == ""
        assert (marie(plane).requests[PAUSE], marie(plane).requests[UNPAUSE]) == (0, 0)
        assert attempts(plane)[0] == 1

    run(story, version=FIFTH)


def test_where_the_pause_fails_all_documents_are_waited_for() -> None:
    async def story(plane: Plane) -> None:
        marie(plane).faults = [Fault("/api/scheduler/pause", times=-1, status=200, body=FAILED)]
        await at_work(plane, 1, busy=1, seconds=20.0)
        others_submit(plane, 3)
        await change_server(plane)
        await asyncio.sleep(50)
        assert not await is_new(plane)
        await plane.until(lambda: is_new(plane), seconds=90)
        assert attempts(plane) == [1] * 4
        await plane.until(lambda: goes_on(plane), seconds=60)

    run(story, version=FIFTH)


def test_an_end_that_fails_is_told_and_tried_again() -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 1, busy=1, seconds=600.0)
        await change_group(plane)
        await plane.until(lambda: paused(plane), seconds=20)
        marie(plane).faults = [Fault("/api/scheduler/unpause", times=20, status=200, body=FAILED)]
        await change_group(plane, OLD)
        await plane.condition("c", "SchedulerPaused", reason="PauseEnds", seconds=10)
        await plane.condition("c", "ServerPodReady", "False", reason="SchedulerStopped", seconds=10)
        await plane.until(lambda: goes_on(plane), seconds=120)
        await plane.condition("c", "Ready", seconds=20)

    run(story, version=FIFTH)


def test_nothing_is_written_or_paused_at_rest() -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 2, busy=1, seconds=20.0)
        await scale(plane, 1)
        await plane.until(lambda: done(plane), seconds=120)
        await plane.apply(*batch(1))
        await asyncio.sleep(120)
        assert (marie(plane).requests[PAUSE], marie(plane).requests[UNPAUSE]) == (0, 0)

    run(story, version=FIFTH)
