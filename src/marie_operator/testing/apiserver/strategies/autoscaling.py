"""HorizontalPodAutoscalers and PodDisruptionBudgets."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from marie_operator.testing.apiserver.errors import FieldError, Json, Object
from marie_operator.testing.apiserver.strategies.base import Strategy, filled, forbidden, never, required, without
from marie_operator.testing.apiserver.strategies.conditions import condition_errors
from marie_operator.testing.apiserver.strategies.containers import invalid, negative, unsupported
from marie_operator.testing.apiserver.strategies.selectors import selector_errors

_UTILIZATION: Final = 80
_PERIOD: Final = 15
_LONGEST_PERIOD: Final = 1800
_LONGEST_WINDOW: Final = 3600
_METRICS_NOTE: Final = "autoscaling.alpha.kubernetes.io/metrics"
_BEHAVIOR_NOTE: Final = "autoscaling.alpha.kubernetes.io/behavior"
_SOURCES: Final = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}


def _default(new: Object) -> Object:
    spec = filled(new.get("spec") or {}, minReplicas=1)
    if not spec.get("metrics"):
        spec = {**spec, "metrics": [_cpu(_UTILIZATION)]}
    if spec.get("behavior") is not None:
        # Both ways have rules as soon as one of them is told.
        up = _rules(spec["behavior"].get("scaleUp"), _policy("Pods", 4), _policy("Percent", 100), window=0)
        down = _rules(spec["behavior"].get("scaleDown"), _policy("Percent", 100))
        spec = {**spec, "behavior": {"scaleUp": up, "scaleDown": down}}
    return {**new, "spec": spec}


def _cpu(percent: int) -> Object:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _policy(kind: str, value: int) -> Object:
    return {"type": kind, "value": value, "periodSeconds": _PERIOD}


def _rules(rules: Object | None, *policies: Object, window: int | None = None) -> Object:
    rules = filled(rules or {}, selectPolicy="Max", policies=list(policies))
    return rules if window is None else filled(rules, stabilizationWindowSeconds=window)


def _errors(new: Object) -> list[FieldError]:
    return list(_problems(new["spec"]))


def _problems(spec: Object) -> Iterator[FieldError]:
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if least < 1:
        yield invalid(least, "must be greater than or equal to 1", "spec.minReplicas")
    if least == 0 and not {each.get("type") for each in spec.get("metrics") or ()} & {"Object", "External"}:
        why = "must specify at least one Object or External metric to support scaling to zero replicas"
        yield forbidden("spec.metrics", why)
    if not most:
        yield required("spec.maxReplicas", "must be set and greater than 0")
    elif most < 0:
        yield invalid(most, "must be greater than or equal to 1", "spec.maxReplicas")
    if most < least:
        yield invalid(most, "must be greater than or equal to `minReplicas`", "spec.maxReplicas")
    target = spec["scaleTargetRef"]
    yield from (required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not target.get(name))
    if "/" not in target.get("apiVersion", ""):
        yield invalid(
            target.get("apiVersion", ""), "apiVersion must specify API group", "spec.scaleTargetRef.apiVersion"
        )
    for number, metric in enumerate(spec.get("metrics") or ()):
        yield from _metric(metric, f"spec.metrics[{number}]")
    for name, rules in (spec.get("behavior") or {}).items():
        yield from _rule_errors(rules, f"spec.behavior.{name}")


def _metric(metric: Object, at: str) -> Iterator[FieldError]:
    kind = metric.get("type", "")
    if not kind:
        yield required(f"{at}.type", "must specify a metric source type")
    yield from unsupported(kind, _SOURCES, f"{at}.type")
    wanted = _SOURCES.get(kind)
    if wanted is None:
        return
    if metric.get(wanted) is None:
        yield required(f"{at}.{wanted}", "must populate information for the given metric source")
    for name in _SOURCES.values():
        if name != wanted and metric.get(name) is not None:
            yield forbidden(f"{at}.{name}", "must populate the given metric source only")


def _rule_errors(rules: Object, at: str) -> Iterator[FieldError]:
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and window < 0:
        yield invalid(window, "must be greater than or equal to zero", f"{at}.stabilizationWindowSeconds")
    if window is not None and window > _LONGEST_WINDOW:
        yield invalid(window, f"must be less than or equal to {_LONGEST_WINDOW}", f"{at}.stabilizationWindowSeconds")
    yield from unsupported(rules["selectPolicy"], ("Disabled", "Max", "Min"), f"{at}.selectPolicy")
    for number, policy in enumerate(rules.get("policies") or ()):
        where = f"{at}.policies[{number}]"
        yield from unsupported(policy.get("type"), ("Percent", "Pods"), f"{where}.type")
        for name in ("value", "periodSeconds"):
            if policy.get(name, 0) <= 0:
                yield invalid(policy.get(name, 0), "must be greater than zero", f"{where}.{name}")
        if policy.get("periodSeconds", 0) > _LONGEST_PERIOD:
            why = f"must be less than or equal to {_LONGEST_PERIOD}"
            yield invalid(policy["periodSeconds"], why, f"{where}.periodSeconds")


AUTOSCALER = Strategy(default=_default, validate=_errors, validate_update=lambda new, _: _errors(new), generation=never)


# The first version knows of one metric only, and carries the rest in annotations.


def stored(scaler: Object) -> Object:
    """An autoscaler of ``autoscaling/v1`` as it is stored, which is as ``autoscaling/v2`` has it."""
    meta, spec = scaler["metadata"], scaler.get("spec") or {}
    notes = meta.get("annotations") or {}
    percent = spec.get("targetCPUUtilizationPercentage")
    metrics = [] if percent is None else [_cpu(percent)]
    metrics += json.loads(notes.get(_METRICS_NOTE, "[]"))
    kept: Object = without(spec, "targetCPUUtilizationPercentage")
    if metrics:
        kept["metrics"] = metrics
    if _BEHAVIOR_NOTE in notes:
        kept["behavior"] = json.loads(notes[_BEHAVIOR_NOTE])
    left = without(notes, _METRICS_NOTE, _BEHAVIOR_NOTE)
    status = without(scaler.get("status") or {}, "currentCPUUtilizationPercentage")
    return {**scaler, "metadata": _annotated(meta, left), "spec": kept, "status": status}


def served(scaler: Object) -> Object:
    """A stored autoscaler as ``autoscaling/v1`` has it."""
    meta, spec = scaler["metadata"], scaler.get("spec") or {}
    notes = dict(meta.get("annotations") or {})
    shown: Object = without(spec, "metrics", "behavior")
    rest = []
    for metric in spec.get("metrics") or ():
        percent = _of_cpu(metric)
        if percent is None or "targetCPUUtilizationPercentage" in shown:
            rest.append(metric)
        else:
            shown["targetCPUUtilizationPercentage"] = percent
    if rest:
        notes[_METRICS_NOTE] = json.dumps(rest, separators=(",", ":"))
    if spec.get("behavior") is not None:
        notes[_BEHAVIOR_NOTE] = json.dumps(spec["behavior"], separators=(",", ":"))
    known = {"currentReplicas": 0, "desiredReplicas": 0, **(scaler.get("status") or {})}
    status = {name: known[name] for name in known if name not in {"currentMetrics", "conditions"}}
    return {**scaler, "metadata": _annotated(meta, notes), "spec": shown, "status": status}


def _of_cpu(metric: Object) -> Json:
    resource = metric.get("resource") or {}
    return (resource.get("target") or {}).get("averageUtilization") if resource.get("name") == "cpu" else None


def _annotated(meta: Object, notes: Object) -> Object:
    return {**without(meta, "annotations"), "annotations": notes} if notes else without(meta, "annotations")


def _default_first(new: Object) -> Object:
    spec = filled(new.get("spec") or {}, minReplicas=1)
    if _METRICS_NOTE not in (new["metadata"].get("annotations") or {}):
        spec = filled(spec, targetCPUUtilizationPercentage=_UTILIZATION)
    return {**new, "spec": spec}


FIRST_AUTOSCALER = replace(
    AUTOSCALER,
    default=_default_first,
    validate=lambda new: _errors(stored(new)),
    validate_update=lambda new, _: _errors(stored(new)),
)


# PodDisruptionBudgets.

_IS_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)


def int_or_percent(value: Json, at: str) -> Iterator[FieldError]:
    """Complains of what is neither a number of things nor a part of all of them."""
    if isinstance(value, int):
        if value < 0:
            yield invalid(value, "must be greater than or equal to 0", at)
    elif not re.fullmatch(r"[0-9]+%", value):
        yield invalid(value, _IS_PERCENT, at)


def at_most_all(value: Json, at: str) -> Iterator[FieldError]:
    """Complains of more than there is."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]+%", value) and int(value[:-1]) > 100:
        yield invalid(value, "must not be greater than 100%", at)


def _budget_errors(new: Object) -> list[FieldError]:
    return list(_budget_problems(new["spec"]))


def _budget_problems(spec: Object) -> Iterator[FieldError]:
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        yield invalid(spec, "minAvailable and maxUnavailable cannot be both set", "spec")
    for name in ("minAvailable", "maxUnavailable"):
        if spec.get(name) is not None:
            yield from int_or_percent(spec[name], f"spec.{name}")
            yield from at_most_all(spec[name], f"spec.{name}")
    yield from selector_errors(spec.get("selector"), "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None:
        yield from unsupported(policy, ("AlwaysAllow", "IfHealthyBudget"), "spec.unhealthyPodEvictionPolicy")


_STATES = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def _budget_status_errors(new: Object, _: Object) -> list[FieldError]:
    status = new.get("status") or {}
    return [
        *condition_errors(status.get("conditions") or (), "status.conditions"),
        *negative(status, _STATES, "status"),
    ]


BUDGET = Strategy(
    validate=_budget_errors,
    validate_update=lambda new, _: _budget_errors(new),
    validate_status=_budget_status_errors,
    unconditional=False,
)
