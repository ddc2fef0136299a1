"""What all pods of a cluster together ask for."""

import re
from decimal import Decimal
from typing import NamedTuple

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association, quantity
from marie_operator.runtime.resource import Object

_GPU = re.compile(r"/(gpu|mig-.+)$")


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
    cpu = memory = gpu = Decimal(0)
    for count, template in pools:
        for container in template.get("spec", {}).get("containers") or ():
            asked = _asked(container)
            cpu += count * asked.get("cpu", Decimal(0))
            memory += count * asked.get("memory", Decimal(0))
            gpu += count * sum((amount for name, amount in asked.items() if _GPU.search(name)), Decimal(0))
    return Totals(quantity.formatted(cpu), quantity.formatted(memory, binary=True), quantity.formatted(gpu))


def _asked(container: Object) -> dict[str, Decimal]:
    resources = container.get("resources") or {}
    amounts = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantity.parse(value) for name, value in amounts.items()}
