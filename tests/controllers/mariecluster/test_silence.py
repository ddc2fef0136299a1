"""A cluster whose end is not told of, because the watch on clusters has fallen silent."""

import asyncio

import pytest

from marie_operator.testing.apiserver.faults import Fault, mute
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import cluster
from tests.simulation.world import OPERATOR

pytestmark = pytest.mark.embedded


async def silenced(plane: Plane) -> None:
    """The operator is told nothing of clusters any more; garbage collection is."""
    fault = Fault(mute(), verbs={"watch"}, resources={"marieclusters"}, user=OPERATOR.name)
    plane.server.server.faults.append(fault)
    plane.server.server.end_watches()
    await asyncio.sleep(5)


def test_the_children_of_a_cluster_that_is_gone_are_not_made_again() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster())
        await plane.condition("c", "Ready")
        await silenced(plane)
        since = plane.server.audit.mark()
        await plane.api.delete(plane.path("marieclusters", "c"), {"propagationPolicy": "Background"})
        await asyncio.sleep(30)
        assert plane.writes(since) == []
        assert await plane.names("deployments") == set()

    run(story)


def test_a_cluster_made_anew_under_the_name_gets_its_children() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster())
        before = await plane.condition("c", "Ready")
        await silenced(plane)
        await plane.api.delete(plane.path("marieclusters", "c"), {"propagationPolicy": "Background"})
        await plane.apply(cluster())
        await asyncio.sleep(1)
        made = await plane.get("marieclusters", "c")

        async def has_children() -> bool:
            found = await plane.find("deployments", "c-server")
            return found is not None and found["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]

        await plane.until(has_children)
        assert before["status"] == "True"

    run(story)


def test_a_deployment_that_somebody_deletes_is_made_again_after_one_look_at_its_cluster() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster())
        await plane.condition("c", "Ready")
        since = plane.server.audit.mark()
        await plane.api.delete(plane.path("deployments", "c-server"), {"propagationPolicy": "Background"})
        await plane.until(lambda: plane.find("deployments", "c-server"))
        await plane.condition("c", "Ready", seconds=300)
        asked = plane.server.audit.requests(user=OPERATOR.name, since=since)
        assert [each.verb for each in asked if each.resource == "marieclusters" and not each.subresource] == ["list"]
        created = [each for each in plane.writes(since) if each.resource == "deployments"]
        assert [(each.name, each.code) for each in created] == [("c-server", 201)]

    run(story)
