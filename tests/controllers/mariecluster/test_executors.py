"""Executor groups, end to end: what becomes of their pods while they work, and when they are to be fewer."""

import asyncio
import math
from functools import partial
from typing import Any

import pytest

from marie_operator.builders import association
from marie_operator.controllers.mariecluster.executors import DO_NOT_DISRUPT, SAFE_TO_EVICT
from marie_operator.testing.gateway import Dag, Outcome, Outcomes
from marie_operator.testing.kubelet import Behaviour
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import MANAGED, cluster

pytestmark = pytest.mark.embedded


def sized(replicas: int, **group: Any) -> dict[str, Any]:
    made = cluster(backingServices=MANAGED)
    made["spec"]["executorGroupSpecs"][0] |= {"replicas": replicas, **group}
    return made


def batch(documents: int, **spec: Any) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "marie.ai/v1alpha1",
            "kind": "MarieJob",
            "metadata": {"name": f"j{number}"},
            "spec": {
                "clusterRef": "c",
                "jobType": "extract",
                "input": {"uri": f"s3://bucket/{number}.pdf"},
                **spec,
            },
        }
        for number in range(documents)
    ]


async def executors(plane: Plane) -> dict[str, dict[str, Any]]:
    """The live executor pods that are not being deleted."""
    found = (await plane.api.get(plane.path("pods")))["items"]
    return {
        each["metadata"]["name"]: each
        for each in found
        if each["metadata"]["labels"].get("marie.ai/node-type") == "executor"
        and "deletionTimestamp" not in each["metadata"]
    }


def working(plane: Plane, pod: dict[str, Any]) -> bool:
    address = f"{pod['status'].get('podIP')}:52110"
    return bool(plane.gateways.cluster("default", "c").engine.in_hand(address))


class Watch:
    """Sees every executor pod that is deleted, and whether it worked at that moment."""

    def __init__(self, plane: Plane) -> None:
        self.busy: list[str] = []
        self.deleted: list[str] = []
        self._plane = plane
        plane.server.server.store.listen(("", "pods"), self._on_pod)

    def _on_pod(self, change: Any) -> None:
        pod = change.entry.object
        before = change.previous.object if change.previous else {}
        name = pod["metadata"]["name"]
        ends = "deletionTimestamp" in pod["metadata"] and "deletionTimestamp" not in before.get("metadata", {})
        if pod["metadata"].get("labels", {}).get("marie.ai/node-type") == "executor" and (ends or change.removed):
            if name not in self.deleted:
                self.deleted.append(name)
            if working(self._plane, pod):
                self.busy.append(name)


async def size(plane: Plane, number: int) -> bool:
    return len(await executors(plane)) == number


async def group(plane: Plane) -> dict[str, Any]:
    found: dict[str, Any] = (await plane.get("marieclusters", "c"))["status"]["executorGroupStatuses"]["extract"]
    return found


async def notes(plane: Plane, reason: str) -> list[str]:
    await asyncio.sleep(5)
    found = (await plane.api.get("/apis/events.k8s.io/v1/namespaces/default/events"))["items"]
    return [each["note"] for each in found if each["reason"] == reason]


async def scale(plane: Plane, replicas: int, **group: Any) -> None:
    live = await plane.get("marieclusters", "c")
    changed = {**live["spec"]["executorGroupSpecs"][0], "replicas": replicas, **group}
    await plane.patch("marieclusters", "c", {"spec": {"executorGroupSpecs": [changed]}})


async def done(plane: Plane) -> bool:
    jobs = (await plane.api.get(plane.path("mariejobs")))["items"]
    return all(each.get("status", {}).get("phase") == "Succeeded" for each in jobs)


def take(plane: Plane, *, seconds: float) -> None:
    """Have each document take so long."""
    plane.gateways.cluster("default", "c").outcome = Outcomes(default=Outcome(seconds=seconds))


def dags(plane: Plane) -> list[Dag]:
    """What Marie was given, in order."""
    return plane.gateways.cluster("default", "c").dags


async def at_work(plane: Plane, pods: int, *, busy: int, seconds: float) -> Watch:
    """A cluster with so many executors, some of which have begun to work on a document each."""
    take(plane, seconds=seconds)
    watch = Watch(plane)
    await plane.apply(sized(pods))
    await plane.condition("c", "Ready")
    await plane.apply(*batch(busy))
    await plane.until(lambda: _busy(plane, busy))
    return watch


