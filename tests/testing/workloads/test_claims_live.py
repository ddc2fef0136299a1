"""Claims that are deleted while pods use them."""

from typing import Any

from tests.testing.workloads.conftest import Room

CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
POD: dict[str, Any] = {
    "metadata": {"name": "user"},
    "spec": {
        "nodeName": "node-1",
        "containers": [{"name": "main", "image": "busybox:1"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        "terminationGracePeriodSeconds": 0,
    },
}


async def test_a_claim_goes_once_no_pod_uses_it(room: Room) -> None:
    await room.create("persistentvolumeclaims", CLAIM)
    await room.create("pods", POD)
    await room.api.delete(room.path("persistentvolumeclaims", "data"))
    kept = await room.until("persistentvolumeclaims", "data", lambda found: "deletionTimestamp" in found["metadata"])
    assert kept["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    await room.api.delete(room.path("pods", "user"))
    await room.until_items("persistentvolumeclaims", lambda found: found == [])


async def test_a_pod_that_has_no_node_uses_no_claim(room: Room) -> None:
    await room.create("persistentvolumeclaims", CLAIM)
    spec = {**POD["spec"], "nodeName": None, "nodeSelector": {"disk": "none"}}
    await room.create("pods", {**POD, "spec": spec})
    await room.api.delete(room.path("persistentvolumeclaims", "data"))
    await room.until_items("persistentvolumeclaims", lambda found: found == [])


async def test_a_claim_that_nobody_uses_goes_at_once(room: Room) -> None:
    await room.create("persistentvolumeclaims", CLAIM)
    await room.api.delete(room.path("persistentvolumeclaims", "data"))
    await room.until_items("persistentvolumeclaims", lambda found: found == [])
