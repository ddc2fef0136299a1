"""Roles and their bindings."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from marie_operator.testing.apiserver.errors import FieldError, Json, Object
from marie_operator.testing.apiserver.strategies.base import PLAIN, Strategy, filled

GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")


def _rule_errors(new: Object, *, namespaced: bool) -> list[FieldError]:
    found: list[FieldError] = []
    for number, rule in enumerate(new.get("rules") or ()):
        found += _of_rule(rule, f"rules[{number}]", namespaced=namespaced)
    return found


def _of_rule(rule: Object, path: str, *, namespaced: bool) -> Iterator[FieldError]:
    if not rule.get("verbs"):
        yield FieldError.required(f"{path}.verbs", "verbs must contain at least one value")
    if urls := rule.get("nonResourceURLs"):
        if namespaced:
            why = "namespaced rules cannot apply to non-resource URLs"
            yield FieldError.invalid(f"{path}.nonResourceURLs", urls, why)
        if any(rule.get(name) for name in ("apiGroups", "resources", "resourceNames")):
            why = "rules cannot apply to both regular resources and non-resource URLs"
            yield FieldError.invalid(f"{path}.nonResourceURLs", urls, why)
        return
    if not rule.get("apiGroups"):
        yield FieldError.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield FieldError.required(f"{path}.resources", "resource rules must supply at least one resource")


def _wide_errors(new: Object) -> list[FieldError]:
    found = _rule_errors(new, namespaced=False)
    gathered = new.get("aggregationRule")
    if gathered is not None and not gathered.get("clusterRoleSelectors"):
        why = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        found.append(FieldError.required("aggregationRule.clusterRoleSelectors", why))
    return found


def _binding(new: Object) -> Object:
    role = new.get("roleRef") or {}
    named = {**new, "roleRef": {**role, "apiGroup": role.get("apiGroup") or GROUP}}
    if new.get("subjects"):
        named["subjects"] = [
            filled(each, apiGroup=GROUP) if each.get("kind") in {"User", "Group"} else each for each in new["subjects"]
        ]
    return named


def _binding_errors(new: Object, *, roles: tuple[str, ...]) -> list[FieldError]:
    role, found = new.get("roleRef") or {}, []
    if role.get("apiGroup", "") != GROUP:
        found.append(FieldError.unsupported("roleRef.apiGroup", role.get("apiGroup", ""), [GROUP]))
    if role.get("kind", "") not in roles:
        found.append(FieldError.unsupported("roleRef.kind", role.get("kind", ""), roles))
    if not role.get("name"):
        found.append(FieldError.required("roleRef.name"))
    for number, subject in enumerate(new.get("subjects") or ()):
        found += _of_subject(subject, f"subjects[{number}]", namespaced="Role" in roles)
    return found


def _of_subject(subject: Object, path: str, *, namespaced: bool) -> Iterator[FieldError]:
    kind, group = subject.get("kind", ""), subject.get("apiGroup", "")
    if not subject.get("name"):
        yield FieldError.required(f"{path}.name")
    if kind not in _SUBJECTS:
        yield FieldError.unsupported(f"{path}.kind", kind, _SUBJECTS)
        return
    expected = "" if kind == "ServiceAccount" else GROUP
    if group != expected:
        yield FieldError.unsupported(f"{path}.apiGroup", group, [expected])
    if kind == "ServiceAccount" and not namespaced and not subject.get("namespace"):
        yield FieldError.required(f"{path}.namespace")


def _rebound(new: Object, old: Object, errors: Callable[[Object], list[FieldError]]) -> list[FieldError]:
    changed: Json = new.get("roleRef")
    if changed == old.get("roleRef"):
        return errors(new)
    names = {"APIGroup": "apiGroup", "Kind": "kind", "Name": "name"}
    shown = {name: changed.get(field, "") for name, field in names.items()}
    return [*errors(new), FieldError.invalid("roleRef", shown, "cannot change roleRef")]


def _strategy(errors: Callable[[Object], list[FieldError]], *, binding: bool = False) -> Strategy:
    if not binding:
        return replace(PLAIN, validate=errors, validate_update=lambda new, _: errors(new))
    return replace(
        PLAIN, default=_binding, validate=errors, validate_update=lambda new, old: _rebound(new, old, errors)
    )


ROLE = _strategy(partial(_rule_errors, namespaced=True))
CLUSTER_ROLE = _strategy(_wide_errors)
BINDING = _strategy(partial(_binding_errors, roles=("Role", "ClusterRole")), binding=True)
CLUSTER_BINDING = _strategy(partial(_binding_errors, roles=("ClusterRole",)), binding=True)
