"""ReplicaSets: as many pods as asked for, no more and no less."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from marie_operator.testing.workloads import pods as making
from marie_operator.testing.workloads.controller import Controller, Mapper, itself, under
from marie_operator.testing.workloads.objects import (
    FINISHED_PHASES,
    PODS,
    REPLICA_SETS,
    Condition,
    Key,
    Object,
    Resource,
    available_in,
    controller_of,
    controller_uid,
    is_active,
    is_deleting,
    is_ready,
    key_of,
    labels_of,
    owner_reference,
    selects,
    uid_of,
    with_condition,
    without_condition,
    written,
)
from marie_operator.testing.workloads.ranking import victims

_RETRY_REFUSED = 1.0


@dataclass(frozen=True)
class Claims:
    """Whose pods are whose.

    Attributes:
        kept: The owner's.
        adopted: Orphans that its selector matches.
        released: Its own that its selector matches no more.
    """

    kept: Sequence[Object]
    adopted: Sequence[Object]
    released: Sequence[Object]


def claims(owner: Object, found: Sequence[Object]) -> Claims:
    """What an owner does about the pods of its namespace."""
    uid, selector = uid_of(owner), owner["spec"]["selector"]
    mine = [each for each in found if controller_uid(each) == uid]
    kept = [each for each in mine if selects(selector, labels_of(each))]
    released = [] if is_deleting(owner) else [each for each in mine if each not in kept and not is_deleting(each)]
    if is_deleting(owner):
        return Claims(kept, [], [])
    orphans = [each for each in found if controller_of(each) is None and is_active(each)]
    return Claims(kept, [each for each in orphans if selects(selector, labels_of(each))], released)


@dataclass(frozen=True)
class Plan:
    """What to do about the number of pods."""

    create: int
    delete: Sequence[Object]


def plan(replica_set: Object, active: Sequence[Object], related: Sequence[Object], now: datetime) -> Plan:
    """The pods to make and to end; a set that is being deleted leaves its pods alone.

    Args:
        replica_set: The set.
        active: Its pods.
        related: Active pods of all sets of its owner.
        now: The time.
    """
    wanted = replica_set["spec"].get("replicas", 1)
    if is_deleting(replica_set):
        return Plan(0, ())
    surplus = len(active) - wanted
    return Plan(max(0, -surplus), victims(active, surplus, now, related=related) if surplus > 0 else ())


def status(replica_set: Object, owned: Sequence[Object], refusal: str, now: datetime) -> Object:
    """The status of a set that has these pods; ``refusal`` is why one could not be created."""
    active = [each for each in owned if is_active(each)]
    ready = [each for each in active if is_ready(each)]
    seconds = replica_set["spec"].get("minReadySeconds", 0)
    template = (replica_set["spec"]["template"].get("metadata") or {}).get("labels") or {}
    terminating = [each for each in owned if is_deleting(each) and each["status"].get("phase") not in FINISHED_PHASES]
    counts = {
        "fullyLabeledReplicas": sum(template.items() <= labels_of(each).items() for each in active),
        "readyReplicas": len(ready),
        "availableReplicas": sum(available_in(each, seconds, now) == 0 for each in ready),
    }
    conditions = _conditions(replica_set, refusal, now)
    return {
        "replicas": len(active),
        **{name: count for name, count in counts.items() if count},
        "terminatingReplicas": len(terminating),
        "observedGeneration": replica_set["metadata"]["generation"],
        **({"conditions": conditions} if conditions else {}),
    }


def _conditions(replica_set: Object, refusal: str, now: datetime) -> list[Condition]:
    conditions: list[Condition] = replica_set.get("status", {}).get("conditions") or []
    if not refusal:
        return without_condition(conditions, "ReplicaFailure")
    if any(each["type"] == "ReplicaFailure" and each["reason"] == "FailedCreate" for each in conditions):
        # The first words stay (SetCondition): they name a pod, and each try is of another.
        return conditions
    new = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refusal}
    return with_condition(conditions, {**new, "lastTransitionTime": written(now)})


class ReplicaSets(Controller):
    """The controller of ReplicaSets."""

    name = "replicaset-controller"

    def watches(self) -> Mapping[Resource, Mapper]:
        """Sets, and pods: of their sets, and of the sets that may adopt them."""
        return {REPLICA_SETS: itself, PODS: self._of_pod}

    def _of_pod(self, pod: Object) -> Sequence[Key]:
        if controller_of(pod) is not None:
            return under("ReplicaSet")(pod)  # type: ignore[return-value]
        near = self.cluster[REPLICA_SETS].within(pod["metadata"]["namespace"])
        return [key_of(each) for each in near if selects(each["spec"]["selector"], labels_of(pod))]

    async def reconcile(self, key: Key) -> float | None:
        """Claim, create or delete pods, and tell."""
        replica_set = self.cluster[REPLICA_SETS].get(key)
        if replica_set is None:
            return None
        if await self._claim(replica_set):
            return 0.0
        owned = self._owned(replica_set)
        active = [each for each in owned if is_active(each)]
        step = plan(replica_set, active, self._related(replica_set), self.now())
        refusal = await making.create_all(self.cluster, [_pod(replica_set) for _ in range(step.create)])
        await making.delete_all(self.cluster, step.delete)
        return await self._tell(key, refusal)

    async def _claim(self, replica_set: Object) -> bool:
        """Whether pods had to change hands."""
        claim = claims(replica_set, self.cluster[PODS].within(replica_set["metadata"]["namespace"]))
        for pod in claim.released:
            await making.release(self.cluster, pod, uid_of(replica_set))
        if claim.adopted:
            key = key_of(replica_set)
            path = REPLICA_SETS.path(key.namespace, key.name)
            if not await making.confirmed(self.cluster, path, replica_set):
                return False
            for pod in claim.adopted:
                await making.adopt(self.cluster, pod, owner_reference(replica_set, REPLICA_SETS))
        return bool(claim.released or claim.adopted)

    def _owned(self, replica_set: Object) -> list[Object]:
        return list(claims(replica_set, self.cluster[PODS].owned(uid_of(replica_set))).kept)

    def _related(self, replica_set: Object) -> list[Object]:
        owner = controller_uid(replica_set)
        near = self.cluster[REPLICA_SETS].owned(owner) if owner else [replica_set]
        return [pod for each in near for pod in self.cluster[PODS].owned(uid_of(each))]

    async def _tell(self, key: Key, refusal: str) -> float | None:
        replica_set = self.cluster[REPLICA_SETS].get(key)
        if replica_set is None:
            return None
        owned, now = self._owned(replica_set), self.now()
        await self.cluster.write_status(REPLICA_SETS, replica_set, status(replica_set, owned, refusal, now))
        seconds = replica_set["spec"].get("minReadySeconds", 0)
        waits = [available_in(each, seconds, now) for each in owned if is_active(each)]
        due = [each for each in waits if each]
        return min([*due, *([_RETRY_REFUSED] if refusal else [])], default=None)


def _pod(replica_set: Object) -> Object:
    key = key_of(replica_set)
    return making.from_template(
        replica_set["spec"]["template"],
        named={"namespace": key.namespace, "generateName": f"{key.name}-"},
        owner=owner_reference(replica_set, REPLICA_SETS),
    )
