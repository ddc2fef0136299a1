"""The row of a pod: what state it is in, told in one word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from marie_operator.testing.apiserver.errors import Object
from marie_operator.testing.apiserver.printers.age import Since
from marie_operator.testing.apiserver.printers.shapes import NONE, Cells, age, holds, meta, name, spec, status

_ENDED: Mapping[str, str] = {
    "Succeeded": "The pod has completed successfully.",
    "Failed": "The pod failed.",
}


@dataclass(slots=True)
class _Count:
    """What has been seen of a pod's containers."""

    ready: int = 0
    restarts: int = 0
    dates: list[str] = field(default_factory=list)

    def restarted(self, container: Object) -> None:
        self.restarts += container.get("restartCount", 0)
        ended = (container.get("lastState") or {}).get("terminated") or {}
        if ended.get("finishedAt"):
            self.dates.append(ended["finishedAt"])


def conditions(pod: Object) -> list[Object]:
    """``conditions`` of a pod's row: whether it is over."""
    phase = status(pod).get("phase", "")
    if phase not in _ENDED:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": _ENDED[phase]}]


def pod(obj: Object, since: Since) -> Cells:
    """Cells of a pod."""
    wanted, told = spec(obj), status(obj)
    sidecars = {each["name"] for each in wanted.get("initContainers") or () if each.get("restartPolicy") == "Always"}
    total = len(wanted.get("containers") or ()) + len(sidecars)
    reason = told.get("reason") or told.get("phase", "")
    if any(
        each["type"] == "PodScheduled" and each.get("reason") == "SchedulingGated"
        for each in told.get("conditions") or ()
    ):
        reason = "SchedulingGated"
    count, initializing = _Count(), _initializing(obj, sidecars)
    reason = initializing or reason
    steady = not initializing or holds(told.get("conditions"), "Initialized")
    for container in _started(told.get("initContainerStatuses") or (), sidecars):
        if not steady or container["name"] in sidecars:
            count.restarted(container)
        if container["name"] in sidecars and container.get("started") and container.get("ready"):
            count.ready += not _succeeded(container)
    if steady:
        reason = _running(told, reason, count)
    return [
        name(obj),
        f"{count.ready}/{total}",
        _leaving(obj) or reason,
        _restarts(count, since),
        age(obj, since),
        next((each["ip"] for each in told.get("podIPs") or ()), "") or NONE,
        wanted.get("nodeName") or NONE,
        told.get("nominatedNodeName") or NONE,
        _gates(wanted, told),
    ]


def _succeeded(container: Object) -> bool:
    ended = (container.get("state") or {}).get("terminated")
    return ended is not None and not ended.get("exitCode")


def _done(container: Object, sidecars: set[str]) -> bool:
    """Whether an init container lets the next one start."""
    return _succeeded(container) or (container["name"] in sidecars and bool(container.get("started")))


def _started(containers: Sequence[Object], sidecars: set[str]) -> list[Object]:
    """Init containers up to the one that the pod waits for."""
    waiting = next((place for place, each in enumerate(containers) if not _done(each, sidecars)), len(containers))
    return list(containers[: waiting + 1])


def _initializing(obj: Object, sidecars: set[str]) -> str:
    """What the init container says that the pod waits for; empty when it waits for none."""
    for place, container in enumerate(status(obj).get("initContainerStatuses") or ()):
        if _done(container, sidecars):
            continue
        state = container.get("state") or {}
        if (ended := state.get("terminated")) is not None:
            return f"Init:{_ending(ended)}"
        waiting = (state.get("waiting") or {}).get("reason", "")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{place}/{len(spec(obj).get('initContainers') or ())}"
    return ""


def _ending(ended: Object) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _running(told: Object, reason: str, count: _Count) -> str:
    """What the containers say, of which the first has the last word."""
    running, failure = False, ""
    for container in reversed(told.get("containerStatuses") or ()):
        count.restarted(container)
        state = container.get("state") or {}
        ended = state.get("terminated")
        if (state.get("waiting") or {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif ended is not None:
            reason = _ending(ended)
            failure = reason if ended.get("exitCode") else failure
        elif container.get("ready") and state.get("running") is not None:
            running = True
            count.ready += 1
    if reason != "Completed":
        return reason
    if running and holds(told.get("conditions"), "Ready"):
        return "Running"
    return failure or ("NotReady" if running else reason)


def _leaving(obj: Object) -> str:
    """What is said of a pod that is being deleted."""
    told = status(obj)
    if not meta(obj).get("deletionTimestamp"):
        return ""
    if told.get("reason") == "NodeLost":
        return "Unknown"
    return "" if told.get("phase") in _ENDED else "Terminating"


def _restarts(count: _Count, since: Since) -> str:
    if count.restarts and count.dates:
        return f"{count.restarts} ({since(max(count.dates))} ago)"
    return str(count.restarts)


def _gates(wanted: Object, told: Object) -> str:
    gates = wanted.get("readinessGates") or ()
    passed = sum(holds(told.get("conditions"), each["conditionType"]) for each in gates)
    return f"{passed}/{len(gates)}" if gates else NONE