def test_a_group_shrinks_under_load_by_idle_pods_alone() -> None:
    async def story(plane: Plane) -> None:
        watch = await at_work(plane, 4, busy=2, seconds=40.0)
        workers = {name for name, pod in (await executors(plane)).items() if working(plane, pod)}

        await scale(plane, 1)
        await plane.until(lambda: size(plane, 2), seconds=30)
        assert set(await executors(plane)) == workers
        assert (await plane.get("deployments", "c-executor-extract"))["spec"]["replicas"] == 2
        found = await plane.until(lambda: _message(plane), seconds=20)
        assert found == f"Pods above 1 go when they are idle; at work: {', '.join(sorted(workers))}."
        assert await notes(plane, "ScaleDownWaits") == [f"Group extract: {found}"]

        await plane.until(lambda: size(plane, 1), seconds=120)
        await plane.until(lambda: done(plane))
        await plane.until(lambda: _silent(plane), seconds=30)
        assert watch.busy == []
        assert len(watch.deleted) == 3
        assert [node.attempts for dag in dags(plane) for node in dag.nodes if not node.is_noop] == [1, 1]
        # Idle pods are not waited for, although Marie ignores SIGTERM and has 300 s to do so.
        assert len((await plane.api.get(plane.path("pods")))["items"]) == 4

    run(story)


async def _busy(plane: Plane, number: int) -> bool:
    return sum(working(plane, pod) for pod in (await executors(plane)).values()) == number


async def _message(plane: Plane) -> str:
    return str((await group(plane)).get("message", ""))


async def _says(plane: Plane, message: str) -> bool:
    return await _message(plane) == message


async def _silent(plane: Plane) -> bool:
    return not await _message(plane)


def test_work_that_never_ends_in_a_loaded_group_leaves_it_its_size_and_idle_ones_are_withdrawn_first() -> None:
    async def story(plane: Plane) -> None:
        take(plane, seconds=3.0)
        watch = Watch(plane)
        await plane.apply(sized(3))
        await plane.condition("c", "Ready")
        await plane.apply(*batch(40))
        await asyncio.sleep(5)
        await scale(plane, 1)
        await plane.until(lambda: size(plane, 1), seconds=120)
        await plane.until(lambda: done(plane), seconds=600)
        assert watch.busy == []
        attempts = [node.attempts for dag in dags(plane) for node in dag.nodes if not node.is_noop]
        assert attempts == [1] * 40
        assert all(dag.state == "completed" for dag in dags(plane))

    run(story)


def test_a_group_without_etcd_keeps_its_pods_while_there_is_work() -> None:
    async def story(plane: Plane) -> None:
        take(plane, seconds=20.0)
        watch = Watch(plane)
        made = sized(3)
        del made["spec"]["backingServices"]
        await plane.apply(
            made,
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "c-api-key"},
                "stringData": {"apiKey": "mas_none"},
            },
        )
        await plane.condition("c", "Ready")
        await plane.apply(*batch(1))
        await plane.until(lambda: _busy(plane, 1))
        await scale(plane, 1)
        found = await plane.until(lambda: _message(plane), seconds=30)
        assert found.startswith("Pods above 1 go when there is no work for them, since etcd does not tell")
        assert await size(plane, 3)
        await plane.until(lambda: size(plane, 1), seconds=120)
        assert await done(plane)
        assert watch.busy == []

    run(story)


@pytest.mark.parametrize("etcd", [True, False])
def test_a_group_whose_pods_never_become_ready_can_be_made_smaller(etcd: bool) -> None:
    async def story(plane: Plane) -> None:
        made = sized(3)
        if not etcd:
            del made["spec"]["backingServices"]
        hung = Behaviour(labels={"marie.ai/node-type": "executor"}, ready=False)
        with plane.kubelet.behaving(hung):
            await plane.apply(made)
            await plane.condition("c", "ServerPodReady")
            await plane.until(lambda: size(plane, 3))
            await scale(plane, 1)
            await asyncio.sleep(300)
            assert await size(plane, 3), "they may begin to work at any moment"
            await plane.until(lambda: size(plane, 1), seconds=600)

    run(story)


