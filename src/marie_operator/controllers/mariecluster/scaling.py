"""How many pods an executor group has on its way to fewer, and which of them go: never one that works.

Marie has no drain, and the ReplicaSet chooses whom it deletes. So pods that are idle are marked, which puts them first
in the ReplicaSet's order, and their workers are withdrawn, so that nothing is given to them any more; the Deployment
shrinks when every pod that the ReplicaSet may choose is one of these. No I/O, no clock of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from marie_operator.api.meta import GROUP
from marie_operator.controllers.mariecluster import ranking
from marie_operator.controllers.mariecluster.ranking import DELETION_COST
from marie_operator.runtime.resource import Object

LEAVING = f"{GROUP}/leaving"
"""Annotation on a pod that is to go: since when, and the deletion cost it had before."""

LEAVING_COST = -(2**31) + 1
NAMED_COST = -(2**31)
"""Pods of workersToDelete go before others."""

SETTLE = timedelta(seconds=3)
"""From the marking of a pod to the step that counts on it: the ReplicaSet's controller reads pods and sizes apart."""
GONE = 2.0
"""Seconds from the withdrawal of a worker to the end of its pod; a gateway hears of it in less than one (5-02)."""


class Doing(StrEnum):
    """What a pod's executors are known to do."""

    IDLE = "idle"
    BUSY = "busy"
    BOOTING = "booting"
    """Its container runs, and has registered nothing yet; it may at any moment."""
    UNKNOWN = "unknown"
    """They may work: it is not known, and counts as if they did."""


@dataclass(frozen=True, slots=True)
class Member:
    """An active pod of a group.

    Attributes:
        pod: The pod.
        doing: What its executors do.
        registered: Addresses under which the gateway finds its workers, which can be withdrawn.
        withdrawn: Seconds for which its workers have been known not to be registered; None where that is not known.
    """

    pod: Object
    doing: Doing
    registered: frozenset[str] = frozenset()
    withdrawn: float | None = None

    @property
    def name(self) -> str:
        """The pod's name."""
        return str(self.pod["metadata"]["name"])

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return str(self.pod["metadata"]["uid"])

    @property
    def idle(self) -> bool:
        """Whether it surely does not work."""
        return self.doing is Doing.IDLE

    @property
    def boots(self) -> bool:
        """Whether it does not work yet."""
        return self.doing is Doing.BOOTING


@dataclass(frozen=True, slots=True)
class Group:
    """An executor group as it is, and as it is wanted.

    Attributes:
        wanted: Pods it is to have.
        live: Pods its Deployment asks for.
        settled: Whether the Deployment's controller has done what it asks for, as far as it can, and ``members`` are
            all that there are.
        members: Its active pods.
        named: Names of pods that are to go first, in any case.
    """

    wanted: int
    live: int
    settled: bool
    members: Sequence[Member]
    named: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about a group now.

    Attributes:
        replicas: Pods that its Deployment is to ask for.
        mark: Pods to be marked as leaving, with the deletion cost they get.
        restore: Pods to be rid of the mark: they stay.
        withdraw: Addresses of workers that are to get no more work.
        delete: Pods to be deleted, and replaced where the group is not to shrink.
        waits_for: Names of pods that may work and keep the group from having fewer, or are named and have to go.
        leaving: Names of pods that are on their way out.
        unsure: Whether too little is known yet to choose any.
    """

    replicas: int
    mark: Sequence[tuple[Member, int]] = ()
    restore: Sequence[Member] = ()
    withdraw: frozenset[str] = frozenset()
    delete: Sequence[Member] = ()
    waits_for: Sequence[str] = ()
    leaving: Sequence[str] = field(default=())
    unsure: bool = False

    @property
    def under_way(self) -> bool:
        """Whether something is yet to be seen before all is done."""
        return bool(self.leaving or self.waits_for or self.unsure)


def decide(group: Group, now: datetime) -> Plan:
    """The next step towards the wanted number of pods: up at once, down by as many as are idle."""
    shrinks = group.live > group.wanted
    if shrinks and not group.settled:
        return _patient(group)
    excess = max(0, len(group.members) - group.wanted) if shrinks else 0
    chosen = _chosen(group, excess, now)
    leaving = [member for member in group.members if member in chosen or (member.name in group.named and member.idle)]
    gone = {member.uid for member in leaving if _has_left(member, now)}
    step = _step(group, excess, gone) if shrinks else 0
    stays = [member for member in group.members if member not in leaving and _marked_at(member.pod) is not None]
    useless = [member for member in stays if member.idle and _is_withdrawn(member)]
    named = [member for member in leaving if member not in chosen and member.uid in gone] if not step else []
    done = [member for member in useless if (member.withdrawn or 0.0) >= GONE]
    waits = [
        member for member in group.members if not member.idle and (excess > len(chosen) or _is_named(group, member))
    ]
    return Plan(
        replicas=_replicas(group, step) if shrinks else group.wanted,
        mark=[
            (member, cost)
            for member in leaving
            if (cost := _cost(group, member)) != ranking.deletion_cost(member.pod) or not _is_marked(member, now)
        ],
        restore=[member for member in stays if member.withdrawn is None],
        withdraw=frozenset(address for member in leaving for address in member.registered),
        # Before the last step is done, these may be whom the ReplicaSet takes.
        delete=[*named, *done] if group.settled else [],
        waits_for=sorted(member.name for member in waits),
        leaving=sorted(member.name for member in (*leaving, *useless)),
    )


@dataclass(frozen=True, slots=True)
class Ending:
    """What to do about pods that are being deleted.

    Attributes:
        withdraw: Addresses of workers that are to get no more work.
        end: Pods that have nothing left to do, and need no more of their grace period: Marie ignores SIGTERM (5-09).
    """

    withdraw: frozenset[str]
    end: Sequence[Member]


def ending(members: Sequence[Member]) -> Ending:
    """Let pods that are being deleted, by whomever, end the work they have, get no more, and end then.

    Args:
        members: The pods; those that have never registered are idle, or booting and of no use.
    """
    return Ending(
        frozenset(address for member in members if member.idle for address in member.registered),
        [
            member
            for member in members
            if not member.registered
            and (member.idle or member.boots)
            and (member.withdrawn is None or member.withdrawn >= GONE)
        ],
    )


def marked(pod: Object, cost: int, now: datetime) -> dict[str, str | None]:
    """The annotations that mark a pod as leaving."""
    annotations = pod["metadata"].get("annotations") or {}
    before = _split(annotations[LEAVING])[1] if LEAVING in annotations else annotations.get(DELETION_COST, "")
    return {DELETION_COST: str(cost), LEAVING: f"{now.isoformat(timespec='milliseconds')} {before}".rstrip()}


def restored(pod: Object) -> dict[str, str | None]:
    """The annotations of a pod that stays, as a merge patch has them."""
    annotations = pod["metadata"].get("annotations") or {}
    return {LEAVING: None, DELETION_COST: _split(annotations.get(LEAVING, ""))[1] or None}


def _patient(group: Group) -> Plan:
    """What was begun goes on, and nothing new is begun."""
    begun = [member for member in group.members if _marked_at(member.pod) is not None and member.idle]
    return Plan(
        replicas=group.live,
        withdraw=frozenset(address for member in begun for address in member.registered),
        leaving=sorted(member.name for member in begun),
        unsure=True,
    )


def _chosen(group: Group, excess: int, now: datetime) -> list[Member]:
    """The pods to go, by the ReplicaSet's own order: as many as it would take, up to the first that may work."""
    if not excess or (rolls(group.members) and excess < len(group.members)):
        return []
    costs = {member.uid: _preference(group, member) for member in group.members if member.idle}
    by_uid = {member.uid: member for member in group.members}
    first = ranking.ordered([member.pod for member in group.members], now, costs=costs)[:excess]
    chosen: list[Member] = []
    for pod in first:
        member = by_uid[pod["metadata"]["uid"]]
        if not member.idle:
            break
        chosen.append(member)
    return chosen


