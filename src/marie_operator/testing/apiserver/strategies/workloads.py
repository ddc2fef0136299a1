"""Deployments and what else keeps pods running."""

import re

from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies import pods
from marie_operator.testing.apiserver.strategies.base import Strategy, filled, immutable, shown, spec_changes
from marie_operator.testing.apiserver.strategies.containers import invalid, negative

IS_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)
_STRATEGIES = ("Recreate", "RollingUpdate")
_ROLLING = {"maxUnavailable": "25%", "maxSurge": "25%"}


def _templated(new: Object, **defaults: object) -> Object:
    spec = filled(new.get("spec") or {}, **defaults)
    if spec.get("template") is not None:
        spec = {**spec, "template": pods.template(spec["template"])}
    return {**new, "spec": spec}


def _deployment(new: Object) -> Object:
    new = _templated(new, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = filled(new["spec"].get("strategy") or {}, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        strategy = {**strategy, "rollingUpdate": filled(rolling, **_ROLLING)}
    return {**new, "spec": {**new["spec"], "strategy": strategy}}


def _errors(new: Object) -> list[FieldError]:
    return [*pods.template_errors(new["spec"]), *negative(new["spec"], ("replicas", "minReadySeconds"))]


def _deployment_errors(new: Object) -> list[FieldError]:
    found, spec = _errors(new), new["spec"]
    strategy = spec["strategy"]
    if strategy["type"] not in _STRATEGIES:
        inside = f'{{"Type":{shown(strategy["type"])},"RollingUpdate":{shown(strategy.get("rollingUpdate"))}}}'
        listed = ", ".join(map(shown, _STRATEGIES))
        why = f"Unsupported value: {inside}: supported values: {listed}"
        found.append(FieldError("FieldValueNotSupported", why, "spec.strategy"))
    rolling, at = strategy.get("rollingUpdate"), "spec.strategy.rollingUpdate"
    if strategy.get("type") == "Recreate" and rolling is not None:
        why = "Forbidden: may not be specified when strategy `type` is 'Recreate'"
        found.append(FieldError("FieldValueForbidden", why, at))
    for name in ("maxUnavailable", "maxSurge"):
        value = (rolling or {}).get(name)
        if isinstance(value, str) and not re.fullmatch(r"\d+%", value):
            found.append(invalid(value, IS_PERCENT, f"{at}.{name}"))
    if rolling and all(rolling.get(name) in {0, "0%"} for name in ("maxUnavailable", "maxSurge")):
        found.append(invalid(0, "may not be 0 when `maxSurge` is 0", f"{at}.maxUnavailable"))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        found.append(invalid(deadline, "must be greater than minReadySeconds", "spec.progressDeadlineSeconds"))
    return found


def _changed(new: Object, old: Object) -> list[FieldError]:
    return [*_errors(new), *immutable(new, old, "spec.selector")]


def _deployment_changed(new: Object, old: Object) -> list[FieldError]:
    return [*_deployment_errors(new), *immutable(new, old, "spec.selector")]


def _annotated(new: Object, old: Object) -> bool:
    """Annotations of a Deployment count, since its rollouts are told apart by them."""
    if not old:
        return True
    notes = [each["metadata"].get("annotations") or {} for each in (new, old)]
    return spec_changes(new, old) or notes[0] != notes[1]


def _stateful(new: Object) -> Object:
    new = _templated(new, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")
    spec = new["spec"]
    strategy = filled(spec.get("updateStrategy") or {}, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        strategy = {**strategy, "rollingUpdate": filled(strategy.get("rollingUpdate") or {}, partition=0)}
    kept = filled(spec.get("persistentVolumeClaimRetentionPolicy") or {}, whenDeleted="Retain", whenScaled="Retain")
    return {**new, "spec": {**spec, "updateStrategy": strategy, "persistentVolumeClaimRetentionPolicy": kept}}


def _daemon(new: Object) -> Object:
    new = _templated(new, revisionHistoryLimit=10)
    strategy = filled(new["spec"].get("updateStrategy") or {}, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = filled(strategy.get("rollingUpdate") or {}, maxUnavailable=1, maxSurge=0)
        strategy = {**strategy, "rollingUpdate": rolling}
    return {**new, "spec": {**new["spec"], "updateStrategy": strategy}}


DEPLOYMENT = Strategy(
    default=_deployment,
    validate=_deployment_errors,
    validate_update=_deployment_changed,
    generation=_annotated,
)
REPLICA_SET = Strategy(
    default=lambda new: _templated(new, replicas=1),
    validate=_errors,
    validate_update=_changed,
)
STATEFUL_SET = Strategy(default=_stateful, validate=_errors, validate_update=_changed)
DAEMON_SET = Strategy(default=_daemon, validate=_errors, validate_update=_changed)
