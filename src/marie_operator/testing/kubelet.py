"""A kubelet without containers: nodes that report ready, and pods that start, fail and end as told.

How a pod behaves is data: the first rule whose selector matches decides. What needs a container,
such as probes, logs and hooks, does not happen.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeAlias

from marie_operator.testing.api import Api, ApiStatus

Pod: TypeAlias = dict[str, Any]
PodHook: TypeAlias = Callable[[Pod], Awaitable[None]]

LEASE_PERIOD = 2.0


@dataclass(frozen=True)
class NodeSpec:
    """A node.

    Attributes:
        name: Its name.
        capacity: What it offers, such as ``{"nvidia.com/gpu": "4"}``; processors, memory and pods are added.
        labels: For node selectors.
    """

    name: str
    capacity: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Behaviour:
    """How pods behave that carry certain labels.

    Attributes:
        labels: All of them must be there; none matches every pod.
        start: Seconds from binding to ready.
        stop: Seconds from deletion to the end.
        waiting: A reason, such as ImagePullBackOff or CrashLoopBackOff, in which the pod stays instead of running.
        message: The sentence that goes with it.
        exit_code: Of the container's last end, for CrashLoopBackOff.
        ready: False for a pod that runs and never gets ready.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    start: float = 0.1
    stop: float = 0.0
    waiting: str = ""
    message: str = ""
    exit_code: int = 1
    ready: bool = True

    def matches(self, pod: Pod) -> bool:
        """Whether a pod carries the labels."""
        return bool(self.labels.items() <= pod["metadata"].get("labels", {}).items())


