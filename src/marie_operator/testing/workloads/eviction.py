"""The end of pods on nodes that they do not tolerate (``pkg/controller/tainteviction``)."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from marie_operator.testing.workloads.cache import Cluster
from marie_operator.testing.workloads.controller import Controller, Mapper, Now, Periods
from marie_operator.testing.workloads.objects import (
    NODES,
    PODS,
    Key,
    Object,
    Resource,
    is_deleting,
    key_of,
    uid_of,
    with_condition,
    written,
)
from marie_operator.testing.workloads.placement import toleration


class TaintEviction(Controller):
    """Deletes pods from nodes with NoExecute taints, as soon as their tolerations end."""

    name = "taint-eviction-controller"

    def __init__(self, cluster: Cluster, now: Now, periods: Periods) -> None:
        super().__init__(cluster, now, periods)
        self._taints: dict[str, Sequence[Object]] = {}
        self._since: dict[str, float] = {}

    def watches(self) -> Mapping[Resource, Mapper]:
        """Nodes and pods."""
        return {NODES: self._of_node, PODS: self._of_pod}

    def _of_node(self, node: Object) -> Iterable[Key]:
        name = node["metadata"]["name"]
        current = self.cluster[NODES].get(key_of(node))
        taints = no_execute(current) if current else []
        if taints == self._taints.get(name, []):
            return ()
        self._taints[name] = taints
        return [key_of(each) for each in self.cluster[PODS].all() if each["spec"].get("nodeName") == name]

    def _of_pod(self, pod: Object) -> Iterable[Key]:
        if self.cluster[PODS].by_uid(uid_of(pod)) is None:
            self._since.pop(uid_of(pod), None)
        return [key_of(pod)] if self._taints.get(pod["spec"].get("nodeName", "")) else ()

    async def reconcile(self, key: Key) -> float | None:
        """Delete a pod, now or once it has been tolerant for long enough."""
        pod = self.cluster[PODS].get(key)
        if pod is None or is_deleting(pod):
            return None
        uid, taints = uid_of(pod), self._taints.get(pod["spec"].get("nodeName", "")) or ()
        seconds = tolerant(pod, taints)
        if seconds is None:
            self._since.pop(uid, None)
            return None
        time = asyncio.get_running_loop().time()
        left = self._since.setdefault(uid, time) + seconds - time
        if left > 0:
            return left
        target = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": written(self.now()),
        }
        conditions = with_condition(pod.get("status", {}).get("conditions") or [], target)
        pod = await self.cluster.patch(PODS, pod, {"status": {"conditions": conditions}}, "status")
        await self.cluster.delete(PODS, pod)
        return None


def no_execute(node: Object) -> list[Object]:
    """The taints of a node that concern pods which are there already."""
    return [each for each in node["spec"].get("taints") or () if each["effect"] == "NoExecute"]


def tolerant(pod: Object, taints: Sequence[Object]) -> float | None:
    """Seconds for which a pod tolerates all of some taints; None is for ever."""
    tolerations = pod["spec"].get("tolerations") or ()
    met = [toleration(each, tolerations) for each in taints]
    seconds = [0 if each is None else each.get("tolerationSeconds") for each in met]
    return min((max(0.0, float(each)) for each in seconds if each is not None), default=None)
