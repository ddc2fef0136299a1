"""The arithmetic of rollouts, played to their end against sets whose pods get ready as they like."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing.workloads import rollout
from marie_operator.testing.workloads.objects import condition_in

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def deployment(replicas: int, surge: int | str = "25%", missing: int | str = "25%", **status: Any) -> dict[str, Any]:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": missing}}
    spec = {"replicas": replicas, "strategy": strategy, "progressDeadlineSeconds": 60}
    return {"metadata": {"name": "web", "generation": 1}, "spec": spec, "status": status}


def replica_set(uid: str, replicas: int, available: int = 0, told: str = "", most: str = "") -> dict[str, Any]:
    annotations = {rollout.DESIRED: told, rollout.MAX_REPLICAS: most} if told else {}
    status = {"replicas": replicas, "readyReplicas": available, "availableReplicas": available}
    return {
        "metadata": {"uid": uid, "name": uid, "annotations": annotations},
        "spec": {"replicas": replicas},
        "status": status,
    }


@pytest.mark.parametrize(
    ("replicas", "surge", "missing", "bounds"),
    [
        (4, "25%", "25%", (1, 1)),
        (1, "25%", "25%", (1, 0)),
        (3, 0, 0, (0, 1)),
        (10, "11%", "19%", (2, 1)),
        (2, 0, 5, (0, 2)),
    ],
)
def test_bounds_round_for_safety(replicas: int, surge: int | str, missing: int | str, bounds: tuple[int, int]) -> None:
    assert rollout.bounds(deployment(replicas, surge, missing)) == bounds


@given(
    wanted=st.integers(1, 12),
    surge=st.integers(0, 4),
    missing=st.integers(0, 4),
    old=st.lists(st.integers(0, 8), max_size=3),
    data=st.data(),
)
def test_a_rollout_keeps_its_bounds_and_ends(
    wanted: int, surge: int, missing: int, old: list[int], data: st.DataObject
) -> None:
    found = deployment(wanted, surge, missing)
    surge, missing = rollout.bounds(found)
    scale = sum(old)
    old = old if scale <= wanted + surge else [wanted]
    sizes = {"new": 0, **{f"old{number}": size for number, size in enumerate(old)}}
    available = {**sizes}
    for step in range(200):
        sets = [replica_set(uid, size, available[uid]) for uid, size in sizes.items()]
        before = sum(available.values())
        sizes |= rollout.rolling(found, sets[0], sets[1:])
        assert all(size >= 0 for size in sizes.values())
        assert sum(sizes.values()) <= max(wanted + surge, sum(old))
        # A set that shrinks ends its broken pods first.
        available = {uid: min(available[uid], size) for uid, size in sizes.items()}
        assert sum(available.values()) >= min(before, wanted - missing)
        ready = data.draw(st.booleans()) or step > 100
        available = {uid: size if ready else available[uid] for uid, size in sizes.items()}
        if sizes["new"] == sum(sizes.values()) == wanted == available["new"]:
            return
    raise AssertionError(f"the rollout never ended: {sizes}")


@given(
    sizes=st.lists(st.integers(1, 10), min_size=2, max_size=4),
    wanted=st.integers(0, 30),
    surge=st.integers(1, 3),
)
def test_scaling_during_a_rollout_gives_each_set_its_share(sizes: list[int], wanted: int, surge: int) -> None:
    before = max(1, sum(sizes) - surge)
    sets = [
        replica_set(f"s{number}", size, told=str(before), most=str(before + surge)) for number, size in enumerate(sizes)
    ]
    found = deployment(wanted, surge, 1)
    result = rollout.proportions(found, sets[-1], sets[:-1])
    assert all(size >= 0 for size in result.values())
    # What rounding leaves over is the first set's, which has no more to give than it is.
    most = wanted + surge if wanted else 0
    assert sum(result.values()) == most or (sum(result.values()) > most and 0 in result.values())


def test_a_late_rollout_is_told_when_it_is_due_and_not_before() -> None:
    found = deployment(1)
    new = replica_set("new", 1)
    found["status"] = rollout.status(found, new, [new], NOW)
    due = rollout.deadline_in(found, NOW)
    assert due == 61
    for seconds, reason in ((60, "NewReplicaSetCreated"), (61, "ProgressDeadlineExceeded")):
        found["status"] = {**found["status"], "replicas": 1, "updatedReplicas": 1}
        conditions = rollout.status(found, new, [new], NOW + timedelta(seconds=seconds))["conditions"]
        condition = condition_in(conditions, "Progressing")
        assert condition is not None
        assert condition["reason"] == reason


def test_a_status_that_says_nothing_new_stays_the_same() -> None:
    found, new = deployment(1), replica_set("new", 1, 1)
    found["status"] = rollout.status(found, new, [new], NOW)
    assert rollout.status(found, new, [new], NOW + timedelta(days=1)) == found["status"]
