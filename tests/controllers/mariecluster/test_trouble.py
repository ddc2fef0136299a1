"""Why pods are not ready, end to end, in words a person can act on."""

from typing import Any

import pytest

from marie_operator.controllers import trouble
from marie_operator.testing.kubelet import Behaviour
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import MANAGED, cluster

IMAGE = "marieai/marie:broken"


def broken(**resources: Any) -> dict[str, Any]:
    made = cluster(backingServices=MANAGED)
    container = {"name": "marie", "image": IMAGE, **({"resources": resources} if resources else {})}
    made["spec"]["executorGroupSpecs"][0]["template"] = {"spec": {"containers": [container]}}
    return made


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (
            Behaviour(image=IMAGE, waiting="ImagePullBackOff", message='Back-off pulling image "marieai/marie:broken"'),
            'container marie: ImagePullBackOff: Back-off pulling image "marieai/marie:broken"',
        ),
        (Behaviour(image=IMAGE, runs=0.5, exit_code=3), "Error with code 3 (kubectl logs --previous shows its output)"),
        (Behaviour(image=IMAGE, runs=0.5, exit_code=137), "OOMKilled with code 137 (raise its memory limit)"),
    ],
    ids=["pull", "crash", "memory"],
)
@pytest.mark.kuberay("KR-08", "KR-41")
def test_a_group_s_trouble_is_told_within_seconds_and_harms_no_other(behaviour: Behaviour, words: str) -> None:
    async def story(plane: Plane) -> None:
        made = broken()
        (first,) = made["spec"]["executorGroupSpecs"]
        fine = {**first, "groupName": "fine", "template": cluster()["spec"]["executorGroupSpecs"][0]["template"]}
        made["spec"]["executorGroupSpecs"].append(fine)
        with plane.kubelet.behaving(behaviour):
            await plane.apply(made)
            told = await plane.condition("c", "AllExecutorsReady", "False", reason="ExecutorsFailing", seconds=20)
            assert told["message"].startswith("Waiting for executors: extract: 0 of 1 ready (pod c-executor-extract-")
            assert words in told["message"]
            await plane.condition("c", "ServerPodReady", seconds=20)

            async def ready() -> bool:
                groups = (await plane.get("marieclusters", "c"))["status"]["executorGroupStatuses"]
                return bool(groups["fine"]["readyReplicas"] == 1)

            await plane.until(ready, seconds=20)

    run(story)


@pytest.mark.embedded
def test_a_pod_that_fits_on_no_node_has_the_scheduler_s_words() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(broken(limits={"nvidia.com/gpu": 64}))
        told = await plane.condition("c", "AllExecutorsReady", "False", reason="ExecutorsFailing", seconds=20)
        assert "cannot be scheduled: 0/" in told["message"]
        assert "Insufficient nvidia.com/gpu" in told["message"]

    run(story)


@pytest.mark.embedded
def test_the_version_that_the_gateway_says_it_has_is_told() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        assert (await plane.get("marieclusters", "c"))["status"]["serverInfo"]["marieVersion"] == "4.0.0 (jobs API)"

    run(story)


def _pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": status}


def _container(**status: Any) -> dict[str, Any]:
    return {"name": "marie", **status}


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (_pod(phase="Pending", containerStatuses=[_container(state={"waiting": {"reason": "ContainerCreating"}})]), ""),
        (_pod(phase="Running", containerStatuses=[_container(state={"running": {}}, ready=False)]), ""),
        (
            _pod(containerStatuses=[_container(state={"terminated": {"reason": "Error", "exitCode": 2}})]),
            "pod p, container marie: exit Error with code 2 (kubectl logs --previous shows its output)",
        ),
        (
            _pod(
                containerStatuses=[
                    _container(
                        state={"running": {}},
                        ready=False,
                        lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                    )
                ]
            ),
            "pod p, container marie: started again after exit OOMKilled with code 137 (raise its memory limit)",
        ),
        (
            _pod(
                containerStatuses=[
                    _container(state={"running": {}}, ready=True, lastState={"terminated": {"exitCode": 1}})
                ]
            ),
            "",
        ),
        (_pod(initContainerStatuses=[_container(state={"terminated": {"reason": "Completed", "exitCode": 0}})]), ""),
        (
            _pod(phase="Failed", reason="Evicted", message="The node was low on memory"),
            "pod p failed: The node was low on memory",
        ),
    ],
)
def test_what_a_pod_says_is_trouble_or_is_not(pod: dict[str, Any], words: str) -> None:
    assert trouble.of_pod(pod) == words


def _named(name: str, *, going: bool = False, **status: Any) -> dict[str, Any]:
    metadata = {"name": name} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if going else {})
    return {"metadata": metadata, "status": status}


EVICTED: dict[str, Any] = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory"}
CRASHES: dict[str, Any] = {"containerStatuses": [_container(state={"waiting": {"reason": "CrashLoopBackOff"}})]}


@pytest.mark.parametrize(
    ("pods", "words"),
    [
        ([_named("a", **EVICTED)], "pod a failed: The node was low on memory"),
        ([_named("a", **EVICTED), _named("b", phase="Pending")], ""),
        ([_named("a", **EVICTED), _named("b", **CRASHES)], "pod b, container marie: CrashLoopBackOff"),
        ([_named("a", going=True, **CRASHES)], ""),
        ([_named("a", going=True, **EVICTED), _named("b", **EVICTED)], "pod b failed: The node was low on memory"),
    ],
)
def test_pods_that_go_or_were_replaced_are_no_trouble(pods: list[dict[str, Any]], words: str) -> None:
    assert trouble.of_deployment({}, pods) == words
