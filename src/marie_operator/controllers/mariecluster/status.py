"""The status of a cluster, computed from what was seen: no I/O, no clock of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from marie_operator.api.conditions import ClusterCondition, ClusterReason
from marie_operator.api.mariecluster import (
    ClusterPhase,
    ExecutorGroupSpec,
    ExecutorGroupStatus,
    MarieCluster,
    MarieClusterStatus,
    ServerInfo,
)
from marie_operator.builders import association, endpoints, totals
from marie_operator.controllers import custody, trouble
from marie_operator.controllers.conditions import condition, is_true
from marie_operator.controllers.mariecluster import rollout, services
from marie_operator.controllers.mariecluster.executors import GroupView
from marie_operator.controllers.mariecluster.pause import Pause
from marie_operator.controllers.mariecluster.refusals import Refusal
from marie_operator.controllers.mariecluster.routes import RouteVerdict, RouteView
from marie_operator.controllers.mariecluster.supplies import Problem
from marie_operator.controllers.mariecluster.upgrade import Upgrade
from marie_operator.marie.gateways import GatewayView
from marie_operator.runtime.children import LiveChildren
from marie_operator.runtime.conditions import with_condition
from marie_operator.runtime.resource import DEPLOYMENTS, STATEFUL_SETS, Object

_OF_SERVICES = frozenset(services.CONDITIONS.values())
_OF_OPTIONS = _OF_SERVICES | {ClusterCondition.HTTP_ROUTE_ACCEPTED}
_PASSING = frozenset({ClusterCondition.UPGRADE_PENDING, ClusterCondition.SCHEDULER_PAUSED})
_NODE_TYPES = (association.SERVER, association.EXECUTOR, association.ETCD, association.POSTGRES)
_WORDS: Mapping[bool | None, Literal["True", "False", "Unknown"]] = {True: "True", False: "False", None: "Unknown"}

FIRST_RETRY = timedelta(seconds=15)
MOST_RETRY = timedelta(minutes=5)
"""Times after which a child that was refused is tried again; between them, twice as long each time."""

DETAIL_INTERVAL = timedelta(seconds=10)
"""Least time between status writes that only move counts and wording; a change of phase or condition never waits."""


@dataclass(frozen=True)
class Observation:
    """Everything the status depends on."""

    cluster: MarieCluster
    children: LiveChildren
    pods: Sequence[Object]
    gateway: GatewayView | None
    now: datetime
    refusals: Sequence[Refusal] = field(default=())
    problems: Sequence[Problem] = field(default=())
    groups: Mapping[str, GroupView] = field(default_factory=dict)
    upgrade: Upgrade = field(default_factory=Upgrade)
    pause: Pause = field(default_factory=Pause)
    route: RouteView | None = None


class Verdict(NamedTuple):
    """One condition's status with its reason and sentence; the status is None where nothing is known."""

    status: bool | None
    reason: str
    message: str


def of(seen: Observation) -> MarieClusterStatus:
    """The status that describes an observation."""
    cluster, old = seen.cluster, seen.cluster.status
    wanted = {group.group_name: group for group in cluster.spec.executor_group_specs}
    groups = {name: _group_status(seen, name, wanted.get(name)) for name in (*wanted, *(seen.groups.keys() - wanted))}
    server, executors = _server(seen), _executors(seen, groups)
    suspended = _suspended(seen, groups)
    server_pod = _server_pod(seen)
    backing = list(
        services.verdicts(
            cluster, children=seen.children, pods=seen.pods, server_pod=server_pod, problems=seen.problems
        )
    )
    ready = _ready(seen, server, executors, suspended, services.problem(backing))
    # One that is resumed has to become ready anew, as KubeRay has it.
    provisioned = not cluster.spec.suspend and (is_true(old, ClusterCondition.PROVISIONED) or bool(ready.status))
    sums = totals.of(cluster)
    generation = rollout.observed(cluster, seen.children, ready=bool(ready.status))
    return MarieClusterStatus(
        phase=_phase(seen, server, provisioned=provisioned),
        observed_generation=generation,
        server_ready=bool(server.status),
        ready_executor_replicas=sum(group.ready_replicas for group in groups.values()),
        available_executor_replicas=sum(group.available_replicas for group in groups.values()),
        desired_executor_replicas=sum(
            association.replicas(cluster, group) for group in cluster.spec.executor_group_specs
        ),
        desired_cpu=sums.cpu,
        desired_memory=sums.memory,
        desired_gpu=sums.gpu,
        endpoints=endpoints.of(cluster),
        executor_group_statuses=groups,
        server_info=ServerInfo(
            pod_ip=server_pod.get("status", {}).get("podIP", ""),
            pod_name=server_pod.get("metadata", {}).get("name", ""),
            service_name=association.server_service_name(cluster.metadata.name),
            marie_version=_version(seen),
        ),
        last_update_time=old.last_update_time,
        conditions=_conditions(
            seen,
            {
                ClusterCondition.READY: ready,
                ClusterCondition.PROVISIONED: _provisioned(ready, provisioned=provisioned),
                ClusterCondition.SERVER_POD_READY: server,
                ClusterCondition.ALL_EXECUTORS_READY: executors,
                ClusterCondition.SUSPENDED: suspended,
                **_paused(cluster),
                **_upgrade(seen),
                **_pause(seen),
                **_route(seen),
                **{kind: Verdict(*verdict) for kind, verdict in backing},
            },
            generation,
        ),
    )


