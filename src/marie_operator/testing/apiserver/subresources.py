"""Subresources that are no part of an object: scale, binding, eviction."""

from collections.abc import Mapping
from typing import Any

from marie_operator.testing.apiserver.errors import Object, Refusal
from marie_operator.testing.apiserver.kinds import Kind, ScalePaths


def at(value: Any, path: str) -> Any:
    """What is at a path such as ``.spec.replicas``; None where nothing is."""
    for part in path.lstrip(".").split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def put(value: Object, path: str, found: Any) -> Object:
    """An object with something else at a path."""
    first, _, rest = path.lstrip(".").partition(".")
    return value | {first: put(value.get(first) or {}, rest, found) if rest else found}


def scale(kind: Kind, stored: Object) -> Object:
    """The ``autoscaling/v1`` Scale of an object."""
    paths = kind.scale or ScalePaths()
    meta = stored["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Object = {"replicas": at(stored, paths.status) or 0}
    if selector := _selector(at(stored, paths.selector) if paths.selector else None):
        status["selector"] = selector
    replicas = at(stored, paths.spec)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in kept if name in meta},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def read_scale(kind: Kind, stored: Object) -> Object:
    """The Scale that is read.

    Raises:
        Refusal: 500, an object of a custom kind has no replicas.
    """
    path = (kind.scale or ScalePaths()).spec
    if kind.custom and at(stored, path) is None:
        why = f'the spec replicas field "{path}" does not exist'
        raise Refusal(500, f"Internal error occurred: {why}", details={"causes": [{"message": why}]})
    return scale(kind, stored)


def _selector(found: Any) -> str:
    if isinstance(found, str):
        return found
    if not isinstance(found, Mapping):
        return ""
    terms = [f"{name}={value}" for name, value in sorted((found.get("matchLabels") or {}).items())]
    for each in found.get("matchExpressions") or ():
        values = ",".join(sorted(each.get("values") or ()))
        terms.append(
            {
                "In": f"{each['key']} in ({values})",
                "NotIn": f"{each['key']} notin ({values})",
                "Exists": each["key"],
                "DoesNotExist": f"!{each['key']}",
            }[each["operator"]]
        )
    return ",".join(terms)


def scaled(kind: Kind, stored: Object, wanted: Object) -> Object:
    """An object with the replicas of a Scale.

    Raises:
        Refusal: 422, fewer than none.
    """
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        message = f"Invalid value: {replicas}: must be greater than or equal to 0"
        name = stored["metadata"]["name"]
        raise Refusal(
            422,
            f'Scale.autoscaling "{name}" is invalid: spec.replicas: {message}',
            details={
                "name": name,
                "group": "autoscaling",
                "kind": "Scale",
                "causes": [{"reason": "FieldValueInvalid", "message": message, "field": "spec.replicas"}],
            },
        )
    changed = put(stored, (kind.scale or ScalePaths()).spec, replicas)
    version = (wanted.get("metadata") or {}).get("resourceVersion")
    return changed | {"metadata": changed["metadata"] | ({"resourceVersion": version} if version else {})}


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
