"""What the fake kubelet believes of pods; tests/controlplane/test_kubelet.py shows it at work."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing import pod_status
from marie_operator.testing.kubelet import Behaviour

AT = datetime(2026, 1, 1, tzinfo=UTC)


def pod(**spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "marieai/marie:4.0.0"}, {"name": "side", "image": "proxy:1"}]
    metadata = {"name": "c-server-x1", "namespace": "test-1", "labels": {"app": "c", "role": "server"}, "uid": "u"}
    return {"metadata": metadata, "spec": {"containers": containers, **spec}}


@pytest.mark.parametrize(
    ("behaviour", "selected"),
    [
        (Behaviour(), True),
        (Behaviour({"role": "server"}), True),
        (Behaviour({"role": "server", "app": "d"}), False),
        (Behaviour({"absent": ""}), False),
        (Behaviour(name="c-server-*"), True),
        (Behaviour(name="c-executor-*"), False),
        (Behaviour(namespace="test-1"), True),
        (Behaviour(namespace="test-2"), False),
        (Behaviour(image="proxy:*"), True),
        (Behaviour(image="marie"), False),
        (Behaviour({"role": "server"}, image="*:5.0.0"), False),
    ],
)
def test_a_rule_selects_by_all_that_it_names(behaviour: Behaviour, selected: bool) -> None:
    assert behaviour.matches(pod()) is selected


def test_a_pod_without_labels_is_selected_by_rules_that_ask_for_none() -> None:
    bare = pod()
    del bare["metadata"]["labels"]
    assert Behaviour().matches(bare)
    assert not Behaviour({"role": "server"}).matches(bare)


@given(ready=st.booleans(), restarts=st.integers(0, 10))
def test_a_running_pod_is_ready_with_all_its_containers(ready: bool, restarts: int) -> None:
    status = pod_status.running(pod(), at=AT, address="10.244.0.1", ready=ready, restarts=restarts)
    assert status["phase"] == "Running"
    assert pod_status.is_ready({"status": status}) is ready
    assert [(each["name"], each["ready"], each["restartCount"]) for each in status["containerStatuses"]] == [
        ("main", ready, restarts),
        ("side", ready, restarts),
    ]


def test_a_pod_that_never_ran_is_pending_and_one_that_crashed_is_not() -> None:
    pulling = pod_status.waiting(pod(), "ImagePullBackOff", "no such image", at=AT, address="")
    assert pulling["phase"] == "Pending"
    assert "podIP" not in pulling
    assert pulling["containerStatuses"][0]["state"]["waiting"]["message"] == "no such image"

    killed = pod_status.termination(137, at=AT, out_of_memory=True)
    crashing = pod_status.waiting(pod(), "CrashLoopBackOff", "", at=AT, address="10.244.0.1", restarts=3, last=killed)
    assert crashing["phase"] == "Running"
    assert crashing["containerStatuses"][0]["lastState"]["terminated"]["reason"] == "OOMKilled"


@pytest.mark.parametrize(("code", "phase", "reason"), [(0, "Succeeded", "Completed"), (3, "Failed", "Error")])
def test_a_pod_that_ended_for_good_says_how(code: int, phase: str, reason: str) -> None:
    ended = {
        **pod(),
        "status": pod_status.ended(pod(), pod_status.termination(code, at=AT), at=AT, address="10.244.0.1"),
    }
    assert pod_status.is_finished(ended)
    assert not pod_status.is_ready(ended)
    terminated = ended["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["status"]["phase"], terminated["exitCode"], terminated["reason"]) == (phase, code, reason)


@pytest.mark.parametrize(
    ("policy", "after_success", "after_failure"),
    [(None, True, True), ("Always", True, True), ("OnFailure", False, True), ("Never", False, False)],
)
def test_the_restart_policy_decides(policy: str | None, after_success: bool, after_failure: bool) -> None:
    tried = pod() if policy is None else pod(restartPolicy=policy)
    assert pod_status.restarts_after(tried, 0) is after_success
    assert pod_status.restarts_after(tried, 1) is after_failure
