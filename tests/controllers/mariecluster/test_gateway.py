"""What is logged of a gateway: one that begins anew is no trouble, one that stops is."""

import asyncio
from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest
import structlog

from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import cluster

pytestmark = pytest.mark.embedded


def warnings(logs: Sequence[MutableMapping[str, Any]]) -> list[str]:
    return [str(each["event"]) for each in logs if each["log_level"] == "warning"]


def test_a_scheduler_that_follows_another_is_no_trouble_and_one_that_stops_is() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster())
        await plane.condition("c", "Ready")
        with structlog.testing.capture_logs() as logs:
            marie = plane.gateways.cluster("default", "c")
            # Between two looks the process is another, and without an executor its scheduler takes longer to start.
            for name, addresses in marie.executors.items():
                for address in addresses:
                    marie.unregister(name, address)
            # Begun several times, so that a look falls into it whenever looks are taken.
            for _ in range(3):
                marie.start()
                await asyncio.sleep(4)
            await plane.condition("c", "Ready", "False", reason="SchedulerStopped")
            await plane.condition("c", "Ready")
            assert warnings(logs) == []
            marie.engine.running = False
            await plane.condition("c", "Ready", "False", reason="SchedulerStopped")
            assert warnings(logs) == ["gateway does not take work"]
            await asyncio.sleep(60)
            assert warnings(logs) == ["gateway does not take work"]

    run(story)
