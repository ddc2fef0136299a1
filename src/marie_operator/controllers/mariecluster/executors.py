"""What the executor groups of a cluster are to have, which of their pods are marked how, and what is told of them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from marie_operator.api.mariecluster import ExecutorGroupSpec, MarieCluster
from marie_operator.builders import association, chain
from marie_operator.controllers.mariecluster import occupation, ranking, scaling, sizes
from marie_operator.controllers.mariecluster.refusals import Refusal
from marie_operator.controllers.mariecluster.scaling import Doing, Member, Plan
from marie_operator.marie.gateways import Occupancy, Question
from marie_operator.runtime.children import LiveChildren
from marie_operator.runtime.ownership import controller_of
from marie_operator.runtime.resource import DEPLOYMENTS, Object

SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
GUARDS: Mapping[str, str] = {SAFE_TO_EVICT: "false", DO_NOT_DISRUPT: "true"}
"""Annotations by which node autoscalers leave a pod's node alone."""

FRESH = 3.0
"""Seconds for which the gateway's lists tell who is idle: longer ago, work may have come since."""
LAST_GRACE = 1
"""Seconds that a pod gets to end when it has nothing left to do."""
_NAMED = 3


@dataclass(frozen=True, slots=True)
class GroupView:
    """What a status tells of a group.

    Attributes:
        pods: Those that there are, the ones that are being deleted aside.
        busy: Of these, the ones that work or did a moment ago; None where that is not known of all.
        idle: The others.
        message: Why it has other pods than it asks for, as sentences.
        waits: The part of it that tells of pods at work.
        leaves: Whether pods are on their way out.
    """

    pods: int
    busy: int | None
    idle: int | None
    message: str
    waits: str = ""
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class PodPatch:
    """New metadata for a pod, as a merge patch has it."""

    pod: Object
    metadata: Object


@dataclass(frozen=True)
class Outlook:
    """What to do about the executors of a cluster now, and what to tell.

    Attributes:
        replicas: Pods that Deployments are to ask for, by their names; of groups that are in the spec.
        taken: Names of Deployments that somebody else has given another size; they are asked for none.
        refusals: What is told of these.
        kept: Names of Deployments whose groups are gone from the spec, and whose pods still work.
        patches: Marks to be set or taken away.
        delete: Pods to be deleted.
        end: Pods that are being deleted, and need no more of their grace period.
        question: What is to be known of the workers.
        views: What to tell, by the group's name.
    """

    replicas: Mapping[str, int] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    refusals: Sequence[Refusal] = ()
    kept: frozenset[str] = frozenset()
    patches: Sequence[PodPatch] = ()
    delete: Sequence[Object] = ()
    end: Sequence[Object] = ()
    question: Question = field(default_factory=Question)
    views: Mapping[str, GroupView] = field(default_factory=dict)


