"""The line before a cluster: its order, the window that is never exceeded, and what it knows after any changes."""

import itertools
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from marie_operator.controllers.mariejob.line import LEAST_WINDOW, POINT, Claim, Line
from marie_operator.runtime.resource import ObjectKey
from tests.controllers.mariejob.samples import NOW, cluster, later


def claim(name: str, **what: Any) -> Claim:
    default = {"priority": 0, "soft": None, "since": None, "in_flight": 0, "want": 5, "most": 5, "created": NOW}
    return Claim(**{**default, "job": ObjectKey("docs", name), **what})


def line(claims: list[Claim], size: int = LEAST_WINDOW) -> Line:
    made = Line(size)
    for each in claims:
        made.claim(each)
    return made


def granted(claims: list[Claim], size: int) -> Mapping[str, int]:
    return {job.name: count for job, count in line(claims, size).granted(NOW).items()}


def rank(claim: Claim, now: datetime) -> tuple[int, datetime]:
    """What users are told: priority and the minutes that began while it waited, then the deadline."""

    def minute(time: datetime) -> datetime:
        return time.replace(second=0, microsecond=0)

    points = (minute(now) - minute(claim.since)) // POINT if claim.since else 0
    return -claim.priority - points, claim.soft or datetime.max.replace(tzinfo=NOW.tzinfo)


@st.composite
def claims(draw: st.DrawFn, names: st.SearchStrategy[str]) -> Claim:
    in_flight = draw(st.integers(0, 5))
    seconds = st.integers(0, 300).map(lambda seconds: NOW - timedelta(seconds=seconds))
    return claim(
        draw(names),
        priority=draw(st.integers(-2, 2)),
        soft=draw(st.none() | st.integers(0, 3).map(lambda hours: later(hours=hours))),
        since=draw(st.none() | seconds) if not in_flight else None,
        in_flight=in_flight,
        want=draw(st.integers(0, 5)),
        most=draw(st.sampled_from([1, 5, 200])),
        created=draw(seconds),
    )


MANY = st.lists(claims(st.uuids().map(str)), unique_by=lambda each: each.job)


@given(MANY, st.integers(0, 40))
@pytest.mark.kuberay("KU-20")
def test_the_window_is_used_up_never_exceeded_and_given_in_order(claims: list[Claim], size: int) -> None:
    shares = line(claims, size).granted(NOW)
    by_job = {each.job: each for each in claims}
    free = max(0, size - sum(each.in_flight for each in claims))
    assert sum(shares.values()) == min(free, sum(each.want for each in claims))
    assert all(0 < count <= by_job[job].want for job, count in shares.items())
    left_wanting = [each for each in claims if shares.get(each.job, 0) < each.want]
    for job in shares:
        for other in left_wanting:
            assert rank(by_job[job], NOW) <= rank(other, NOW)
            if rank(by_job[job], NOW) == rank(other, NOW) and job != other.job:
                has = by_job[job].in_flight + shares[job]
                assert has <= other.in_flight + shares.get(other.job, 0) + 1


@given(MANY, st.integers(0, 40))
def test_who_waits_with_nothing_has_a_place_and_nobody_else_has(claims: list[Claim], size: int) -> None:
    made = line(claims, size)
    waiting = [each for each in claims if each.want and not each.in_flight and each.job not in made.granted(NOW)]
    waiting.sort(key=lambda each: (*rank(each, NOW), each.created, each.job))
    expected = {each.job: place for place, each in enumerate(waiting, start=1)}
    turns = {each.job: made.turn(each, NOW) for each in claims}
    assert {job: turn.position for job, turn in turns.items() if turn.position is not None} == expected
    assert {job: turn.room for job, turn in turns.items() if turn.room} == made.granted(NOW)