def test_pods_at_work_are_marked_once_and_protected_from_eviction_and_node_autoscalers() -> None:
    async def story(plane: Plane) -> None:
        take(plane, seconds=2.0)
        await plane.apply(sized(2, template=_own_annotation()))
        await plane.condition("c", "Ready")
        budget = await plane.api.get("/apis/policy/v1/namespaces/default/poddisruptionbudgets/c-busy")
        selector = budget["spec"]["selector"]["matchLabels"]
        assert budget["spec"]["maxUnavailable"] == 0
        since = plane.server.audit.mark()
        await plane.apply(*batch(20))
        await plane.until(lambda: done(plane), seconds=300)
        marked = (await executors(plane)).values()
        assert len(marked) == 2
        for pod in marked:
            assert selector.items() <= pod["metadata"]["labels"].items()
            assert pod["metadata"]["annotations"][DO_NOT_DISRUPT] == "true"
            # What the user's template says stands.
            assert pod["metadata"]["annotations"][SAFE_TO_EVICT] == "true"
        assert (await group(plane))["busyReplicas"] == 2
        await asyncio.sleep(90)
        for pod in (await executors(plane)).values():
            assert association.BUSY_LABEL not in pod["metadata"]["labels"]
            assert DO_NOT_DISRUPT not in pod["metadata"]["annotations"]
        found = await group(plane)
        assert (found["busyReplicas"], found["idleReplicas"], found["desiredReplicas"]) == (0, 2, 2)
        # One write when work begins, one when there was none for a minute, however many documents there are.
        patches = [each for each in plane.writes(since) if each.resource == "pods"]
        assert [each.verb for each in patches] == ["patch"] * 4

    run(story)


def _own_annotation() -> dict[str, Any]:
    return {
        "metadata": {"annotations": {SAFE_TO_EVICT: "true"}},
        "spec": {"containers": [{"name": "marie", "image": "marieai/marie:4.0.0"}]},
    }


@pytest.mark.kuberay("KR-06")
def test_workers_to_delete_go_once_each_and_only_when_idle() -> None:
    async def story(plane: Plane) -> None:
        watch = await at_work(plane, 3, busy=1, seconds=30.0)
        pods = await executors(plane)
        (worker,) = (name for name, pod in pods.items() if working(plane, pod))
        idle = sorted(set(pods) - {worker})
        await plane.api.create(plane.path("pods"), _stranger("mine"))

        await scale(plane, 2, scaleStrategy={"workersToDelete": [idle[1], worker, "mine"]})
        await plane.until(lambda: size(plane, 2), seconds=60)
        assert watch.deleted == [idle[1]]
        waits = f"Named pods are deleted when they are idle; at work: {worker}."
        await plane.until(lambda: _says(plane, waits), seconds=20)

        async def replaced() -> bool:
            return worker not in await executors(plane) and await size(plane, 2)

        await plane.until(replaced, seconds=120)
        assert await notes(plane, "WorkersDeleted") == [f"Deleted {worker}."]
        assert watch.busy == []
        await asyncio.sleep(120)
        assert sorted(watch.deleted) == sorted([idle[1], worker])
        assert "mine" in await plane.names("pods")

    run(story)


def test_a_named_pod_goes_under_a_load_that_never_leaves_its_budget_free() -> None:
    async def story(plane: Plane) -> None:
        take(plane, seconds=3.0)
        watch = Watch(plane)
        await plane.apply(sized(2))
        await plane.condition("c", "Ready")

        async def load() -> None:
            for each in batch(100):
                await plane.apply(each)
                await asyncio.sleep(2.0)

        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(load())
            await plane.until(lambda: _marked(plane, 2), seconds=60)
            named = min(await executors(plane))
            for _ in range(100):
                assert await _marked(plane, 2)
                await asyncio.sleep(1.0)
            await scale(plane, 2, scaleStrategy={"workersToDelete": [named]})
            await plane.until(lambda: _left(plane, named), seconds=60)
            assert not feeding.done()
        await plane.until(lambda: done(plane), seconds=120)
        assert (watch.deleted, watch.busy) == ([named], [])

    run(story)


async def _marked(plane: Plane, number: int) -> bool:
    """Whether so many pods are protected as pods at work."""
    pods = (await executors(plane)).values()
    return bool(sum(association.BUSY.items() <= pod["metadata"]["labels"].items() for pod in pods) == number)


async def _left(plane: Plane, name: str) -> bool:
    return name not in await executors(plane)


