"""A kubelet without containers: nodes that report ready, and pods that start, fail and end as told.

How a pod behaves is data: the first rule whose selector matches decides. What needs a container,
such as probes, logs and hooks, does not happen.
"""

import asyncio
import contextlib
import itertools
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Self, TypeAlias

from marie_operator.testing import pod_status
from marie_operator.testing.api import RETRY_PERIOD, Api, ApiStatus
from marie_operator.testing.pod_status import KILLED, TERMINATED, Pod, is_finished, is_ready, stamp

__all__ = ["Behaviour", "FakeKubelet", "NodeSpec", "Pod", "PodHook"]

PodHook: TypeAlias = Callable[[Pod], Awaitable[None]]

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
LEASE_PERIOD = 2.0
"""Seconds; a node is given up after several times as many."""
BACKOFF_LIMIT = 300.0
CRASHES = 5
"""Restarts of a pod that is told to be in CrashLoopBackOff from the start."""
_HEALTHY = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID"),
    ("Ready", "True", "KubeletReady"),
)
# More requests at once than this make the API server slower, not faster.
REQUESTS = 32


def _utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class NodeSpec:
    """A node.

    Attributes:
        name: Its name.
        capacity: What it offers, such as ``{"nvidia.com/gpu": "4"}``; processors, memory and pods are added.
        labels: For node selectors.
        taints: What pods must tolerate.
    """

    name: str
    capacity: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class Behaviour:
    """How the pods behave that it selects.

    Attributes:
        labels: All of them must be there; none matches every pod.
        namespace: Pattern of the pod's namespace.
        name: Pattern of the pod's name.
        image: Pattern that one of the images must match.
        start: Seconds from binding to ready.
        stop: Seconds from deletion to the end, unless the grace period ends sooner; ``math.inf`` ignores SIGTERM.
        runs: Seconds from ready until the containers end by themselves, again after each restart; None is for ever.
        backoff: Seconds between an end and the restart, doubled each time.
        waiting: A reason, such as ImagePullBackOff or CrashLoopBackOff, in which the pod stays instead of running.
        message: The sentence that goes with it.
        exit_code: Of a container that ended by itself; 137 is OOMKilled.
        ready: False for a pod that runs and never gets ready.
        program: What the containers do once they run, in place of ``runs``: given the pod, it returns the exit code and
            the termination message. It is cancelled when the pod is deleted or its node dies.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = "*"
    name: str = "*"
    image: str = "*"
    start: float = 0.1
    stop: float = 0.0
    runs: float | None = None
    backoff: float = 1.0
    waiting: str = ""
    message: str = ""
    exit_code: int = 1
    ready: bool = True
    program: Callable[[Pod], Awaitable[tuple[int, str]]] | None = None

    def matches(self, pod: Pod) -> bool:
        """Whether it selects a pod."""
        metadata = pod["metadata"]
        return (
            self.labels.items() <= metadata.get("labels", {}).items()
            and fnmatchcase(metadata["namespace"], self.namespace)
            and fnmatchcase(metadata["name"], self.name)
            and any(fnmatchcase(each["image"], self.image) for each in pod["spec"]["containers"])
        )


class FakeKubelet:
    """Runs the pods of its nodes while it is entered.

    Args:
        api: An entered client that may do what a kubelet may.
        nodes: What it registers.
        behaviours: The first that matches a pod decides; pods that none matches start at once.
        grace_scale: Seconds that one second of a pod's grace period takes.
        on_ready: Called when a pod has become ready.
        on_gone: Called when the containers of a pod that was ready end, once for each ``on_ready``.
        lease_period: Seconds between the renewals of a node's lease.
        now: The time, for what it reports.
    """

    def __init__(
        self,
        api: Api,
        *,
        nodes: Sequence[NodeSpec] = (NodeSpec("node-1"),),
        behaviours: Sequence[Behaviour] = (),
        grace_scale: float = 1.0,
        on_ready: PodHook | None = None,
        on_gone: PodHook | None = None,
        lease_period: float = LEASE_PERIOD,
        now: Callable[[], datetime] = _utc,
    ) -> None:
        self.behaviours = list(behaviours)
        self._api = api
        self._nodes = {node.name: node for node in nodes}
        self._dead: set[str] = set()
        self._grace_scale = grace_scale
        self._on_ready = on_ready
        self._on_gone = on_gone
        self._lease_period = lease_period
        self._now = now
        self._known: dict[str, Pod] = {}
        self._pods: dict[str, list[asyncio.Task[None]]] = {}
        self._reported: dict[str, Pod] = {}
        self._writing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._up: set[str] = set()
        self._ending: dict[str, float] = {}
        self._addresses = itertools.count(1)
        self._requests = asyncio.Semaphore(REQUESTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []

    async def __aenter__(self) -> Self:
        for node in self._nodes.values():
            await self._register(node)
        for work in (self._renew(), self._follow_nodes(), self._follow()):
            self._spawn(work)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop; the nodes and pods stay as they are.

        Raises:
            ExceptionGroup: the API server refused something, or a hook failed.
        """
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._failures:
            raise BaseExceptionGroup("the kubelet failed", self._failures)

    @contextlib.contextmanager
    def behaving(self, behaviour: Behaviour) -> Iterator[None]:
        """Pods that start meanwhile follow this rule before all others."""
        self.behaviours.insert(0, behaviour)
        try:
            yield
        finally:
            self.behaviours.remove(behaviour)

    def kill_node(self, name: str) -> None:
        """The node dies, and its containers with it: it reports no more, and its pods neither start nor end."""
        self._dead.add(name)
        for uid, pod in self._known.items():
            if pod["spec"]["nodeName"] == name:
                self._forget(uid)
                self._spawn(self._stopped(pod))

    async def revive_node(self, name: str) -> None:
        """A dead node is back, and starts its pods anew."""
        self._dead.discard(name)
        await self._report_node(self._nodes[name])
        for pod in list(self._known.values()):
            if pod["spec"]["nodeName"] == name:
                self._see(pod)

    def crash(self, namespace: str, name: str, *, exit_code: int = 1) -> None:
        """The containers of a pod that is ready end by themselves, and are started again as after any such end."""
        for uid, pod in self._known.items():
            metadata = pod["metadata"]
            if (
                uid in self._up
                and uid not in self._ending
                and (metadata["namespace"], metadata["name"]) == (namespace, name)
            ):
                status = self._reported[uid]["status"]
                self._forget(uid)
                self._spawn(self._crashed(pod, status, exit_code), pod)
                return

    def _spawn(self, work: Coroutine[Any, Any, None], pod: Pod | None = None) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        if pod is not None:
            self._pods.setdefault(pod["metadata"]["uid"], []).append(task)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)

    async def _register(self, node: NodeSpec) -> None:
        labels = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", **node.labels}
        metadata, spec = {"name": node.name, "labels": labels}, {"taints": list(node.taints)}
        manifest = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}
        try:
            await self._api.create("/api/v1/nodes", manifest)
        except ApiStatus as error:
            if error.code != 409:
                raise
        await self._report_node(node)

    async def _report_node(self, node: NodeSpec) -> None:
        capacity = {"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti", **node.capacity}
        at = stamp(self._now())
        times = {"message": "", "lastHeartbeatTime": at, "lastTransitionTime": at}
        conditions = [{"type": name, "status": told, "reason": reason, **times} for name, told, reason in _HEALTHY]
        status = {"capacity": capacity, "allocatable": capacity, "conditions": conditions}
        await self._persist(lambda: self._api.patch(f"/api/v1/nodes/{node.name}/status", {"status": status}))

    async def _follow_nodes(self) -> None:
        """Nodes that were declared lost, since this process was held up, report again."""
        async for kind, node in self._api.watch("/api/v1/nodes"):
            name = node["metadata"]["name"]
            if kind != "DELETED" and name in self._nodes.keys() - self._dead and not is_ready(node):
                await self._report_node(self._nodes[name])

    async def _renew(self) -> None:
        """Node leases, which keep the controller manager from declaring the nodes dead."""
        while True:
            await asyncio.gather(*(self._renew_lease(name) for name in self._nodes if name not in self._dead))
            await asyncio.sleep(self._lease_period)

    async def _renew_lease(self, name: str) -> None:
        renewed = {"spec": {"renewTime": stamp(self._now(), micro=True)}}
        if await self._persist(lambda: self._api.patch(f"{LEASES}/{name}", renewed)) is None:
            await self._persist(lambda: self._make_lease(name))

    async def _make_lease(self, name: str) -> None:
        node = await self._api.get(f"/api/v1/nodes/{name}")
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
        spec = {
            "holderIdentity": name,
            "leaseDurationSeconds": math.ceil(4 * self._lease_period),
            "renewTime": stamp(self._now(), micro=True),
        }
        await self._api.create(LEASES, {"metadata": {"name": name, "ownerReferences": [owner]}, "spec": spec})

    async def _follow(self) -> None:
        async for kind, pod in self._api.watch("/api/v1/pods", "fieldSelector=spec.nodeName%21%3D"):
            uid, node = pod["metadata"]["uid"], pod["spec"]["nodeName"]
            if node not in self._nodes:
                continue
            if kind == "DELETED":
                self._known.pop(uid, None)
                self._writing.pop(uid, None)
                self._forget(uid)
                self._spawn(self._stopped(pod))
                continue
            self._known[uid] = pod
            if node not in self._dead:
                self._see(pod)

    def _see(self, pod: Pod) -> None:
        uid = pod["metadata"]["uid"]
        if "deletionTimestamp" in pod["metadata"]:
            # The API server lets a later deletion shorten the period of an earlier one, and the kubelet heeds it.
            grace = pod["metadata"]["deletionGracePeriodSeconds"]
            if grace < self._ending.get(uid, math.inf):
                self._forget(uid)
                self._ending[uid] = grace
                self._spawn(self._end(pod), pod)
        elif uid not in self._pods:
            if not is_finished(pod):
                self._spawn(self._start(pod), pod)
        elif self._disputed(pod):
            self._spawn(self._restore(pod), pod)

    def _disputed(self, pod: Pod) -> bool:
        """Whether someone else has set the pod's readiness since; the controller manager does when a node is late."""
        reported = self._reported.get(pod["metadata"]["uid"])
        return reported is not None and _version(pod) > _version(reported) and is_ready(pod) != is_ready(reported)

    def _forget(self, uid: str) -> None:
        for task in self._pods.pop(uid, ()):
            task.cancel()
        self._ending.pop(uid, None)
        self._reported.pop(uid, None)

    def _behaviour(self, pod: Pod) -> Behaviour:
        return next((each for each in self.behaviours if each.matches(pod)), Behaviour())

    async def _start(self, pod: Pod) -> None:
        behaviour = self._behaviour(pod)
        await asyncio.sleep(behaviour.start)
        number = next(self._addresses)
        address = f"10.244.{number // 250 % 250}.{number % 250 + 1}"
        code = behaviour.exit_code
        if behaviour.waiting:
            reason, message = behaviour.waiting, behaviour.message
            restarts, last = (CRASHES, self._own_end(code)) if reason == "CrashLoopBackOff" else (0, None)
            status = pod_status.waiting(
                pod, reason, message, at=self._now(), address=address, restarts=restarts, last=last
            )
            await self._report(pod, status)
            return
        await self._run(pod, behaviour, address)

    async def _run(
        self, pod: Pod, behaviour: Behaviour, address: str, *, restarts: int = 0, last: dict[str, Any] | None = None
    ) -> None:
        """The containers run, as long as the behaviour has it, and again after each time that they end."""
        while True:
            ready = behaviour.ready
            status = pod_status.running(pod, at=self._now(), address=address, ready=ready, restarts=restarts, last=last)
            if await self._report(pod, status) and behaviour.ready:
                self._up.add(pod["metadata"]["uid"])
                if self._on_ready is not None:
                    await self._on_ready({**pod, "status": {"podIP": address}})
            code, said = behaviour.exit_code, ""
            if behaviour.program is not None:
                code, said = await behaviour.program(pod)
            elif behaviour.runs is None:
                return
            else:
                await asyncio.sleep(behaviour.runs)
            last = await self._ended(pod, behaviour, address, restarts, code, said)
            if last is None:
                return
            restarts += 1

    async def _ended(
        self, pod: Pod, behaviour: Behaviour, address: str, restarts: int, code: int, said: str = ""
    ) -> dict[str, Any] | None:
        """The containers end, and wait for their next start; how they ended, None when there is no next."""
        await self._stopped(pod)
        end = self._own_end(code) | ({"message": said} if said else {})
        if not pod_status.restarts_after(pod, code):
            await self._report(pod, pod_status.ended(pod, end, at=self._now(), address=address, restarts=restarts))
            return None
        status = pod_status.waiting(
            pod, "CrashLoopBackOff", "", at=self._now(), address=address, restarts=restarts, last=end
        )
        await self._report(pod, status)
        await asyncio.sleep(min(behaviour.backoff * 2**restarts, BACKOFF_LIMIT))
        return end

    async def _crashed(self, pod: Pod, status: dict[str, Any], exit_code: int) -> None:
        restarts, address = status["containerStatuses"][0]["restartCount"], status["podIP"]
        behaviour = self._behaviour(pod)
        last = await self._ended(pod, behaviour, address, restarts, exit_code)
        if last is not None:
            await self._run(pod, behaviour, address, restarts=restarts + 1, last=last)

    def _own_end(self, exit_code: int) -> dict[str, Any]:
        return pod_status.termination(exit_code, at=self._now(), out_of_memory=exit_code == KILLED)

    async def _end(self, pod: Pod) -> None:
        metadata = pod["metadata"]
        stop, grace = self._behaviour(pod).stop, metadata["deletionGracePeriodSeconds"] * self._grace_scale
        await asyncio.sleep(min(stop, grace))
        await self._stopped(pod)
        if not is_finished(pod):
            # Controllers with finalizers, such as the Job's, wait for this.
            end = pod_status.termination(TERMINATED if stop <= grace else KILLED, at=self._now())
            await self._report(pod, pod_status.ended(pod, end, at=self._now(), address=pod["status"].get("podIP", "")))
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        await self._persist(lambda: self._api.delete(_path(pod), options))

    async def _stopped(self, pod: Pod) -> None:
        """The containers have ended."""
        uid = pod["metadata"]["uid"]
        if uid in self._up:
            self._up.discard(uid)
            if self._on_gone is not None:
                await self._on_gone(pod)

    async def _restore(self, pod: Pod) -> None:
        uid = pod["metadata"]["uid"]
        async with self._writing[uid]:
            # The event may have been of a write whose answer came later than itself.
            if self._disputed(self._known.get(uid, pod)):
                await self._write(pod, self._reported[uid]["status"])

    async def _report(self, pod: Pod, status: dict[str, Any]) -> bool:
        """Whether the pod is still there to carry the status."""
        async with self._writing[pod["metadata"]["uid"]]:
            return await self._write(pod, status)

    async def _write(self, pod: Pod, status: dict[str, Any]) -> bool:
        uid = pod["metadata"]["uid"]
        body = {"metadata": {"uid": uid}, "status": status}
        written = await self._persist(lambda: self._api.patch(f"{_path(pod)}/status", body))
        if written is not None:
            self._reported[uid] = written
        return written is not None

    async def _persist(self, request: Callable[[], Awaitable[Any]]) -> Any:
        """Ask until the server answers; None when the pod is gone, or another one of its name is there."""
        while True:
            try:
                async with self._requests:
                    return await request()
            except ApiStatus as error:
                if error.code in {404, 409}:
                    return None
                if not error.passing:
                    raise
            except OSError:
                pass
            await asyncio.sleep(RETRY_PERIOD)


def _path(pod: Pod) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _version(found: Pod) -> int:
    return int(found["metadata"]["resourceVersion"])
