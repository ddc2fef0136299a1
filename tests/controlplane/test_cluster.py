"""A MarieCluster's children: made once, changed where the spec changes, and nowhere else."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from marie_operator.controllers.mariecluster.status import DETAIL_INTERVAL
from marie_operator.testing.kubelet import Behaviour
from tests.controlplane.clusters import cluster, group
from tests.controlplane.world import World


async def deployed(world: World, *groups: dict[str, Any], **fields: Any) -> None:
    await world.create(cluster("c", *groups, **fields))
    await world.condition("marieclusters", "c", "Ready")


async def rolled(world: World) -> dict[str, Any]:
    """The template hash of each Deployment: another one means new pods."""
    found = await world.items("deployments")
    return {each["metadata"]["name"]: each["spec"]["template"] for each in found}


async def test_two_groups_converge_with_one_create_per_child_and_three_status_writes(world: World) -> None:
    since, began = world.mark(), asyncio.get_running_loop().time()
    await deployed(world, group("ocr", replicas=2), group("ner"))
    seconds = asyncio.get_running_loop().time() - began

    writes = world.writes(since)
    children = [each for each in writes if not each.subresource]
    assert sorted(each.name for each in children) == sorted(
        [
            "c-server-svc",
            "c-server-headless",
            "c-server",
            "c-executor-ocr-svc",
            "c-executor-ner-svc",
            "c-executor-ocr",
            "c-executor-ner",
            "c-busy",
        ]
    )
    assert {each.code for each in children} == {201}
    # Where pods come slowly, how many there are is told as well, now and then; times of writes are whole seconds.
    counts = seconds // (DETAIL_INTERVAL.total_seconds() - 1)
    assert len([each for each in writes if each.resource == "marieclusters"]) <= 3 + counts

    async def told() -> Any:
        found = (await world.get("marieclusters", "c"))["status"]
        ocr = found["executorGroupStatuses"]["ocr"]
        return found if ocr.get("busyReplicas", 0) + ocr.get("idleReplicas", 0) == 2 else None

    status = await world.until("it is told who works", told)
    assert status["phase"] == "Running"
    assert status["serverReady"] is True
    assert (status["readyExecutorReplicas"], status["desiredExecutorReplicas"]) == (3, 3)
    assert status["executorGroupStatuses"]["ocr"] == {
        "replicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "desiredReplicas": 2,
        "busyReplicas": 0,
        "idleReplicas": 2,
        "message": "",
    }
    assert status["endpoints"]["http"] == f"http://c-server-svc.{world.namespace}.svc:51000"
    assert status["serverInfo"]["serviceName"] == "c-server-svc"
    assert status["serverInfo"]["podIP"].startswith("10.")
    assert {each["type"]: each["status"] for each in status["conditions"]} == {
        "Ready": "True",
        "MarieClusterProvisioned": "True",
        "ServerPodReady": "True",
        "AllExecutorsReady": "True",
        "Suspended": "False",
    }


def container(spec: dict[str, Any], *, of: int | None = None) -> dict[str, Any]:
    owner = spec["serverSpec"] if of is None else spec["executorGroupSpecs"][of]
    found: dict[str, Any] = owner["template"]["spec"]["containers"][0]
    return found


def image(spec: dict[str, Any]) -> None:
    container(spec, of=0)["image"] = "marieai/marie:4.0.1-cuda"


def environment(spec: dict[str, Any]) -> None:
    container(spec)["env"] = [{"name": "MARIE_LOG_LEVEL", "value": "DEBUG"}]


def label(spec: dict[str, Any]) -> None:
    spec["executorGroupSpecs"][1]["template"]["metadata"] = {"labels": {"team": "documents"}}


def replicas(spec: dict[str, Any]) -> None:
    spec["executorGroupSpecs"][0]["replicas"] = 3


def service_type(spec: dict[str, Any]) -> None:
    spec["serviceType"] = "NodePort"


def ingress(spec: dict[str, Any]) -> None:
    spec["enableIngress"] = True


def no_ingress(spec: dict[str, Any]) -> None:
    spec["enableIngress"] = False


def policies(spec: dict[str, Any]) -> None:
    spec["networkPolicy"] = {}


def other_clients(spec: dict[str, Any]) -> None:
    spec["networkPolicy"] = {"clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}


def no_policies(spec: dict[str, Any]) -> None:
    del spec["networkPolicy"]


def annotated(spec: dict[str, Any]) -> None:
    spec["serverSpec"]["service"] = {"annotations": {"example.com/pool": "a"}}
    spec["serverSpec"]["extraPorts"] = [{"name": "side", "port": 8000}]


def added(spec: dict[str, Any]) -> None:
    spec["executorGroupSpecs"].append(group("more"))


def removed(spec: dict[str, Any]) -> None:
    spec["executorGroupSpecs"].pop()


def suspended(spec: dict[str, Any]) -> None:
    spec["suspend"] = True


def resumed(spec: dict[str, Any]) -> None:
    spec["suspend"] = False


CHANGES: list[tuple[Callable[[dict[str, Any]], None], set[str], set[str]]] = [
    (image, {"c-executor-ocr"}, {"c-executor-ocr"}),
    (environment, {"c-server"}, {"c-server"}),
    (label, {"c-executor-ner"}, {"c-executor-ner"}),
    (replicas, {"c-executor-ocr"}, set()),
    (service_type, {"c-server-svc"}, set()),
    (ingress, {"c-ingress"}, set()),
    (no_ingress, {"c-ingress"}, set()),
    (policies, {"c-server", "c-executors"}, set()),
    (other_clients, {"c-server"}, set()),
    (no_policies, {"c-server", "c-executors"}, set()),
    (annotated, {"c-server-svc"}, set()),
    (added, {"c-executor-more", "c-executor-more-svc"}, {"c-executor-more"}),
    (removed, {"c-executor-more", "c-executor-more-svc"}, {"c-executor-more"}),
    (suspended, {"c-server", "c-executor-ocr", "c-executor-ner"}, set()),
    (resumed, {"c-server", "c-executor-ocr", "c-executor-ner"}, set()),
]


@pytest.mark.kuberay("KR-09")
async def test_each_kind_of_change_takes_effect_and_rolls_nothing_else(world: World) -> None:
    await deployed(world, group("ocr"), group("ner"))
    for change, written, templates in CHANGES:
        before, since = await rolled(world), world.mark()
        live = await world.get("marieclusters", "c")
        change(live["spec"])
        # A patch, since the operator may write the status between the reading and an update.
        replaced = [{"op": "replace", "path": "/spec", "value": live["spec"]}]
        path = world.path("marieclusters", "c")
        updated = await world.api.call("PATCH", path, replaced, content_type="application/json-patch+json")
        generation = updated["metadata"]["generation"]

        wanted = "Suspended" if live["spec"].get("suspend") else "Ready"

        async def settled(generation: int = generation, wanted: str = wanted) -> bool:
            status = (await world.get("marieclusters", "c"))["status"]
            truth = {each["type"]: each["status"] for each in status["conditions"]}
            return bool(status["observedGeneration"] == generation and truth[wanted] == "True")

        await world.until(f"{change.__name__} is done", settled)

        async def done(since: int = since, written: set[str] = written) -> bool:
            # Pods that are to go are marked first, and go when they have left.
            found = [each for each in world.writes(since) if not each.subresource and each.resource != "pods"]
            return {each.name for each in found} == written

        await world.until(f"{change.__name__} has written {written} and nothing else", done)
        after = await rolled(world)
        assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == templates

    service = await world.get("services", "c-server-svc")
    assert service["spec"]["type"] == "NodePort"
    assert (await world.get("deployments", "c-executor-ocr"))["spec"]["replicas"] == 3


async def test_a_deleted_child_comes_back(world: World) -> None:
    await deployed(world)
    for kind, name in (("deployments", "c-executor-extract"), ("services", "c-server-svc")):
        gone = await world.get(kind, name)
        await world.api.delete(world.path(kind, name))

        async def back(kind: str = kind, name: str = name, uid: str = gone["metadata"]["uid"]) -> bool:
            return bool((await world.get(kind, name))["metadata"]["uid"] != uid)

        await world.until(f"{name} is back", back)
    await world.condition("marieclusters", "c", "Ready")


async def test_deleting_the_cluster_leaves_nothing(world: World) -> None:
    await deployed(world, enableIngress=True, networkPolicy={})
    await world.api.delete(world.path("marieclusters", "c"))

    async def empty() -> bool:
        network = ("services", "ingresses", "networkpolicies")
        kinds = (*network, "deployments", "pods", "configmaps", "poddisruptionbudgets")
        left = [each["metadata"]["name"] for kind in kinds for each in await world.items(kind)]
        return set(left) <= {"kube-root-ca.crt"}

    await world.until("nothing is left", empty)


async def test_an_object_of_a_childs_name_is_not_taken_over(world: World) -> None:
    foreign = {"metadata": {"name": "c-server-svc"}, "spec": {"ports": [{"port": 80}], "selector": {"app": "other"}}}
    await world.api.create(world.path("services"), {"apiVersion": "v1", "kind": "Service", **foreign})
    await world.create(cluster("c"))

    condition = await world.condition("marieclusters", "c", "Ready", "False", reason="NameTaken")
    assert condition["message"] == (
        "Service c-server-svc exists and does not belong to this cluster;"
        " delete or rename it, or give the cluster another name."
    )
    assert (await world.get("services", "c-server-svc"))["spec"]["selector"] == {"app": "other"}
    assert (await world.get("deployments", "c-server"))["spec"]["replicas"] == 1

    await world.api.delete(world.path("services", "c-server-svc"))
    await world.condition("marieclusters", "c", "Ready")


@pytest.mark.kuberay("KU-28")
async def test_a_field_that_someone_else_owns_is_reported_and_not_fought_over(world: World) -> None:
    await deployed(world)
    await world.scale("c-executor-extract", 2)

    condition = await world.condition("marieclusters", "c", "Ready", "False", reason="FieldConflict")
    assert "set replicas of the group to 2" in condition["message"]
    assert (await world.get("deployments", "c-executor-extract"))["spec"]["replicas"] == 2


async def test_a_pod_that_cannot_start_is_named_with_its_reason(world: World) -> None:
    broken = Behaviour(
        {"marie.ai/cluster": "c", "marie.ai/group": "ocr"}, waiting="ImagePullBackOff", message="no such image"
    )
    world.stage.kubelet.behaviours.append(broken)
    try:
        await world.create(cluster("c", group("ocr")))
        condition = await world.condition("marieclusters", "c", "AllExecutorsReady", "False", reason="ExecutorsFailing")
    finally:
        world.stage.kubelet.behaviours.remove(broken)
    assert condition["message"].startswith("Waiting for executors: ocr: 0 of 1 ready (pod c-executor-ocr-")
    assert condition["message"].endswith("container marie: ImagePullBackOff: no such image).")
