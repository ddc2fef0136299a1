"""Jobs that bring their own cluster: what becomes of it, and of their documents, end to end."""

import asyncio
from typing import Any

import pytest

from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import MANAGED, cluster, succeeded

pytestmark = pytest.mark.embedded


def own(name: str = "j", *, cluster_spec: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A job with a cluster of its own, with managed stores."""
    return {
        "apiVersion": "marie.ai/v1alpha1",
        "kind": "MarieJob",
        "metadata": {"name": name},
        "spec": {
            "clusterSpec": cluster(backingServices=MANAGED)["spec"] | (cluster_spec or {}),
            "jobType": "extract",
            "input": {"uri": "s3://bucket/one.pdf"},
            **spec,
        },
    }


async def status(plane: Plane, name: str = "j") -> dict[str, Any]:
    found: dict[str, Any] = (await plane.get("mariejobs", name)).get("status", {})
    return found


async def clusters(plane: Plane) -> set[str]:
    return await plane.names("marieclusters")


async def no_clusters(plane: Plane) -> bool:
    return not await clusters(plane)


def test_a_job_makes_its_cluster_and_keeps_it_by_default() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(own())
        await plane.until(lambda: succeeded(plane))
        (name,) = await clusters(plane)
        assert (await status(plane))["clusterName"] == name
        made = await plane.get("marieclusters", name)
        job = await plane.get("mariejobs", "j")
        assert made["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "marie.ai/v1alpha1",
                "kind": "MarieJob",
                "name": "j",
                "uid": job["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
        assert made["metadata"]["labels"] == {
            "app.kubernetes.io/managed-by": "marie-operator",
            "marie.ai/job": "j",
        }
        await asyncio.sleep(60)
        since = plane.server.audit.mark()
        await asyncio.sleep(3600)
        assert plane.writes(since) == []
        assert await clusters(plane) == {name}
        await plane.api.delete(plane.path("mariejobs", "j"))
        await plane.until(lambda: no_clusters(plane))

    run(story)


def test_shutdown_after_the_job_deletes_its_cluster_and_not_the_job() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(own(shutdownAfterJobFinishes=True))
        await plane.until(lambda: succeeded(plane))
        await plane.until(lambda: no_clusters(plane))
        assert await plane.names("mariejobs") == {"j"}
        assert await plane.names("deployments") == set()

    run(story)


def test_a_ttl_keeps_the_cluster_as_long_as_the_job() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(own(shutdownAfterJobFinishes=True, ttlSecondsAfterFinished=300))
        await plane.until(lambda: succeeded(plane))
        await asyncio.sleep(250)
        assert len(await clusters(plane)) == 1
        await plane.until(lambda: no_clusters(plane))
        assert await plane.names("mariejobs") == set()

    run(story)


def test_rules_take_the_workers_first_and_the_cluster_then() -> None:
    async def story(plane: Plane) -> None:
        rules = [
            {"policy": "DeleteWorkers", "condition": {"phase": "Succeeded", "ttlSeconds": 10}},
            {"policy": "DeleteCluster", "condition": {"phase": "Succeeded", "ttlSeconds": 600}},
        ]
        await plane.apply(own(deletionStrategy={"deletionRules": rules}))
        await plane.until(lambda: succeeded(plane))
        (name,) = await clusters(plane)

        async def workers_gone() -> bool:
            group = (await plane.get("marieclusters", name))["status"]["executorGroupStatuses"]["extract"]
            return bool(group["replicas"] == 0)

        await plane.until(workers_gone, seconds=300)
        assert (await plane.get("marieclusters", name))["status"]["serverReady"] is True
        await plane.until(lambda: no_clusters(plane), seconds=900)
        assert await plane.names("mariejobs") == {"j"}

    run(story)


@pytest.mark.kuberay("KR-20")
def test_a_job_that_no_rule_foresaw_leaves_no_cluster_behind() -> None:
    async def story(plane: Plane) -> None:
        rules = [{"policy": "DeleteNone", "condition": {"phase": "Failed"}}]
        await plane.apply(own(deletionStrategy={"deletionRules": rules}))
        await plane.until(lambda: succeeded(plane))
        await plane.until(lambda: no_clusters(plane))
        events = (await plane.api.get("/apis/events.k8s.io/v1/namespaces/default/events"))["items"]
        (note,) = [each["note"] for each in events if each["reason"] == "NoDeletionRule"]
        assert note.endswith(": no rule of spec.deletionStrategy is for a job that ended as Succeeded.")

    run(story)


async def suspended(plane: Plane, reason: str) -> bool:
    found = (await status(plane)).get("conditions", ())
    return any((each["type"], each["reason"]) == ("Suspended", reason) for each in found)


@pytest.mark.kuberay("KU-23")
def test_suspension_removes_the_cluster_and_resumption_makes_another() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(own(suspend=True))
        await plane.until(lambda: suspended(plane, "Suspended"))
        assert await clusters(plane) == set()

        await plane.patch("mariejobs", "j", {"spec": {"suspend": False}})
        await plane.until(lambda: clusters(plane))
        (name,) = await clusters(plane)
        await plane.condition(name, "ServerPodReady")
        await plane.patch("mariejobs", "j", {"spec": {"suspend": True}})
        await plane.until(lambda: suspended(plane, "Suspended"))
        assert await clusters(plane) == set()
        assert await plane.names("pods") == set()
        since = plane.server.audit.mark()
        await asyncio.sleep(600)
        assert plane.writes(since) == []

        await plane.patch("mariejobs", "j", {"spec": {"suspend": False}})
        await plane.until(lambda: succeeded(plane))
        assert await clusters(plane) == {name}

    run(story)


def test_a_suspension_that_began_is_carried_through() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(own())
        await plane.until(lambda: clusters(plane))
        (name,) = await clusters(plane)
        await plane.condition(name, "ServerPodReady")
        first = (await plane.get("marieclusters", name))["metadata"]["uid"]
        await plane.patch("marieclusters", name, {"metadata": {"finalizers": ["example.org/held"]}})
        await plane.patch("mariejobs", "j", {"spec": {"suspend": True}})
        await plane.until(lambda: suspended(plane, "Suspending"))
        await plane.patch("mariejobs", "j", {"spec": {"suspend": False}})
        await asyncio.sleep(60)
        assert await suspended(plane, "Suspending")
        await plane.patch("marieclusters", name, {"metadata": {"finalizers": None}})
        await plane.until(lambda: succeeded(plane))
        assert (await plane.get("marieclusters", name))["metadata"]["uid"] != first

    run(story)


def test_a_template_with_a_typo_is_refused_by_name_and_mends() -> None:
    async def story(plane: Plane) -> None:
        wrong = own()
        container = wrong["spec"]["clusterSpec"]["serverSpec"]["template"]["spec"]["containers"][0]
        container["imagePullPolcy"] = "Always"
        await plane.apply(wrong)

        async def refused() -> dict[str, Any] | None:
            found = (await status(plane)).get("conditions", ())
            return next((each for each in found if each["reason"] == "ChildRefused"), None)

        told = await plane.until(refused)
        assert "imagePullPolcy" in told["message"]
        del container["imagePullPolcy"]
        await plane.apply(wrong)
        await plane.until(lambda: succeeded(plane))

    run(story)


@pytest.mark.kuberay("KU-19")
def test_a_cluster_that_is_deleted_is_made_again_and_the_job_ends_well() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(own())
        await plane.until(lambda: clusters(plane))
        (name,) = await clusters(plane)
        await plane.condition(name, "ServerPodReady")
        await plane.api.delete(plane.path("marieclusters", name))
        await plane.until(lambda: succeeded(plane))
        assert await clusters(plane) == {name}

    run(story)


def test_names_at_their_longest_make_a_cluster_that_works() -> None:
    async def story(plane: Plane) -> None:
        longest = own("9" + "n" * 252)
        longest["spec"]["clusterSpec"]["executorGroupSpecs"][0] |= {"groupName": "g" * 37}
        await plane.apply(longest)
        await plane.until(lambda: succeeded(plane, longest["metadata"]["name"]))
        (name,) = await clusters(plane)
        assert len(name) == 12

    run(story)


def test_a_change_of_the_spec_reaches_the_cluster_and_what_others_changed_stays() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(own())
        await plane.until(lambda: clusters(plane))
        (name,) = await clusters(plane)
        await plane.patch("marieclusters", name, {"spec": {"marieVersion": "theirs"}})
        await plane.patch("mariejobs", "j", {"spec": {"clusterSpec": {"maxDocumentsInFlight": 7}}})

        async def changed() -> bool:
            return bool((await plane.get("marieclusters", name))["spec"].get("maxDocumentsInFlight") == 7)

        await plane.until(changed)
        assert (await plane.get("marieclusters", name))["spec"]["marieVersion"] == "theirs"

    run(story)
