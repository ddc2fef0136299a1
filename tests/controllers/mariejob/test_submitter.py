"""Jobs whose document a submitter Job submits, end to end: the operator, the Job's pods and the process in them."""

import asyncio
from typing import Any

import pytest

from marie_operator.testing.gateway import Outcomes
from marie_operator.testing.gateway.outcome import NEVER, Outcome
from marie_operator.testing.kubelet import Behaviour
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import MANAGED, cluster, job, succeeded

pytestmark = pytest.mark.embedded


def submitted(name: str = "j", **spec: Any) -> dict[str, Any]:
    plain = job(name)
    return {**plain, "spec": {**plain["spec"], "submissionMode": "K8sJobSubmission", **spec}}


async def status(plane: Plane, name: str = "j") -> dict[str, Any]:
    found: dict[str, Any] = (await plane.get("mariejobs", name)).get("status", {})
    return found


async def ready(plane: Plane) -> None:
    await plane.apply(cluster(backingServices=MANAGED))
    await plane.condition("c", "Ready")


def dags(plane: Plane) -> list[str]:
    return [dag.ref_id for dag in plane.gateways.cluster("default", "c").dags]


async def submitters(plane: Plane) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await plane.api.get(plane.path("jobs")))["items"]
    return items


async def phase(plane: Plane, wanted: str) -> bool:
    return bool((await status(plane)).get("phase") == wanted)


def test_the_pod_submits_follows_and_ends_as_the_document_does() -> None:
    async def story(plane: Plane) -> None:
        await ready(plane)
        await plane.apply(submitted())
        await plane.until(lambda: succeeded(plane))
        (made,) = await submitters(plane)
        told = await status(plane)
        assert told["submitterJobName"] == made["metadata"]["name"]
        assert len(dags(plane)) == 1

        async def complete() -> bool:
            (found,) = await submitters(plane)
            return any(each["type"] == "Complete" for each in found["status"].get("conditions", ()))

        await plane.until(complete)
        (lines,) = plane.submitters.lines.values()
        assert lines[0].startswith("s3://bucket/one.pdf goes to default/c as j-")
        assert lines[-1] == f"DAG {told['dagId']} has completed."
        await asyncio.sleep(60)
        since = plane.server.audit.mark()
        await asyncio.sleep(3600)
        assert plane.writes(since) == []

    run(story)


async def one_dag_and_success(plane: Plane) -> None:
    await plane.until(lambda: succeeded(plane), seconds=1800)
    assert len(dags(plane)) == 1, dags(plane)


@pytest.mark.parametrize("first", [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 22, 25])
def test_pods_that_are_killed_at_any_message_leave_one_dag(first: int) -> None:
    async def story(plane: Plane) -> None:
        await ready(plane)
        plane.submitters.fuses = [first, first + 1]
        await plane.apply(submitted())
        await one_dag_and_success(plane)

    run(story)


@pytest.mark.parametrize("fuse", [2, 5, 8, 11, 14, 17, 20, 24, 28, 32, 40])
def test_an_operator_that_is_killed_at_any_message_leaves_one_dag(fuse: int) -> None:
    async def story(plane: Plane) -> None:
        await ready(plane)
        plane.replica.port.fuse = fuse
        await plane.apply(submitted())

        async def dead() -> bool:
            return not plane.replica.running

        await plane.until(dead, seconds=300)
        plane.replica.start()
        await one_dag_and_success(plane)
        assert len(await submitters(plane)) == 1

    run(story)


def test_a_pod_that_is_evicted_is_followed_by_one_that_finds_the_document() -> None:
    async def story(plane: Plane) -> None:
        await ready(plane)
        await plane.apply(submitted())
        await plane.until(lambda: has_dag(plane))
        for pod in (await plane.api.get(plane.path("pods")))["items"]:
            if pod["metadata"]["labels"].get("marie.ai/node-type") == "submitter":
                await plane.api.delete(plane.path("pods", pod["metadata"]["name"]))
        await one_dag_and_success(plane)

    run(story)


async def has_dag(plane: Plane) -> bool:
    return bool(dags(plane))


@pytest.mark.kuberay("KU-14")
def test_a_document_that_fails_has_a_submitter_for_each_attempt() -> None:
    async def story(plane: Plane) -> None:
        await ready(plane)
        plane.gateways.cluster("default", "c").outcome = Outcomes(default=Outcome(failures=NEVER))
        await plane.apply(submitted(backoffLimit=1, submitterConfig={"backoffLimit": 0}))
        await plane.until(lambda: phase(plane, "Failed"), seconds=600)
        told = await status(plane)
        assert told["retryCount"] == 1
        assert told["error"]["code"] == "DocumentsFailed"
        first, second = sorted(dags(plane))
        assert "r1-" in second or "r1-" in first
        names = sorted(each["metadata"]["name"] for each in await submitters(plane))
        assert names[1] == f"{names[0]}-1"
        assert told["submitterJobName"] == names[1]

        async def both_failed() -> bool:
            found = [each["status"].get("conditions", ()) for each in await submitters(plane)]
            return all(any(each["type"] == "Failed" for each in conditions) for conditions in found)

        await plane.until(both_failed)

    run(story)


