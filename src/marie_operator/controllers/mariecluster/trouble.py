"""Why a pod is not there or not ready, in the words of the pod itself, or of its Deployment."""

from collections.abc import Iterable

from marie_operator.runtime.resource import Object

# Waiting reasons that pass by themselves while a pod starts.
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})


def of_pod(pod: Object) -> str:
    """What keeps a pod from being ready, as a sentence; empty when it merely starts, or runs."""
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
    waiting = container.get("state", {}).get("waiting", {})
    reason = waiting.get("reason", "")
    if reason in _STARTING:
        return ""
    ended = container.get("lastState", {}).get("terminated")
    if reason == "CrashLoopBackOff" and ended:
        why = ended.get("reason", "Error")
        return f"{reason}, last exit {why} with code {ended.get('exitCode')} (kubectl logs --previous shows its output)"
    return f"{reason}: {waiting['message']}" if waiting.get("message") else reason


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
        pods: Its pods.
    """
    for condition in live.get("status", {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return f"its pods cannot be created: {str(condition.get('message', '')).rstrip('.') or 'no reason given'}"
    return first(pods)
