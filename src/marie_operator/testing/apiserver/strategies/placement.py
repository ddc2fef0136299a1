"""Where pods may run, beside which others."""

from collections.abc import Mapping
from typing import Any

from marie_operator.testing.apiserver.errors import Json, Object

_TERMS = ("requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution")


def spread(spec: Object, labels: Mapping[str, str]) -> Object:
    """A pod's spec in which selectors of other pods name the values that the pod's own labels have.

    Args:
        spec: With ``matchLabelKeys``, which say of which labels.
        labels: Of the pod.
    """
    if spec.get("topologySpreadConstraints"):
        constraints = [_selecting(each, labels) for each in spec["topologySpreadConstraints"]]
        spec = {**spec, "topologySpreadConstraints": constraints}
    affinity = spec.get("affinity")
    if not affinity:
        return spec
    changes = {
        name: _affinity(affinity[name], labels) for name in ("podAffinity", "podAntiAffinity") if affinity.get(name)
    }
    return {**spec, "affinity": {**affinity, **changes}}


def _affinity(affinity: Object, labels: Mapping[str, str]) -> Object:
    required, preferred = ([*affinity[name]] if affinity.get(name) else [] for name in _TERMS)
    terms = [_selecting(each, labels) for each in required]
    weighted = [{**each, "podAffinityTerm": _selecting(each["podAffinityTerm"], labels)} for each in preferred]
    return {**affinity, **{name: each for name, each in zip(_TERMS, (terms, weighted), strict=True) if each}}


def _selecting(term: Object, labels: Mapping[str, str]) -> Object:
    selector = term.get("labelSelector")
    if selector is None:
        return term
    added: list[dict[str, Any]] = []
    for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
        named: list[Json] = term.get(field) or []
        added += [{"key": name, "operator": operator, "values": [labels[name]]} for name in named if name in labels]
    if not added:
        return term
    return {
        **term,
        "labelSelector": {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), *added]},
    }
