"""Who may connect to a cluster's pods: one policy for the server, one for all executors, one for managed services."""

from collections.abc import Iterable, Sequence
from typing import Any

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.network import NetworkPolicySpec, PolicyPeer
from marie_operator.builders import association, pod, store
from marie_operator.builders.association import ETCD, EXECUTOR, METRICS, POSTGRES, SERVER
from marie_operator.runtime.resource import NETWORK_POLICIES, Object

RANDOM_PORTS = (49153, 65535)
"""Where Marie opens a worker's port when its Flow says none (MA-05)."""

OPERATOR: Object = {
    "namespaceSelector": {},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "marie-operator"}},
}
"""The operator's pods, wherever they run: they ask the gateway, and etcd."""


def of(cluster: MarieCluster) -> list[Object]:
    """The policies that a cluster asks for; none without ``spec.networkPolicy``."""
    wanted = cluster.spec.network_policy
    if wanted is None:
        return []
    policies = [_server(cluster, wanted)]
    if cluster.spec.executor_group_specs:
        policies.append(_executors(cluster, wanted))
    if managed := _managed(cluster):
        policies.append(_stores(cluster, wanted, managed))
    return policies


def _server(cluster: MarieCluster, wanted: NetworkPolicySpec) -> Object:
    ports = pod.server_ports(cluster)
    extra = [each.target_port or each.port for each in cluster.spec.server_spec.extra_ports]
    reached = [number for name, number in ports.items() if name != METRICS]
    clients = [_peer(each) for each in wanted.clients] or [{"podSelector": {}}]
    rules = [
        {"from": [_own(cluster)]},
        {"from": [OPERATOR], "ports": _ports(reached)},
        {"from": clients, "ports": _ports([*reached, *extra])},
        *_monitoring(wanted, [ports[METRICS]] if METRICS in ports else []),
    ]
    selector = {"matchLabels": association.selector(cluster, SERVER)}
    return _policy(cluster, association.server_deployment_name(cluster.metadata.name), SERVER, selector, rules)


def _executors(cluster: MarieCluster, wanted: NetworkPolicySpec) -> Object:
    opened = {number for group in cluster.spec.executor_group_specs for number in pod.executor_ports(group).values()}
    first, last = RANDOM_PORTS
    ports = [*_ports(opened), {"protocol": "TCP", "port": first, "endPort": last}]
    rules = [
        {"from": [{"podSelector": {"matchLabels": association.selector(cluster, SERVER)}}], "ports": ports},
        *_monitoring(wanted, _metrics(cluster)),
    ]
    selector = {"matchLabels": association.selector(cluster, EXECUTOR)}
    return _policy(cluster, association.executors_policy_name(cluster.metadata.name), EXECUTOR, selector, rules)


def _stores(cluster: MarieCluster, wanted: NetworkPolicySpec, managed: dict[str, int]) -> Object:
    rules = [
        {"from": [_own(cluster), OPERATOR], "ports": _ports(managed.values())},
        *_monitoring(wanted, [store.ETCD_METRICS_PORT] if ETCD in managed else []),
    ]
    selector = {
        "matchLabels": {association.CLUSTER_LABEL: cluster.metadata.name},
        "matchExpressions": [{"key": association.NODE_TYPE_LABEL, "operator": "In", "values": sorted(managed)}],
    }
    return _policy(cluster, association.stores_policy_name(cluster.metadata.name), ETCD, selector, rules)


def _managed(cluster: MarieCluster) -> dict[str, int]:
    """The ports of the services that the operator runs for the cluster, by their node type."""
    services = cluster.spec.backing_services
    if services is None:
        return {}
    managed = {ETCD: services.etcd.managed, POSTGRES: services.postgres.managed}
    ports = {ETCD: store.ETCD_PORT, POSTGRES: store.POSTGRES_PORT}
    return {name: ports[name] for name, wanted in managed.items() if wanted is not None}


def _metrics(cluster: MarieCluster) -> set[int]:
    """The ports that executors' templates name ``metrics``."""
    named = [pod.named_ports(group.template) for group in cluster.spec.executor_group_specs]
    return {ports[METRICS] for ports in named if METRICS in ports}


def _own(cluster: MarieCluster) -> Object:
    """Every pod of the cluster."""
    return {"podSelector": {"matchLabels": {association.CLUSTER_LABEL: cluster.metadata.name}}}


def _monitoring(wanted: NetworkPolicySpec, ports: Iterable[int]) -> Sequence[Object]:
    opened, peers = _ports(ports), [_peer(each) for each in wanted.monitoring]
    return [{"from": peers, "ports": opened}] if peers and opened else []


def _peer(peer: PolicyPeer) -> dict[str, Any]:
    return peer.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _ports(numbers: Iterable[int]) -> list[Object]:
    return [{"protocol": "TCP", "port": number} for number in sorted(set(numbers))]


def _policy(cluster: MarieCluster, name: str, node_type: str, selector: Object, rules: Sequence[Object]) -> Object:
    return association.hashed(
        {
            "apiVersion": NETWORK_POLICIES.api_version,
            "kind": NETWORK_POLICIES.kind,
            "metadata": association.metadata(cluster, name, node_type),
            "spec": {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": list(rules)},
        }
    )
