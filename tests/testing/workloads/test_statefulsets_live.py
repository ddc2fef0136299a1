"""StatefulSets."""

from typing import Any

from tests.testing.workloads.conftest import Room


def stateful_set(name: str, replicas: int, *, image: str = "app:1", **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": image}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": template,
            **spec,
        },
    }


async def test_pods_come_and_go_in_order(room: Room) -> None:
    size = {"storage": "1Gi"}
    for number in range(2):
        # kube-scheduler waits for claims to be bound, and the controller manager binds them to volumes that are there.
        volume = {"capacity": size, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}}
        metadata = {"name": f"{room.name}-{number}"}
        await room.api.create("/api/v1/persistentvolumes", {"metadata": metadata, "spec": volume})
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": size}, "storageClassName": ""}
    claim = {"metadata": {"name": "data"}, "spec": spec}
    await room.create("statefulsets", stateful_set("db", 2, volumeClaimTemplates=[claim]))
    await room.kubectl("rollout", "status", "--timeout=240s", "statefulset/db")
    first, second = sorted(await room.items("pods"), key=lambda each: str(each["metadata"]["name"]))
    assert [first["metadata"]["name"], second["metadata"]["name"]] == ["db-0", "db-1"]
    assert int(first["metadata"]["resourceVersion"]) < int(second["metadata"]["resourceVersion"])
    names = {each["metadata"]["name"] for each in await room.items("persistentvolumeclaims")}
    assert names == {"data-db-0", "data-db-1"}

    change = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}}
    await room.api.patch(room.path("statefulsets", "db"), change)
    await room.kubectl("rollout", "status", "--timeout=240s", "statefulset/db")
    assert {each["spec"]["containers"][0]["image"] for each in await room.items("pods")} == {"app:2"}

    await room.kubectl("scale", "statefulset/db", "--replicas=1")
    await room.until_items("pods", lambda found: [each["metadata"]["name"] for each in found] == ["db-0"])
    await room.kubectl("rollout", "undo", "statefulset/db")
    await room.kubectl("rollout", "status", "--timeout=240s", "statefulset/db")
    assert (await room.get("pods", "db-0"))["spec"]["containers"][0]["image"] == "app:1"
