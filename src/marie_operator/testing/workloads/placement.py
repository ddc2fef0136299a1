"""Which nodes can take a pod, and why the others cannot."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from marie_operator.testing.workloads.objects import Object, labels_of, matches

Amounts: TypeAlias = dict[str, Decimal]

_BINARY = {name: Decimal(1024) ** power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_DECIMAL = {name: Decimal(1000) ** power for power, name in enumerate(("k", "M", "G", "T", "P", "E"), start=1)}
_UNITS = {**_BINARY, **_DECIMAL, "m": Decimal("0.001"), "u": Decimal("1e-6"), "n": Decimal("1e-9")}
_PLAIN = ("cpu", "memory", "ephemeral-storage")


def amount(quantity: str | float) -> Decimal:
    """The number that a quantity stands for."""
    text = str(quantity)
    unit = next((each for each in _UNITS if text.endswith(each)), "")
    return Decimal(text.removesuffix(unit)) * _UNITS.get(unit, Decimal(1))


def requests(pod: Object) -> Amounts:
    """What a pod takes of its node."""
    spec = pod["spec"]
    sidecars = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    total = _sum(_of(each) for each in [*spec["containers"], *sidecars])
    running: Amounts = {}
    for each in spec.get("initContainers") or ():
        if each.get("restartPolicy") == "Always":
            running = _sum([running, _of(each)])
        else:
            total = _most(total, _sum([running, _of(each)]))
    overhead = {name: amount(value) for name, value in (spec.get("overhead") or {}).items()}
    return {**_sum([total, overhead]), "pods": Decimal(1)}


def obstacles(pod: Object, node: Object, used: Mapping[str, Decimal]) -> list[str]:
    """Why a node does not take a pod, in the words of kube-scheduler; empty when it does.

    Args:
        pod: The pod.
        node: The node.
        used: What the node's other pods take.
    """
    spec = node.get("spec") or {}
    tolerations = pod["spec"].get("tolerations") or ()
    unschedulable = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if spec.get("unschedulable") and toleration(unschedulable, tolerations) is None:
        return ["node(s) were unschedulable"]
    for taint in spec.get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and toleration(taint, tolerations) is None:
            return ["node(s) had untolerated taint(s)"]
    if not _selected(pod["spec"], node):
        return ["node(s) didn't match Pod's node affinity/selector"]
    return _lacking(requests(pod), node, used)


def toleration(taint: Mapping[str, Any], tolerations: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first of a pod's tolerations that a taint meets."""
    return next((each for each in tolerations if _tolerates(each, taint)), None)


def message(reasons: Sequence[Sequence[str]]) -> str:
    """Why no node takes a pod, given the reasons of each."""
    if not reasons:
        return "no nodes available to schedule pods"
    counted = Counter(each for node in reasons for each in node)
    words = ", ".join(sorted(f"{count} {reason}" for reason, count in counted.items()))
    return f"0/{len(reasons)} nodes are available: {words}."


def _lacking(wanted: Mapping[str, Decimal], node: Object, used: Mapping[str, Decimal]) -> list[str]:
    offered = {name: amount(value) for name, value in (node.get("status", {}).get("allocatable") or {}).items()}
    ordered = sorted(wanted, key=lambda name: (name != "pods", name not in _PLAIN, name))
    short = [
        name
        for name in ordered
        if wanted[name] and wanted[name] > offered.get(name, Decimal(0)) - used.get(name, Decimal(0))
    ]
    return ["Too many pods" if name == "pods" else f"Insufficient {name}" for name in short]


def _selected(spec: Object, node: Object) -> bool:
    labels = labels_of(node)
    if not (spec.get("nodeSelector") or {}).items() <= labels.items():
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    return required is None or any(_holds(term, node) for term in required["nodeSelectorTerms"])


def _holds(term: Mapping[str, Any], node: Object) -> bool:
    labels, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    name = {"metadata.name": node["metadata"]["name"]}
    return (
        bool(labels or fields)
        and all(matches(each, labels_of(node)) for each in labels)
        and all(matches(each, name) for each in fields)
    )


def _tolerates(each: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    return (
        each.get("effect") in {None, "", taint["effect"]}
        and (not each.get("key") or each["key"] == taint["key"])
        and (
            each.get("operator") == "Exists"
            or (bool(each.get("key")) and each.get("value", "") == taint.get("value", ""))
        )
    )


def _of(container: Mapping[str, Any]) -> Amounts:
    wanted = (container.get("resources") or {}).get("requests") or {}
    return {name: amount(value) for name, value in wanted.items()}


def _sum(parts: Iterable[Mapping[str, Decimal]]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, Decimal(0)) + value
    return total


def _most(one: Amounts, other: Amounts) -> Amounts:
    zero = Decimal(0)
    return {name: max(one.get(name, zero), other.get(name, zero)) for name in one.keys() | other.keys()}
