"""ReplicaSets."""

from typing import Any

from marie_operator.testing.pod_status import is_ready
from tests.testing.workloads.conftest import Room


def replica_set(name: str, replicas: int, **spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "app:1"}], "nodeName": "node-1"},
    }
    return {
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


async def known(room: Room, *pods: str) -> None:
    """Wait until the controllers know of running pods: they share a cache, and EndpointSlices show what is in it."""
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    await room.create("services", {"metadata": {"name": "web"}, "spec": spec})

    def shown(found: list[Any]) -> bool:
        endpoints = [each for slice_ in found for each in slice_.get("endpoints") or ()]
        return {each["targetRef"]["name"] for each in endpoints} == set(pods)

    await room.until_items("endpointslices", shown)


async def test_as_many_pods_run_as_are_asked_for(room: Room) -> None:
    await room.create("replicasets", replica_set("web", 3))
    await room.until("replicasets", "web", lambda found: found["status"].get("availableReplicas") == 3)
    await room.api.patch(room.path("replicasets", "web"), {"spec": {"replicas": 1}})
    await room.until_items("pods", lambda found: len(found) == 1)
    await room.until("replicasets", "web", lambda found: found["status"]["replicas"] == 1)


async def test_a_pod_that_is_deleted_or_fails_is_replaced(room: Room) -> None:
    await room.create("replicasets", replica_set("web", 1))
    (first,) = await room.until_items("pods", lambda found: len(found) == 1)
    await room.api.delete(room.path("pods", first["metadata"]["name"]))

    def replaced(found: list[Any]) -> bool:
        # Once it is ready the kubelet has said all that it has to say.
        return len(found) == 1 and found[0]["metadata"]["uid"] != first["metadata"]["uid"] and is_ready(found[0])

    (second,) = await room.until_items("pods", replaced)
    await room.api.patch(room.path("pods", second["metadata"]["name"]) + "/status", {"status": {"phase": "Failed"}})
    await room.until_items("pods", lambda found: len(found) == 2)


async def test_pods_change_hands_with_their_labels(room: Room) -> None:
    orphan = {
        "metadata": {"name": "orphan", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "app:1"}]},
    }
    await room.create("pods", orphan)
    await known(room, "orphan")
    await room.create("replicasets", replica_set("web", 1))
    adopted = await room.until("pods", "orphan", lambda found: "ownerReferences" in found["metadata"])
    assert adopted["metadata"]["ownerReferences"][0]["name"] == "web"
    assert len(await room.items("pods")) == 1

    await room.api.patch(room.path("pods", "orphan"), {"metadata": {"labels": {"app": "other"}}})
    await room.until("pods", "orphan", lambda found: "ownerReferences" not in found["metadata"])
    await room.until_items("pods", lambda found: len(found) == 1, "labelSelector=app%3Dweb")


async def test_the_pods_that_cost_the_least_go_first_and_before_them_those_that_are_not_ready(room: Room) -> None:
    costs = {"cheap": "-10", "usual": "", "dear": "100", "dearest": "200"}
    for name, cost in costs.items():
        annotations = {"controller.kubernetes.io/pod-deletion-cost": cost} if cost else {}
        metadata = {"name": name, "labels": {"app": "web"}, "annotations": annotations}
        spec = {"containers": [{"name": "main", "image": "app:1"}], "nodeName": "node-1"}
        await room.create("pods", {"metadata": metadata, "spec": spec})
    dearest = {"controller.kubernetes.io/pod-deletion-cost": costs["dearest"]}
    metadata = {"name": "never", "labels": {"app": "web"}, "annotations": dearest}
    spec = {"containers": [{"name": "main", "image": "never-ready:1"}], "nodeName": "node-1"}
    await room.create("pods", {"metadata": metadata, "spec": spec})
    await known(room, *costs, "never")
    await room.create("replicasets", replica_set("web", 5))
    await room.until("replicasets", "web", lambda found: found["status"].get("readyReplicas") == 4)
    left = [*costs, "never"]
    for victim in ("never", "cheap", "usual", "dear"):
        left.remove(victim)
        await room.api.patch(room.path("replicasets", "web"), {"spec": {"replicas": len(left)}})
        found = await room.until_items("pods", lambda found: len(found) == len(left))
        assert {each["metadata"]["name"] for each in found} == set(left)