def theirs(image: str, **container: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "mine", "image": image, **container}]}}


def test_a_command_of_the_users_own_is_believed_where_marie_knows_nothing() -> None:
    async def story(plane: Plane) -> None:
        await ready(plane)

        async def works(pod: dict[str, Any]) -> tuple[int, str]:
            await asyncio.sleep(5)
            return 0, ""

        async def breaks(pod: dict[str, Any]) -> tuple[int, str]:
            await asyncio.sleep(5)
            return 1, "cannot open the document\n"

        plane.kubelet.behaviours[:0] = [
            Behaviour(image="works:*", program=works),
            Behaviour(image="breaks:*", program=breaks),
        ]
        await plane.apply(submitted(submitterPodTemplate=theirs("works:1", command=["theirs"])))
        await plane.until(lambda: succeeded(plane), seconds=300)
        broken = submitted(
            "broken", submitterPodTemplate=theirs("breaks:1"), backoffLimit=0, submitterConfig={"backoffLimit": 0}
        )
        await plane.apply(broken)

        async def failed() -> bool:
            return bool((await status(plane, "broken")).get("phase") == "Failed")

        await plane.until(failed, seconds=300)
        assert "cannot open the document" in (await status(plane, "broken"))["message"]
        assert dags(plane) == []
        (container,) = next(
            each["spec"]["template"]["spec"]["containers"]
            for each in await submitters(plane)
            if each["metadata"]["labels"]["marie.ai/job"] == "j"
        )
        assert (container["image"], container["command"]) == ("works:1", ["theirs"])

    run(story)


def test_an_image_that_cannot_be_pulled_is_told() -> None:
    async def story(plane: Plane) -> None:
        await ready(plane)
        plane.kubelet.behaviours.insert(
            0, Behaviour(image="nowhere:*", waiting="ImagePullBackOff", message="no such image")
        )
        await plane.apply(submitted(submitterPodTemplate=theirs("nowhere:1")))

        async def told() -> bool:
            return "ImagePullBackOff: no such image" in (await status(plane)).get("message", "")

        await plane.until(told)

    run(story)


def test_a_suspended_job_submits_nothing_and_goes_on_with_another_pod() -> None:
    async def story(plane: Plane) -> None:
        await ready(plane)
        await plane.apply(submitted())

        async def launched() -> bool:
            return bool(await submitters(plane))

        async def none() -> bool:
            return not await submitters(plane)

        await plane.until(launched)
        await plane.patch("mariejobs", "j", {"spec": {"suspend": True}})
        await plane.until(none)
        await asyncio.sleep(120)
        assert dags(plane) == []
        since = plane.server.audit.mark()
        await asyncio.sleep(600)
        assert plane.writes(since) == []
        await plane.patch("mariejobs", "j", {"spec": {"suspend": False}})
        await one_dag_and_success(plane)

    run(story)


def test_a_job_that_is_given_up_takes_its_submitter_with_it() -> None:
    async def story(plane: Plane) -> None:
        await ready(plane)
        await plane.apply(submitted(activeDeadlineSeconds=5))
        await plane.until(lambda: phase(plane, "Failed"))

        async def none() -> bool:
            return not await submitters(plane)

        await plane.until(none)
        await asyncio.sleep(120)
        assert dags(plane) == []

    run(story)


def test_with_its_own_cluster_the_submitter_sees_the_end_before_the_cluster_goes() -> None:
    async def story(plane: Plane) -> None:
        wanted = submitted(shutdownAfterJobFinishes=True)
        del wanted["spec"]["clusterRef"]
        wanted["spec"]["clusterSpec"] = cluster(backingServices=MANAGED)["spec"]
        await plane.apply(wanted)
        await plane.until(lambda: succeeded(plane), seconds=600)

        async def gone() -> bool:
            return not await plane.names("marieclusters")

        await plane.until(gone, seconds=300)
        (made,) = await submitters(plane)
        assert {each["type"] for each in made["status"]["conditions"] if each["status"] == "True"} >= {"Complete"}

    run(story)


def test_a_template_that_the_api_server_refuses_is_told_and_mends() -> None:
    async def story(plane: Plane) -> None:
        await ready(plane)
        mount = {"volumeMounts": [{"name": "missing", "mountPath": "/data"}]}
        template = theirs("marieai/marie-operator:simulated", command=["marie-operator", "submit"])
        wrong = {"spec": {"containers": [{**template["spec"]["containers"][0], **mount}]}}
        await plane.apply(submitted(submitterPodTemplate=wrong))

        async def refused() -> bool:
            found = (await status(plane)).get("conditions", ())
            return any(each["reason"] == "ChildRefused" and "missing" in each["message"] for each in found)

        await plane.until(refused)
        await plane.apply(submitted(submitterPodTemplate=template))
        await one_dag_and_success(plane)

    run(story)
