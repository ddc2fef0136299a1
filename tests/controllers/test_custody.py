"""Objects that the operator leaves alone, wholly or for a while, and finished jobs that it does not keep."""

import asyncio
from functools import partial
from typing import Any

import pytest

from marie_operator.controllers.custody import PAUSE, PAUSED
from marie_operator.testing.api import ApiStatus
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import MANAGED, cluster, job, succeeded

pytestmark = pytest.mark.embedded


def managed_by(manager: str, obj: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "spec": {**obj["spec"], "managedBy": manager}}


async def pause(plane: Plane, kind: str, name: str, value: str | None = PAUSED) -> None:
    await plane.patch(kind, name, {"metadata": {"annotations": {PAUSE: value}}})


async def job_condition(plane: Plane, name: str, kind: str) -> tuple[str, str] | None:
    found = (await plane.get("mariejobs", name)).get("status", {}).get("conditions", ())
    return next(((each["status"], each["reason"]) for each in found if each["type"] == kind), None)


def test_what_others_look_after_is_not_touched() -> None:
    async def story(plane: Plane) -> None:
        theirs = "kueue.x-k8s.io/multikueue"
        since = plane.server.audit.mark()
        await plane.apply(managed_by(theirs, cluster("theirs")), managed_by(theirs, job(cluster="theirs")))
        await plane.apply(managed_by("marie.ai/marie-operator", cluster("ours", backingServices=MANAGED)))
        await plane.condition("ours", "Ready")
        assert not [each for each in plane.writes(since) if "theirs" in each.name or each.name == "j"]
        assert await plane.find("deployments", "theirs-server") is None
        with pytest.raises(ApiStatus, match="managedBy cannot be changed: delete the object and make it anew"):
            await plane.patch("marieclusters", "theirs", {"spec": {"managedBy": None}})

    run(story)


def test_a_paused_cluster_is_left_as_it_is_and_its_jobs_go_on() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        await pause(plane, "marieclusters", "c")
        told = await plane.condition("c", "Paused", reason="Paused")
        assert told["message"] == (
            "Annotation marie.ai/reconcile is paused: the operator changes nothing. Remove it to go on."
        )
        since = plane.server.audit.mark()
        await plane.api.delete(plane.path("deployments", "c-server"))
        await plane.condition("c", "ServerPodReady", "False")
        await asyncio.sleep(60)
        assert {(each.resource, each.subresource) for each in plane.writes(since)} == {("marieclusters", "status")}

        await pause(plane, "marieclusters", "c", None)
        await plane.condition("c", "Paused", "False", reason="NotPaused")
        await plane.condition("c", "Ready")

        await pause(plane, "marieclusters", "c")
        await plane.apply(job())
        await plane.until(lambda: succeeded(plane))
        await plane.replica.crash()
        plane.replica.start()
        await plane.apply(job("later"))
        await plane.until(lambda: succeeded(plane, "later"))

    run(story)


def test_a_paused_job_sends_nothing_until_the_pause_is_over() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        paused = job()
        paused["metadata"]["annotations"] = {PAUSE: PAUSED}
        await plane.apply(paused)

        async def told() -> bool:
            return await job_condition(plane, "j", "Paused") == ("True", "Paused")

        await plane.until(told)
        since = plane.server.audit.mark()
        await asyncio.sleep(300)
        assert plane.writes(since) == []
        assert (await plane.get("mariejobs", "j"))["status"]["message"].startswith("Annotation marie.ai/reconcile is")

        await pause(plane, "mariejobs", "j", None)
        await plane.until(lambda: succeeded(plane))
        assert await job_condition(plane, "j", "Paused") == ("False", "NotPaused")

    run(story)


@pytest.mark.kuberay("KU-08")
def test_the_newest_finished_jobs_are_kept_as_many_as_the_cluster_says() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED, successfulJobsHistoryLimit=2))
        await plane.condition("c", "Ready")
        for number in range(4):
            await plane.apply(job(f"j{number}"))
            await plane.until(partial(succeeded, plane, f"j{number}"))
            await asyncio.sleep(2)
        assert await plane.names("mariejobs") == {"j2", "j3"}

        await plane.patch("marieclusters", "c", {"spec": {"successfulJobsHistoryLimit": 0}})

        async def none_left() -> bool:
            return not await plane.names("mariejobs")

        await plane.until(none_left)
        events = (await plane.api.get("/apis/events.k8s.io/v1/namespaces/default/events"))["items"]
        assert {each["note"] for each in events if each["reason"] == "BeyondHistory"} == {
            "Deleted: MarieCluster c keeps fewer finished jobs."
        }

    run(story)


def test_jobs_of_a_cluster_that_is_given_one_document_at_a_time_go_in_order() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED, maxDocumentsInFlight=1))
        await plane.condition("c", "Ready")
        for name, priority in (("first", 0), ("low", -5), ("high", 5)):
            wanted = job(name)
            wanted["spec"]["priority"] = priority
            await plane.apply(wanted)
            await asyncio.sleep(1)
        assert await job_condition(plane, "low", "Submitted") == ("False", "Queued")
        ends = {}
        for name in ("first", "low", "high"):
            await plane.until(partial(succeeded, plane, name), seconds=300)
            ends[name] = (await plane.get("mariejobs", name))["status"]["completionTime"]
        assert sorted(ends, key=lambda name: ends[name]) == ["first", "high", "low"]

    run(story)
