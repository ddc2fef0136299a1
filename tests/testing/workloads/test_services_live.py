"""The scheduler and EndpointSlices."""

from typing import Any

from tests.testing.workloads.conftest import Room


def pod(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "containerPort": 8080}]
    container = {"name": "main", "image": spec.pop("image", "app:1"), "ports": ports}
    limits = {"nvidia.com/gpu": spec.pop("gpus")} if "gpus" in spec else {}
    containers = [{**container, "resources": {"limits": limits}}]
    return {"metadata": {"name": name, "labels": {"app": "web"}}, "spec": {"containers": containers, **spec}}


def scheduled(found: Any) -> Any:
    return next((each for each in found["status"].get("conditions", []) if each["type"] == "PodScheduled"), {})


async def test_pods_get_nodes_as_long_as_there_is_room(room: Room) -> None:
    await room.create("pods", pod("first", gpus="2"))
    await room.until("pods", "first", lambda found: found["spec"].get("nodeName") == "node-1")
    await room.create("pods", pod("second", gpus="1"))
    found = await room.until("pods", "second", lambda found: scheduled(found).get("reason") == "Unschedulable")
    # What kube-scheduler adds is about preemption, which is not simulated.
    assert scheduled(found)["message"].startswith("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    await room.api.delete(room.path("pods", "first"))
    await room.until("pods", "second", lambda found: found["spec"].get("nodeName") == "node-1")
    await room.api.delete(room.path("pods", "second"))


async def test_a_pod_waits_for_a_node_that_it_selects(room: Room) -> None:
    await room.create("pods", pod("picky", nodeSelector={"disk": "slow"}))
    found = await room.until("pods", "picky", lambda found: scheduled(found).get("reason") == "Unschedulable")
    reason = "1 node(s) didn't match Pod's node affinity/selector."
    assert scheduled(found)["message"].startswith(f"0/1 nodes are available: {reason}")
    await room.api.patch("/api/v1/nodes/node-1", {"metadata": {"labels": {"disk": "slow"}}})
    await room.until("pods", "picky", lambda found: found["spec"].get("nodeName") == "node-1")
    await room.api.patch("/api/v1/nodes/node-1", {"metadata": {"labels": {"disk": "fast"}}})


async def test_a_service_has_the_addresses_of_its_pods(room: Room) -> None:
    service = {
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    }
    await room.create("services", service)
    await room.until_items("endpointslices", lambda found: len(found) == 1)
    await room.create("pods", pod("up"))
    await room.create("pods", pod("down", image="never-ready:1"))

    def ready(found: list[Any]) -> dict[str, bool]:
        endpoints = [each for slice_ in found for each in slice_.get("endpoints") or ()]
        return {each["targetRef"]["name"]: each["conditions"]["ready"] for each in endpoints}

    (slice_,) = await room.until_items("endpointslices", lambda found: ready(found) == {"up": True, "down": False})
    assert slice_["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
    assert slice_["metadata"]["labels"]["kubernetes.io/service-name"] == "web"

    await room.api.patch(room.path("services", "web"), {"spec": {"publishNotReadyAddresses": True}})
    await room.until_items("endpointslices", lambda found: ready(found) == {"up": True, "down": True})
    await room.api.delete(room.path("pods", "up"))
    await room.until_items("endpointslices", lambda found: ready(found) == {"down": True})
    await room.api.delete(room.path("services", "web"))
    await room.until_items("endpointslices", lambda found: found == [])
