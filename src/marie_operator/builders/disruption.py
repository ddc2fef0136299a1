"""The PodDisruptionBudget of a cluster."""

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association
from marie_operator.builders.association import EXECUTOR
from marie_operator.runtime.resource import POD_DISRUPTION_BUDGETS, Object


def of_busy_pods(cluster: MarieCluster) -> Object:
    """No executor at work is evicted; all others may be, which the budget does not select.

    The pods themselves say that they work: see ``association.BUSY_LABEL``.
    """
    chosen = {**association.selector(cluster, EXECUTOR), **association.BUSY}
    return association.hashed(
        {
            "apiVersion": POD_DISRUPTION_BUDGETS.api_version,
            "kind": POD_DISRUPTION_BUDGETS.kind,
            "metadata": association.metadata(cluster, association.budget_name(cluster.metadata.name), EXECUTOR),
            "spec": {"maxUnavailable": 0, "selector": {"matchLabels": chosen}},
        }
    )