def outlook(
    cluster: MarieCluster,
    *,
    children: LiveChildren,
    pods: Sequence[Object],
    occupancy: Occupancy | None,
    age: float,
    now: datetime,
) -> Outlook:
    """Look at every group; pure.

    Args:
        cluster: A valid cluster that is not suspended as a whole.
        children: Its live children.
        pods: Its pods.
        occupancy: What is known of its workers.
        age: Seconds since ``occupancy`` was looked at.
        now: For the marks.
    """
    served = occupation.serves(pods)
    groups = {group.group_name: group for group in cluster.spec.executor_group_specs}
    replicas: dict[str, int] = {}
    kept: set[str] = set()
    plans: list[Plan] = []
    views: dict[str, GroupView] = {}
    patches: list[PodPatch] = []
    dying: list[Member] = []
    taken: set[str] = set()
    refused: list[Refusal] = []
    unspoken = False
    for name, live in _deployments(children).items():
        group = groups.get(name)
        own = _own(live["metadata"]["name"], name, pods)
        members = [occupation.member(pod, occupancy, served=served, now=now) for pod in own if ranking.is_active(pod)]
        dying += [
            occupation.member(pod, occupancy, served=served, now=now)
            for pod in own
            if "deletionTimestamp" in pod["metadata"]
        ]
        size = int(live["spec"].get("replicas", 1))
        ours = not sizes.is_others(live)
        by_lists = served and any(_by_lists(member, occupancy) for member in members)
        wanted = 0 if group is None else association.replicas(cluster, group)
        state = scaling.Group(
            # A size that somebody else has set is not worked towards; that he has is told. A group that is no longer
            # in the spec has no size.
            wanted=wanted if ours or group is None else size,
            live=size,
            settled=_is_settled(live, members) and not (by_lists and age > FRESH),
            members=members,
            named=_named(group),
        )
        plan = scaling.decide(state, now)
        plans.append(plan)
        unspoken = unspoken or (plan.under_way and by_lists)
        if group is None:
            kept.update([live["metadata"]["name"]] if plan.replicas else [])
        elif ours:
            replicas[live["metadata"]["name"]] = plan.replicas
        else:
            taken.add(live["metadata"]["name"])
            refused += [] if size == wanted else [sizes.told(name, live, wanted)]
        worked = {member.uid: occupation.lately(member.pod, occupancy, served=served) for member in members}
        patches += _patches(plan, members, worked, group, now)
        views[name] = _view(group, state, plan, worked, occupancy)
    # Nobody is at work where there is no Deployment yet; a status says so from the first, not from a restart on.
    views |= {name: GroupView(0, 0, 0, chain.clamped(group)) for name, group in groups.items() if name not in views}
    ending = scaling.ending(dying)
    leaving = frozenset(address for plan in plans for address in plan.withdraw) | ending.withdraw
    under_way = any(plan.under_way for plan in plans)
    return Outlook(
        replicas=replicas,
        taken=frozenset(taken),
        refusals=refused,
        kept=frozenset(kept),
        patches=patches,
        delete=[member.pod for plan in plans for member in plan.delete],
        end=[member.pod for member in ending.end if _has_time(member.pod)],
        question=Question(hurried=under_way or bool(ending.withdraw), tasks=unspoken, withdraw=leaving),
        views={name: view for name, view in views.items() if name in groups or view.waits or view.leaves},
    )


def going(cluster: MarieCluster, pods: Sequence[Object], now: datetime) -> Outlook:
    """What is to be done for a cluster all of whose pods go: its executors are not waited for once its server is gone.

    Args:
        cluster: One that is suspended as a whole, or about to go.
        pods: Its pods.
        now: For their ages.
    """
    served = occupation.serves(pods)
    dying = [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]
    groups = {pod["metadata"].get("labels", {}).get(association.GROUP_LABEL, "") for pod in dying} - {""}
    own = [
        occupation.member(pod, None, served=served, now=now)
        for name in sorted(groups)
        for pod in _own(association.executor_deployment_name(cluster.metadata.name, name), name, dying)
    ]
    return Outlook(end=[member.pod for member in scaling.ending(own).end if _has_time(member.pod)])


def lost(address: str, task: str) -> str:
    """That work was given to a worker too late, as a sentence."""
    return (
        f"The worker at {address} was given task {task} in the moment in which it was withdrawn; Marie cancels the "
        "call and keeps the task active for ever: submit its document again."
    )


def _deployments(children: LiveChildren) -> dict[str, Object]:
    """The live Deployments of executor groups, by the group's name."""
    return {
        live["metadata"]["labels"][association.GROUP_LABEL]: live
        for (resource, _), live in children.items()
        if resource == DEPLOYMENTS
        and association.GROUP_LABEL in (live["metadata"].get("labels") or {})
        and "deletionTimestamp" not in live["metadata"]
    }


def _own(deployment: str, group: str, pods: Iterable[Object]) -> list[Object]:
    """The pods of a group's Deployment: with the group's label, and made by a ReplicaSet of its."""
    prefix = f"{deployment}-"
    return [
        pod
        for pod in pods
        if pod["metadata"].get("labels", {}).get(association.GROUP_LABEL) == group
        and (reference := controller_of(pod)) is not None
        and re.fullmatch(re.escape(prefix) + "[^-]+", reference["name"])
    ]


