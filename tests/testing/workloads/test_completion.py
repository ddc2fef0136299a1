"""How Jobs count, and when they end."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing.workloads import completion
from marie_operator.testing.workloads.objects import written

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def pod(uid: str, phase: str, *, held: bool = True, ended: float = 0) -> dict[str, Any]:
    finalizers = {"finalizers": [completion.FINALIZER]} if held else {}
    end = {"state": {"terminated": {"finishedAt": written(NOW - timedelta(seconds=ended))}}}
    metadata = {"name": uid, "uid": uid, "creationTimestamp": written(NOW), **finalizers}
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase, "containerStatuses": [{"name": "m", **end}]}}


def job(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "work"}, "spec": {"template": {"spec": {}}, **spec}}


@given(st.lists(st.sampled_from(["Succeeded", "Failed", "Running"]), max_size=8), st.data())
def test_each_pod_is_counted_once_whenever_one_looks(phases: list[str], data: st.DataObject) -> None:
    found = job(completions=100, backoffLimit=100)
    pods = [pod(f"p{number}", phase) for number, phase in enumerate(phases)]
    for step in range(30):
        done = completion.counted(found, pods)
        assert (done.successes, done.failures) == (phases.count("Succeeded"), phases.count("Failed"))
        found = {**found, "status": completion.status(found, pods, done, NOW)}
        # Some, or in the end all, of those that are written down lose their finalizers, and some are deleted.
        freed = {uid for uid in done.pending if step > 20 or data.draw(st.booleans())}
        gone = {uid for uid in freed if data.draw(st.booleans())}
        names = {each["metadata"]["uid"]: each for each in pods}
        pods = [pod(uid, each["status"]["phase"], held=False) if uid in freed else each for uid, each in names.items()]
        pods = [each for each in pods if each["metadata"]["uid"] not in gone]
    assert found["status"].get("succeeded", 0) == phases.count("Succeeded")
    assert found["status"].get("failed", 0) == phases.count("Failed")


@given(st.sets(st.integers(0, 40)))
def test_numbers_are_written_and_read(numbers: set[int]) -> None:
    assert completion.indexes(completion.compact(numbers)) == numbers


def test_runs_of_numbers_are_short() -> None:
    assert completion.compact({1, 3, 4, 5, 7, 8}) == "1,3-5,7,8"


def test_another_try_waits_longer_after_each_failure() -> None:
    assert completion.backoff_in([], NOW) == 0
    assert completion.backoff_in([pod("a", "Failed", ended=4)], NOW) == 6
    assert completion.backoff_in([pod("a", "Failed", ended=30), pod("b", "Failed", ended=4)], NOW) == 16
    assert completion.backoff_in([pod("a", "Failed", ended=4), pod("b", "Succeeded", ended=2)], NOW) == 0


def test_a_deadline_is_told_before_it_comes() -> None:
    found = job(activeDeadlineSeconds=10, completions=1)
    found["status"] = {"startTime": written(NOW)}
    done = completion.counted(found, [])
    assert completion.course(found, [], done, NOW + timedelta(seconds=4)).again == 6
    ends = completion.course(found, [], done, NOW + timedelta(seconds=10)).ends
    assert ends is not None
    assert (ends["type"], ends["reason"]) == ("FailureTarget", "DeadlineExceeded")
