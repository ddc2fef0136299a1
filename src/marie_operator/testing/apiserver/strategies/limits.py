"""LimitRanges and ResourceQuotas."""

from collections.abc import Iterator
from dataclasses import replace

from marie_operator.testing.apiserver import names
from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies.base import PLAIN, Strategy, forbidden, never, required
from marie_operator.testing.apiserver.strategies.containers import duplicate, invalid
from marie_operator.testing.apiserver.strategies.quantity import parse

_SCOPES = (
    *("BestEffort", "CrossNamespacePodAffinity", "NotBestEffort"),
    *("NotTerminating", "PriorityClass", "Terminating", "VolumeAttributesClass"),
)


def _range(new: Object) -> Object:
    """Limits of containers are filled in from one another (``SetDefaults_LimitRangeItem``)."""
    spec = new.get("spec") or {}
    if spec.get("limits"):
        spec = {**spec, "limits": [_container(each) for each in spec["limits"]]}
    return {**new, "spec": spec}


def _container(limit: Object) -> Object:
    if limit.get("type") != "Container":
        return limit
    usual = {**(limit.get("max") or {}), **(limit.get("default") or {})}
    asked = {**(limit.get("min") or {}), **usual, **(limit.get("defaultRequest") or {})}
    found = {"default": usual, "defaultRequest": asked}
    return {**limit, **{name: amounts for name, amounts in found.items() if amounts}}


def _range_errors(new: Object) -> list[FieldError]:
    return list(_range_problems(new["spec"]))


def _range_problems(spec: Object) -> Iterator[FieldError]:
    seen: set[str] = set()
    for number, limit in enumerate(spec.get("limits") or ()):
        at, kind = f"spec.limits[{number}]", limit.get("type", "")
        if not kind:
            yield required(f"{at}.type")
        if kind in seen:
            yield duplicate(kind, f"{at}.type")
        seen.add(kind)
        if kind == "Pod":
            for name in ("default", "defaultRequest"):
                if limit.get(name):
                    yield forbidden(f"{at}.{name}", "may not be specified when `type` is 'Pod'")
        if kind == "PersistentVolumeClaim" and not any("storage" in (limit.get(end) or {}) for end in ("min", "max")):
            why = "either minimum or maximum storage value is required, but neither was provided"
            yield required(f"{at}.limits", why)
        yield from _ordered(limit, at)


_ORDERS = (
    ("min", "max", "min", "min value {0} is greater than max value {1}"),
    ("min", "defaultRequest", "defaultRequest", "min value {0} is greater than default request value {1}"),
    ("defaultRequest", "max", "defaultRequest", "default request value {0} is greater than max value {1}"),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "default request value {0} is greater than default limit value {1}",
    ),
    ("min", "default", "default", "min value {0} is greater than default value {1}"),
    ("default", "max", "default", "default value {0} is greater than max value {1}"),
)
"""Which amounts are not above which, where that is told, and what is said of it."""


def _ordered(limit: Object, at: str) -> Iterator[FieldError]:
    for low, high, place, why in _ORDERS:
        for name, least in (limit.get(low) or {}).items():
            most = (limit.get(high) or {}).get(name)
            if most is not None and parse(least)[0] > parse(most)[0]:
                # A default that is out of bounds is shown as the bound.
                value = {("min", "default"): least, ("default", "max"): most}.get((low, high), limit[place][name])
                yield invalid(value, why.format(least, most), f"{at}.{place}[{name}]")


LIMIT_RANGE = replace(PLAIN, default=_range, validate=_range_errors, validate_update=lambda new, _: _range_errors(new))


def _quota_errors(new: Object) -> list[FieldError]:
    return list(_quota_problems(new["spec"]))


def _quota_problems(spec: Object) -> Iterator[FieldError]:
    for name, amount in (spec.get("hard") or {}).items():
        at = f"spec.hard[{name}]"
        for why in names.qualified(name):
            yield invalid(name, why, at)
        if parse(amount)[0] < 0:
            yield invalid(amount, "must be greater than or equal to 0", at)
        elif _whole(name) and parse(amount)[0] % 1:
            yield invalid(amount, "must be an integer", at)
    scopes = spec.get("scopes") or []
    for scope in scopes:
        if scope not in _SCOPES:
            yield invalid(scopes, "unsupported scope", "spec.scopes")


def _whole(name: str) -> bool:
    return name.startswith("count/") or name in {"pods", "services", "secrets", "configmaps", "persistentvolumeclaims"}


def _quota_changed(new: Object, old: Object) -> list[FieldError]:
    found = _quota_errors(new)
    scopes = [sorted(each["spec"].get("scopes") or ()) for each in (new, old)]
    if scopes[0] != scopes[1]:
        found.append(invalid(new["spec"].get("scopes"), "field is immutable", "spec.scopes"))
    return found


QUOTA = Strategy(validate=_quota_errors, validate_update=_quota_changed, generation=never)
