"""An operator that starts anew finds everything as it left it, and says and does nothing."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from marie_operator.testing import manifests
from marie_operator.testing.workloads import ALL, Controller
from tests.controllers.mariecluster.plane import Plane, run
from tests.simulation.world import OPERATOR

pytestmark = pytest.mark.embedded

SAMPLES = sorted((Path(__file__).parents[3] / "config" / "samples").glob("marie*.yaml"))
REST = 100.0
"""Seconds within which all is done that waits for a time of its own, longer than a pod counts as busy; five of them are
over before the first deadline of a sample is near."""


@pytest.mark.parametrize("controllers", [(), ALL], ids=["nothing else at work", "pods run"])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_restart_writes_nothing(sample: Path, controllers: Sequence[type[Controller]]) -> None:
    def written(plane: Plane, since: int) -> list[str]:
        found = plane.server.audit.requests(user=OPERATOR.name, since=since, writes=True)
        return [f"{each.verb} {each.path}" for each in found if each.resource != "leases"]

    def listed(plane: Plane, since: int) -> set[str]:
        found = plane.server.audit.requests(user=OPERATOR.name, since=since)
        return {each.resource for each in found if each.verb in {"list", "watch"}}

    async def story(plane: Plane) -> None:
        await plane.apply(*manifests.read(sample))
        await asyncio.sleep(REST)
        for end in (plane.replica.stop, plane.replica.crash):
            mark = plane.server.audit.mark()
            await asyncio.sleep(REST)
            assert written(plane, mark) == [], "at rest"
            await end()
            restarted = plane.server.audit.mark()
            plane.replica.start()
            await asyncio.sleep(REST)
            assert written(plane, mark) == []
            # It was there, and saw everything.
            assert {"marieclusters", "mariejobs", "deployments", "pods"} <= listed(plane, restarted)

    run(story, controllers=controllers)
