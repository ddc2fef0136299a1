"""The arithmetic of a rollout: the sizes of a Deployment's ReplicaSets, and what its status says."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from marie_operator.testing.workloads.objects import (
    Condition,
    Object,
    annotations_of,
    condition_in,
    condition_of,
    parsed,
    scaled,
    uid_of,
    with_condition,
    without_condition,
    written,
)

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
_NO_DEADLINE = 2**31 - 1


def replicas(found: Object) -> int:
    """The pods that a deployment or a set asks for."""
    return int(found["spec"].get("replicas", 1))


def bounds(deployment: Object) -> tuple[int, int]:
    """Pods beyond the wanted ones, and wanted ones that may be missing, during a rollout."""
    strategy, wanted = deployment["spec"].get("strategy") or {}, replicas(deployment)
    if strategy.get("type") == "Recreate":
        return 0, 0
    rolling = strategy.get("rollingUpdate") or {}
    surge = scaled(rolling.get("maxSurge", "25%"), wanted, up=True)
    missing = scaled(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    if not surge and not missing:
        missing = 1
    return surge, min(missing, wanted)


def sizes(deployment: Object) -> dict[str, str]:
    """Annotations that tell a set what its deployment wanted when it was scaled."""
    wanted = replicas(deployment)
    return {DESIRED: str(wanted), MAX_REPLICAS: str(wanted + bounds(deployment)[0])}


def was_scaled(deployment: Object, sets: Iterable[Object]) -> bool:
    """Whether the deployment wants another number of pods than its sets were last told."""
    told = [annotations_of(each).get(DESIRED) for each in sets if replicas(each) > 0]
    return any(each is not None and each != str(replicas(deployment)) for each in told)


def size_of_new(deployment: Object, old: Sequence[Object], size: int) -> int:
    """How far the new set may grow, now that it has a size."""
    wanted = replicas(deployment)
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        return 0 if any(map(replicas, old)) else wanted
    if size > wanted:
        return wanted
    room = wanted + bounds(deployment)[0] - sum(map(replicas, old)) - size
    return size + max(0, min(room, wanted - size))


def recreation(old: Sequence[Object], *, pods_left: bool) -> dict[str, int] | None:
    """Sizes by uid of old sets whose pods must end before there is a new one; None when all have."""
    running = {uid_of(each): 0 for each in old if replicas(each)}
    waits = bool(running) or pods_left or any(_status(each, "replicas") for each in old)
    return running if waits else None


def rolling(deployment: Object, new: Object, old: Sequence[Object]) -> dict[str, int]:
    """Sizes by uid: the new set grows as far as it may, and if it may not, the old ones shrink as far as they may."""
    grown = size_of_new(deployment, old, replicas(new))
    if grown != replicas(new):
        return {uid_of(new): grown}
    return {uid_of(new): grown, **_shrunk(deployment, new, old)}


def _shrunk(deployment: Object, new: Object, old: Sequence[Object]) -> dict[str, int]:
    at_least = replicas(deployment) - bounds(deployment)[1]
    left = {uid_of(each): replicas(each) for each in old if replicas(each)}
    missing_of_new = replicas(new) - _status(new, "availableReplicas")
    spare = sum(left.values()) + replicas(new) - at_least - missing_of_new
    if spare <= 0:
        return left
    # Pods that do not work are no loss.
    for each in old:
        broken = left.get(uid_of(each), 0) - _status(each, "availableReplicas")
        if broken > 0 and spare > 0:
            taken = min(spare, broken)
            left[uid_of(each)] -= taken
            spare -= taken
    # What a set's status says may be older than its size, so that neither alone is to be trusted.
    spare = min(spare, sum(_status(each, "availableReplicas") for each in [*old, new]) - at_least)
    for each in old:
        taken = min(max(spare, 0), left.get(uid_of(each), 0))
        if taken:
            left[uid_of(each)] -= taken
            spare -= taken
    return left


def proportions(deployment: Object, new: Object | None, old: Sequence[Object]) -> dict[str, int]:
    """Sizes by uid after the deployment was scaled: every set gets its share of what is to be added or taken."""
    everything = [*old, *([new] if new is not None else [])]
    active = [each for each in everything if replicas(each)]
    wanted = replicas(deployment)
    if len(active) <= 1:
        chosen = active[0] if active else (everything[-1] if everything else None)
        return {uid_of(chosen): wanted} if chosen is not None else {}
    if new is not None and _is_saturated(deployment, new):
        return {uid_of(each): 0 for each in active if each is not new}
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        return {}
    total = wanted + bounds(deployment)[0] if wanted else 0
    return _shared_out(deployment, active, total - sum(map(replicas, active)))


def _is_saturated(deployment: Object, new: Object) -> bool:
    wanted = replicas(deployment)
    told = annotations_of(new).get(DESIRED) == str(wanted)
    return told and replicas(new) == wanted and _status(new, "availableReplicas") == wanted


def _shared_out(deployment: Object, active: Sequence[Object], change: int) -> dict[str, int]:
    # Of sets of one size the newer grows first, and the older shrinks first; they come oldest first.
    by_age = list(reversed(active)) if change > 0 else list(active)
    ordered = sorted(by_age, key=lambda each: -replicas(each))
    left, result = change, {}
    for each in ordered:
        share = _share(deployment, each)
        share = (min(share, left) if change > 0 else max(share, left)) if left else 0
        result[uid_of(each)] = replicas(each) + share
        left -= share
    largest = uid_of(ordered[0])
    result[largest] = max(0, result[largest] + left)
    return result


def _share(deployment: Object, found: Object) -> int:
    """By how much a set changes, in proportion to what it was of the whole."""
    wanted = replicas(deployment)
    if not wanted:
        return -replicas(found)
    text = annotations_of(found).get(MAX_REPLICAS, "")
    before = (int(text) if text.isdigit() else 0) or deployment.get("status", {}).get("replicas", 0)
    if not before:
        return 0
    return _rounded(replicas(found) * (wanted + bounds(deployment)[0]), before) - replicas(found)


def _rounded(part: int, whole: int) -> int:
    return (2 * part + whole) // (2 * whole)


def counts(deployment: Object, new: Object | None, sets: Sequence[Object]) -> dict[str, int]:
    """The numbers of a deployment's status."""
    available = sum(_status(each, "availableReplicas") for each in sets)
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": sum(_status(each, "replicas") for each in sets),
        "updatedReplicas": _status(new, "replicas") if new is not None else 0,
        "readyReplicas": sum(_status(each, "readyReplicas") for each in sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(map(replicas, sets)) - available),
    }


