"""What a candidate for a lease does next: decisions without I/O, which a model runs through any weather (1.9).

Why never two lead. A candidate leads until ``deadline`` seconds after it *sent* the last write of its own that
succeeded. Another takes the lease no earlier than ``duration`` seconds after it *saw* that write, or a later state,
and only by a write that the server refuses when the lease has changed since (``resourceVersion``). It saw the write
after the server had it, and the server had it after it was sent. So the former leader stops first, as long as each
clock measures time alike: the fastest may run at most ``duration / deadline`` times as fast as the slowest, 1.5 with
the defaults. Nothing else is asked of clocks, and none is compared with another: what they show does not matter.
Slow, lost and late answers, writes that arrive long after they were given up, processes that stand still and
resourceVersions read too late all only shorten the time that somebody leads.

Two things lie outside: whoever empties ``holderIdentity`` by hand gives the lease away at once, and so does, to a
candidate that has never seen it, whoever deletes the lease, and whoever deletes it again within its duration.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from marie_operator.runtime.resource import LEASES, Object, ObjectKey

NEVER = float("-inf")
SPREAD = 1.2
"""Candidates that had no answer ask again after one to 2.2 periods, so that they do not ask together (L-02)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The periods that all candidates for a lease share.

    Attributes:
        duration: Seconds after which others may take a lease that is not renewed; whole ones.
        deadline: Seconds after which the holder itself gives up.
        period: Seconds between renewals, and least seconds between attempts that had no answer.

    Raises:
        ValueError: they leave no gap between giving up and being replaced (L-01, W-17).
    """

    duration: float = 15.0
    deadline: float = 10.0
    period: float = 2.0

    def __post_init__(self) -> None:
        if self.duration < 1 or self.duration % 1 or self.period <= 0:
            raise ValueError("a lease lasts for whole seconds, at least one, and needs a retry period")
        if self.duration < self.deadline + self.period or self.deadline < 2 * self.period:
            raise ValueError(
                f"lease duration {self.duration:g} s must be at least renew deadline {self.deadline:g} s plus"
                f" retry period {self.period:g} s, and the deadline at least twice the retry period"
            )

    @property
    def patience(self) -> float:
        """Seconds to wait for an answer: after a renewal that gets none, another can be tried in time."""
        return max(1.0, (self.deadline - self.period) / 2)


@dataclass(frozen=True, slots=True)
class Read:
    """Ask the server for the lease."""


@dataclass(frozen=True, slots=True)
class Create:
    """Write the lease that does not exist."""

    lease: Object


@dataclass(frozen=True, slots=True)
class Update:
    """Replace the lease at the resource version it carries."""

    lease: Object


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until ``until``.

    Attributes:
        until: On the candidate's clock.
        lease: What to watch for changes meanwhile; None for nothing.
    """

    until: float
    lease: Object | None = None


Step: TypeAlias = Read | Create | Update | Wait


