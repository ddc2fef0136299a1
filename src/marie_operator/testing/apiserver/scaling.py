"""``/scale``: an object's replicas as a Scale, which has field managers of its own.

Who owns the replicas of an object owns them in its Scale, and the other way round (``ScaleHandler`` of apimachinery).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from marie_operator.testing.apiserver import fieldset, forms, names
from marie_operator.testing.apiserver.builtin import definition_of, schema_of
from marie_operator.testing.apiserver.errors import FieldError, Object, Refusal, conflict, invalid
from marie_operator.testing.apiserver.kinds import Kind, ScalePaths
from marie_operator.testing.apiserver.managers import Managed, Manager, Owned, decoded, with_managed
from marie_operator.testing.apiserver.strategies.base import PLAIN

_DEFINITION: Final = definition_of("autoscaling", "v1", "Scale")
SCALE: Final = Kind(
    group="autoscaling",
    version="v1",
    plural="scales",
    singular="scale",
    kind="Scale",
    list_kind="ScaleList",
    namespaced=True,
    schema=schema_of(_DEFINITION),
    strategy=PLAIN,
    form=forms.form(_DEFINITION),
    exact=forms.form(_DEFINITION, exact=True),
)
"""The kind of what is shown, whatever the kind of the object."""
_REPLICAS: Final = ("f:spec", "f:replicas")
_UNSET: Final = -(2**31)
"""In place of replicas that a custom object does not have."""


def shown(kind: Kind, stored: Object) -> Object:
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


def written(scale: Object) -> Object:
    """A Scale as it is written: no replicas are not told."""
    replicas = (scale.get("spec") or {}).get("replicas")
    return scale if replicas else {**scale, "spec": {}}


def read(kind: Kind, stored: Object) -> Object:
    """The Scale that is read.

    Raises:
        Refusal: 500, an object of a custom kind has no replicas.
    """
    path = (kind.scale or ScalePaths()).spec
    if kind.custom and at(stored, path) is None:
        why = f'the spec replicas field "{path}" does not exist'
        raise Refusal(500, f"Internal error occurred: {why}", details={"causes": [{"message": why}]})
    return shown(kind, stored)


def rescaled(kind: Kind, live: Object, change: Callable[[Object], Object]) -> Object:
    """An object with the replicas that something makes of its Scale.

    Args:
        kind: Its kind.
        live: The object.
        change: From the Scale as it is to that as it should be, both with their ``managedFields``.

    Raises:
        Refusal: 422, fewer replicas than none; 400, none at all; 409, the Scale is another object's.
    """
    paths = kind.scale or ScalePaths()
    path = tuple(f"f:{part}" for part in paths.spec.lstrip(".").split("."))
    managed = decoded(live)
    old = with_managed(shown(kind, live), _of_scale(managed, path))
    if kind.custom and at(live, paths.spec) is None:
        old["spec"] = {"replicas": _UNSET}
    new = change(old)
    replicas, meta = (new.get("spec") or {}).get("replicas") or 0, new["metadata"]
    if kind.custom and replicas == _UNSET:
        raise Refusal(400, f'the spec replicas field "{paths.spec}" cannot be empty')
    if not kind.custom:
        _check(kind, new, live)
    changed = put(live, paths.spec, replicas)
    version = meta.get("resourceVersion")
    if version or not kind.custom:
        changed["metadata"] = changed["metadata"] | {"resourceVersion": version or ""}
    return with_managed(changed, _of_parent(managed, decoded(new), path, kind.api_version))


def _check(kind: Kind, new: Object, live: Object) -> None:
    meta, live_meta = new["metadata"], live["metadata"]
    replicas = (new.get("spec") or {}).get("replicas") or 0
    errors = names.errors(SCALE.kind, meta)
    if replicas < 0:
        errors.append(FieldError.invalid("spec.replicas", replicas, "must be greater than or equal to 0"))
    if errors:
        raise invalid(SCALE.kind, SCALE.group, live_meta["name"], errors)
    if meta.get("uid") and meta["uid"] != live_meta["uid"]:
        why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {live_meta['uid']}"
        raise conflict(f"{kind.plural}/scale", kind.group, live_meta["name"], why)


def _of_scale(managed: Managed, path: fieldset.Path) -> Managed:
    """Who owns the replicas, as the Scale tells it."""
    fields = _alone(_REPLICAS)
    return {
        Manager(who.name, who.operation, SCALE.api_version if who.api_version else "", who.subresource): Owned(
            fields, SCALE.api_version, owned.time
        )
        for who, owned in managed.items()
        if fieldset.has(owned.fields, path)
    }


def _of_parent(managed: Managed, scaled: Managed, path: fieldset.Path, api_version: str) -> Managed:
    """Who owns what of the object, when its Scale is owned so."""
    replicas = _alone(path)
    result: Managed = {}
    for who, owned in managed.items():
        if not fieldset.has(owned.fields, path) or who in scaled:
            result[who] = owned
        elif left := fieldset.difference(owned.fields, replicas):
            result[who] = owned.narrowed(left)
    for who, owned in scaled.items():
        if who not in managed and fieldset.has(owned.fields, _REPLICAS):
            # Its name in the object is another, and with that the time is lost.
            result[who] = Owned(replicas, api_version)
    return result


def _alone(path: fieldset.Path) -> fieldset.FieldSet:
    return fieldset.from_paths([tuple(step.removeprefix("f:") for step in path)])


def put(value: Object, path: str, found: Any) -> Object:
    """An object with something else at a path."""
    first, _, rest = path.lstrip(".").partition(".")
    return value | {first: put(value.get(first) or {}, rest, found) if rest else found}


def at(value: Any, path: str) -> Any:
    """What is at a path such as ``.spec.replicas``; None where nothing is."""
    for part in path.lstrip(".").split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


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
