"""Which pods go first."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing.workloads.objects import written
from marie_operator.testing.workloads.ranking import DELETION_COST, deletion_cost, victims

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> str:
    return written(NOW - timedelta(seconds=seconds))


def pod(
    name: str,
    *,
    node: str = "n1",
    phase: str = "Running",
    ready: float | None = 3600,
    cost: str = "",
    restarts: int = 0,
    age: float = 7200,
) -> dict[str, Any]:
    status: dict[str, Any] = {"phase": phase, "containerStatuses": [{"name": "main", "restartCount": restarts}]}
    if ready is not None:
        status["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": ago(ready)}]
    annotations = {"annotations": {DELETION_COST: cost}} if cost else {}
    metadata = {"name": name, "uid": name, "creationTimestamp": ago(age), **annotations}
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}, "status": status}


# Each goes before all that follow.
ORDER = [
    pod("unassigned", node="", phase="Pending", ready=None),
    pod("pending", phase="Pending", ready=None, cost="100"),
    pod("unknown", phase="Unknown", ready=None),
    pod("not-ready", ready=None, cost="100", age=1e6),
    pod("cheap", cost="-5"),
    pod("crowded", node="full"),
    pod("crowding", node="full", age=1e6),
    pod("fresh", ready=10),
    pod("restarted", restarts=3),
    pod("young", age=4000, restarts=1),
    pod("old", age=40000, restarts=1),
    pod("dear", cost="5"),
]
# Pods of another set of the same owner make one node more crowded than the other.
RELATED = [*ORDER, *(pod(f"other-{number}", node="full") for number in range(20))]


@given(st.permutations(ORDER), st.integers(0, len(ORDER)))
def test_the_order_is_that_of_kubernetes(pods: list[Any], count: int) -> None:
    names = [each["metadata"]["name"] for each in ORDER[:count]]
    chosen = {each["metadata"]["name"] for each in victims(pods, count, NOW, related=RELATED)}
    assert chosen == set(names)


def test_ages_of_one_magnitude_are_alike() -> None:
    first, second = pod("a", ready=1000), pod("b", ready=1001)
    assert victims([first, second], 1, NOW) == victims([second, first], 1, NOW) == [first]
    first, second = pod("b", ready=1000), pod("a", ready=1001)
    assert victims([first, second], 1, NOW) == [second]


@given(st.integers(-1, 8), st.randoms(use_true_random=False))
def test_as_many_go_as_asked_for(count: int, chance: random.Random) -> None:
    pods = [
        pod(str(number), ready=chance.choice([None, 1, 100]), node=chance.choice(["", "a", "b"])) for number in range(6)
    ]
    chosen = victims(pods, count, NOW)
    assert len(chosen) == max(0, min(count, 6))
    assert all(each in pods for each in chosen)


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("0", 0),
        ("7", 7),
        ("-7", -7),
        ("+7", 0),
        ("07", 0),
        ("", 0),
        ("x", 0),
        ("2147483648", 0),
        ("-2147483648", -(2**31)),
    ],
)
def test_costs_are_read_as_the_api_server_allows(text: str, cost: int) -> None:
    assert deletion_cost({"metadata": {"annotations": {DELETION_COST: text}}}) == cost


def test_a_pair_is_ordered_the_same_either_way() -> None:
    for one, other in itertools.combinations(ORDER, 2):
        assert victims([one, other], 1, NOW, related=RELATED) == victims([other, one], 1, NOW, related=RELATED) == [one]
