"""The scheduler: a node for each pod that has none, or why there is none."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

from marie_operator.testing.api import ApiStatus
from marie_operator.testing.workloads import placement
from marie_operator.testing.workloads.cache import Cluster
from marie_operator.testing.workloads.controller import Controller, Mapper, Now, Periods
from marie_operator.testing.workloads.objects import (
    FINISHED_PHASES,
    NODES,
    PODS,
    Condition,
    Key,
    Object,
    Resource,
    is_deleting,
    key_of,
    uid_of,
    with_condition,
    written,
)

NAME = "default-scheduler"


class Scheduler(Controller):
    """Binds pods to nodes, one at a time, to the emptiest that can take them."""

    name = "scheduler"

    def __init__(self, cluster: Cluster, now: Now, periods: Periods) -> None:
        super().__init__(cluster, now, periods)
        self._waiting: dict[Key, None] = {}
        self._loads: defaultdict[str, dict[str, placement.Amounts]] = defaultdict(dict)
        self._used: defaultdict[str, placement.Amounts] = defaultdict(dict)
        self._places: dict[str, str] = {}

    def watches(self) -> Mapping[Resource, Mapper]:
        """Nodes and pods."""
        return {NODES: lambda _: list(self._waiting), PODS: self._of_pod}

    def _of_pod(self, pod: Object) -> Iterable[Key]:
        current = self.cluster[PODS].by_uid(uid_of(pod))
        key = key_of(pod)
        if current is None or current.get("status", {}).get("phase") in FINISHED_PHASES:
            self._waiting.pop(key, None)
            # There may be room for others now.
            return list(self._waiting) if self._leave(uid_of(pod)) else ()
        node = current["spec"].get("nodeName")
        if node:
            self._waiting.pop(key, None)
            self._leave(uid_of(pod))
            self._enter(node, current)
            return ()
        if not wants_node(current):
            self._waiting.pop(key, None)
            return ()
        self._waiting[key] = None
        return (key,)

    def _enter(self, node: str, pod: Object) -> None:
        uid, wanted = uid_of(pod), placement.requests(pod)
        self._places[uid] = node
        self._loads[node][uid] = wanted
        used = self._used[node]
        for name, value in wanted.items():
            used[name] = used.get(name, Decimal(0)) + value

    def _leave(self, uid: str) -> bool:
        """Whether a pod had a place."""
        node = self._places.pop(uid, None)
        if node is None:
            return False
        used = self._used[node]
        for name, value in self._loads[node].pop(uid).items():
            used[name] -= value
        return True

    async def reconcile(self, key: Key) -> float | None:
        """Find a node for a pod."""
        pod = self.cluster[PODS].get(key)
        if pod is None or not wants_node(pod) or uid_of(pod) in self._places:
            return None
        nodes = [each for each in self.cluster[NODES].all() if not is_deleting(each)]
        reasons = {each["metadata"]["name"]: placement.obstacles(pod, each, self._of_node(each)) for each in nodes}
        fitting = [name for name, obstacles in reasons.items() if not obstacles]
        if not fitting:
            await self._tell(pod, placement.message(list(reasons.values())))
            return None
        await self._bind(pod, min(fitting, key=lambda name: (len(self._loads[name]), name)))
        return None

    def _of_node(self, node: Object) -> placement.Amounts:
        return self._used[node["metadata"]["name"]]

    async def _bind(self, pod: Object, node: str) -> None:
        key = key_of(pod)
        self._enter(node, pod)
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid_of(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self.cluster.api.create(PODS.path(key.namespace, key.name, "binding"), body)
        except (ApiStatus, OSError) as error:
            self._leave(uid_of(pod))
            # 404 and 409: the pod is gone, or has a node; the watch tells.
            if not isinstance(error, ApiStatus) or error.code not in {404, 409}:
                raise

    async def _tell(self, pod: Object, why: str) -> None:
        old: list[Condition] = pod.get("status", {}).get("conditions") or []
        new = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
        timed = {**new, "lastProbeTime": None, "lastTransitionTime": written(self.now())}
        conditions = with_condition(old, timed)
        if conditions != old:
            await self.cluster.patch(PODS, pod, {"status": {"conditions": conditions}}, "status")


def wants_node(pod: Object) -> bool:
    """Whether a pod is to be placed by this scheduler."""
    spec = pod["spec"]
    ours = spec.get("schedulerName", NAME) == NAME
    free = not spec.get("nodeName") and not spec.get("schedulingGates") and not is_deleting(pod)
    return ours and free and pod.get("status", {}).get("phase") not in FINISHED_PHASES
