"""Jobs and every step of their status."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.testing.workloads.conftest import Room


def job(name: str, *, image: str = "succeeds:1", **spec: Any) -> dict[str, Any]:
    pod = {"containers": [{"name": "main", "image": image}], "restartPolicy": "Never", "nodeName": "node-1"}
    return {"metadata": {"name": name}, "spec": {"template": {"spec": pod}, **spec}}


def told(found: Any) -> dict[str, str]:
    conditions = found["status"].get("conditions") or []
    return {each["type"]: each["reason"] for each in conditions if each["status"] == "True"}


async def test_a_job_completes(room: Room) -> None:
    await room.create("jobs", job("work", completions=3, parallelism=2))
    found = await room.until("jobs", "work", lambda found: "Complete" in told(found))
    assert told(found) == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
    assert found["status"]["succeeded"] == 3
    assert "failed" not in found["status"]
    assert "completionTime" in found["status"]
    await room.kubectl("wait", "--for=condition=complete", "job/work")
    assert all("finalizers" not in each["metadata"] for each in await room.items("pods"))


async def test_a_job_fails_at_its_limit(room: Room) -> None:
    await room.create("jobs", job("work", image="fails:1", backoffLimit=0))
    found = await room.until("jobs", "work", lambda found: "Failed" in told(found))
    assert told(found) == {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}
    assert found["status"]["failed"] == 1


async def test_a_job_that_takes_too_long_fails_and_its_pods_end(room: Room) -> None:
    await room.create("jobs", job("work", image="app:1", activeDeadlineSeconds=3600, parallelism=2))
    found = await room.until("jobs", "work", lambda found: found["status"].get("active") == 2)
    age = datetime.now(UTC) - datetime.fromisoformat(found["status"]["startTime"])
    soon = int(age.total_seconds()) + 2
    await room.api.patch(room.path("jobs", "work"), {"spec": {"activeDeadlineSeconds": soon}})
    found = await room.until("jobs", "work", lambda found: "Failed" in told(found))
    assert told(found)["Failed"] == "DeadlineExceeded"
    assert found["status"]["failed"] == 2
    await room.until_items("pods", lambda found: found == [])


async def test_a_suspended_job_has_no_pods_and_goes_on_when_resumed(room: Room) -> None:
    await room.create("jobs", job("work", image="app:1", suspend=True))
    await room.until("jobs", "work", lambda found: told(found) == {"Suspended": "JobSuspended"})
    assert await room.items("pods") == []
    await room.api.patch(room.path("jobs", "work"), {"spec": {"suspend": False}})
    await room.until("jobs", "work", lambda found: found["status"].get("ready") == 1 and "startTime" in found["status"])
    await room.api.patch(room.path("jobs", "work"), {"spec": {"suspend": True}})
    await room.until_items("pods", lambda found: found == [])
    found = await room.until("jobs", "work", lambda found: told(found) == {"Suspended": "JobSuspended"})
    assert "failed" not in found["status"]


@pytest.mark.parametrize("again", [False, True])
async def test_pods_of_a_deleted_job_go_though_there_may_be_another_of_its_name(room: Room, *, again: bool) -> None:
    await room.create("jobs", job("work", image="app:1"))
    await room.until("jobs", "work", lambda found: found["status"].get("ready") == 1)
    (old,) = await room.items("pods")
    await room.api.delete(room.path("jobs", "work"), {"propagationPolicy": "Background"})
    if again:
        await room.create("jobs", job("work", image="app:1"))
    await room.until_items(
        "pods", lambda found: old["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in found}
    )
    assert len(await room.items("jobs")) == again


async def test_an_indexed_job_completes_each_number(room: Room) -> None:
    await room.create("jobs", job("work", completions=3, parallelism=3, completionMode="Indexed"))
    found = await room.until("jobs", "work", lambda found: "Complete" in told(found))
    assert found["status"]["completedIndexes"] == "0-2"
    assert found["status"]["succeeded"] == 3


async def test_a_job_goes_some_time_after_its_end(room: Room) -> None:
    await room.create("jobs", job("work", ttlSecondsAfterFinished=0))
    await room.until_items("jobs", lambda found: found == [])
    await room.until_items("pods", lambda found: found == [])