class FakeKubelet:
    """Runs the pods of its nodes while it is entered.

    Args:
        api: An entered client that may do what a kubelet may.
        nodes: What it registers.
        behaviours: The first that matches a pod decides; pods that none matches start at once.
        on_ready: Called when a pod has become ready.
        on_gone: Called when a pod that was ready ends.
    """

    def __init__(
        self,
        api: Api,
        *,
        nodes: Sequence[NodeSpec] = (NodeSpec("node-1"),),
        behaviours: Sequence[Behaviour] = (),
        on_ready: PodHook | None = None,
        on_gone: PodHook | None = None,
    ) -> None:
        self.behaviours = list(behaviours)
        self._api = api
        self._nodes = {node.name: node for node in nodes}
        self._dead: set[str] = set()
        self._on_ready = on_ready
        self._on_gone = on_gone
        self._pods: dict[str, asyncio.Task[None]] = {}
        self._up: set[str] = set()
        self._ending: set[str] = set()
        self._addresses = itertools.count(1)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for node in self._nodes.values():
            await self._register(node)
        self._tasks = [asyncio.create_task(self._renew()), asyncio.create_task(self._follow())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in (*self._tasks, *self._pods.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._pods.values(), return_exceptions=True)

    def kill_node(self, name: str) -> None:
        """The node dies: it reports no more, and its pods neither start nor end."""
        self._dead.add(name)

    async def _register(self, node: NodeSpec) -> None:
        capacity = {"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti", **node.capacity}
        labels = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", **node.labels}
        path = "/api/v1/nodes"
        with contextlib.suppress(ApiStatus):
            await self._api.create(
                path, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name, "labels": labels}}
            )
        condition = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "",
            "lastHeartbeatTime": _now(),
            "lastTransitionTime": _now(),
        }
        status = {"capacity": capacity, "allocatable": capacity, "conditions": [condition]}
        await self._api.patch(f"{path}/{node.name}/status", {"status": status})
        # A new node is tainted until the controller manager has seen it ready.
        await self._api.patch(f"{path}/{node.name}", {"spec": {"taints": None}})

    async def _renew(self) -> None:
        """Node leases, which keep the controller manager from declaring the nodes dead."""
        collection = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        while True:
            for name in self._nodes.keys() - self._dead:
                spec = {"holderIdentity": name, "leaseDurationSeconds": 8, "renewTime": _now(micro=True)}
                lease = {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": name, "namespace": "kube-node-lease"},
                    "spec": spec,
                }
                with contextlib.suppress(ApiStatus, OSError):
                    await self._api.apply(f"{collection}/{name}", lease, manager="kubelet")
            await asyncio.sleep(LEASE_PERIOD)

    async def _follow(self) -> None:
        async for kind, pod in self._api.watch("/api/v1/pods"):
            uid, node = pod["metadata"]["uid"], pod["spec"].get("nodeName", "")
            if node not in self._nodes or node in self._dead:
                continue
            if kind == "DELETED":
                await self._gone(pod)
            elif "deletionTimestamp" in pod["metadata"]:
                if uid not in self._ending:
                    self._ending.add(uid)
                    self._run(uid, self._end(pod))
            elif uid not in self._pods:
                self._run(uid, self._start(pod))

    def _run(self, uid: str, work: Any) -> None:
        previous = self._pods.get(uid)
        if previous is not None:
            previous.cancel()
        self._pods[uid] = asyncio.create_task(work)

    def _behaviour(self, pod: Pod) -> Behaviour:
        return next((each for each in self.behaviours if each.matches(pod)), Behaviour())

    async def _start(self, pod: Pod) -> None:
        behaviour = self._behaviour(pod)
        await asyncio.sleep(behaviour.start)
        number = next(self._addresses)
        address = f"10.244.{number // 250 % 250}.{number % 250 + 1}"
        ready = behaviour.ready and not behaviour.waiting
        await self._report(pod, _status(pod, behaviour, address=address, ready=ready))
        if ready:
            self._up.add(pod["metadata"]["uid"])
            if self._on_ready is not None:
                await self._on_ready({**pod, "status": {"podIP": address}})

    async def _end(self, pod: Pod) -> None:
        await asyncio.sleep(self._behaviour(pod).stop)
        metadata = pod["metadata"]
        with contextlib.suppress(ApiStatus, OSError):
            await self._api.delete(
                f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}",
                {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}},
            )

    async def _gone(self, pod: Pod) -> None:
        uid = pod["metadata"]["uid"]
        self._pods.pop(uid, None)
        self._ending.discard(uid)
        if uid in self._up:
            self._up.discard(uid)
            if self._on_gone is not None:
                await self._on_gone(pod)

    async def _report(self, pod: Pod, status: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        while True:
            try:
                await self._api.patch(path, {"metadata": {"uid": metadata["uid"]}, "status": status})
            except ApiStatus:
                # The pod is gone, or another one of its name is there.
                return
            except OSError:
                await asyncio.sleep(0.2)
            else:
                return


def _status(pod: Pod, behaviour: Behaviour, *, address: str, ready: bool) -> dict[str, Any]:
    now = _now()
    truth = "True" if ready else "False"
    kinds = (("Initialized", "True"), ("PodScheduled", "True"), ("ContainersReady", truth), ("Ready", truth))
    return {
        "phase": "Pending" if behaviour.waiting and "Image" in behaviour.waiting else "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "hostIP": "10.0.0.1",
        "startTime": now,
        "conditions": [{"type": name, "status": status, "lastTransitionTime": now} for name, status in kinds],
        "containerStatuses": [_container(each, behaviour, ready=ready) for each in pod["spec"]["containers"]],
    }


def _container(container: dict[str, Any], behaviour: Behaviour, *, ready: bool) -> dict[str, Any]:
    status: dict[str, Any] = {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": ready,
        "restartCount": 0,
    }
    if not behaviour.waiting:
        return {**status, "started": True, "state": {"running": {"startedAt": _now()}}}
    status["state"] = {"waiting": {"reason": behaviour.waiting, "message": behaviour.message}}
    if behaviour.waiting == "CrashLoopBackOff":
        reason = "OOMKilled" if behaviour.exit_code == 137 else "Error"
        ended = {"exitCode": behaviour.exit_code, "reason": reason, "startedAt": _now(), "finishedAt": _now()}
        status |= {"restartCount": 5, "lastState": {"terminated": ended}}
    return status


def _now(*, micro: bool = False) -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")
