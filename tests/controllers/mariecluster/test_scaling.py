"""What is decided about a group that is to have fewer pods."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from marie_operator.controllers.mariecluster import ranking, scaling
from marie_operator.controllers.mariecluster.ranking import DELETION_COST
from marie_operator.controllers.mariecluster.scaling import Doing, Group, Member
from tests.controllers.mariecluster import scaledowns
from tests.controllers.mariecluster.scaledowns import Scene

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
IDLE, BUSY = Doing.IDLE, Doing.BUSY


def pod(name: str, *, cost: str = "", replica_set: str = "rs", ready: bool = True) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "creationTimestamp": "2026-05-01T10:00:00Z",
            "annotations": {DELETION_COST: cost} if cost else {},
            "ownerReferences": [{"uid": replica_set, "controller": True}],
        },
        "spec": {"nodeName": "n"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def marked(name: str, *, ago: float, cost: int = scaling.LEAVING_COST, before: str = "") -> dict[str, Any]:
    found = pod(name, cost=before)
    found["metadata"]["annotations"] |= scaling.marked(found, cost, NOW - timedelta(seconds=ago))
    return found


def member(name: str, doing: Doing = IDLE, **of: Any) -> Member:
    return Member(pod(name, **of), doing, frozenset([f"{name}:52110"]))


def left(name: str, *, ago: float = 5, withdrawn: float | None = 5.0) -> Member:
    return Member(marked(name, ago=ago), IDLE, withdrawn=withdrawn)


def group(*members: Member, wanted: int, named: str = "", settled: bool = True, live: int | None = None) -> Group:
    return Group(wanted, len(members) if live is None else live, settled, members, frozenset(named.split()))


def names(members: Any) -> list[str]:
    return sorted(each.name for each in members)


def test_a_group_grows_at_once() -> None:
    plan = scaling.decide(group(member("a", BUSY), wanted=4, settled=False), NOW)
    assert (plan.replicas, plan.under_way) == (4, False)


def test_idle_pods_are_marked_and_withdrawn_before_the_group_shrinks() -> None:
    plan = scaling.decide(group(member("a", BUSY), member("b"), member("c"), wanted=1), NOW)
    assert plan.replicas == 3
    assert [(each.name, cost) for each, cost in plan.mark] == [("b", scaling.LEAVING_COST), ("c", scaling.LEAVING_COST)]
    assert plan.withdraw == {"b:52110", "c:52110"}
    assert plan.waits_for == []


def test_it_shrinks_by_those_that_have_left() -> None:
    plan = scaling.decide(group(member("a", BUSY), left("b"), left("c"), wanted=1), NOW)
    assert (plan.replicas, plan.mark, plan.delete) == (1, [], [])


def test_a_mark_of_a_clock_that_was_ahead_is_renewed() -> None:
    plan = scaling.decide(group(member("a", BUSY), left("b", ago=-3600), wanted=1), NOW)
    assert (plan.replicas, names(each for each, _ in plan.mark)) == (2, ["b"])
    # One that is a moment ahead is waited for.
    assert scaling.decide(group(member("a", BUSY), left("b", ago=-2), wanted=1), NOW).mark == []


def test_it_shrinks_by_as_many_as_are_idle_and_waits_for_the_rest() -> None:
    plan = scaling.decide(group(member("a", BUSY), member("b", BUSY), left("c"), wanted=0), NOW)
    assert plan.replicas == 2
    assert plan.waits_for == ["a", "b"]


@pytest.mark.parametrize(
    "late",
    [left("c", ago=1), left("c", withdrawn=0.5), Member(marked("c", ago=5), IDLE, frozenset(["c:52110"]))],
    ids=["marked just now", "withdrawn just now", "registered"],
)
def test_no_step_is_taken_while_one_of_those_that_may_go_has_not_left(late: Member) -> None:
    plan = scaling.decide(group(member("a", BUSY), left("b"), late, wanted=1), NOW)
    assert plan.replicas == 3
    assert plan.leaving == ["b", "c"]


def test_a_busy_pod_that_would_go_before_all_others_keeps_them() -> None:
    first = Member(pod("a", ready=False), BUSY, frozenset(["a:52110"]))
    plan = scaling.decide(group(first, member("b"), wanted=1), NOW)
    assert (plan.replicas, plan.mark, plan.waits_for) == (2, [], ["a"])


def test_a_pod_that_has_become_busy_stays_with_the_cost_it_had() -> None:
    busy = Member(marked("b", ago=5, before="7"), BUSY, frozenset(["b:52110"]))
    plan = scaling.decide(group(member("a", BUSY), busy, wanted=1), NOW)
    assert plan.replicas == 2
    assert names(plan.restore) == ["b"]
    assert scaling.restored(busy.pod) == {scaling.LEAVING: None, DELETION_COST: "7"}
    again = scaling.marked(busy.pod, scaling.NAMED_COST, NOW)
    assert again == {DELETION_COST: str(scaling.NAMED_COST), scaling.LEAVING: "2026-05-01T12:00:00.000+00:00 7"}


def test_pods_that_were_to_leave_stay_or_are_replaced_when_the_group_is_to_grow() -> None:
    registered = Member(marked("a", ago=5), IDLE, frozenset(["a:52110"]))
    plan = scaling.decide(group(registered, left("b"), left("c", withdrawn=1.0), wanted=3), NOW)
    assert plan.replicas == 3
    assert (names(plan.restore), names(plan.delete)) == (["a"], ["b"])
    assert plan.leaving == ["b", "c"]


def test_named_pods_go_first_and_wait_until_they_are_idle() -> None:
    plan = scaling.decide(group(member("a"), member("b", BUSY), member("c"), wanted=2, named="b c"), NOW)
    assert [(each.name, cost) for each, cost in plan.mark] == [("c", scaling.NAMED_COST)]
    assert plan.waits_for == ["b"]


def test_named_pods_are_replaced_where_the_group_keeps_its_size() -> None:
    gone = Member(marked("a", ago=5, cost=scaling.NAMED_COST), IDLE, withdrawn=5.0)
    plan = scaling.decide(group(gone, member("b"), wanted=2, named="a elsewhere"), NOW)
    assert (plan.replicas, names(plan.delete)) == (2, ["a"])
    assert not scaling.decide(group(member("b"), member("new"), wanted=2, named="a"), NOW).under_way


def test_pods_that_were_never_made_are_asked_for_no_more() -> None:
    assert scaling.decide(group(member("a", BUSY), wanted=1, live=5), NOW).replicas == 1
    assert scaling.decide(group(member("a", BUSY), member("b", BUSY), wanted=1, live=5), NOW).replicas == 2


def test_nothing_is_begun_while_what_was_asked_for_is_not_done() -> None:
    plan = scaling.decide(group(member("a"), left("b"), wanted=0, settled=False), NOW)
    assert (plan.replicas, plan.mark, plan.delete, plan.withdraw) == (2, (), (), frozenset())
    # It is looked at again, also when no pod has begun to leave.
    assert scaling.decide(group(member("a", BUSY), wanted=0, settled=False), NOW).under_way


def test_during_a_rollout_a_group_shrinks_to_nothing_or_not_at_all() -> None:
    old, new = left("a"), Member({**marked("b", ago=5), "metadata": marked("b", ago=5)["metadata"]}, IDLE)
    new.pod["metadata"]["ownerReferences"] = [{"uid": "another", "controller": True}]
    assert scaling.decide(group(old, new, wanted=1), NOW).replicas == 2
    assert scaling.decide(group(old, new, wanted=0), NOW).replicas == 0


def test_pods_that_are_being_deleted_end_when_they_have_nothing_left_to_do() -> None:
    booting = Member(pod("e"), Doing.BOOTING)
    found = scaling.ending([member("a"), member("b", BUSY), left("c"), left("d", withdrawn=1.0), booting])
    assert found.withdraw == {"a:52110"}
    assert names(found.end) == ["c", "e"]


# What no example shows: see ``scaledowns``. ``make scaledowns`` plays 10,000 of them.


@pytest.mark.parametrize("part", range(3))
@pytest.mark.kuberay("KU-03")
def test_no_busy_pod_is_killed(part: int) -> None:
    for seed in range(100 * part, 100 * (part + 1)):
        scene = Scene(seed)
        scene.run()
        assert scene.killed == [], seed
        assert scene.size == scene.wanted, seed


def _count_killed(seeds: Iterable[int]) -> int:
    found = 0
    for seed in seeds:
        scene = Scene(seed)
        scene.run()
        found += bool(scene.killed or scene.surprised)
    return found


def test_scenarios_find_an_operator_that_does_not_wait_for_its_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "SETTLE", timedelta(seconds=-1))
    monkeypatch.setattr(scaling, "GONE", -1.0)
    # Where the controller hears late of pods and early of sizes.
    assert _count_killed([seed for seed in range(600) if Scene(seed).scenario.lags[:2] == (2.0, 0.0)])


def test_scenarios_find_an_operator_that_knows_only_its_own_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "exposed", lambda pods, count: [])
    assert _count_killed(range(30))


def test_scenarios_find_an_operator_that_withdraws_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Scene.member

    def blind(scene: Scene, executor: scaledowns.Executor, seen: dict[str, Any]) -> Member:
        found = there(scene, executor, seen)
        return Member(found.pod, found.doing)

    monkeypatch.setattr(Scene, "member", blind)
    assert _count_killed(range(30))
