"""What a cluster asks of the API server: one write for each child, one event for all of them, and no reads."""

import asyncio
from typing import Any

import pytest

from marie_operator.testing.audit import Request
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import cluster
from tests.simulation.world import OPERATOR

pytestmark = pytest.mark.embedded

PORTS = {"ports": [{"port": 80}]}


def asked(plane: Plane, since: int, *resources: str) -> list[Request]:
    found = plane.server.audit.requests(user=OPERATOR.name, since=since)
    return [each for each in found if each.resource in resources and each.verb not in {"list", "watch"}]


async def events(plane: Plane) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await plane.api.get("/apis/events.k8s.io/v1/namespaces/default/events"))["items"]
    return [each for each in items if each["regarding"]["kind"] == "MarieCluster"]


@pytest.mark.kuberay("KR-14")
def test_a_new_cluster_takes_one_write_for_each_child_and_one_event_for_all() -> None:
    async def story(plane: Plane) -> None:
        since = plane.server.audit.mark()
        await plane.apply(cluster())
        await plane.condition("c", "Ready")
        children = asked(plane, since, "services", "deployments", "poddisruptionbudgets")
        assert [(each.verb, each.code) for each in children] == [("patch", 201)] * 6
        created, *turns = sorted(await events(plane), key=lambda each: str(each["eventTime"]))
        assert created["reason"] == "Created"
        assert created["note"] == (
            "Created Service c-server-svc, Service c-server-headless, Deployment c-server, "
            "Service c-executor-extract-svc, Deployment c-executor-extract, PodDisruptionBudget c-busy. "
            "The server's pod is starting."
        )
        assert "Created" not in {each["reason"] for each in turns}
        assert [each["reason"] for each in turns].count("Ready") == 1

    run(story)


def test_a_child_that_has_lost_its_label_is_the_cluster_s_still() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster())
        await plane.condition("c", "Ready")
        before = await plane.get("services", "c-server-svc")
        await plane.patch("services", "c-server-svc", {"metadata": {"labels": None}})

        async def labelled() -> bool:
            return bool((await plane.get("services", "c-server-svc"))["metadata"].get("labels"))

        await plane.until(labelled)
        after = await plane.get("services", "c-server-svc")
        assert (after["metadata"]["uid"], after["metadata"]["labels"]) == (
            before["metadata"]["uid"],
            before["metadata"]["labels"],
        )
        await plane.condition("c", "Ready")

    run(story)


@pytest.mark.kuberay("KR-31")
def test_an_object_of_someone_else_is_left_as_it_is() -> None:
    async def story(plane: Plane) -> None:
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c-server-svc"}}
        await plane.apply(service | {"spec": {"ports": [{"port": 80}]}})
        theirs = await plane.get("services", "c-server-svc")
        await plane.apply(cluster())
        await plane.condition("c", "Ready", "False", reason="NameTaken")
        assert await plane.get("services", "c-server-svc") == theirs
        (alarm,) = [each for each in await events(plane) if each["type"] == "Warning"]
        assert alarm["reason"] == "NameTaken"

    run(story)


def test_a_child_that_is_refused_is_tried_again_ever_more_seldom_and_told_once() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c-server-svc"}, "spec": PORTS})
        await plane.apply(cluster())
        await plane.condition("c", "Ready", "False", reason="NameTaken")
        # Until everything else is as it is to be.
        await asyncio.sleep(60)
        since = plane.server.audit.mark()
        await asyncio.sleep(3600)
        tried = [each for each in plane.writes(since) if each.name == "c-server-svc"]
        # After one and two minutes, then every five.
        assert 12 <= len(tried) <= 16
        assert [each for each in plane.writes(since) if each.code < 400] == []
        assert [each["reason"] for each in await events(plane) if each["type"] == "Warning"] == ["NameTaken"]
        # No event tells that the name is free: what is not selected by its labels is not watched.
        await plane.api.delete(plane.path("services", "c-server-svc"))
        await plane.condition("c", "Ready", seconds=330)

    run(story)
