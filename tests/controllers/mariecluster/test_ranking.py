"""The ReplicaSet's order, as the operator computes it, beside the order of the simulator's ReplicaSet."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from marie_operator.controllers.mariecluster import ranking
from marie_operator.testing.workloads import ranking as simulated

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)

TIMES = st.sampled_from([None, *(NOW - timedelta(seconds=age) for age in (-5, 0, 1, 2, 60, 61, 3600, 86400))])
COSTS = st.sampled_from(["", "0", "5", "-5", "07", "+1", "x", "2147483647", "2147483648", "-2147483648"])


def stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


TRAITS = st.tuples(
    st.none() | TIMES,
    TIMES,
    COSTS,
    st.sampled_from(["True", "True", "False"]),
    st.integers(0, 999),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["Pending", "Running", "Running", "Unknown"]),
    st.integers(0, 2),
    st.integers(0, 1),
)
"""What tells pods apart: since when they are ready, when they were made, at what cost they go, and so on."""


def pods() -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(TRAITS, max_size=9).map(made)


def made(traits: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    found = []
    for number, (ready, created, cost, is_ready, uid, node, phase, restarts, of_side) in enumerate(traits):
        conditions = [{"type": "Ready", "status": is_ready}]
        if ready is not None:
            conditions[0]["lastTransitionTime"] = stamp(ready)
        metadata: dict[str, Any] = {"name": f"p{number}", "uid": f"{uid:03}-{number}"}
        if created is not None:
            metadata["creationTimestamp"] = stamp(created)
        if cost:
            metadata["annotations"] = {ranking.DELETION_COST: cost}
        status = {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [{"name": "marie", "restartCount": restarts}],
            "initContainerStatuses": [{"name": "side", "restartCount": of_side}],
        }
        spec: dict[str, Any] = {"initContainers": [{"name": "side", "restartPolicy": "Always"}]}
        found.append({"metadata": metadata, "spec": spec | ({"nodeName": node} if node else {}), "status": status})
    return found


def names(found: list[dict[str, Any]]) -> list[str]:
    return [pod["metadata"]["name"] for pod in found]


@given(pods(), st.integers(0, 9))
def test_it_takes_whom_the_simulated_controller_takes(found: list[dict[str, Any]], count: int) -> None:
    taken = simulated.victims(found, min(count, len(found)), NOW)
    assert set(names(ranking.ordered(found, NOW)[:count])) == set(names(taken))


@given(pods(), st.integers(0, 9), st.integers(-(10**6), 10**6))
def test_whoever_is_taken_was_exposed_whatever_the_clock_says(
    found: list[dict[str, Any]], count: int, skew: int
) -> None:
    taken = simulated.victims(found, min(count, len(found)), NOW + timedelta(seconds=skew))
    assert set(names(taken)) <= set(names(ranking.exposed(found, count)))


@given(pods())
def test_nobody_is_exposed_to_a_step_of_none_and_everybody_to_one_of_all(found: list[dict[str, Any]]) -> None:
    assert ranking.exposed(found, 0) == []
    assert ranking.exposed(found, len(found)) == found


@given(pods(), st.integers(0, 9))
def test_a_cost_that_is_about_to_be_set_counts(found: list[dict[str, Any]], chosen: int) -> None:
    alike = [{**pod, "spec": {"nodeName": "a"}, "status": {"phase": "Running"}} for pod in found]
    if chosen < len(alike):
        uid = alike[chosen]["metadata"]["uid"]
        first = ranking.ordered(alike, NOW, costs={uid: -(2**31) - 1})[0]
        assert first["metadata"]["uid"] == uid
