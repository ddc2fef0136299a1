"""What makes a MarieCluster contradict itself."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from marie_operator.api.backing import Etcd, Postgres, RabbitMQ
from marie_operator.api.mariecluster import ExecutorGroupSpec, MarieCluster
from marie_operator.api.rule import Rule, field_if, no_container

# Deployments, Services and the Ingress are named after the cluster; see builders.association.
LONGEST_SERVER_SUFFIX = len("-server-headless")
EXECUTOR_AFFIXES = len("-executor-") + len("-svc")
# The StatefulSet controller labels its pods with the set's name, a dash and a hash of up to ten characters.
DATABASE_AFFIXES = len("-postgres-") + 10
LONGEST_NAME = 63

_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"


def _groups(cluster: MarieCluster, field: str, breaks: Callable[[ExecutorGroupSpec], bool]) -> Iterator[str]:
    for index, group in enumerate(cluster.spec.executor_group_specs):
        if breaks(group):
            yield f"spec.executorGroupSpecs[{index}].{field}"


def _repeated(cluster: MarieCluster) -> Iterator[str]:
    count = Counter(group.group_name for group in cluster.spec.executor_group_specs)
    return _groups(cluster, "groupName", lambda group: count[group.group_name] > 1)


_HAS_CONTAINER = "has(self.template.spec) && size(self.template.spec.containers) > 0"
_CONTAINER_MESSAGE = "the pod template needs a container: give template.spec.containers one with a name and an image"


_IPV6 = "[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*"
_HOST = f"^([A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?[.]?|{_IPV6})?$"
"""The name of a host, or its address, be it of IPv6; or nothing."""


_ENDPOINT = (
    "^https?://[^:]+(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?/?$"
)
"""An endpoint whose port, where it has one, is a port."""


def _host_alone(service: Literal["etcd", "postgres", "rabbitmq"]) -> Rule[MarieCluster]:
    """The rule that a host is no URL, and has no port."""

    def broken(cluster: MarieCluster) -> Iterable[str]:
        found: Etcd | Postgres | RabbitMQ | None = getattr(cluster.spec.backing_services, service, None)
        wrong = found is not None and not re.fullmatch(_HOST, found.host)
        return field_if(wrong, f"spec.backingServices.{service}.host")

    return Rule(
        at=f"spec.backingServices.{service}",
        cel=f"!has(self.host) || self.host.matches('{_HOST}')",
        message="host is the name of a server, or its address, and nothing else: leave http:// and the like out, and "
        "give port its port",
        broken=broken,
    )


def _etcd_by_ipv6(cluster: MarieCluster) -> Iterable[str]:
    services = cluster.spec.backing_services
    wrong = services is not None and re.fullmatch(_IPV6, services.etcd.host)
    return field_if(bool(wrong), "spec.backingServices.etcd.host")


def _host_or_managed(service: str) -> Rule[MarieCluster]:
    """The rule that a service is either somewhere or managed."""

    def broken(cluster: MarieCluster) -> Iterable[str]:
        services = cluster.spec.backing_services
        if services is None:
            return ()
        found = services.etcd if service == "etcd" else services.postgres
        return field_if(bool(found.host) == (found.managed is not None), f"spec.backingServices.{service}.host")

    return Rule(
        at=f"spec.backingServices.{service}",
        cel="(has(self.host) && self.host != '') != has(self.managed)",
        message=f"where {service} is must be said once: give host the name of a server, or write managed: {{}} "
        "for one that the operator runs",
        broken=broken,
    )


def _no_credentials(cluster: MarieCluster) -> Iterable[str]:
    services = cluster.spec.backing_services
    found = services.postgres if services else None
    wrong = found is not None and (found.managed is None) == (found.credentials_secret_ref is None)
    return field_if(wrong, "spec.backingServices.postgres.credentialsSecretRef")


def _other_database(cluster: MarieCluster) -> Iterable[str]:
    services = cluster.spec.backing_services
    found = services.postgres if services else None
    wrong = found is not None and found.managed is not None and found.database != "postgres"
    return field_if(wrong, "spec.backingServices.postgres.database")


def _fewest_above_most(cluster: MarieCluster) -> Iterable[str]:
    found = cluster.spec.scheduler
    wrong = found is not None and found.min_concurrent_dags > found.max_concurrent_dags
    return field_if(wrong, "spec.scheduler.minConcurrentDags")


_TAKEN_PORTS = ("http", "grpc", "metrics")


def _taken_ports(cluster: MarieCluster) -> Iterator[str]:
    for index, port in enumerate(cluster.spec.server_spec.extra_ports):
        if port.name in _TAKEN_PORTS:
            yield f"spec.serverSpec.extraPorts[{index}].name"


def _long_for_its_database(cluster: MarieCluster) -> Iterable[str]:
    services = cluster.spec.backing_services
    is_managed = services is not None and services.postgres.managed is not None
    return field_if(is_managed and len(cluster.metadata.name) > LONGEST_NAME - DATABASE_AFFIXES, "metadata.name")


def _wrong_port(cluster: MarieCluster) -> Iterable[str]:
    services = cluster.spec.backing_services
    store = services.s3 if services else None
    wrong = store is not None and not re.fullmatch(_ENDPOINT, store.endpoint)
    return field_if(wrong, "spec.backingServices.s3.endpoint")


def _repeated_ports(cluster: MarieCluster) -> Iterator[str]:
    ports = cluster.spec.server_spec.extra_ports
    count = Counter((each.port, each.protocol) for each in ports)
    for index, each in enumerate(ports):
        if count[each.port, each.protocol] > 1:
            yield f"spec.serverSpec.extraPorts[{index}].port"


def _unused_ingress(cluster: MarieCluster) -> Iterable[str]:
    return field_if(cluster.spec.ingress is not None and not cluster.spec.enable_ingress, "spec.ingress")


def _peers(field: str) -> Rule[MarieCluster]:
    """The rule that a peer is either pods or addresses."""

    def broken(cluster: MarieCluster) -> Iterator[str]:
        policy = cluster.spec.network_policy
        for index, peer in enumerate(getattr(policy, field, ())):
            selects = peer.pod_selector is not None or peer.namespace_selector is not None
            if selects == (peer.ip_block is not None):
                yield f"spec.networkPolicy.{field}[{index}]"

    return Rule(
        at=f"spec.networkPolicy.{field}[]",
        cel="(has(self.podSelector) || has(self.namespaceSelector)) != has(self.ipBlock)",
        message=f"an entry of {field} is either pods or addresses: give podSelector, namespaceSelector or both, "
        "or ipBlock alone",
        broken=broken,
    )


CLUSTER_RULES: tuple[Rule[MarieCluster], ...] = (
    Rule(
        at="",
        cel=f"self.metadata.name.matches('{_NAME}')",
        message="Services are named after the cluster: rename it to lower-case letters, digits and dashes, "
        "starting with a letter",
        broken=lambda cluster: field_if(not re.fullmatch(_NAME, cluster.metadata.name), "metadata.name"),
    ),
    Rule(
        at="",
        cel=f"size(self.metadata.name) <= {LONGEST_NAME - LONGEST_SERVER_SUFFIX}",
        message=f"the Service <name>-server-headless must fit in {LONGEST_NAME} characters: "
        f"rename the cluster to at most {LONGEST_NAME - LONGEST_SERVER_SUFFIX} characters",
        broken=lambda cluster: field_if(
            len(cluster.metadata.name) > LONGEST_NAME - LONGEST_SERVER_SUFFIX, "metadata.name"
        ),
    ),
    Rule(
        at="",
        cel="!has(self.spec.executorGroupSpecs) || self.spec.executorGroupSpecs.all(group, "
        f"size(self.metadata.name) + size(group.groupName) <= {LONGEST_NAME - EXECUTOR_AFFIXES})",
        message=f"each Service <name>-executor-<groupName>-svc must fit in {LONGEST_NAME} characters: shorten the "
        f"cluster's name or the groupName, to {LONGEST_NAME - EXECUTOR_AFFIXES} characters together",
        broken=lambda cluster: _groups(
            cluster,
            "groupName",
            lambda group: len(cluster.metadata.name) + len(group.group_name) > LONGEST_NAME - EXECUTOR_AFFIXES,
        ),
    ),
    Rule(
        at="",
        cel="!has(self.spec.backingServices) || !has(self.spec.backingServices.postgres.managed) || "
        f"size(self.metadata.name) <= {LONGEST_NAME - DATABASE_AFFIXES}",
        message=f"a label of the managed database's pod, <name>-postgres-<hash>, must fit in {LONGEST_NAME} "
        f"characters: rename the cluster to at most {LONGEST_NAME - DATABASE_AFFIXES} characters",
        broken=_long_for_its_database,
    ),
    Rule(
        at="spec.serverSpec",
        cel=_HAS_CONTAINER,
        message=_CONTAINER_MESSAGE,
        broken=lambda cluster: field_if(no_container(cluster.spec.server_spec.template), "spec.serverSpec.template"),
    ),
    Rule(
        at="spec.executorGroupSpecs",
        cel="self.all(group, self.exists_one(other, other.groupName == group.groupName))",
        message="two executor groups have the same groupName: rename one of them",
        broken=_repeated,
    ),
    Rule(
        at="spec.executorGroupSpecs[]",
        cel="!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        message="minReplicas is above maxReplicas: lower the one or raise the other",
        broken=lambda cluster: _groups(
            cluster,
            "minReplicas",
            lambda group: (
                group.min_replicas is not None
                and group.max_replicas is not None
                and group.min_replicas > group.max_replicas
            ),
        ),
    ),
    Rule(
        at="spec.executorGroupSpecs[].modelCache",
        cel="!has(self.sizeLimit) || !has(self.claimName) || self.claimName == ''",
        message="sizeLimit bounds a cache of the pod's own: leave it out with claimName",
        broken=lambda cluster: _groups(
            cluster,
            "modelCache",
            lambda group: (
                group.model_cache is not None
                and bool(group.model_cache.claim_name)
                and group.model_cache.size_limit is not None
            ),
        ),
    ),
    Rule(
        at="spec.executorGroupSpecs[].modelCache",
        cel="!(has(self.readOnly) && self.readOnly) || (has(self.claimName) && self.claimName != '')",
        message="a cache of the pod's own begins empty and cannot be read-only: leave readOnly out, or set claimName",
        broken=lambda cluster: _groups(
            cluster,
            "modelCache",
            lambda group: (
                group.model_cache is not None and group.model_cache.read_only and not group.model_cache.claim_name
            ),
        ),
    ),
    Rule(
        at="spec.executorGroupSpecs[]",
        cel=_HAS_CONTAINER,
        message=_CONTAINER_MESSAGE,
        broken=lambda cluster: _groups(cluster, "template", lambda group: no_container(group.template)),
    ),
    Rule(
        at="spec",
        cel="!has(self.ingress) || (has(self.enableIngress) && self.enableIngress)",
        message="ingress is given, but no Ingress is asked for: set enableIngress to true, or remove ingress",
        broken=_unused_ingress,
    ),
    Rule(
        at="spec.serverSpec.extraPorts[]",
        cel=f"!(self.name in [{', '.join(map(repr, _TAKEN_PORTS))}])",
        message=f"{', '.join(_TAKEN_PORTS)} are the names of Marie's own ports: give the port another",
        broken=_taken_ports,
    ),
    Rule(
        at="spec.serverSpec.extraPorts",
        cel="self.all(each, self.exists_one(other, other.port == each.port && other.protocol == each.protocol))",
        message="two extraPorts have the same port and protocol: give one of them another, or leave it out",
        broken=_repeated_ports,
    ),
    _peers("clients"),
    _peers("monitoring"),
    _host_or_managed("etcd"),
    _host_or_managed("postgres"),
    _host_alone("etcd"),
    Rule(
        at="spec.backingServices.etcd",
        cel=f"!has(self.host) || !self.host.matches('^{_IPV6}$')",
        message="Marie does not reach etcd by an address of IPv6: give host a name that leads to it, such as that of "
        "a Service",
        broken=_etcd_by_ipv6,
    ),
    _host_alone("postgres"),
    _host_alone("rabbitmq"),
    Rule(
        at="spec.backingServices.postgres",
        cel="has(self.managed) != has(self.credentialsSecretRef)",
        message="a server of your own needs its password, a managed one makes it: set credentialsSecretRef with host, "
        "and leave it out with managed",
        broken=_no_credentials,
    ),
    Rule(
        at="spec.backingServices.postgres",
        cel="!has(self.managed) || !has(self.database) || self.database == 'postgres'",
        message="the managed server's database is postgres: leave database out",
        broken=_other_database,
    ),
    Rule(
        at="spec.backingServices.s3",
        cel=f"self.endpoint.matches('{_ENDPOINT}')",
        message="the port of endpoint is a number from 1 to 65535: correct it, or leave it out",
        broken=_wrong_port,
    ),
    Rule(
        at="spec.scheduler",
        cel="!has(self.minConcurrentDags) || !has(self.maxConcurrentDags) || "
        "self.minConcurrentDags <= self.maxConcurrentDags",
        message="minConcurrentDags is above maxConcurrentDags: lower the one or raise the other",
        broken=_fewest_above_most,
    ),
)