def is_complete(deployment: Object, numbers: dict[str, int]) -> bool:
    """Whether a rollout is over."""
    wanted = replicas(deployment)
    return all(numbers[name] == wanted for name in ("updatedReplicas", "replicas", "availableReplicas"))


def status(deployment: Object, new: Object | None, sets: Sequence[Object], now: datetime) -> Object:
    """A deployment's status, given its sets."""
    numbers = counts(deployment, new, sets)
    old: list[Condition] = deployment.get("status", {}).get("conditions") or []
    conditions = with_condition(old, _availability(deployment, numbers["availableReplicas"], now))
    conditions = _progress(deployment, new, conditions, numbers, now)
    failures = [condition_of(each, "ReplicaFailure") for each in [*([new] if new is not None else []), *sets]]
    failure = next((each for each in failures if each is not None), None)
    if failure is None:
        conditions = without_condition(conditions, "ReplicaFailure")
    else:
        conditions = with_condition(conditions, {**failure, "lastUpdateTime": failure["lastTransitionTime"]})
    collisions = deployment.get("status", {}).get("collisionCount")
    return {
        **{name: number for name, number in numbers.items() if number},
        "terminatingReplicas": sum(_status(each, "terminatingReplicas") for each in sets),
        **({"collisionCount": collisions} if collisions is not None else {}),
        **({"conditions": conditions} if conditions else {}),
    }


def progressing(truth: str, reason: str, message: str, now: datetime) -> Condition:
    """A Progressing condition as of now."""
    return _condition("Progressing", truth, reason, message, now)


def _availability(deployment: Object, available: int, now: datetime) -> Condition:
    if available >= replicas(deployment) - bounds(deployment)[1]:
        message = "Deployment has minimum availability."
        return _condition("Available", "True", "MinimumReplicasAvailable", message, now)
    message = "Deployment does not have minimum availability."
    return _condition("Available", "False", "MinimumReplicasUnavailable", message, now)


