"""Which pods of a cluster have work in hand, as far as it is known: no I/O."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from marie_operator.builders import association
from marie_operator.controllers.mariecluster import ranking
from marie_operator.controllers.mariecluster.scaling import Doing, Member
from marie_operator.marie.gateways import BOOT, Occupancy
from marie_operator.runtime.resource import Object


def member(pod: Object, occupancy: Occupancy | None, *, served: bool, now: datetime) -> Member:
    """A pod of an executor group with what is known of it.

    Args:
        pod: The pod.
        occupancy: What is known of the cluster's workers; None for nothing.
        served: Whether a gateway runs: the calls of one that has ended are cancelled, and nobody works for it.
        now: For how long a pod has not become ready.
    """
    if not served or not runs(pod):
        return Member(pod, Doing.IDLE)
    if occupancy is None:
        return Member(pod, Doing.UNKNOWN)
    workers = [worker for worker in (occupancy.workers or {}).values() if _host(worker.address) == _address(pod)]
    if workers:
        registered = frozenset(worker.address for worker in workers if worker.registered)
        away = min(occupancy.withdrawn.get(worker.address, 0.0) for worker in workers)
        doing = Doing.BUSY if any(worker.busy for worker in workers) else Doing.IDLE
        return Member(pod, doing, registered, None if registered else away)
    if occupancy.workers is not None and not ranking.is_ready(pod):
        return Member(pod, Doing.IDLE if _is_barren(pod, occupancy, now) else Doing.BOOTING)
    return Member(pod, _by_tasks(pod, occupancy, now))


def lately(pod: Object, occupancy: Occupancy | None, *, served: bool) -> bool | None:
    """Whether a pod has worked within the last minute; None where it is not known."""
    if not served or not runs(pod):
        return False
    if occupancy is None:
        return None
    addresses = occupancy.workers or {}
    if any(_host(address) == _address(pod) for address in addresses):
        return any(_host(address) == _address(pod) for address in occupancy.lately)
    if occupancy.workers is not None and not ranking.is_ready(pod):
        return False
    names = _executors(pod, occupancy)
    return None if occupancy.tasks is None else bool(names & occupancy.served)


def runs(pod: Object) -> bool:
    """Whether Marie's container may run in a pod: it has been started, and does not wait to be started again."""
    status = pod.get("status", {})
    if status.get("phase") in {"Pending", "Succeeded", "Failed"} or not status.get("podIP"):
        return False
    containers = _containers(pod)
    return not containers or any("waiting" not in each.get("state", {}) for each in containers)


def serves(pods: Iterable[Object]) -> bool:
    """Whether a gateway may run among a cluster's pods."""
    return any(
        pod["metadata"].get("labels", {}).get(association.NODE_TYPE_LABEL) == association.SERVER and runs(pod)
        for pod in pods
    )


def _containers(pod: Object) -> Sequence[Object]:
    """The state of Marie's container; of all where none has its name, since a webhook may have put its own first."""
    containers: Sequence[Object] = pod.get("status", {}).get("containerStatuses") or ()
    return [each for each in containers if each.get("name") == association.CONTAINER] or containers


def _is_barren(pod: Object, occupancy: Occupancy, now: datetime) -> bool:
    """Whether no worker has ever come of a pod that has had the time: nobody can have given work to it."""
    met = any(_host(address) == _address(pod) for address in occupancy.met)
    return occupancy.asked >= BOOT and not met and _has_failed(pod, now)


def _has_failed(pod: Object, now: datetime) -> bool:
    """Whether a pod has not been ready once since its container began, nor for longer than a start takes.

    A pod that was ready, and is not because its node is lost, may still work.
    """
    starts = [each.get("state", {}).get("running", {}).get("startedAt") for each in _containers(pod)]
    since = ranking.unready_since(pod)
    if since is None or not starts or None in starts:
        return False
    never = since <= min(map(datetime.fromisoformat, starts))
    return never and now - since >= timedelta(seconds=BOOT)


def _by_tasks(pod: Object, occupancy: Occupancy, now: datetime) -> Doing:
    """Where no worker speaks for itself: whether there is work for its kind, or may soon be."""
    if occupancy.tasks is None or not occupancy.whole:
        return Doing.UNKNOWN
    names = _executors(pod, occupancy)
    if not names and not ranking.is_ready(pod) and not _has_failed(pod, now):
        return Doing.BOOTING
    # Whom the gateway has yet to find may be given any of the tasks.
    some = any(occupancy.tasks.get(name) for name in names) if names else any(occupancy.tasks.values())
    return Doing.UNKNOWN if some else Doing.IDLE


def _executors(pod: Object, occupancy: Occupancy) -> set[str]:
    """What the gateway knows a pod's workers as."""
    return {name for name, at in occupancy.places.items() if any(_host(address) == _address(pod) for address in at)}


def _address(pod: Object) -> str:
    return str(pod.get("status", {}).get("podIP", ""))


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")
