"""Jobs: pods until enough of them have succeeded, or too many failed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from marie_operator.testing.workloads import completion
from marie_operator.testing.workloads import pods as making
from marie_operator.testing.workloads.cache import Cluster
from marie_operator.testing.workloads.controller import Controller, Mapper, Now, Periods, itself, under
from marie_operator.testing.workloads.objects import (
    JOBS,
    PODS,
    Key,
    Object,
    Resource,
    controller_uid,
    is_deleting,
    key_of,
    owner_reference,
    parsed,
    uid_of,
)

_OF_POD = under("Job")
_OWN = "kubernetes.io/job-controller"
_RETRY_REFUSED = 1.0


class Jobs(Controller):
    """The controller of Jobs, and of their end after they have ended."""

    name = "job-controller"

    def __init__(self, cluster: Cluster, now: Now, periods: Periods) -> None:
        super().__init__(cluster, now, periods)
        self._held: dict[Key, dict[str, Key]] = {}

    def watches(self) -> Mapping[Resource, Mapper]:
        """Jobs and their pods."""
        return {JOBS: itself, PODS: self._of_pod}

    def _of_pod(self, pod: Object) -> Iterable[Key]:
        keys = _OF_POD(pod)
        for key in keys:
            held = self._held.setdefault(key, {})
            if completion.has_finalizer(pod):
                held[uid_of(pod)] = key_of(pod)
            else:
                held.pop(uid_of(pod), None)
            if not held:
                del self._held[key]
        return keys

    async def reconcile(self, key: Key) -> float | None:
        """Make or end pods, and tell."""
        job = self.cluster[JOBS].get(key)
        await self._free_orphans(key, "" if job is None else uid_of(job))
        if job is None or job["spec"].get("managedBy", _OWN) != _OWN:
            return None
        pods = self._pods(job)
        if completion.finished(job) is not None:
            await self._free(pods, {uid_of(each) for each in pods})
            return await self._expire(job)
        step = completion.course(job, pods, completion.counted(job, pods), self.now())
        refusal = await making.create_all(self.cluster, _bodies(job, pods, step.create))
        await making.delete_all(self.cluster, step.end)
        await self._withdraw(step.withdraw)
        current = self.cluster[JOBS].get(key)
        if current is None:
            return None
        await self._tell(current)
        return _RETRY_REFUSED if refusal else step.again

    def _pods(self, job: Object) -> list[Object]:
        uid = uid_of(job)
        return [each for each in self.cluster[PODS].owned(uid) if controller_uid(each) == uid]

    async def _tell(self, job: Object) -> None:
        """Write down the pods that have ended, and then free them; their change brings the next look."""
        pods = self._pods(job)
        done = completion.counted(job, pods)
        await self.cluster.write_status(JOBS, job, completion.status(job, pods, done, self.now()))
        await self._free(pods, done.pending)

    async def _free(self, pods: Sequence[Object], uids: set[str] | frozenset[str]) -> None:
        for pod in pods:
            if uid_of(pod) in uids and completion.has_finalizer(pod):
                await self._release(pod)

    async def _free_orphans(self, key: Key, uid: str) -> None:
        """Free the pods of Jobs that are gone, whose name another may have by now."""
        found = [self.cluster[PODS].get(each) for each in self._held.get(key, {}).values()]
        for pod in found:
            if pod is not None and controller_uid(pod) != uid:
                await self._release(pod)

    async def _withdraw(self, pods: Sequence[Object]) -> None:
        """End pods without counting them."""
        await making.delete_all(self.cluster, [await self._release(each) for each in pods])

    async def _release(self, pod: Object) -> Object:
        if not completion.has_finalizer(pod):
            return pod
        left = [each for each in pod["metadata"]["finalizers"] if each != completion.FINALIZER]
        return await self.cluster.patch(PODS, pod, {"metadata": {"finalizers": left or None}})

    async def _expire(self, job: Object) -> float | None:
        """Delete a Job whose time after its end is over; or the seconds until then."""
        seconds, end = job["spec"].get("ttlSecondsAfterFinished"), completion.finished(job)
        since = parsed(end["lastTransitionTime"]) if end is not None else None
        if seconds is None or since is None or is_deleting(job):
            return None
        left = (since + timedelta(seconds=seconds) - self.now()).total_seconds()
        if left > 0:
            return left
        await self.cluster.delete(JOBS, job, propagation="Foreground")
        return None


def _bodies(job: Object, pods: Sequence[Object], count: int) -> list[Object]:
    if completion.is_indexed(job):
        return [_indexed(job, index) for index in completion.missing_indexes(job, pods, count)]
    return [_pod(job, f"{key_of(job).name}-") for _ in range(count)]


def _pod(job: Object, generate_name: str) -> Object:
    body = making.from_template(
        job["spec"]["template"],
        named={"namespace": key_of(job).namespace, "generateName": generate_name},
        owner=owner_reference(job, JOBS),
    )
    finalizers = [*body["metadata"].get("finalizers", ()), completion.FINALIZER]
    return {**body, "metadata": {**body["metadata"], "finalizers": finalizers}}


def _indexed(job: Object, index: int) -> Object:
    body = _pod(job, f"{key_of(job).name}-{index}-")
    metadata, spec, mark = body["metadata"], body["spec"], {completion.INDEX: str(index)}
    reference = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{completion.INDEX}']"}}
    variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": reference}
    filled = {
        name: [{**each, "env": [*(each.get("env") or ()), variable]} for each in spec[name]]
        for name in ("initContainers", "containers")
        if spec.get(name)
    }
    marks = {name: {**(metadata.get(name) or {}), **mark} for name in ("labels", "annotations")}
    return {"metadata": {**metadata, **marks}, "spec": {"hostname": f"{key_of(job).name}-{index}", **spec, **filled}}