def _step(group: Group, excess: int, gone: set[str]) -> int:
    """By how many pods the group can shrink now: whoever may be taken must have left."""
    pods = [member.pod for member in group.members]
    least = excess if rolls(group.members) else 1
    for count in range(excess, least - 1, -1) if excess else ():
        if all(pod["metadata"]["uid"] in gone for pod in ranking.exposed(pods, count)):
            return count
    return 0


def _replicas(group: Group, step: int) -> int:
    if rolls(group.members) and not step:
        return group.live
    # Pods that could not be made are no longer asked for.
    return max(group.wanted, min(group.live, len(group.members) - step))


def rolls(members: Sequence[Member]) -> bool:
    """Whether several ReplicaSets share the pods: how a smaller number is shared out is not foreseen here."""
    return len(ranking.replica_sets([member.pod for member in members])) > 1


def _is_marked(member: Member, now: datetime) -> bool:
    """Whether it is known since when a pod leaves: by a clock that was ahead of this one it is not."""
    since = _marked_at(member.pod)
    return since is not None and since - now < SETTLE


def _has_left(member: Member, now: datetime) -> bool:
    since = _marked_at(member.pod)
    return (
        member.idle
        and since is not None
        and now - since >= SETTLE
        and not member.registered
        and (member.withdrawn is None or member.withdrawn >= GONE)
    )


def _is_withdrawn(member: Member) -> bool:
    return member.withdrawn is not None and not member.registered


def _is_named(group: Group, member: Member) -> bool:
    return member.name in group.named


def _preference(group: Group, member: Member) -> int:
    """A cost for choosing: who has begun to leave goes before others, so that the choice does not waver."""
    if _is_named(group, member):
        return NAMED_COST
    begun = _marked_at(member.pod) is not None or _is_withdrawn(member)
    return LEAVING_COST if begun else LEAVING_COST + 1


def _cost(group: Group, member: Member) -> int:
    return NAMED_COST if _is_named(group, member) else LEAVING_COST


def _marked_at(pod: Object) -> datetime | None:
    """Since when a pod has been leaving; None when it stays, or its mark cannot be read."""
    text = (pod["metadata"].get("annotations") or {}).get(LEAVING)
    try:
        return datetime.fromisoformat(_split(text)[0]) if text else None
    except ValueError:
        return None


def _split(value: str) -> tuple[str, str]:
    since, _, cost = value.partition(" ")
    return since, cost