def _is_settled(live: Object, members: Sequence[Member]) -> bool:
    """Whether a Deployment's controller has done its part, and all its pods are known here."""
    status = live.get("status", {})
    seen = status.get("observedGeneration") == live["metadata"].get("generation")
    # During a rollout there may be one more than asked for.
    shrinks = len(members) > int(live["spec"].get("replicas", 1)) and not scaling.rolls(members)
    return bool(seen and int(status.get("replicas", 0)) == len(members) and not shrinks)


def _by_lists(member: Member, occupancy: Occupancy | None) -> bool:
    """Whether only the gateway's lists tell whether a pod works."""
    alone = member.doing is not Doing.BOOTING and not member.registered and member.withdrawn is None
    return occupancy is not None and alone and occupation.runs(member.pod)


def _named(group: ExecutorGroupSpec | None) -> frozenset[str]:
    strategy = None if group is None else group.scale_strategy
    return frozenset() if strategy is None else frozenset(strategy.workers_to_delete)


def _has_time(pod: Object) -> bool:
    return int(pod["metadata"].get("deletionGracePeriodSeconds", 0)) > LAST_GRACE


def _patches(
    plan: Plan,
    members: Sequence[Member],
    worked: Mapping[str, bool | None],
    group: ExecutorGroupSpec | None,
    now: datetime,
) -> list[PodPatch]:
    """One patch for each pod whose marks change, whatever they are for."""
    costs = {member.uid: cost for member, cost in plan.mark}
    stays = {member.uid for member in plan.restore}
    deleted = {member.uid for member in plan.delete}
    found = []
    for member in members:
        if member.uid in deleted:
            continue
        labels, annotations = _guards(member.pod, worked[member.uid], group)
        if member.uid in costs:
            annotations |= scaling.marked(member.pod, costs[member.uid], now)
        elif member.uid in stays:
            annotations |= scaling.restored(member.pod)
        changes = {"labels": labels, "annotations": annotations}
        if metadata := {part: content for part, content in changes.items() if content}:
            found.append(PodPatch(member.pod, {"uid": member.uid, **metadata}))
    return found


def _guards(pod: Object, worked: bool | None, group: ExecutorGroupSpec | None) -> tuple[Object, Object]:
    """Label and annotations that protect a pod while it works; what the user's template says of them stands."""
    marked = association.BUSY.items() <= (pod["metadata"].get("labels") or {}).items()
    if worked is None or worked == marked:
        return {}, {}
    template = {} if group is None else (group.template.get("metadata") or {}).get("annotations") or {}
    labels = association.BUSY if worked else dict.fromkeys(association.BUSY)
    annotations = GUARDS if worked else dict.fromkeys(GUARDS)
    return dict(labels), {key: value for key, value in annotations.items() if key not in template}


def _view(
    group: ExecutorGroupSpec | None,
    state: scaling.Group,
    plan: Plan,
    worked: Mapping[str, bool | None],
    occupancy: Occupancy | None,
) -> GroupView:
    waits = _waits(group, state, plan, occupancy)
    clamped = "" if group is None else chain.clamped(group)
    known = None not in worked.values()
    busy = sum(bool(each) for each in worked.values()) if known else None
    idle = None if busy is None else len(worked) - busy
    return GroupView(len(worked), busy, idle, " ".join(filter(None, [clamped, waits])), waits, plan.under_way)


def _waits(group: ExecutorGroupSpec | None, state: scaling.Group, plan: Plan, occupancy: Occupancy | None) -> str:
    """Why pods that are to go are still there."""
    if not plan.waits_for:
        return ""
    doing = {member.name: member.doing for member in state.members}
    aim = "Named pods are deleted" if plan.replicas == state.wanted else f"Pods above {state.wanted} go"
    if group is None:
        aim = "The group is no longer in the spec, and its pods go"
    names = _listed(plan.waits_for)
    found = {doing[name] for name in plan.waits_for}
    if found == {Doing.BUSY}:
        return f"{aim} when they are idle; at work: {names}."
    if found == {Doing.BOOTING}:
        return f"{aim} when they are idle; about to start work: {names}."
    if Doing.UNKNOWN not in found:
        return f"{aim} when they are idle; at work or about to start: {names}."
    why = f" ({occupancy.problem})" if occupancy is not None and occupancy.problem else ""
    return f"{aim} when there is no work for them, since etcd does not tell the operator which pods work{why}: {names}."


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
