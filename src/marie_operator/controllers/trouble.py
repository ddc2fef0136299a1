"""Why a pod is not there or not ready, in the words of the pod itself, or of its Deployment."""

from collections.abc import Iterable

from marie_operator.runtime.resource import Object

# Waiting reasons that pass by themselves while a pod starts.
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})


def has_ended(pod: Object) -> bool:
    """Whether nothing runs in a pod any more, or ever will again."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def of_pod(pod: Object) -> str:
    """What keeps a pod from being ready, as a sentence without its full stop; empty when it merely starts, or runs."""
    return _of_pod(pod).rstrip(".")


def _of_pod(pod: Object) -> str:
    status = pod.get("status", {})
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"pod {pod['metadata']['name']} cannot be scheduled: {condition.get('message') or 'no node fits'}"
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        if found := _of_container(container):
            return f"pod {pod['metadata']['name']}, container {container['name']}: {found}"
    if status.get("phase") == "Failed":
        why = status.get("message") or status.get("reason") or "no reason given"
        return f"pod {pod['metadata']['name']} failed: {why}"
    return ""


def _of_container(container: Object) -> str:
    state = container.get("state", {})
    waiting, ended = state.get("waiting", {}), container.get("lastState", {}).get("terminated")
    reason = waiting.get("reason", "")
    if reason == "CrashLoopBackOff" and ended:
        return f"{reason}, last exit {_exit(ended)}"
    if reason not in _STARTING:
        return f"{reason}: {waiting['message']}" if waiting.get("message") else reason
    if (over := state.get("terminated")) and over.get("exitCode"):
        return f"exit {_exit(over)}"
    if ended and ended.get("exitCode") and not container.get("ready"):
        return f"started again after exit {_exit(ended)}"
    return ""


def _exit(ended: Object) -> str:
    """How a container ended, and what to look at."""
    why, code = ended.get("reason", "Error"), ended.get("exitCode")
    advice = "raise its memory limit" if why == "OOMKilled" else "kubectl logs --previous shows its output"
    return f"{why} with code {code} ({advice})"


def present(pods: Iterable[Object]) -> list[Object]:
    """Which of a workload's pods tell how it is: neither those that go, nor those that ended and were replaced."""
    there = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return [pod for pod in there if not has_ended(pod)] or there


def first(pods: Iterable[Object]) -> str:
    """The first trouble among pods, in the order of their names; empty when there is none."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        if found := of_pod(pod):
            return found
    return ""


def of_deployment(live: Object, pods: Iterable[Object]) -> str:
    """What keeps a Deployment's pods from coming, or from being ready; empty when they merely start, or run.

    Args:
        live: The Deployment; empty for none.
        pods: Its pods; of those that go, or have been replaced, nothing is told.
    """
    for condition in live.get("status", {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return f"its pods cannot be created: {str(condition.get('message', '')).rstrip('.') or 'no reason given'}"
    return first(present(pods))
