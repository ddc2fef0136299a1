"""What all pods of a cluster together ask for."""

from decimal import Decimal, localcontext
from typing import NamedTuple

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association, backing, resources, store
from marie_operator.runtime import quantity
from marie_operator.runtime.resource import Object


class Totals(NamedTuple):
    """Canonical quantities; ``0`` where nothing is asked for."""

    cpu: str
    memory: str
    gpu: str


def of(cluster: MarieCluster) -> Totals:
    """Requests, or limits where there is no request, over all pods the cluster wants now."""
    server = 0 if cluster.spec.suspend else cluster.spec.server_spec.replicas
    pools = [(server, cluster.spec.server_spec.template)]
    pools += [(association.replicas(cluster, group), group.template) for group in cluster.spec.executor_group_specs]
    pools += _stores(cluster)
    cpu = memory = gpu = Decimal(0)
    with localcontext(quantity.EXACT):
        for count, template in pools:
            pod = _pod(template.get("spec", {}))
            cpu += count * pod.get("cpu", Decimal(0))
            memory += count * pod.get("memory", Decimal(0))
            gpu += count * sum((amount for name, amount in pod.items() if resources.is_gpu(name)), Decimal(0))
    return Totals(quantity.formatted(cpu), quantity.formatted(memory, binary=True), quantity.formatted(gpu))


def _stores(cluster: MarieCluster) -> list[tuple[int, Object]]:
    services = backing.of(cluster)
    if services is None:
        return []
    wanted = {association.ETCD: services.etcd.managed, association.POSTGRES: services.postgres.managed}
    return [
        (association.store_replicas(cluster), {"spec": {"containers": [{"resources": store.asked(kind, managed)}]}})
        for kind, managed in wanted.items()
        if managed is not None
    ]


def _pod(spec: Object) -> dict[str, Decimal]:
    """What the scheduler reserves for a pod: its containers and sidecars, or a step before them that needs more."""
    running: dict[str, Decimal] = {}
    most: dict[str, Decimal] = {}
    for container in spec.get("initContainers") or ():
        asked = _sum(running, resources.asked(container))
        if container.get("restartPolicy") == "Always":
            running = asked
        else:
            most = _most(most, asked)
    for container in spec.get("containers") or ():
        running = _sum(running, resources.asked(container))
    return _most(most, running)


def _sum(one: dict[str, Decimal], other: dict[str, Decimal]) -> dict[str, Decimal]:
    return {name: one.get(name, Decimal(0)) + other.get(name, Decimal(0)) for name in one.keys() | other.keys()}


def _most(one: dict[str, Decimal], other: dict[str, Decimal]) -> dict[str, Decimal]:
    return {name: max(one.get(name, Decimal(0)), other.get(name, Decimal(0))) for name in one.keys() | other.keys()}
