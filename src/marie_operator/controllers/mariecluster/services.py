"""How a cluster's backing services are: what its Secrets, its stores' pods and its server's pod tell of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from marie_operator.api.conditions import ClusterCondition, ClusterReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association, backing, waits
from marie_operator.builders.backing import Address, Service
from marie_operator.controllers import trouble
from marie_operator.controllers.mariecluster.supplies import Problem
from marie_operator.runtime.children import LiveChildren
from marie_operator.runtime.resource import STATEFUL_SETS, Object

CONDITIONS: Mapping[Service, ClusterCondition] = {
    Service.ETCD: ClusterCondition.ETCD_READY,
    Service.POSTGRES: ClusterCondition.POSTGRES_READY,
    Service.S3: ClusterCondition.S3_READY,
    Service.RABBITMQ: ClusterCondition.RABBITMQ_READY,
}


class ServiceVerdict(NamedTuple):
    """One service's condition.

    Attributes:
        status: None where nothing is known.
        reason: Why.
        message: As a sentence.
    """

    status: bool | None
    reason: ClusterReason
    message: str


def verdicts(
    cluster: MarieCluster,
    *,
    children: LiveChildren,
    pods: Sequence[Object],
    server_pod: Object,
    problems: Sequence[Problem],
) -> Iterator[tuple[ClusterCondition, ServiceVerdict]]:
    """The condition of each service that the cluster has.

    Args:
        cluster: The cluster.
        children: Its live children.
        pods: Its pods.
        server_pod: The newest of its server's; empty for none.
        problems: What is wrong with Secrets, or with the choice of a service.
    """
    own = backing.managed(cluster)
    for service, address in backing.addresses(cluster).items():
        found = next((each for each in problems if each.service is service), None)
        if found is not None:
            verdict = ServiceVerdict(False, found.reason, found.message)
        elif service in own:
            verdict = _managed(cluster, service, children, pods)
        else:
            verdict = _reached(cluster, service, address, server_pod)
        yield CONDITIONS[service], verdict


def _managed(cluster: MarieCluster, service: Service, children: LiveChildren, pods: Sequence[Object]) -> ServiceVerdict:
    name = {Service.ETCD: association.etcd_name, Service.POSTGRES: association.postgres_name}[service](
        cluster.metadata.name
    )
    if cluster.spec.suspend:
        return _suspended(service)
    live = children.get((STATEFUL_SETS, name), {})
    if live.get("status", {}).get("readyReplicas"):
        return ServiceVerdict(True, ClusterReason.SERVICE_READY, f"The managed {service} is ready.")
    own = [pod for pod in pods if pod["metadata"].get("labels", {}).get(association.NODE_TYPE_LABEL) == service.value]
    if found := trouble.first(trouble.present(own)):
        return ServiceVerdict(False, ClusterReason.SERVICE_FAILING, f"The managed {service} does not start: {found}.")
    going = [pod["metadata"]["name"] for pod in own if "deletionTimestamp" in pod["metadata"]]
    if own and len(going) == len(own):
        why = f"pod {going[0]} is being deleted, and the next one starts only when it has ended"
        advice = "if it stays, see whether its node is lost"
        return ServiceVerdict(
            False, ClusterReason.SERVICE_STARTING, f"The managed {service} is not ready: {why}; {advice}."
        )
    return ServiceVerdict(False, ClusterReason.SERVICE_STARTING, f"The managed {service}'s pod is starting.")


def _reached(cluster: MarieCluster, service: Service, address: Address, pod: Object) -> ServiceVerdict:
    """What the server's pod has found: it waits for each service in an init container before Marie starts."""
    if cluster.spec.suspend:
        return _suspended(service)
    status, container = pod.get("status", {}), waits.name(service)
    waited: Object = next((each for each in status.get("initContainerStatuses", ()) if each["name"] == container), {})
    state = waited.get("state", {})
    if status.get("phase") == "Running" or state.get("terminated", {}).get("exitCode") == 0:
        return ServiceVerdict(
            True, ClusterReason.SERVICE_REACHABLE, f"{service} at {address} has answered the server's pod."
        )
    if "running" in state:
        return ServiceVerdict(
            False,
            ClusterReason.SERVICE_UNREACHABLE,
            f"{service} at {address} does not answer the server's pod, which waits for it: check the address, the "
            f"service and NetworkPolicies (kubectl logs {pod['metadata']['name']} -c {container} says what it got).",
        )
    return ServiceVerdict(
        None, ClusterReason.SERVICE_UNCHECKED, f"The server's pod has not tried to reach {service} at {address} yet."
    )


def _suspended(service: Service) -> ServiceVerdict:
    return ServiceVerdict(None, ClusterReason.SUSPENDED, f"{service} is not looked at while the cluster is suspended.")


def problem(found: Sequence[tuple[ClusterCondition, ServiceVerdict]]) -> ServiceVerdict | None:
    """The first service that is known not to be ready."""
    return next((verdict for _, verdict in found if verdict.status is False), None)