@dataclass(slots=True)
class Candidate:
    """One candidate for a lease: what it has seen of it, and when, by its own clock.

    Every ``now`` and ``sent`` is a moment on that clock, which never goes backwards.

    Args:
        key: Of the lease.
        identity: A name that no other candidate has.
        terms: Of the election.
        wall: The wall clock as a ``MicroTime``, for those who read the lease; nothing here does.
        jitter: Yields numbers in [0, 1).

    Attributes:
        valid_until: Until when it leads.
    """

    key: ObjectKey
    identity: str
    terms: Terms
    wall: Callable[[], str]
    jitter: Callable[[], float]
    valid_until: float = NEVER
    _lease: Object | None = field(default=None, init=False)
    _gone: bool = field(default=False, init=False)
    _sure: bool = field(default=False, init=False)
    _seen_at: float = field(default=NEVER, init=False)
    _barrier: float = field(default=NEVER, init=False)
    _due: float = field(default=NEVER, init=False)

    @property
    def holder(self) -> str:
        """Who held the lease when it was last seen; empty for nobody."""
        return holder_of(self._lease) if self._lease is not None and not self._gone else ""

    def leads(self, now: float) -> bool:
        """Whether the lease is surely held."""
        return now < self.valid_until

    def decide(self, now: float) -> Step:
        """What to do now: the holder renews without reading (L-06), others wait for it to lapse (L-04)."""
        if now < self._due:
            return Wait(min(self._due, self.valid_until) if self.leads(now) else self._due)
        if not self._sure:
            return Read()
        if not self.leads(now) and now < (lapse := self._lapse()):
            return Wait(lapse, self._lease)
        if self._lease is None or self._gone:
            return Create(self._mine({"metadata": {"namespace": self.key.namespace, "name": self.key.name}}))
        return Update(self._mine(self._lease))

    def patience(self, now: float) -> float:
        """Seconds to wait for an answer to what is sent now; a leader's never last beyond its lease."""
        return min(self.terms.patience, self.valid_until - now) if self.leads(now) else self.terms.patience

    def observed(self, lease: Object | None, now: float) -> None:
        """The server has shown the lease, or None when there is none.

        Only a change of it counts as a sign of life of its holder, from when it was seen (L-03). A leader that sees
        another's name leads no longer (W-17).
        """
        self._sure = True
        known, self._gone, knew = self._lease, lease is None, not self._gone
        if known is not None and knew and (lease is None or _uid(lease) != _uid(known)):
            # Deleted by hand, and its holder does not know yet. A Create of ours that arrives late proves nothing.
            self._barrier = now + max(self.terms.duration, _duration(known))
        if lease is None:
            if not self.leads(now) and now < self._barrier:
                self.unanswered(now)
            return
        if known is None or _version(lease) != _version(known):
            self._seen_at = now
        self._lease = lease
        if self.leads(now) and holder_of(lease) not in {"", self.identity}:
            self.valid_until = now

    def written(self, lease: Object, *, sent: float, now: float) -> None:
        """The server has taken a Create or Update, which counts from when it was sent."""
        self.valid_until = sent + self.terms.deadline
        self._due = sent + self.terms.period
        self.observed(lease, now)

    def refused(self) -> None:
        """The server did not take it, since the lease is another by now."""
        self._sure = False

    def unanswered(self, since: float) -> None:
        """From this moment on, the lease may have changed in any way, also by what was sent.

        Whoever waits for it to lapse asks again right then, and not up to a period later.
        """
        self._sure = False
        if self.leads(since):
            self._due = since + self.terms.period
            return
        self._due = since + self.terms.period * (1 + SPREAD * self.jitter())
        lapse = self._lapse()
        if since < lapse:
            self._due = min(self._due, lapse)

    def resign(self) -> None:
        """Lead no longer; whatever writes has ended."""
        self.valid_until = NEVER

    def released(self, lease: Object) -> Object:
        """The lease as its holder hands it over: anybody may take it at once (L-08)."""
        spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self.wall()}
        return {**lease, "spec": spec}

    def _lapse(self) -> float:
        """When the lease may be taken, if nobody writes it until then."""
        lease = self._lease
        if lease is None or self._gone or holder_of(lease) in {"", self.identity}:
            return self._barrier
        return max(self._seen_at + (_duration(lease) or self.terms.duration), self._barrier)

    def _mine(self, lease: Object) -> Object:
        """The lease with this candidate as its holder; who keeps it keeps its history too (L-05)."""
        old, now = lease.get("spec") or {}, self.wall()
        same = old.get("holderIdentity") == self.identity
        spec = {
            **old,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self.terms.duration),
            "renewTime": now,
            "acquireTime": old["acquireTime"] if same and "acquireTime" in old else now,
            "leaseTransitions": int(old.get("leaseTransitions", -1)) + (0 if same else 1),
        }
        return {**lease, "apiVersion": LEASES.api_version, "kind": LEASES.kind, "spec": spec}


def holder_of(lease: Object) -> str:
    """Who holds a lease; empty for nobody."""
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def _duration(lease: Object) -> float:
    """Seconds; 0 where the lease does not say (L-03)."""
    return float((lease.get("spec") or {}).get("leaseDurationSeconds") or 0)


def _version(lease: Object) -> str:
    return str(lease["metadata"]["resourceVersion"])


def _uid(lease: Object) -> str:
    return str(lease["metadata"].get("uid", ""))