def _stranger(name: str) -> dict[str, Any]:
    labels = {"marie.ai/cluster": "c", "marie.ai/group": "extract", "marie.ai/node-type": "stranger"}
    spec = {"containers": [{"name": "c", "image": "i"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


@pytest.mark.parametrize("how", ["removed", "suspended"])
@pytest.mark.kuberay("KR-07")
def test_a_group_that_is_to_go_ends_its_work_first(how: str) -> None:
    async def story(plane: Plane) -> None:
        watch = await at_work(plane, 2, busy=1, seconds=30.0)
        if how == "removed":
            await plane.patch("marieclusters", "c", {"spec": {"executorGroupSpecs": []}})
            found = await plane.until(lambda: _message(plane), seconds=20)
            assert found.startswith("The group is no longer in the spec, and its pods go when they are idle; at work: ")
        else:
            await scale(plane, 2, suspend=True)
        await plane.until(lambda: size(plane, 0), seconds=120)
        assert watch.busy == []
        # The end of the DAG needs an executor, be it for nothing.
        assert [node.state for dag in dags(plane) for node in dag.nodes if not node.is_noop] == ["completed"]
        assert (await plane.find("deployments", "c-executor-extract") is None) == (how == "removed")

        async def told() -> bool:
            groups = (await plane.get("marieclusters", "c"))["status"].get("executorGroupStatuses") or {}
            return ("extract" in groups) == (how == "suspended")

        await plane.until(told, seconds=30)

    run(story)


@pytest.mark.parametrize("how", ["suspended", "deleted"])
def test_executors_that_ignore_sigterm_end_with_their_cluster(how: str) -> None:
    async def story(plane: Plane) -> None:
        deaf = Behaviour(labels={"marie.ai/node-type": "executor"}, stop=math.inf)
        with plane.kubelet.behaving(deaf):
            await at_work(plane, 3, busy=1, seconds=600.0)
            if how == "suspended":
                await plane.patch("marieclusters", "c", {"spec": {"suspend": True}})
                await plane.condition("c", "Suspended", seconds=30)
                assert await plane.names("pods") == set()
            else:
                await plane.api.delete(plane.path("marieclusters", "c"), {"propagationPolicy": "Foreground"})
                await plane.until(lambda: _gone(plane), seconds=30)
                assert await plane.names("pods") == set()

    run(story)


async def _gone(plane: Plane) -> bool:
    return await plane.find("marieclusters", "c") is None


@pytest.mark.kuberay("KR-36")
def test_replicas_outside_of_their_bounds_are_clamped_and_it_is_said() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(sized(5, minReplicas=1, maxReplicas=2))
        await plane.condition("c", "Ready")
        assert await size(plane, 2)
        sentence = "Group extract has 2 pods and not 5, because maxReplicas is 2."
        assert (await group(plane))["message"] == sentence
        assert await notes(plane, "ReplicasClamped") == [sentence]
        await scale(plane, 0)
        await plane.until(lambda: size(plane, 1), seconds=60)
        assert (await group(plane))["message"] == "Group extract has 1 pods and not 0, because minReplicas is 1."

    run(story)


def test_a_clamped_group_that_waits_for_pods_at_work_says_so() -> None:
    async def story(plane: Plane) -> None:
        take(plane, seconds=40.0)
        await plane.apply(sized(5, minReplicas=1, maxReplicas=2))
        await plane.condition("c", "Ready")
        await plane.apply(*batch(2))
        await plane.until(lambda: _busy(plane, 2))
        await scale(plane, 0)
        await plane.until(lambda: size(plane, 1), seconds=120)
        (note,) = await notes(plane, "ScaleDownWaits")
        assert note.startswith("Group extract: Pods above 1 go when they are idle; at work: ")

    run(story)


async def _scaled(plane: Plane, replicas: int) -> None:
    """As ``kubectl scale`` and autoscalers do."""
    path = f"{plane.path('deployments', 'c-executor-extract')}/scale?fieldManager=kubectl"
    await plane.api.patch(path, {"spec": {"replicas": replicas}})


async def _deployed(plane: Plane) -> tuple[int, str]:
    """The size and the image of the group's Deployment."""
    spec = (await plane.get("deployments", "c-executor-extract"))["spec"]
    return spec["replicas"], spec["template"]["spec"]["containers"][0]["image"]


@pytest.mark.kuberay("KU-28")
def test_a_group_that_somebody_else_has_scaled_is_changed_all_the_same_and_keeps_his_size() -> None:
    async def story(plane: Plane) -> None:
        new = {"spec": {"containers": [{"name": "marie", "image": "marieai/marie:4.0.1"}]}}
        await plane.apply(sized(2))
        await plane.condition("c", "Ready")
        await _scaled(plane, 4)
        told = await plane.condition("c", "Ready", "False", reason="FieldConflict")
        assert told["message"] == (
            "Group extract has the size 4 and not 2, because somebody else has set spec.replicas of Deployment "
            "c-executor-extract: set replicas of the group to 4, or scale c-executor-extract to 2 and let nothing "
            "else scale it."
        )
        await scale(plane, 2, template=new)
        await plane.until(lambda: _is(plane, 4, "marieai/marie:4.0.1"), seconds=60)
        await asyncio.sleep(300)
        assert (await _deployed(plane))[0] == 4

        await scale(plane, 4)
        await plane.condition("c", "Ready")
        # The size is the group's again, although others set it last.
        for replicas in (5, 1):
            await scale(plane, replicas)
            await plane.until(partial(_is, plane, replicas), seconds=60)
            await plane.condition("c", "Ready")

    run(story)


@pytest.mark.parametrize("how", ["own files", "none"])
def test_a_configuration_stays_while_a_change_waits_that_would_leave_it_without_a_reader(how: str) -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 1, busy=1, seconds=100.0)
        spec = (await plane.get("marieclusters", "c"))["spec"]
        if how == "none":
            spec["backingServices"] = None
        spec["serverSpec"]["configFile"] = "/own/marie.yml"
        spec["executorGroupSpecs"][0]["configFile"] = "/own/flow.yml"
        await plane.patch("marieclusters", "c", {"spec": spec})
        await plane.condition("c", "UpgradePending")
        await asyncio.sleep(30)
        assert "c-config" in await plane.names("secrets")

        async def gone() -> bool:
            return "c-config" not in await plane.names("secrets")

        await plane.until(gone, seconds=300)
        await plane.condition("c", "Ready")

    run(story)


async def _overruled(plane: Plane) -> None:
    """A group of one that somebody else has scaled to three."""
    await plane.apply(sized(1))
    await plane.condition("c", "Ready")
    await _scaled(plane, 3)
    await plane.condition("c", "Ready", "False", reason="FieldConflict")


def test_a_group_that_somebody_else_has_scaled_goes_when_it_is_gone_from_the_spec() -> None:
    async def story(plane: Plane) -> None:
        await _overruled(plane)
        await plane.patch("marieclusters", "c", {"spec": {"executorGroupSpecs": []}})
        await plane.until(lambda: size(plane, 0), seconds=120)
        await plane.condition("c", "Ready")
        assert await plane.names("deployments") == {"c-server"}

    run(story)


def test_a_group_that_is_scaled_back_to_what_it_asks_for_is_as_it_was() -> None:
    async def story(plane: Plane) -> None:
        await _overruled(plane)
        await _scaled(plane, 1)
        await plane.condition("c", "Ready")
        await _scaled(plane, 3)
        await plane.condition("c", "Ready", "False", reason="FieldConflict")
        # Whoever scales a cluster's groups does not keep it from being suspended.
        await plane.patch("marieclusters", "c", {"spec": {"suspend": True}})
        await plane.condition("c", "Suspended")

    run(story)


async def _is(plane: Plane, size: int, image: str = "") -> bool:
    found = await _deployed(plane)
    return found[0] == size and image in {"", found[1]}


def test_ready_of_a_new_spec_waits_for_its_pods_and_serves_meanwhile() -> None:
    async def story(plane: Plane) -> None:
        made = cluster(backingServices=MANAGED)
        await plane.apply(made)
        await plane.condition("c", "Ready")
        live = await plane.get("marieclusters", "c")
        group = live["spec"]["executorGroupSpecs"][0]
        group["template"]["spec"]["containers"][0]["image"] = "marie:next"
        await plane.patch("marieclusters", "c", {"spec": {"executorGroupSpecs": [group]}})
        generation = live["metadata"]["generation"] + 1
        reasons = set()

        async def rolled() -> bool:
            found = (await plane.get("marieclusters", "c"))["status"]["conditions"]
            ready = next(each for each in found if each["type"] == "Ready")
            if ready["observedGeneration"] == generation:
                reasons.add(ready["reason"])
            return bool(ready["observedGeneration"] == generation and ready["status"] == "True")

        await plane.until(rolled)
        pods = (await plane.api.get(plane.path("pods")))["items"]
        images = {
            each["spec"]["containers"][0]["image"]
            for each in pods
            if each["metadata"]["labels"].get("marie.ai/node-type") == "executor"
            and "deletionTimestamp" not in each["metadata"]
        }
        assert images == {"marie:next"}
        assert "RollingOut" in reasons

    run(story)
