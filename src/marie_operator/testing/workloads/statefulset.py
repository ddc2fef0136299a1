"""StatefulSets: numbered pods that come and go in order."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from marie_operator.testing.api import ApiStatus
from marie_operator.testing.workloads import pods as making
from marie_operator.testing.workloads.controller import Controller, Mapper, itself, under
from marie_operator.testing.workloads.objects import (
    CLAIMS,
    FINISHED_PHASES,
    PODS,
    REVISIONS,
    STATEFUL_SETS,
    Key,
    Object,
    Resource,
    available_in,
    controller_uid,
    is_deleting,
    is_ready,
    key_of,
    labels_of,
    owner_reference,
    uid_of,
)

REVISION_LABEL = "controller-revision-hash"
POD_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"


@dataclass(frozen=True)
class Step:
    """What to do next.

    Attributes:
        create: Numbers of pods to make.
        delete: Pods to end.
    """

    create: Sequence[int] = ()
    delete: Sequence[Object] = ()


def step(stateful_set: Object, pods: Mapping[int, Object], update: str, now: datetime) -> Step:
    """Decide; in order, there is one thing to do at a time, and none while a pod is neither ready nor gone.

    Args:
        stateful_set: The set.
        pods: Its pods by number.
        update: The name of the revision of its template.
        now: The time.
    """
    if is_deleting(stateful_set):
        return Step()
    ended = [each for each in pods.values() if not is_deleting(each) and _phase(each) in FINISHED_PHASES]
    if ended:
        return Step(delete=ended)
    numbers = _numbers(stateful_set)
    missing = [each for each in numbers if each not in pods]
    surplus = [pods[each] for each in sorted(pods, reverse=True) if each not in numbers]
    if stateful_set["spec"].get("podManagementPolicy", "OrderedReady") != "OrderedReady":
        if missing or surplus:
            return Step(missing, [each for each in surplus if not is_deleting(each)])
        return _update(stateful_set, pods, update, now)
    return _in_order(stateful_set, pods, update, now, surplus)


def _in_order(
    stateful_set: Object, pods: Mapping[int, Object], update: str, now: datetime, surplus: Sequence[Object]
) -> Step:
    """One thing at a time."""
    for number in _numbers(stateful_set):
        if number not in pods:
            return Step([number])
        if not _is_available(stateful_set, pods[number], now):
            # A pod of an old template may never get ready, and its successor might.
            return Step() if is_deleting(pods[number]) or surplus else _update(stateful_set, pods, update, now)
    if surplus:
        return Step() if any(map(is_deleting, surplus)) else Step(delete=surplus[:1])
    return _update(stateful_set, pods, update, now)


def _update(stateful_set: Object, pods: Mapping[int, Object], update: str, now: datetime) -> Step:
    """The highest pod of another template goes, if all above it are available."""
    strategy = stateful_set["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return Step()
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    for number in sorted(pods, reverse=True):
        if number < partition:
            return Step()
        if is_deleting(pods[number]):
            return Step()
        if labels_of(pods[number]).get(REVISION_LABEL) != update:
            return Step(delete=[pods[number]])
        if not _is_available(stateful_set, pods[number], now):
            return Step()
    return Step()


def _numbers(stateful_set: Object) -> range:
    start = (stateful_set["spec"].get("ordinals") or {}).get("start", 0)
    return range(start, start + stateful_set["spec"].get("replicas", 1))


def _is_available(stateful_set: Object, pod: Object, now: datetime) -> bool:
    return not is_deleting(pod) and available_in(pod, stateful_set["spec"].get("minReadySeconds", 0), now) == 0


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def status(stateful_set: Object, pods: Mapping[int, Object], update: str, now: datetime) -> Object:
    """The status of a set, given its pods by number."""
    living = [each for each in pods.values() if not is_deleting(each)]
    wanted = stateful_set["spec"].get("replicas", 1)
    updated = [each for each in living if labels_of(each).get(REVISION_LABEL) == update]
    ready = [each for each in living if is_ready(each)]
    available = sum(_is_available(stateful_set, each, now) for each in ready)
    current = stateful_set.get("status", {}).get("currentRevision") or update
    # The new template has become the current one when every pod is of it.
    if len(updated) == len(pods) == wanted and len(ready) == wanted:
        current = update
    of_current = sum(labels_of(each).get(REVISION_LABEL) == current for each in living)
    optional = {"readyReplicas": len(ready), "currentReplicas": of_current, "updatedReplicas": len(updated)}
    return {
        "observedGeneration": stateful_set["metadata"]["generation"],
        "replicas": len(pods),
        **{name: count for name, count in optional.items() if count},
        "availableReplicas": available,
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": 0,
    }


class StatefulSets(Controller):
    """The controller of StatefulSets."""

    name = "statefulset-controller"

    def watches(self) -> Mapping[Resource, Mapper]:
        """Sets, their pods, and their revisions."""
        return {STATEFUL_SETS: itself, PODS: under("StatefulSet"), REVISIONS: under("StatefulSet")}

    async def reconcile(self, key: Key) -> float | None:
        """Take one step, and tell."""
        found = self.cluster[STATEFUL_SETS].get(key)
        if found is None:
            return None
        update = await self._revision(found)
        taken = step(found, self._pods(found), update, self.now())
        for number in taken.create:
            await self._create(found, number, update)
        await making.delete_all(self.cluster, taken.delete)
        current = self.cluster[STATEFUL_SETS].get(key)
        if current is None:
            return None
        pods, now = self._pods(current), self.now()
        await self.cluster.write_status(STATEFUL_SETS, current, status(current, pods, update, now))
        seconds = current["spec"].get("minReadySeconds", 0)
        return min((wait for each in pods.values() if (wait := available_in(each, seconds, now))), default=None)

    def _pods(self, found: Object) -> dict[int, Object]:
        uid = uid_of(found)
        mine = [each for each in self.cluster[PODS].owned(uid) if controller_uid(each) == uid]
        return {int(each["metadata"]["name"].rpartition("-")[2]): each for each in mine}

    async def _revision(self, found: Object) -> str:
        """The name of the revision of the template, which is there from now on."""
        key, template = key_of(found), found["spec"]["template"]
        name = f"{key.name}-{making.template_hash(template)}"
        mine = self.cluster[REVISIONS].owned(uid_of(found))
        newest = max((each["revision"] for each in mine), default=0)
        existing = next((each for each in mine if each["metadata"]["name"] == name), None)
        if existing is not None:
            if existing["revision"] < newest:
                body = {"apiVersion": REVISIONS.version, "kind": REVISIONS.kind, **existing, "revision": newest + 1}
                await self.cluster.replace(REVISIONS, body)
            return name
        body = {
            "metadata": {
                "name": name,
                "namespace": key.namespace,
                "labels": labels_of({"metadata": template.get("metadata") or {}}),
                "ownerReferences": [owner_reference(found, STATEFUL_SETS)],
            },
            # Replaced later, it must be the same to the byte, which the order of fields decides.
            "data": json.loads(json.dumps({"spec": {"template": {**template, "$patch": "replace"}}}, sort_keys=True)),
            "revision": newest + 1,
        }
        if not is_deleting(found):
            await self.cluster.create(REVISIONS, body)
        return name

    async def _create(self, found: Object, number: int, update: str) -> None:
        key, spec = key_of(found), found["spec"]
        name = f"{key.name}-{number}"
        revision, template = self._template(found, number, update)
        claims = {
            each["metadata"]["name"]: {**each, "metadata": {**each["metadata"], "name": _claim(each, name)}}
            for each in spec.get("volumeClaimTemplates") or ()
        }
        for claim in claims.values():
            await self._ensure_claim(key.namespace, claim)
        owner = owner_reference(found, STATEFUL_SETS)
        body = making.from_template(template, named={"namespace": key.namespace, "name": name}, owner=owner)
        marks = {REVISION_LABEL: revision, POD_LABEL: name, INDEX_LABEL: str(number)}
        labels = {**body["metadata"].get("labels", {}), **marks}
        volumes = [each for each in template["spec"].get("volumes") or () if each["name"] not in claims]
        volumes += [
            {"name": volume, "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
            for volume, claim in claims.items()
        ]
        named = {"hostname": name, "subdomain": spec.get("serviceName", "")}
        pod = {**template["spec"], **named, **({"volumes": volumes} if volumes else {})}
        await self.cluster.create(PODS, {"metadata": {**body["metadata"], "labels": labels}, "spec": pod})

    def _template(self, found: Object, number: int, update: str) -> tuple[str, Object]:
        """The revision that a pod is of, and its template: the current one below the partition of a rollout."""
        rolling = (found["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
        current = found.get("status", {}).get("currentRevision", update)
        revision = self.cluster[REVISIONS].get(Key(key_of(found).namespace, current))
        if number >= rolling.get("partition", 0) or revision is None:
            return update, found["spec"]["template"]
        template = {name: value for name, value in revision["data"]["spec"]["template"].items() if name != "$patch"}
        return current, template

    async def _ensure_claim(self, namespace: str, claim: Object) -> None:
        name = claim["metadata"]["name"]
        body = {"metadata": {**claim["metadata"], "namespace": namespace}, "spec": claim["spec"]}
        if self.cluster[CLAIMS].get(Key(namespace, name)) is not None:
            return
        try:
            await self.cluster.create(CLAIMS, body)
        except ApiStatus as error:
            if error.code != 409:
                raise


def _claim(template: Object, pod: str) -> str:
    return f"{template['metadata']['name']}-{pod}"
