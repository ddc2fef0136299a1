"""Clusters that would share an etcd or a database, and so corrupt each other's jobs (MA-05)."""

import contextlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from marie_operator.api.conditions import ClusterReason
from marie_operator.builders.backing import Service
from marie_operator.controllers.mariecluster.supplies import Problem
from marie_operator.runtime.resource import Object, ObjectKey

STORE_INDEX = "store"
"""Clusters by each etcd and each database that their specs name."""

_PORTS = {Service.ETCD: 2379, Service.POSTGRES: 5432}
_LOCAL = (".svc.cluster.local", ".svc")


def stores(cluster: Object) -> Iterable[str]:
    """The values of ``STORE_INDEX`` for a MarieCluster as the API server has it, whatever it looks like."""
    metadata, spec = cluster["metadata"], cluster.get("spec") or {}
    services = _mapping(spec.get("backingServices"))
    for service in (Service.ETCD, Service.POSTGRES):
        found = _mapping(services.get(service.value))
        if found.get("managed") is not None:
            yield _store(service, f"{metadata['name']}-{service.value}", _PORTS[service], metadata["namespace"], found)
        elif isinstance(host := found.get("host"), str) and host:
            yield _store(service, host, found.get("port") or _PORTS[service], metadata["namespace"], found)


def _store(service: Service, host: str, port: object, namespace: str, found: Mapping[str, Any]) -> str:
    database = f"/{found.get('database') or 'postgres'}" if service is Service.POSTGRES else ""
    return f"{service}://{_canonical(host, namespace)}:{port}{database}"


def _canonical(host: str, namespace: str) -> str:
    """One name for all names of a Service inside the cluster; others in lower case, addresses as they are short."""
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host))
    name = host.lower().rstrip(".")
    for suffix in _LOCAL:
        name = name.removesuffix(suffix)
    return name if "." in name else f"{name}.{namespace}"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def problems(live: Object, others: Mapping[str, Sequence[Object]]) -> list[Problem]:
    """The stores of a cluster that an older one uses: the younger is the one to be refused.

    Args:
        live: The cluster, as the API server has it.
        others: Every cluster that uses it, by each store.
    """
    found = []
    for store, users in others.items():
        older = [each for each in users if _age(each) < _age(live)]
        if older:
            service = Service(store.partition(":")[0])
            first = ObjectKey.of(min(older, key=_age))
            what = "etcd" if service is Service.ETCD else "database"
            message = (
                f"MarieCluster {first} uses the {what} {store} already, and two clusters on one corrupt each other's "
                f"jobs: give {live['metadata']['name']} one of its own in spec.backingServices.{service}."
            )
            found.append(Problem(service, ClusterReason.SERVICE_SHARED, message))
    return found


def _age(cluster: Object) -> tuple[str, str]:
    metadata = cluster["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata["uid"])