def tells_of_services(status: MarieClusterStatus) -> bool:
    """Whether the cluster has had backing services when its status was written."""
    return any(condition.type in _OF_SERVICES for condition in status.conditions)


def due(
    new: MarieClusterStatus, old: MarieClusterStatus, now: datetime
) -> tuple[MarieClusterStatus | None, timedelta | None]:
    """What to write now, and how long to wait when the rest can wait.

    A pod more or less is worth a write, but not one for each pod of a rollout: changes that move
    no phase, readiness or condition are gathered for DETAIL_INTERVAL.

    Returns:
        The status to write with its time, or None; and the time until the gathered rest is due, or None.
    """
    if new == old:
        return None, None
    if _outline(new) == _outline(old) and old.last_update_time is not None:
        waited = now - old.last_update_time
        if timedelta(0) <= waited < DETAIL_INTERVAL:
            return None, DETAIL_INTERVAL - waited
    return new.model_copy(update={"last_update_time": now.replace(microsecond=0)}), None


def again(seen: Observation, told: MarieClusterStatus) -> timedelta | None:
    """How long until a child that was refused is tried again: as long as nothing has changed; None for no such child.

    What stands in its way may go without an event; a spec does not change without one.

    Args:
        seen: With what was refused.
        told: What the status says by now.
    """
    if all(refusal.reason == ClusterReason.INVALID_SPEC for refusal in seen.refusals):
        return None
    waited = timedelta(0) if told.last_update_time is None else seen.now - told.last_update_time
    return min(max(waited, FIRST_RETRY), MOST_RETRY)


def _outline(status: MarieClusterStatus) -> tuple[Any, ...]:
    conditions = tuple((condition.type, condition.status) for condition in status.conditions)
    return status.phase, status.observed_generation, status.server_ready, conditions


def _deployment(seen: Observation, name: str) -> Object:
    return seen.children.get((DEPLOYMENTS, name), {})


def _group_status(seen: Observation, name: str, group: ExecutorGroupSpec | None) -> ExecutorGroupStatus:
    deployment = association.executor_deployment_name(seen.cluster.metadata.name, name)
    view, before = seen.groups.get(name), seen.cluster.status.executor_group_statuses.get(name)
    if view is not None and view.busy is None and before is not None:
        busy, idle = before.busy_replicas, before.idle_replicas
        # An operator that has just started knows nothing newer; of other pods than these nothing was told.
        if (busy or 0) + (idle or 0) == view.pods:
            view = replace(view, busy=busy, idle=idle)
    return ExecutorGroupStatus.model_validate(_deployment(seen, deployment).get("status", {})).model_copy(
        update={
            "desired_replicas": 0 if group is None else association.replicas(seen.cluster, group),
            **(
                {}
                if view is None
                else {"busy_replicas": view.busy, "idle_replicas": view.idle, "message": view.message}
            ),
        }
    )


def _pods(seen: Observation, node_type: str, group: str | None = None) -> list[Object]:
    wanted = {association.NODE_TYPE_LABEL: node_type} | ({} if group is None else {association.GROUP_LABEL: group})
    return [pod for pod in seen.pods if wanted.items() <= pod["metadata"].get("labels", {}).items()]


def _server_pod(seen: Observation) -> Object:
    """The server's newest pod: during a restart the old one may still be going, or have been left behind as failed."""
    pods = _pods(seen, association.SERVER)
    return max(
        trouble.present(pods) or pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default={}
    )


def _server(seen: Observation) -> Verdict:
    """The server is ready when its pod is, and the scheduler inside answers that it runs.

    The pod's own probe is green seconds before the scheduler takes work, and stays green when it
    never will (no database); only the gateway's debug page tells.
    """
    cluster = seen.cluster
    if cluster.spec.suspend:
        return Verdict(
            False, ClusterReason.SUSPENDED, "The cluster is suspended; set spec.suspend to false to start the server."
        )
    live = _deployment(seen, association.server_deployment_name(cluster.metadata.name))
    if not live.get("status", {}).get("readyReplicas"):
        if found := trouble.of_deployment(live, _pods(seen, association.SERVER)):
            return Verdict(False, ClusterReason.SERVER_FAILING, f"The server does not start: {found}.")
        return Verdict(False, ClusterReason.SERVER_STARTING, "The server's pod is starting.")
    return _server_before(cluster) if seen.gateway is None else _gateway(seen.gateway)