def _progress(
    deployment: Object, new: Object | None, conditions: list[Condition], numbers: dict[str, int], now: datetime
) -> list[Condition]:
    """Conditions with what is to be said of the rollout's progress."""
    if not _has_deadline(deployment):
        return without_condition(conditions, "Progressing")
    current = condition_in(conditions, "Progressing")
    reason = current["reason"] if current is not None else ""
    if deployment["spec"].get("paused") or reason == "DeploymentPaused":
        return _pause(deployment, conditions, reason, now)
    if reason == "NewReplicaSetAvailable" and numbers["replicas"] == numbers["updatedReplicas"]:
        return conditions
    said = _said(deployment, new, numbers, now, current)
    if said is None:
        return conditions
    if said["reason"] != "ReplicaSetUpdated":
        return with_condition(conditions, said)
    # Every step counts, though the reason is the same.
    if current is not None and current["status"] == "True":
        said["lastTransitionTime"] = current["lastTransitionTime"]
    return [*without_condition(conditions, "Progressing"), said]


def _pause(deployment: Object, conditions: list[Condition], reason: str, now: datetime) -> list[Condition]:
    if reason == "ProgressDeadlineExceeded":
        return conditions
    if deployment["spec"].get("paused"):
        return with_condition(conditions, progressing("Unknown", "DeploymentPaused", "Deployment is paused", now))
    return with_condition(conditions, progressing("Unknown", "DeploymentResumed", "Deployment is resumed", now))


def _said(
    deployment: Object, new: Object | None, numbers: dict[str, int], now: datetime, current: Condition | None
) -> Condition | None:
    """How a rollout that is not paused goes; None when there is nothing new."""
    name = (new or deployment)["metadata"]["name"]
    who = f'{"Deployment" if new is None else "ReplicaSet"} "{name}"'
    if is_complete(deployment, numbers):
        return progressing("True", "NewReplicaSetAvailable", f"{who} has successfully progressed.", now)
    if current is None and new is not None:
        return progressing("True", "NewReplicaSetCreated", f'Created new replica set "{name}"', now)
    if _moves(deployment, numbers):
        return progressing("True", "ReplicaSetUpdated", f"{who} is progressing.", now)
    due = deadline_in(deployment, now)
    if due is not None and due <= 0:
        return progressing("False", "ProgressDeadlineExceeded", f"{who} has timed out progressing.", now)
    return None


def deadline_in(deployment: Object, now: datetime) -> float | None:
    """Seconds until a rollout that does not move is late; None when none is under way, or it is late already."""
    current = condition_of(deployment, "Progressing")
    if current is None or not _has_deadline(deployment) or deployment["spec"].get("paused"):
        return None
    if current["reason"] in {"NewReplicaSetAvailable", "ProgressDeadlineExceeded"}:
        return None
    since = parsed(current.get("lastUpdateTime") or current.get("lastTransitionTime"))
    if since is None:
        return None
    # The times of conditions have whole seconds, rounded down.
    due = since + timedelta(seconds=deployment["spec"]["progressDeadlineSeconds"] + 1)
    return max(0.0, (due - now).total_seconds())


def _has_deadline(deployment: Object) -> bool:
    return bool(deployment["spec"].get("progressDeadlineSeconds", _NO_DEADLINE) != _NO_DEADLINE)


def _moves(deployment: Object, numbers: dict[str, int]) -> bool:
    before = deployment.get("status", {})
    old_before = before.get("replicas", 0) - before.get("updatedReplicas", 0)
    return bool(
        numbers["updatedReplicas"] > before.get("updatedReplicas", 0)
        or numbers["replicas"] - numbers["updatedReplicas"] < old_before
        or numbers["readyReplicas"] > before.get("readyReplicas", 0)
        or numbers["availableReplicas"] > before.get("availableReplicas", 0)
    )


def _condition(name: str, truth: str, reason: str, message: str, now: datetime) -> Condition:
    times = {"lastUpdateTime": written(now), "lastTransitionTime": written(now)}
    return {"type": name, "status": truth, "reason": reason, "message": message, **times}


def _status(found: Object, name: str) -> int:
    return int(found.get("status", {}).get(name, 0))
