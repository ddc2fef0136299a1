"""The node of a pod, as a Binding gives it."""

from marie_operator.testing.apiserver.errors import Object, Refusal


def bound(pod: Object, binding: Object, now: str) -> Object:
    """A pod on the node that a Binding names.

    Raises:
        Refusal: 409, it has a node.
    """
    node = binding["target"]["name"]
    if held := pod["spec"].get("nodeName"):
        name = pod["metadata"]["name"]
        why = f'Operation cannot be fulfilled on pods/binding "{name}": pod {name} is already assigned to node "{held}"'
        raise Refusal(409, why, details={"name": name, "kind": "pods/binding"})
    status = pod.get("status") or {}
    conditions = [each for each in status.get("conditions") or () if each["type"] != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    return pod | {
        "spec": pod["spec"] | {"nodeName": node},
        "status": status | {"conditions": [*conditions, scheduled]},
    }
