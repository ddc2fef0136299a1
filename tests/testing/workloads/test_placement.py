"""Which nodes can take which pods, and the scheduler's words when none can."""

from decimal import Decimal
from typing import Any

import pytest

from marie_operator.testing.workloads.placement import amount, message, obstacles, requests

TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


def node(labels: Any = None, taints: Any = (), **allocatable: str) -> dict[str, Any]:
    offered = {"cpu": "4", "memory": "8Gi", "pods": "10", **allocatable}
    return {
        "metadata": {"name": "n1", "labels": labels or {}},
        "spec": {"taints": list(taints)},
        "status": {"allocatable": offered},
    }


def pod(wanted: Any = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {}, "spec": {"containers": [{"resources": {"requests": wanted or {}}}], **spec}}


def affinity(*expressions: Any) -> dict[str, Any]:
    required = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


AFFINITY = "node(s) didn't match Pod's node affinity/selector"


@pytest.mark.parametrize(
    ("found", "place", "expected"),
    [
        (pod(), node(), []),
        (pod({"cpu": "4"}), node(), []),
        (pod({"cpu": "4001m"}), node(), ["Insufficient cpu"]),
        (pod({"nvidia.com/gpu": "1"}), node(), ["Insufficient nvidia.com/gpu"]),
        (pod({"cpu": "5", "memory": "9Gi"}), node(), ["Insufficient cpu", "Insufficient memory"]),
        (pod(), node(pods="0"), ["Too many pods"]),
        (pod(nodeSelector={"disk": "fast"}), node(), [AFFINITY]),
        (pod(nodeSelector={"disk": "fast"}), node({"disk": "fast"}), []),
        (pod(affinity=affinity({"key": "size", "operator": "Gt", "values": ["3"]})), node({"size": "3"}), [AFFINITY]),
        (pod(affinity=affinity({"key": "size", "operator": "Gt", "values": ["3"]})), node({"size": "4"}), []),
        (pod(affinity=affinity({"key": "zone", "operator": "NotIn", "values": ["a"]})), node(), []),
        (pod(), node(taints=[TAINT]), ["node(s) had untolerated taint(s)"]),
        (pod(), node(taints=[{**TAINT, "effect": "PreferNoSchedule"}]), []),
        (pod(tolerations=[{"operator": "Exists"}]), node(taints=[TAINT]), []),
        (pod(tolerations=[{"key": "gpu", "value": "yes"}]), node(taints=[TAINT]), []),
        (pod(tolerations=[{"key": "gpu", "value": "no"}]), node(taints=[TAINT]), ["node(s) had untolerated taint(s)"]),
    ],
)
def test_a_node_takes_what_it_has_room_for_and_is_asked_for(found: Any, place: Any, expected: list[str]) -> None:
    assert obstacles(found, place, {}) == expected


def test_what_others_take_counts() -> None:
    assert obstacles(pod({"cpu": "2"}), node(), {"cpu": Decimal("2.5")}) == ["Insufficient cpu"]


def test_the_words_count_each_reason() -> None:
    assert message([]) == "no nodes available to schedule pods"
    reasons = [["Insufficient cpu", "Insufficient memory"], ["Insufficient cpu"], [AFFINITY]]
    assert message(reasons) == (
        "0/3 nodes are available: 1 Insufficient memory, "
        "1 node(s) didn't match Pod's node affinity/selector, 2 Insufficient cpu."
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", "1"), ("100m", "0.1"), ("1Ki", "1024"), ("2M", "2000000"), ("1e3", "1000"), ("0.5Gi", "536870912")],
)
def test_quantities(text: str, number: str) -> None:
    assert amount(text) == Decimal(number)


def test_a_pod_asks_for_the_most_it_needs_at_once() -> None:
    first = {"name": "i", "resources": {"requests": {"cpu": "3"}}}
    side = {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}
    asked = requests(pod({"cpu": "1"}, initContainers=[side, first], overhead={"cpu": "500m"}))
    assert asked["cpu"] == Decimal("4.5")
