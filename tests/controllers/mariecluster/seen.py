"""Observations for tests: a cluster with the children a control plane would show."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association, chain
from marie_operator.controllers.mariecluster.refusals import Refusal
from marie_operator.controllers.mariecluster.status import Observation
from marie_operator.marie.gateways import GatewayView
from marie_operator.runtime.resource import DEPLOYMENTS, Object

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUNNING = GatewayView(reachable=True, running=True)


def cluster(*groups: dict[str, Any], status: Any = None, **spec: Any) -> MarieCluster:
    """A cluster with one server and some groups."""
    template = {"spec": {"containers": [{"name": "marie", "image": "marie"}]}}
    return MarieCluster.model_validate(
        {
            "metadata": {"name": "c", "namespace": "n", "uid": "u", "generation": 2},
            "spec": {
                "serverSpec": {"template": template},
                "executorGroupSpecs": [{"template": template, **group} for group in groups or ({"groupName": "ocr"},)],
                **spec,
            },
            "status": status or {},
        }
    )


def children(of: MarieCluster, ready: dict[str, int]) -> dict[Any, Object]:
    """The chain's objects, live, with as many ready pods as told by the Deployments' names."""
    live = {}
    for resource, manifest in chain.desired(of):
        name = manifest["metadata"]["name"]
        live[resource, name] = {**manifest, "metadata": {**manifest["metadata"], "uid": f"uid-{name}"}}
        if resource is DEPLOYMENTS:
            count = ready.get(name, 0)
            live[resource, name]["status"] = {
                "replicas": max(count, manifest["spec"]["replicas"]) if count or manifest["spec"]["replicas"] else 0,
                "readyReplicas": count,
                "updatedReplicas": max(count, manifest["spec"]["replicas"]),
                "availableReplicas": count,
            }
    return live


def seen(
    of: MarieCluster,
    ready: dict[str, int] | None = None,
    *,
    gateway: GatewayView | None = RUNNING,
    pods: Sequence[Object] = (),
    refusals: Sequence[Refusal] = (),
) -> Observation:
    """What a reconcile would see."""
    return Observation(of, children(of, ready or {}), pods, gateway, NOW, refusals)


def pod(name: str, node_type: str, group: str = "", **status: Any) -> Object:
    """A pod of the cluster."""
    labels = {association.NODE_TYPE_LABEL: node_type} | ({association.GROUP_LABEL: group} if group else {})
    return {"metadata": {"name": name, "labels": labels}, "status": status}