def _version(seen: Observation) -> str:
    """Which Marie runs, or ran last."""
    if seen.gateway is not None and seen.gateway.dialect is not None:
        return str(seen.gateway.dialect)
    before = seen.cluster.status.server_info
    return "" if before is None else before.marie_version


def _gateway(gateway: GatewayView) -> Verdict:
    if not gateway.reachable:
        return Verdict(False, ClusterReason.GATEWAY_UNREACHABLE, gateway.problem)
    if not gateway.running:
        problem = gateway.problem or "The gateway answers, but its scheduler is not running yet."
        return Verdict(False, ClusterReason.SCHEDULER_STOPPED, problem)
    return Verdict(True, ClusterReason.SERVER_READY, "The server's pod is ready and its scheduler is running.")


def _server_before(cluster: MarieCluster) -> Verdict:
    """What was known of the server: an operator that has just started knows nothing newer, and nothing else."""
    if (told := condition(cluster.status, ClusterCondition.SERVER_POD_READY)) is not None:
        return Verdict(told.status == "True", told.reason, told.message)
    return Verdict(False, ClusterReason.SERVER_STARTING, "The server's pod is ready; its gateway is being asked.")


def _executors(seen: Observation, groups: Mapping[str, ExecutorGroupStatus]) -> Verdict:
    if seen.cluster.spec.suspend:
        return Verdict(
            False,
            ClusterReason.SUSPENDED,
            "The cluster is suspended; set spec.suspend to false to start its executors.",
        )
    waiting: list[str] = []
    stuck: list[str] = []
    failing = False
    for group in seen.cluster.spec.executor_group_specs:
        wanted, ready = association.replicas(seen.cluster, group), groups[group.group_name].ready_replicas
        live = _deployment(seen, association.executor_deployment_name(seen.cluster.metadata.name, group.group_name))
        if ready >= wanted and not live.get("status", {}).get("unavailableReplicas"):
            continue
        found = trouble.of_deployment(live, _pods(seen, association.EXECUTOR, group.group_name))
        if ready < wanted:
            failing = failing or bool(found)
            waiting.append(f"{group.group_name}: {ready} of {wanted} ready{f' ({found})' if found else ''}")
        elif found:
            stuck.append(f"{group.group_name} ({found})")
    if waiting:
        reason = ClusterReason.EXECUTORS_FAILING if failing else ClusterReason.EXECUTORS_STARTING
        return Verdict(False, reason, f"Waiting for executors: {'; '.join(waiting)}.")
    if stuck:
        # As many are ready as are wanted, but they are those of before.
        why = f"A change of executors does not come about, and those of before go on: {'; '.join(stuck)}."
        return Verdict(False, ClusterReason.EXECUTORS_FAILING, why)
    if not any(association.replicas(seen.cluster, group) for group in seen.cluster.spec.executor_group_specs):
        return Verdict(
            True, ClusterReason.NO_EXECUTORS, "No group wants a pod; raise replicas of a group when jobs should run."
        )
    return Verdict(True, ClusterReason.EXECUTORS_READY, "Every wanted executor is ready.")


def _suspended(seen: Observation, groups: Mapping[str, ExecutorGroupStatus]) -> Verdict:
    if not seen.cluster.spec.suspend:
        if off := [group.group_name for group in seen.cluster.spec.executor_group_specs if group.suspend]:
            return Verdict(False, ClusterReason.GROUPS_SUSPENDED, f"Suspended groups: {', '.join(off)}.")
        return Verdict(False, ClusterReason.NOT_SUSPENDED, "Nothing is suspended.")
    server = _deployment(seen, association.server_deployment_name(seen.cluster.metadata.name)).get("status", {})
    stores = sum(
        int(live.get("status", {}).get("replicas", 0))
        for (resource, _), live in seen.children.items()
        if resource == STATEFUL_SETS
    )
    asked = int(server.get("replicas", 0)) + sum(group.replicas for group in groups.values()) + stores
    # Those that are being deleted are none of a Deployment's any more, and there until they have ended.
    there = [pod for each in _NODE_TYPES for pod in _pods(seen, each) if not trouble.has_ended(pod)]
    left = max(asked, len(there))
    if left:
        what = "1 pod" if left == 1 else f"{left} pods"
        return Verdict(False, ClusterReason.SUSPENDING, f"Waiting for {what} to end.")
    return Verdict(
        True, ClusterReason.SUSPENDED, "No pod of the cluster runs; set spec.suspend to false to start it again."
    )


