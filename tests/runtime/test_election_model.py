"""Tens of thousands of schedules of the candidates' state machine, and defects that they must find."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from marie_operator.runtime.lease import NEVER, Candidate, Step, Terms, Update, holder_of
from marie_operator.runtime.resource import Object
from tests.runtime.election_model import Violation, World, first_violation

pytestmark = pytest.mark.model

SCHEDULES, SHARES = 50_000, 10
SOON = 3_000
"""Within so many schedules, a defect must have been found."""


@pytest.mark.semantics("L-03", "L-04", "L-06", "L-07", "L-08", "W-17")
@pytest.mark.parametrize("share", range(SHARES))
def test_never_two_lead_and_one_does_in_time(share: int) -> None:
    each = SCHEDULES // SHARES
    assert first_violation(iter(range(share * each, (share + 1) * each))) is None


class FromTheAnswer(Candidate):
    """Counts from when a renewal was answered, not from when it was sent."""

    def written(self, lease: Object, *, sent: float, now: float) -> None:
        Candidate.written(self, lease, sent=sent, now=now)
        self.valid_until = now + self.terms.deadline


@dataclass(slots=True)
class Early(Candidate):
    """Takes the lease a second before it lapses."""

    def _lapse(self) -> float:
        return Candidate._lapse(self) - 1


class WallClocks(Candidate):
    """Compares its wall clock with the one that the lease was renewed by (k8s #23731)."""

    def decide(self, now: float) -> Step:
        lease = self._lease
        if self._sure and lease is not None and not self.leads(now) and holder_of(lease) not in {"", self.identity}:
            age = float(self.wall()) - float(lease["spec"]["renewTime"])
            if age > self.terms.duration:
                return Update(self._mine(lease))
        return Candidate.decide(self, now)


class SeenOnce(Candidate):
    """Does not take a renewal for a sign of life."""

    def observed(self, lease: Object | None, now: float) -> None:
        before, known = self._seen_at, self._lease
        Candidate.observed(self, lease, now)
        if lease is not None and known is not None and holder_of(lease) == holder_of(known):
            self._seen_at = before


class OwnDuration(Candidate):
    """Waits for its own lease duration, not for the holder's (k8s #47671)."""

    def _lapse(self) -> float:
        lapse = Candidate._lapse(self)
        return NEVER if lapse == NEVER else self._seen_at + self.terms.duration


class Blind(Candidate):
    """Writes whatever the lease has become meanwhile."""

    def _mine(self, lease: Object) -> Object:
        taken = Candidate._mine(self, lease)
        metadata = {name: value for name, value in taken["metadata"].items() if name != "resourceVersion"}
        return {**taken, "metadata": metadata}


class Stubborn(Candidate):
    """Believes on when a renewal has no answer."""

    def unanswered(self, since: float) -> None:
        if self.leads(since):
            self.valid_until = since + self.terms.deadline
        Candidate.unanswered(self, since)


class Hasty(Candidate):
    """Takes a lease that was deleted for one that nobody holds."""

    def observed(self, lease: Object | None, now: float) -> None:
        Candidate.observed(self, lease, now)
        self._barrier = NEVER


class Sluggish(Candidate):
    """Looks again a period after the lease has lapsed."""

    def _lapse(self) -> float:
        return Candidate._lapse(self) + self.terms.period


class Deaf(Candidate):
    """Never looks again once an answer was lost."""

    def unanswered(self, since: float) -> None:
        Candidate.unanswered(self, since)
        self._due = float("inf")


TWO, NOBODY = "lead", "nobody leads"
DEFECTS: dict[Callable[..., Candidate], str] = {
    FromTheAnswer: TWO,
    Early: TWO,
    WallClocks: TWO,
    SeenOnce: TWO,
    OwnDuration: TWO,
    Blind: TWO,
    Stubborn: TWO,
    Hasty: TWO,
    Sluggish: NOBODY,
    Deaf: NOBODY,
}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_a_defect_is_found(defect: Callable[..., Candidate]) -> None:
    found = first_violation(iter(range(SOON)), defect)
    assert found is not None
    assert DEFECTS[defect] in found[1]


@pytest.mark.semantics("L-03")
def test_clocks_that_differ_by_more_than_the_terms_allow_are_not_survived() -> None:
    """The bound that the guarantee names is the bound: beyond it, two lead."""

    def two_lead(seed: int) -> bool:
        try:
            World(seed, drift=1.3).run()
        except Violation as broken:
            return TWO in str(broken)
        return False

    assert any(two_lead(seed) for seed in range(SOON))


@pytest.mark.semantics("L-01")
@pytest.mark.parametrize(
    "terms", [(10.0, 10.0, 2.0), (15.0, 3.0, 2.0), (0.5, 0.2, 0.1), (15.5, 10.0, 2.0), (15.0, 10.0, 0.0)]
)
def test_terms_that_leave_no_gap_are_refused(terms: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="lease"):
        Terms(*terms)
