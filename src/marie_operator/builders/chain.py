"""A cluster's children, as data: one link for each kind of child, in the order users know them."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from marie_operator.api.conditions import EventReason
from marie_operator.api.mariecluster import ExecutorGroupSpec, MarieCluster
from marie_operator.builders import (
    association,
    backing,
    configuration,
    deployment,
    disruption,
    ingress,
    network_policy,
    service,
    store,
)
from marie_operator.runtime.resource import (
    DEPLOYMENTS,
    INGRESSES,
    NETWORK_POLICIES,
    PERSISTENT_VOLUME_CLAIMS,
    POD_DISRUPTION_BUDGETS,
    SERVICES,
    STATEFUL_SETS,
    Object,
    Resource,
)


class Link(NamedTuple):
    """Children of one purpose."""

    name: str
    resource: Resource
    build: Callable[[MarieCluster], Iterable[Object]]


def _executor_services(cluster: MarieCluster) -> Iterator[Object]:
    return (service.executor(cluster, group) for group in cluster.spec.executor_group_specs)


def _executor_deployments(cluster: MarieCluster) -> Iterator[Object]:
    return (deployment.executor(cluster, group) for group in cluster.spec.executor_group_specs)


def _stores(kind: Resource) -> Callable[[MarieCluster], Iterator[Object]]:
    """One part of each managed service."""

    def parts(cluster: MarieCluster) -> Iterator[Object]:
        services = backing.of(cluster)
        if services is not None and services.etcd.managed is not None:
            yield store.etcd(cluster, services.etcd.managed)[kind.kind]
        if services is not None and services.postgres.managed is not None:
            yield store.postgres(cluster, services.postgres.managed)[kind.kind]

    return parts


CHAIN: tuple[Link, ...] = (
    Link("managed services' volumes", PERSISTENT_VOLUME_CLAIMS, _stores(PERSISTENT_VOLUME_CLAIMS)),
    Link("managed services", SERVICES, _stores(SERVICES)),
    Link("managed services' pods", STATEFUL_SETS, _stores(STATEFUL_SETS)),
    Link("server service", SERVICES, lambda cluster: [service.server(cluster)]),
    Link("server headless service", SERVICES, lambda cluster: [service.server_headless(cluster)]),
    Link("server deployment", DEPLOYMENTS, lambda cluster: [deployment.server(cluster)]),
    Link("executor services", SERVICES, _executor_services),
    Link("executor deployments", DEPLOYMENTS, _executor_deployments),
    Link("ingress", INGRESSES, lambda cluster: [ingress.server(cluster)] if cluster.spec.enable_ingress else []),
    Link("network policies", NETWORK_POLICIES, network_policy.of),
    Link("budget of busy executors", POD_DISRUPTION_BUDGETS, lambda cluster: [disruption.of_busy_pods(cluster)]),
)

KINDS: tuple[Resource, ...] = tuple(dict.fromkeys(link.resource for link in CHAIN))
"""The children's kinds, each once."""

KEPT = frozenset([PERSISTENT_VOLUME_CLAIMS])
"""Kinds whose objects stay when they are no longer wanted, because they hold data; they go with the cluster."""


def desired(cluster: MarieCluster) -> list[tuple[Resource, Object]]:
    """Every manifest the cluster wants, in the chain's order."""
    return [(link.resource, manifest) for link in CHAIN for manifest in link.build(cluster)]


def warnings(cluster: MarieCluster) -> list[tuple[EventReason, str]]:
    """What a valid spec asks for that will not do what its author hopes, as sentences with the reasons of events."""
    found = []
    if cluster.spec.server_spec.replicas > 1:
        advice = (
            f"serverSpec.replicas is {cluster.spec.server_spec.replicas}: each replica runs a scheduler, and two"
            " schedulers dispatch the same job twice unless Marie's distributed_scheduler is on. Set it to 1."
        )
        found.append((EventReason.SEVERAL_SCHEDULERS, advice))
    if names := configuration.without_store(cluster):
        advice = f"Executors of {', '.join(names)} end at once without an object store: set spec.backingServices.s3."
        found.append((EventReason.OBJECT_STORE_NEEDED, advice))
    found += [
        (EventReason.REPLICAS_CLAMPED, clamping)
        for group in cluster.spec.executor_group_specs
        if (clamping := clamped(group))
    ]
    return found


def unclamped(message: str) -> str:
    """What a group's message tells beside ``clamped``."""
    return re.sub(r"^Group \S+ has \d+ pods and not \d+, because \w+ is \d+\.\s*", "", message)


def clamped(group: ExecutorGroupSpec) -> str:
    """What keeps a group from having the pods it asks for, as a sentence; empty when nothing does."""
    pods = association.clamped(group)
    if pods == group.replicas:
        return ""
    bound = f"minReplicas is {pods}" if pods > group.replicas else f"maxReplicas is {pods}"
    return f"Group {group.group_name} has {pods} pods and not {group.replicas}, because {bound}."