def _paused(cluster: MarieCluster) -> Mapping[ClusterCondition, Verdict]:
    """Told of once it is paused, and from then on."""
    kind = ClusterCondition.PAUSED
    if custody.is_paused(cluster):
        how = f"Annotation {custody.PAUSE} is {custody.PAUSED}: the operator changes nothing. Remove it to go on."
        return {kind: Verdict(True, ClusterReason.PAUSED, how)}
    if condition(cluster.status, kind) is not None:
        return {kind: Verdict(False, ClusterReason.NOT_PAUSED, "The operator looks after the cluster.")}
    return {}


def _upgrade(seen: Observation) -> Mapping[ClusterCondition, Verdict]:
    """Told of as long as a change waits."""
    if seen.upgrade.reason is None:
        return {}
    return {ClusterCondition.UPGRADE_PENDING: Verdict(True, seen.upgrade.reason, seen.upgrade.message)}


def _pause(seen: Observation) -> Mapping[ClusterCondition, Verdict]:
    """Told of as long as the scheduler may be paused by the operator."""
    if seen.pause.reason is None:
        return {}
    return {ClusterCondition.SCHEDULER_PAUSED: Verdict(True, seen.pause.reason, seen.pause.message)}


def _route(seen: Observation) -> Mapping[ClusterCondition, Verdict]:
    if seen.route is None or seen.route.verdict is None:
        return {}
    return {ClusterCondition.HTTP_ROUTE_ACCEPTED: Verdict(*seen.route.verdict)}


def new_trouble_of_route(old: MarieClusterStatus, seen: Observation) -> RouteVerdict | None:
    """Why no Gateway leads to the server, where that was not told before."""
    verdict = None if seen.route is None else seen.route.verdict
    if verdict is None or verdict.status is not False:
        return None
    told = condition(old, ClusterCondition.HTTP_ROUTE_ACCEPTED)
    return None if told is not None and told.reason == verdict.reason else verdict


def is_pending(status: MarieClusterStatus) -> bool:
    """Whether a status tells of changes that wait."""
    return is_true(status, ClusterCondition.UPGRADE_PENDING)


def _ready(
    seen: Observation,
    server: Verdict,
    executors: Verdict,
    suspended: Verdict,
    service: services.ServiceVerdict | None,
) -> Verdict:
    if seen.refusals:
        first, *rest = seen.refusals
        return Verdict(False, first.reason, first.message + (f" ({len(rest)} more like this.)" if rest else ""))
    if seen.cluster.spec.suspend:
        return Verdict(False, suspended.reason, suspended.message)
    if seen.problems:
        return Verdict(False, seen.problems[0].reason, seen.problems[0].message)
    if service is not None:
        return Verdict(*service)
    for verdict in (server, executors):
        if not verdict.status:
            return verdict
    return _rolled_out(seen)


def _rolled_out(seen: Observation) -> Verdict:
    if rolling := rollout.unfinished(seen.cluster, seen.children, seen.upgrade):
        why = f"The spec is being rolled out: {', '.join(rolling)}; pods of before serve meanwhile."
        return Verdict(False, ClusterReason.ROLLING_OUT, why)
    return Verdict(True, ClusterReason.READY, "The server and every wanted executor are ready.")


def _provisioned(ready: Verdict, *, provisioned: bool) -> Verdict:
    if provisioned:
        return Verdict(True, ClusterReason.PROVISIONED, "Every pod of the cluster has been ready at least once.")
    return Verdict(False, ready.reason, ready.message)


def _phase(seen: Observation, server: Verdict, *, provisioned: bool) -> ClusterPhase:
    if seen.cluster.metadata.deletion_timestamp:
        return "Terminating"
    if seen.refusals:
        return "Failed"
    if seen.cluster.spec.suspend:
        return "Suspended"
    return "Running" if server.status and provisioned else "Creating"


def _is_left(seen: Observation, kind: str) -> bool:
    """Whether a condition stays although nobody has looked: the cluster is paused, or about to go."""
    return kind == ClusterCondition.HTTP_ROUTE_ACCEPTED and seen.cluster.spec.http_route is not None


def _conditions(seen: Observation, verdicts: Mapping[ClusterCondition, Verdict], generation: int | None) -> Any:
    conditions: Sequence[Mapping[str, Any]] = [
        item.model_dump(mode="json", by_alias=True, exclude_none=True)
        for item in seen.cluster.status.conditions
        # What the spec no longer has is no longer told of, once the rest is as the spec asks.
        if (item.type not in _OF_OPTIONS or item.type in verdicts or seen.refusals or _is_left(seen, item.type))
        and (item.type not in _PASSING or item.type in verdicts)
    ]
    for kind, verdict in verdicts.items():
        conditions = with_condition(
            conditions,
            type=kind,
            status=_WORDS[verdict.status],
            reason=verdict.reason,
            message=verdict.message,
            generation=generation or 0,
            now=seen.now,
        )
    return conditions
