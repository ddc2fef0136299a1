"""What a kubelet writes into a pod's status; all containers of a pod do the same."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

Pod: TypeAlias = dict[str, Any]
Status: TypeAlias = dict[str, Any]

KILLED, TERMINATED = 137, 143
"""Exit codes of processes ended by SIGKILL and SIGTERM."""


def running(
    pod: Pod, *, at: datetime, address: str, ready: bool, restarts: int = 0, last: Mapping[str, Any] | None = None
) -> Status:
    """Of a pod whose containers run.

    Args:
        pod: The pod.
        at: Since when.
        address: Its IP.
        ready: Whether its probes succeed.
        restarts: How often its containers were restarted.
        last: How they ended before that.
    """
    state = {"running": {"startedAt": stamp(at)}}
    return _status(pod, "Running", state, at=at, address=address, ready=ready, restarts=restarts, last=last)


def waiting(
    pod: Pod,
    reason: str,
    message: str,
    *,
    at: datetime,
    address: str,
    restarts: int = 0,
    last: Mapping[str, Any] | None = None,
) -> Status:
    """Of a pod whose containers cannot start, or not yet again when there is a ``last`` end."""
    state = {"waiting": {"reason": reason, "message": message}}
    phase = "Pending" if last is None else "Running"
    return _status(pod, phase, state, at=at, address=address, ready=False, restarts=restarts, last=last)


def ended(pod: Pod, end: Mapping[str, Any], *, at: datetime, address: str, restarts: int = 0) -> Status:
    """Of a pod whose containers have ended for good."""
    phase = "Failed" if end["exitCode"] else "Succeeded"
    return _status(pod, phase, {"terminated": end}, at=at, address=address, ready=False, restarts=restarts, last=None)


def termination(exit_code: int, *, at: datetime, out_of_memory: bool = False) -> dict[str, Any]:
    """How a container ended."""
    reason = "OOMKilled" if out_of_memory else "Error" if exit_code else "Completed"
    return {"exitCode": exit_code, "reason": reason, "startedAt": stamp(at), "finishedAt": stamp(at)}


def is_ready(found: Mapping[str, Any]) -> bool:
    """Whether a pod or a node reports ready."""
    conditions = found.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def is_finished(pod: Pod) -> bool:
    """Whether its containers have ended for good."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def restarts_after(pod: Pod, exit_code: int) -> bool:
    """Whether its policy restarts containers that ended so."""
    policy = pod["spec"].get("restartPolicy", "Always")
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def stamp(at: datetime, *, micro: bool = False) -> str:
    """A time, as the API server writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def _status(
    pod: Pod,
    phase: str,
    state: Mapping[str, Any],
    *,
    at: datetime,
    address: str,
    ready: bool,
    restarts: int,
    last: Mapping[str, Any] | None,
) -> Status:
    since = stamp(at)
    truth = "True" if ready else "False"
    kinds = (("Initialized", "True"), ("PodScheduled", "True"), ("ContainersReady", truth), ("Ready", truth))
    shared = {
        "imageID": "",
        "ready": ready,
        "started": "running" in state,
        "restartCount": restarts,
        "state": state,
        **({"lastState": {"terminated": last}} if last is not None else {}),
    }
    return {
        "phase": phase,
        **({"podIP": address, "podIPs": [{"ip": address}]} if address else {}),
        "hostIP": "10.0.0.1",
        "startTime": since,
        "conditions": [{"type": name, "status": status, "lastTransitionTime": since} for name, status in kinds],
        "containerStatuses": [
            {"name": each["name"], "image": each["image"], **shared} for each in pod["spec"]["containers"]
        ],
    }