class Changes(RuleBasedStateMachine):
    """A line that has seen many changes says what one does that is made of what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.line = NOW, Line()
        self.claims: dict[ObjectKey, Claim] = {}

    @rule(claim=claims(st.sampled_from("abcdefgh")))
    def has_and_wants(self, claim: Claim) -> None:
        self.claims[claim.job] = claim
        self.line.claim(claim)

    @rule(data=st.data())
    def leaves(self, data: st.DataObject) -> None:
        if self.claims:
            job = data.draw(st.sampled_from(sorted(self.claims)))
            del self.claims[job]
            self.line.leave(job)

    @rule(claim=claims(st.sampled_from("abcdefgh")))
    def is_asked_by_one_who_is_further_than_its_claim(self, claim: Claim) -> None:
        anew = line([*({**self.claims, claim.job: claim}).values()], self.line.size)
        assert self.line.turn(claim, self.now) == anew.turn(claim, self.now)

    @rule(seconds=st.integers(1, 200))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(size=st.none() | st.integers(1, 30), workers=st.integers(0, 80))
    def is_fitted(self, size: int | None, workers: int) -> None:
        self.line.fit(cluster(maxDocumentsInFlight=size), workers)
        most = max((each.most for each in self.claims.values()), default=0)
        assert self.line.size == (size if size is not None else max(LEAST_WINDOW, 2 * workers, most))

    @invariant()
    def it_is_as_if_it_had_been_made_now(self) -> None:
        anew = line([*self.claims.values()], self.line.size)
        assert self.line.granted(self.now) == anew.granted(self.now)
        assert bool(self.line) == bool(self.claims)
        for job, each in self.claims.items():
            assert self.line.of(job) == each
            assert self.line.turn(each, self.now) == anew.turn(each, self.now)


@pytest.mark.model
def test_changes() -> None:
    run_state_machine_as_test(Changes)


def test_higher_priority_goes_first_then_the_earlier_deadline() -> None:
    urgent, early = claim("urgent", priority=1), claim("early", soft=later(hours=1))
    late, idle = claim("late", soft=later(hours=2)), claim("idle")
    claims = [idle, late, early, urgent]
    assert granted(claims, 5) == {"urgent": 5}
    assert granted(claims, 12) == {"urgent": 5, "early": 5, "late": 2}
    nothing = line(claims, 0)
    assert [nothing.turn(each, NOW).position for each in claims] == [4, 3, 2, 1]


def test_a_minute_of_waiting_counts_as_one_point() -> None:
    patient = claim("patient", priority=-100, since=NOW - 201 * POINT)
    assert granted([claim("urgent", priority=100), patient], 1) == {"patient": 1}
    assert granted([claim("urgent", priority=100), claim("new", priority=-100)], 1) == {"urgent": 1}


def test_those_who_wait_never_overtake_one_another() -> None:
    waiting = [
        claim(f"{number}", priority=priority, since=NOW - number * timedelta(seconds=7))
        for number, priority in enumerate(itertools.islice(itertools.cycle([3, 0, 5, 1]), 20))
    ]
    made = line(waiting, 0)

    def order(now: datetime) -> list[int | None]:
        return [made.turn(each, now).position for each in waiting]

    assert all(order(later(seconds=seconds)) == order(NOW) for seconds in range(0, 200, 5))


def test_equals_share() -> None:
    assert granted([claim("a", want=100), claim("b", want=100, in_flight=2), claim("c", want=1)], 12) == {
        "a": 6,
        "b": 3,
        "c": 1,
    }


def test_the_window_is_what_the_spec_says_or_enough_for_every_worker() -> None:
    def fitted(workers: int, *claims: Claim, **spec: Any) -> int:
        made = line([*claims])
        made.fit(cluster(**spec), workers)
        return made.size

    assert fitted(0) == LEAST_WINDOW
    assert fitted(80) == 160
    assert fitted(0, claim("batch", most=300)) == 300
    assert fitted(80, claim("batch", most=300), maxDocumentsInFlight=3) == 3
