"""When changes that replace pods are made: while Marie has nothing in hand, at a deadline, or at once.

A gateway that ends leaves the tasks in hand active for ever (MA-21), and a DAG's tasks may be given to any
group, so one rule holds for server, managed services and executors: all their changes wait together. No I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from marie_operator.api.conditions import ClusterCondition, ClusterReason
from marie_operator.api.mariecluster import MarieCluster, UpgradeStrategy
from marie_operator.builders import association
from marie_operator.controllers.conditions import condition
from marie_operator.marie.gateways import GatewayView, Hold, Occupancy, Question
from marie_operator.runtime.children import Change, Identity, LiveChildren, Step, identity
from marie_operator.runtime.resource import DEPLOYMENTS, STATEFUL_SETS, Object

SETTLE = 2.0
"""Seconds from the moment when nothing more was on its way to Marie to the look that counts."""
PATIENCE = 10.0
"""Seconds after which it is told that it is not known whether Marie has documents in hand."""
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a cluster's work.

    Attributes:
        gateway: How its gateway is; None before it was asked.
        occupancy: What its workers do; None before they were looked at.
        hold: Since when nothing is submitted; None while it is.
        now: The wall clock.
        monotonic: The clock of ``occupancy`` and ``hold``, in seconds.
    """

    gateway: GatewayView | None
    occupancy: Occupancy | None
    hold: Hold | None
    now: datetime
    monotonic: float


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What becomes of changes that replace pods.

    Attributes:
        held: Workloads that are left as they are for now.
        withholds: Whether MarieJobs are to submit nothing.
        pauses: Whether Marie's scheduler is to begin nothing new, where it can be told; None for leaving it as it is.
        reason: Why changes wait; None where that is not to be told, or none does.
        message: The same as sentences.
        forced: What is lost by changes that are made now, as a sentence; empty where nothing is.
    """

    held: frozenset[Identity] = field(default=frozenset())
    withholds: bool = False
    pauses: bool | None = False
    reason: ClusterReason | None = None
    message: str = ""
    forced: str = ""

    def asks(self, question: Question) -> Question:
        """What is to be known of the workers, beside what is asked otherwise."""
        return replace(question, hurried=True, tasks=True) if self.held else question


def waiting(cluster: MarieCluster, todo: Sequence[Step], children: LiveChildren, known: Known) -> Sequence[Change]:
    """The changes that are made only while Marie has nothing in hand; arguments as those of ``decide``."""
    if _strategy(cluster).type == "Immediate" or cluster.spec.suspend:
        return ()
    if not _serves(_server(cluster, children), known.gateway):
        return ()
    return [step for step in todo if isinstance(step, Change) and _replaces(step, children)]


def decide(cluster: MarieCluster, todo: Sequence[Step], children: LiveChildren, known: Known) -> Upgrade:
    """What becomes of a cluster's changes now.

    Args:
        cluster: A valid cluster.
        todo: What is to be written.
        children: What there is.
        known: What is known of its work.
    """
    server = _server(cluster, children)
    rolls = server is not None and is_rolling(server)
    replaced = waiting(cluster, todo, children, known)
    if not replaced:
        # What a gateway takes, or begins, that is about to end would be left active for ever.
        ends = rolls or any(_replaces(step, children) for step in todo)
        return Upgrade(withholds=rolls, pauses=None if ends else False)
    documents = _documents(known)
    if documents == 0:
        return Upgrade(withholds=True, pauses=None)
    told = condition(cluster.status, ClusterCondition.UPGRADE_PENDING)
    since = known.now if told is None else told.last_transition_time
    until = since + timedelta(seconds=_strategy(cluster).deadline_seconds)
    names = [step.desired["metadata"]["name"] for step in replaced]
    if known.now >= until:
        what = f"with {_counted(documents)} in hand" if documents is not None else "whatever Marie had in hand"
        lost = f"{_listed(names)} changed at the deadline, {what}."
        return Upgrade(withholds=rolls, pauses=None, forced=lost)
    held = frozenset(map(identity, replaced))
    if documents is None and told is None and not _lasts(known):
        return Upgrade(held, withholds=True, pauses=True)
    reason = ClusterReason.WORK_UNKNOWN if documents is None else ClusterReason.WORK_IN_HAND
    return Upgrade(held, withholds=True, pauses=True, reason=reason, message=_sentence(names, documents, until))


def is_rolling(live: Object) -> bool:
    """Whether a Deployment's pods are being replaced, or its controller has yet to see whether they are to be."""
    status, replicas = live.get("status", {}), int(live["spec"].get("replicas", 1))
    seen = status.get("observedGeneration") == live["metadata"].get("generation")
    return not seen or int(status.get("updatedReplicas", 0)) < replicas


def _server(cluster: MarieCluster, children: LiveChildren) -> Object | None:
    return children.get((DEPLOYMENTS, association.server_deployment_name(cluster.metadata.name)))


def _strategy(cluster: MarieCluster) -> UpgradeStrategy:
    return cluster.spec.upgrade_strategy or UpgradeStrategy()


def _replaces(step: Step, children: LiveChildren) -> bool:
    """Whether a change replaces pods that may work: those of a rollout that has begun are being replaced anyway."""
    if not isinstance(step, Change) or step.resource not in {DEPLOYMENTS, STATEFUL_SETS}:
        return False
    live = children[identity(step)]
    status = live.get("status", {})
    begun = step.resource == DEPLOYMENTS and int(status.get("updatedReplicas", 0)) < int(status.get("replicas", 0))
    if begun or not status.get("readyReplicas"):
        return False
    built, meant = (
        (each["metadata"].get("annotations") or {}).get(association.TEMPLATE_HASH) for each in (live, step.desired)
    )
    edited = any(path.startswith("spec.template") for path in step.paths)
    return edited or (built is not None and built != meant)


def _serves(server: Object | None, gateway: GatewayView | None) -> bool:
    """Whether the server may have work in hand: not where it does not start, or its scheduler does not run."""
    ready = server is not None and bool(server.get("status", {}).get("readyReplicas"))
    stopped = gateway is not None and gateway.reachable and not gateway.running and not gateway.paused
    return ready and not stopped


def _documents(known: Known) -> int | None:
    """Documents in hand; None while it is not known, or more may be on their way.

    With the scheduler paused, those that wait in Marie's database are not: the next gateway begins them.
    """
    if known.occupancy is None:
        return None
    since = Hold(known.monotonic) if known.hold is None else known.hold
    documents = known.occupancy.begun if _settled(since.paused, known) else known.occupancy.documents
    return documents if documents or _settled(since.quiet, known) else None


def _settled(since: float | None, known: Known) -> bool:
    """Whether the last look at the workers came long enough after something held."""
    return since is not None and known.occupancy is not None and known.occupancy.at - since >= SETTLE


def _lasts(known: Known) -> bool:
    """Whether nothing has come to be known for long enough to say so."""
    return known.hold is not None and known.monotonic - known.hold.since >= PATIENCE


def _sentence(names: Sequence[str], documents: int | None, until: datetime) -> str:
    at_most = f"at most until {until:%Y-%m-%d %H:%M:%S} UTC"
    waits = (
        f"waits until Marie is done with {_counted(documents)}, {at_most}."
        if documents is not None
        else f"waits {at_most}, since the gateway does not tell whether Marie has documents in hand."
    )
    return (
        f"The change of {_listed(names)} {waits} The cluster's MarieJobs submit no more until it is made; "
        "set spec.upgradeStrategy.type to Immediate to make it now."
    )


def _counted(documents: int) -> str:
    return "1 document" if documents == 1 else f"{documents} documents"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
