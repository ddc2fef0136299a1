"""Deployments: one ReplicaSet for each template, and pods that move from the old ones to the new one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marie_operator.testing.api import ApiStatus
from marie_operator.testing.workloads import rollout
from marie_operator.testing.workloads.controller import Controller, Mapper, is_terminating, itself, under
from marie_operator.testing.workloads.objects import (
    DEPLOYMENTS,
    FINISHED_PHASES,
    PODS,
    REPLICA_SETS,
    Key,
    Object,
    Resource,
    annotations_of,
    controller_of,
    controller_uid,
    is_deleting,
    key_of,
    labels_of,
    owner_reference,
    owners_of,
    selects,
    uid_of,
    with_condition,
)
from marie_operator.testing.workloads.pods import confirmed, message_of, template_hash

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = rollout.DESIRED
MAX_REPLICAS = rollout.MAX_REPLICAS
_RETRY_REFUSED = 1.0
# What a deployment's annotations do not pass on to its sets.
_OWN = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        HISTORY,
        DESIRED,
        MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
    }
)


@dataclass(frozen=True)
class Sets:
    """The ReplicaSets of a deployment: that of its template, and the others, the oldest first."""

    new: Object | None
    old: Sequence[Object] = field(default_factory=list)

    @property
    def all(self) -> list[Object]:
        """All of them."""
        return [*self.old, *([self.new] if self.new is not None else [])]


def sorted_out(deployment: Object, found: Sequence[Object]) -> Sets:
    """Which set is of the current template: the oldest, should there be several."""
    ordered = sorted(found, key=lambda each: (each["metadata"]["creationTimestamp"], each["metadata"]["name"]))
    template = _plain(deployment["spec"]["template"])
    new = next((each for each in ordered if _plain(each["spec"]["template"]) == template), None)
    return Sets(new, [each for each in ordered if each is not new])


def _plain(template: Object) -> Object:
    metadata = template.get("metadata") or {}
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != HASH_LABEL}
    kept = {name: value for name, value in metadata.items() if name != "creationTimestamp" and value}
    return {**template, "metadata": {**kept, "labels": labels}}


def revision(found: Object) -> int:
    """Which rollout made it; 0 when it does not say."""
    text = annotations_of(found).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def annotations(deployment: Object, sets: Sets) -> dict[str, str]:
    """What the annotations of the set of the current template are to be."""
    own = {name: value for name, value in annotations_of(deployment).items() if name not in _OWN}
    current = annotations_of(sets.new) if sets.new is not None else {}
    number = max((revision(each) for each in sets.old), default=0) + 1
    had = revision(sets.new) if sets.new is not None else 0
    history = {HISTORY: current[HISTORY]} if HISTORY in current else {}
    if had and had < number:
        history = {HISTORY: ",".join([*filter(None, [current.get(HISTORY)]), str(had)])}
    return {**current, **own, **rollout.sizes(deployment), **history, REVISION: str(max(had, number))}


def new_set(deployment: Object, sets: Sets) -> Object:
    """The ReplicaSet for the current template, to be created."""
    key, spec = key_of(deployment), deployment["spec"]
    mark = template_hash(_plain(spec["template"]), deployment.get("status", {}).get("collisionCount", 0))
    metadata = spec["template"].get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), HASH_LABEL: mark}
    selector = {**spec["selector"], "matchLabels": {**(spec["selector"].get("matchLabels") or {}), HASH_LABEL: mark}}
    return {
        "metadata": {
            "name": f"{key.name}-{mark}",
            "namespace": key.namespace,
            "labels": labels,
            "annotations": annotations(deployment, sets),
            "ownerReferences": [owner_reference(deployment, DEPLOYMENTS)],
        },
        "spec": {
            "replicas": rollout.size_of_new(deployment, sets.old, 0),
            "minReadySeconds": spec.get("minReadySeconds", 0),
            "selector": selector,
            "template": {**spec["template"], "metadata": {**metadata, "labels": labels}},
        },
    }


def surplus(deployment: Object, sets: Sets) -> list[Object]:
    """Old sets that the history has no room for."""
    limit = deployment["spec"].get("revisionHistoryLimit", 10)
    idle = [
        each
        for each in sets.old
        if not is_deleting(each)
        and not each["spec"].get("replicas")
        and not each.get("status", {}).get("replicas")
        and each.get("status", {}).get("observedGeneration", 0) >= each["metadata"]["generation"]
    ]
    return sorted(idle, key=revision)[: max(0, len([each for each in sets.old if not is_deleting(each)]) - limit)]


class Deployments(Controller):
    """The controller of Deployments."""

    name = "deployment-controller"

    def watches(self) -> Mapping[Resource, Mapper]:
        """Deployments, their sets, orphaned sets they may adopt, and pods that a recreation waits for."""
        return {DEPLOYMENTS: itself, REPLICA_SETS: self._of_set, PODS: self._of_pod}

    def _of_set(self, found: Object) -> Sequence[Key]:
        if controller_of(found) is not None:
            return list(under("Deployment")(found))
        near = self.cluster[DEPLOYMENTS].within(key_of(found).namespace)
        return [key_of(each) for each in near if selects(each["spec"]["selector"], labels_of(found))]

    def _of_pod(self, pod: Object) -> Sequence[Key]:
        replica_set = self.cluster[REPLICA_SETS].by_uid(controller_uid(pod))
        if replica_set is None:
            return ()
        deployment = self.cluster[DEPLOYMENTS].by_uid(controller_uid(replica_set))
        recreates = deployment is not None and deployment["spec"]["strategy"].get("type") == "Recreate"
        return list(under("Deployment")(replica_set)) if recreates else ()

    async def reconcile(self, key: Key) -> float | None:
        """Move one step on, and tell; the changes of the sets bring the next step."""
        deployment = self.cluster[DEPLOYMENTS].get(key)
        if deployment is None or deployment["spec"]["selector"] == {}:
            return None
        if is_deleting(deployment):
            return await self._tell(deployment, self._sets(deployment))
        if await self._claim(deployment):
            return 0.0
        sets = self._sets(deployment)
        if deployment["spec"].get("paused") or rollout.was_scaled(deployment, sets.all):
            await self._scale(deployment, rollout.proportions(deployment, sets.new, sets.old))
        elif (step := self._before_new(deployment, sets)) is not None:
            await self._scale(deployment, step)
        else:
            sets = await self._ensure_new(deployment, sets)
            if sets.new is None:
                return _RETRY_REFUSED
            await self._move(deployment, sets.new, sets)
        current = self.cluster[DEPLOYMENTS].get(key)
        return await self._tell(current, self._sets(current)) if current is not None else None

    def _sets(self, deployment: Object) -> Sets:
        owned = self.cluster[REPLICA_SETS].owned(uid_of(deployment))
        return sorted_out(deployment, [each for each in owned if controller_uid(each) == uid_of(deployment)])

    async def _claim(self, deployment: Object) -> bool:
        """Whether sets had to change hands."""
        key, uid, selector = key_of(deployment), uid_of(deployment), deployment["spec"]["selector"]
        near = [each for each in self.cluster[REPLICA_SETS].within(key.namespace) if not is_deleting(each)]
        orphans = [each for each in near if controller_of(each) is None and selects(selector, labels_of(each))]
        strangers = [each for each in near if controller_uid(each) == uid and not selects(selector, labels_of(each))]
        for each in strangers:
            kept = [owner for owner in owners_of(each) if owner["uid"] != uid]
            await self.cluster.patch(REPLICA_SETS, each, {"metadata": {"ownerReferences": kept or None}})
        path = DEPLOYMENTS.path(key.namespace, key.name)
        if orphans and not await confirmed(self.cluster, path, deployment):
            return False
        for each in orphans:
            owners = [*owners_of(each), owner_reference(deployment, DEPLOYMENTS)]
            await self.cluster.patch(REPLICA_SETS, each, {"metadata": {"ownerReferences": owners}})
        return bool(orphans or strangers)

    def _before_new(self, deployment: Object, sets: Sets) -> dict[str, int] | None:
        """The sizes of old sets while a recreation waits for the end of their pods; None when it waits no more."""
        if deployment["spec"]["strategy"].get("type") != "Recreate":
            return None
        return rollout.recreation(sets.old, pods_left=self._pods_left(sets))

    async def _ensure_new(self, deployment: Object, sets: Sets) -> Sets:
        if sets.new is None:
            return await self._create(deployment, sets)
        wanted = annotations(deployment, sets)
        change: dict[str, Any] = {}
        if wanted != annotations_of(sets.new):
            change["metadata"] = {"annotations": wanted}
        seconds = deployment["spec"].get("minReadySeconds", 0)
        if seconds != sets.new["spec"].get("minReadySeconds", 0):
            change["spec"] = {"minReadySeconds": seconds}
        if not change:
            return sets
        return Sets(await self.cluster.patch(REPLICA_SETS, sets.new, change), sets.old)

    async def _create(self, deployment: Object, sets: Sets) -> Sets:
        """The set of the template; without one when it was refused, or another has its name."""
        body = new_set(deployment, sets)
        try:
            return Sets(await self.cluster.create(REPLICA_SETS, body), sets.old)
        except ApiStatus as error:
            if is_terminating(error) or error.code not in {400, 403, 409, 422}:
                raise
            if error.code == 409:
                await self._collide(deployment, body)
                return sets
            await self._refused(deployment, body["metadata"]["name"], error)
            return sets

    async def _collide(self, deployment: Object, body: Object) -> None:
        """Another name next time, unless the set that has it is ours and only news to us."""
        key = key_of(deployment)
        found = await self.cluster.api.get(REPLICA_SETS.path(key.namespace, body["metadata"]["name"]))
        ours = controller_uid(found) == uid_of(deployment)
        if ours and _plain(found["spec"]["template"]) == _plain(deployment["spec"]["template"]):
            self.cluster[REPLICA_SETS].store(found)
            return
        count = deployment.get("status", {}).get("collisionCount", 0) + 1
        await self.cluster.patch(DEPLOYMENTS, deployment, {"status": {"collisionCount": count}}, "status")

    async def _refused(self, deployment: Object, name: str, error: ApiStatus) -> None:
        message = f'Failed to create new replica set "{name}": {message_of(error)}'
        new = rollout.progressing("False", "ReplicaSetCreateError", message, self.now())
        conditions = with_condition(deployment.get("status", {}).get("conditions") or [], new)
        await self.cluster.patch(DEPLOYMENTS, deployment, {"status": {"conditions": conditions}}, "status")

    async def _move(self, deployment: Object, new: Object, sets: Sets) -> None:
        await self._scale(deployment, rollout.rolling(deployment, new, sets.old))
        if rollout.is_complete(deployment, rollout.counts(deployment, new, sets.all)):
            for each in surplus(deployment, sets):
                await self.cluster.delete(REPLICA_SETS, each, propagation="Background")

    def _pods_left(self, sets: Sets) -> bool:
        """Whether pods of old sets have not ended yet."""
        pods = [pod for each in sets.old for pod in self.cluster[PODS].owned(uid_of(each))]
        return any(each.get("status", {}).get("phase") not in FINISHED_PHASES for each in pods)

    async def _scale(self, deployment: Object, wanted: Mapping[str, int]) -> None:
        """Give sets, by uid, their sizes, and the deployment's with them."""
        sizes = rollout.sizes(deployment)
        for uid, replicas in wanted.items():
            found = self.cluster[REPLICA_SETS].by_uid(uid)
            if found is None:
                continue
            change: dict[str, Any] = {}
            if found["spec"].get("replicas", 1) != replicas:
                change["spec"] = {"replicas": replicas}
            if not sizes.items() <= annotations_of(found).items():
                change["metadata"] = {"annotations": sizes}
            if change:
                await self.cluster.patch(REPLICA_SETS, found, change)

    async def _tell(self, deployment: Object, sets: Sets) -> float | None:
        number = str(revision(sets.new)) if sets.new is not None else ""
        if number and number != "0" and annotations_of(deployment).get(REVISION) != number:
            change = {"metadata": {"annotations": {REVISION: number}}}
            # Annotations that come with a status leave the generation as it is.
            deployment = await self.cluster.patch(DEPLOYMENTS, deployment, change, "status")
        status = rollout.status(deployment, sets.new, sets.all, self.now())
        deployment = await self.cluster.write_status(DEPLOYMENTS, deployment, status)
        return rollout.deadline_in(deployment, self.now())
