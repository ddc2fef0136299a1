"""Pods that no kubelet will ever end, since their node is gone (``pkg/controller/podgc``)."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from marie_operator.testing.workloads.cache import Cluster
from marie_operator.testing.workloads.controller import Controller, Mapper, Now, Periods
from marie_operator.testing.workloads.objects import (
    FINISHED_PHASES,
    NODES,
    PODS,
    Key,
    Object,
    Resource,
    is_deleting,
    is_ready,
    key_of,
    with_condition,
    written,
)

OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"


class PodGarbageCollector(Controller):
    """Deletes by force the pods of nodes that are not there, and those that end on nodes that are out of service."""

    name = "pod-garbage-collector-controller"

    def __init__(self, cluster: Cluster, now: Now, periods: Periods) -> None:
        super().__init__(cluster, now, periods)
        self._missing: dict[str, float] = {}

    def watches(self) -> Mapping[Resource, Mapper]:
        """Nodes and pods."""
        return {NODES: self._of_node, PODS: self._of_pod}

    def _of_node(self, node: Object) -> Iterable[Key]:
        name = node["metadata"]["name"]
        current = self.cluster[NODES].get(key_of(node))
        if current is not None:
            self._missing.pop(name, None)
            if not is_out_of_service(current):
                return ()
        return [key_of(each) for each in self.cluster[PODS].all() if each["spec"].get("nodeName") == name]

    def _of_pod(self, pod: Object) -> Iterable[Key]:
        node = self.cluster[NODES].get(Key("", pod["spec"].get("nodeName", "")))
        placed = bool(pod["spec"].get("nodeName"))
        return [key_of(pod)] if placed and (node is None or is_out_of_service(node)) else ()

    async def reconcile(self, key: Key) -> float | None:
        """Delete a pod that nobody else will."""
        pod = self.cluster[PODS].get(key)
        if pod is None:
            return None
        name = pod["spec"].get("nodeName", "")
        node = self.cluster[NODES].get(Key("", name))
        if node is not None:
            if is_deleting(pod) and is_out_of_service(node):
                await self._end(pod)
            return None
        time = asyncio.get_running_loop().time()
        left = self._missing.setdefault(name, time) + self.periods.orphan - time
        if left > 0:
            return left
        if await self.cluster.api.exists(NODES.path("", name)):
            return self.periods.orphan
        target = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists",
            "lastTransitionTime": written(self.now()),
        }
        await self._end(pod, target)
        return None

    async def _end(self, pod: Object, *conditions: Object) -> None:
        """Have it failed, and gone."""
        status = pod.get("status", {})
        if status.get("phase") not in FINISHED_PHASES:
            told = status.get("conditions") or []
            for each in conditions:
                told = with_condition(told, each)
            pod = await self.cluster.patch(PODS, pod, {"status": {"phase": "Failed", "conditions": told}}, "status")
        await self.cluster.delete(PODS, pod, grace=0)


def is_out_of_service(node: Object) -> bool:
    """Whether a person has said so of a node that is not ready."""
    taints = node["spec"].get("taints") or ()
    return not is_ready(node) and any(each["key"] == OUT_OF_SERVICE for each in taints)
