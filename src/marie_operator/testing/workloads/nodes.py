"""Nodes: which of them are lost, and what becomes of their pods' readiness (``pkg/controller/nodelifecycle``)."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from marie_operator.testing.api import ApiStatus
from marie_operator.testing.workloads.cache import Cluster
from marie_operator.testing.workloads.controller import Controller, Mapper, Now, Periods
from marie_operator.testing.workloads.health import (
    LOST,
    Place,
    Zone,
    is_all_lost,
    is_evicting,
    readiness,
    silenced,
    tainted,
    zone_of,
    zones,
)
from marie_operator.testing.workloads.objects import (
    LEASES,
    NODES,
    PODS,
    Key,
    Object,
    Resource,
    condition_of,
    key_of,
    uid_of,
    with_condition,
    written,
)

_LEASES_OF_NODES: Final = "kube-node-lease"
_SLOWER: Final = 10
"""Times, in a large zone of which most is lost (``--secondary-node-eviction-rate``)."""


@dataclass(slots=True)
class _Heard:
    """What was heard of a node.

    Attributes:
        said: Its last report and the last renewal of its lease.
        silence: Seconds since then.
        lost: Whether its pods were told of it.
        evicted: Whether it is its pods' turn to go.
    """

    said: Any = None
    silence: float = 0.0
    lost: bool = False
    evicted: bool = False


class NodeLifecycle(Controller):
    """Takes silent nodes for lost and has their pods evicted.

    Silence is counted in looks, not by a clock: a process that stood still has heard nobody, and blames nobody for it.
    """

    name = "node-lifecycle-controller"

    def __init__(self, cluster: Cluster, now: Now, periods: Periods) -> None:
        super().__init__(cluster, now, periods)
        self._heard: dict[str, _Heard] = {}
        self._next: dict[Place, float] = {}

    def watches(self) -> Mapping[Resource, Mapper]:
        """Nodes, their leases, and their pods."""
        return {NODES: lambda found: [Key("", found["metadata"]["name"])], LEASES: lambda _: (), PODS: lambda _: ()}

    async def prepare(self, add: Callable[[Key], None]) -> None:
        """Look at all nodes every now and then."""
        all_lost = False
        while True:
            await asyncio.sleep(self.periods.node_monitor)
            nodes = self.cluster[NODES].all()
            before, all_lost = all_lost, is_all_lost(nodes)
            self._heard = {uid_of(each): self._listen(each) for each in nodes}
            for node in nodes:
                heard = self._heard[uid_of(node)]
                # As long as no node was heard of, it was rather this end of the line.
                heard.silence = 0.0 if before and not all_lost else heard.silence + self.periods.node_monitor
                if self._is_silent(node, heard) or readiness(node) != "True" or is_evicting(node):
                    add(key_of(node))

    async def reconcile(self, key: Key) -> float | None:
        """Make a node's conditions and taints what they should be."""
        node = self.cluster[NODES].get(key)
        if node is None:
            return None
        heard = self._listen(node)
        if self._is_silent(node, heard) and readiness(node) != "Unknown":
            conditions = silenced(node, written(self.now()))
            node = await self.cluster.patch(NODES, node, {"status": {"conditions": conditions}}, "status")
        if readiness(node) not in LOST:
            heard.lost = heard.evicted = False
        elif not heard.lost:
            await self._mark_pods(node)
            heard.lost = True
        again = self._take_turn(node, heard)
        taints = tainted(node, evicting=heard.evicted, at=written(self.now()))
        if taints != (node["spec"].get("taints") or []):
            await self.cluster.patch(NODES, node, {"spec": {"taints": taints or None}})
        return again

    def _listen(self, node: Object) -> _Heard:
        """Whoever says something new is not silent."""
        ready, lease = condition_of(node, "Ready"), self.cluster[LEASES].get(Key(_LEASES_OF_NODES, key_of(node).name))
        said = (ready and ready.get("lastHeartbeatTime"), lease and (lease.get("spec") or {}).get("renewTime"))
        heard = self._heard.setdefault(uid_of(node), _Heard())
        if heard.said != said:
            heard.said, heard.silence = said, 0.0
        return heard

    def _is_silent(self, node: Object, heard: _Heard) -> bool:
        reported = condition_of(node, "Ready") is not None
        return heard.silence > (self.periods.node_grace if reported else self.periods.node_startup_grace)

    async def _mark_pods(self, node: Object) -> None:
        """Nobody may rely on the pods of a lost node; what its kubelet says of them afterwards counts again."""
        for pod in self.cluster[PODS].all():
            ready = condition_of(pod, "Ready")
            if pod["spec"].get("nodeName") == key_of(node).name and ready and ready["status"] != "False":
                new = {**ready, "status": "False", "lastTransitionTime": written(self.now())}
                conditions = with_condition(pod["status"]["conditions"], new)
                try:
                    await self.cluster.patch(PODS, pod, {"status": {"conditions": conditions}}, "status")
                except ApiStatus as error:
                    if error.code != 404:
                        raise

    def _take_turn(self, node: Object, heard: _Heard) -> float | None:
        """Settle whether it is the turn of a node's pods to go, one node of a zone after the other.

        Returns:
            Seconds until it may be.
        """
        nodes = self.cluster[NODES].all()
        if readiness(node) not in LOST or is_all_lost(nodes):
            heard.evicted = False
            return None
        heard.evicted = heard.evicted or is_evicting(node)
        place, time = zone_of(node), asyncio.get_running_loop().time()
        state = zones(nodes)[place]
        if heard.evicted or state is Zone.PARTLY_LOST:
            return None
        if self._next.get(place, time) > time:
            return self._next[place] - time
        slower = _SLOWER if state is Zone.PARTLY_LOST_AND_LARGE else 1
        self._next[place] = time + slower * self.periods.node_eviction
        heard.evicted = True
        return None
