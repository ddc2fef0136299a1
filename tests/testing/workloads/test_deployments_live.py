"""Deployments, as kubectl sees them."""

from typing import Any

import pytest

from marie_operator.testing.processes import ProcessError
from tests.testing.workloads.conftest import Room


def deployment(name: str, replicas: int = 2, *, image: str = "app:1", **spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": image}], "nodeName": "node-1"},
    }
    return {
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


def image(name: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": name}]}}}}


def reason(found: Any, name: str) -> str:
    conditions = found["status"].get("conditions", [])
    return next((str(each["reason"]) for each in conditions if each["type"] == name), "")


async def test_a_rollout_ends_and_can_be_undone(room: Room) -> None:
    await room.create("deployments", deployment("web", 3))
    assert "successfully rolled out" in await room.kubectl("rollout", "status", "deployment/web")
    await room.api.patch(room.path("deployments", "web"), image("app:2"))
    assert "successfully rolled out" in await room.kubectl("rollout", "status", "deployment/web")

    found = await room.get("deployments", "web")
    assert reason(found, "Available") == "MinimumReplicasAvailable"
    assert reason(found, "Progressing") == "NewReplicaSetAvailable"
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert found["metadata"]["generation"] == 2
    status = found["status"]
    assert [status[each] for each in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")] == [3] * 4

    await room.kubectl("rollout", "undo", "deployment/web")
    assert "successfully rolled out" in await room.kubectl("rollout", "status", "deployment/web")
    found = await room.until(
        "deployments", "web", lambda found: found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    )
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "app:1"
    history = await room.kubectl("rollout", "history", "deployment/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["2", "3"]


async def test_scaling_keeps_the_set(room: Room) -> None:
    await room.create("deployments", deployment("web", 1))
    await room.until("deployments", "web", lambda found: found["status"].get("availableReplicas") == 1)
    await room.kubectl("scale", "deployment/web", "--replicas=3")
    await room.until("deployments", "web", lambda found: found["status"].get("availableReplicas") == 3)
    (only,) = await room.items("replicasets")
    assert only["spec"]["replicas"] == 3
    await room.kubectl("scale", "deployment/web", "--replicas=0")
    await room.until("deployments", "web", lambda found: found["status"].get("replicas", 0) == 0)


async def test_a_rollout_that_does_not_get_ready_is_late(room: Room) -> None:
    await room.create(
        "deployments", deployment("web", 1, image="never-ready:1", progressDeadlineSeconds=1, minReadySeconds=0)
    )
    with pytest.raises(ProcessError, match="exceeded its progress deadline"):
        await room.kubectl("rollout", "status", "deployment/web")
    found = await room.get("deployments", "web")
    assert reason(found, "Progressing") == "ProgressDeadlineExceeded"
    assert reason(found, "Available") == "MinimumReplicasUnavailable"


async def test_a_recreation_ends_all_old_pods_first(room: Room) -> None:
    await room.create("deployments", deployment("web", 2, strategy={"type": "Recreate"}))
    await room.until("deployments", "web", lambda found: found["status"].get("availableReplicas") == 2)
    await room.api.patch(room.path("deployments", "web"), image("app:2"))
    assert "successfully rolled out" in await room.kubectl("rollout", "status", "deployment/web")
    sets = {
        each["spec"]["template"]["spec"]["containers"][0]["image"]: each for each in await room.items("replicasets")
    }
    assert {image: each["spec"]["replicas"] for image, each in sets.items()} == {"app:1": 0, "app:2": 2}


async def test_a_paused_rollout_waits_and_keeps_its_size(room: Room) -> None:
    await room.create("deployments", deployment("web", 1))
    await room.until("deployments", "web", lambda found: reason(found, "Progressing") == "NewReplicaSetAvailable")
    await room.kubectl("rollout", "pause", "deployment/web")
    await room.until("deployments", "web", lambda found: reason(found, "Progressing") == "DeploymentPaused")
    await room.api.patch(room.path("deployments", "web"), {**image("app:2")})
    await room.kubectl("scale", "deployment/web", "--replicas=2")
    await room.until("deployments", "web", lambda found: found["status"].get("availableReplicas") == 2)
    assert len(await room.items("replicasets")) == 1
    await room.kubectl("rollout", "resume", "deployment/web")
    assert "successfully rolled out" in await room.kubectl("rollout", "status", "deployment/web")
    assert len(await room.items("replicasets")) == 2


async def test_the_history_is_as_long_as_allowed(room: Room) -> None:
    await room.create("deployments", deployment("web", 1, revisionHistoryLimit=1))
    for number in (2, 3, 4):
        await room.kubectl("rollout", "status", "deployment/web")
        await room.api.patch(room.path("deployments", "web"), image(f"app:{number}"))
    await room.kubectl("rollout", "status", "deployment/web")
    await room.until_items("replicasets", lambda found: len(found) == 2)
