"""CustomResourceDefinitions: what a server does when one appears, changes or goes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from marie_operator.testing.apiserver.errors import Object
from marie_operator.testing.apiserver.forms import META, Unfit, form
from marie_operator.testing.apiserver.kinds import CRD_GROUP, CRDS, Kind, Kinds, ScalePaths
from marie_operator.testing.apiserver.objects import Objects
from marie_operator.testing.apiserver.schema import Schema
from marie_operator.testing.apiserver.strategies import Context, Strategy, custom
from marie_operator.testing.apiserver.strategies.base import without

_DEFAULT_COLUMNS = ({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},)


def is_definition(kind: Kind) -> bool:
    """Whether objects of a kind define kinds."""
    return kind.bucket == (CRD_GROUP, CRDS)


# Kinds.


def serve(served: Kinds, definition: Object) -> None:
    """Have what a definition says served, and no more what an older form of it said."""
    spec = definition["spec"]
    wanted = kinds(definition) if is_served(definition) else []
    versions = {kind.version for kind in wanted}
    for kind in served:
        if kind.bucket == (spec["group"], spec["names"]["plural"]) and kind.version not in versions:
            served.remove(kind.group, kind.plural, kind.version)
    for kind in wanted:
        served.add(kind)


def is_served(definition: Object) -> bool:
    """Whether its names, or former ones, are accepted."""
    told = {each["type"]: each["status"] for each in definition["status"].get("conditions") or ()}
    return "True" in (told.get("NamesAccepted"), told.get("Established"))


def kinds(definition: Object) -> list[Kind]:
    """What it defines under the names that were accepted, a kind for each version that is served."""
    names = definition["status"]["acceptedNames"]
    versions = definition["spec"]["versions"]
    return [_kind(definition["spec"], names, version) for version in versions if version.get("served")]


def _kind(spec: Mapping[str, Any], names: Mapping[str, Any], version: Mapping[str, Any]) -> Kind:
    subresources = version.get("subresources") or {}
    scale = _scale(subresources.get("scale"))
    api_version, kind = f"{spec['group']}/{version['name']}", names["kind"]
    deprecated = ""
    if version.get("deprecated"):
        deprecated = str(version.get("deprecationWarning") or f"{api_version} {kind} is deprecated")
    schema = Schema(_rooted(version["schema"]["openAPIV3Schema"]))
    named = {"apiVersion": api_version, "kind": kind}
    return Kind(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        singular=names["singular"],
        kind=kind,
        list_kind=names["listKind"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=frozenset(subresources),
        schema=schema,
        form=_formed,
        strategy=_strategy(schema, scale, named, status="status" in subresources),
        columns=tuple(version.get("additionalPrinterColumns") or _DEFAULT_COLUMNS),
        selectable={each["jsonPath"].lstrip("."): each["jsonPath"] for each in version.get("selectableFields") or ()},
        scale=scale,
        custom=True,
        deprecated=deprecated,
    )


def _scale(scale: Mapping[str, Any] | None) -> ScalePaths | None:
    if scale is None:
        return None
    return ScalePaths(scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath") or "")


def _strategy(schema: Schema, scale: ScalePaths | None, named: Object, *, status: bool) -> Strategy:
    own = Objects(schema, scale)
    return replace(
        custom(status=status),
        validate=lambda new: own.errors(named | new, None),
        validate_update=lambda new, old: own.errors(named | new, named | old),
        validate_status=lambda new, old: own.status_errors(named | new, named | old),
    )


def _formed(new: Object) -> Object:
    """The metadata of a custom object are of a built-in type; when they do not fit it, that is told elsewhere."""
    meta = new.get("metadata")
    if not isinstance(meta, dict) or not meta:
        return new
    try:
        return {**new, "metadata": form(f"{META}ObjectMeta", exact=True)(meta)}
    except Unfit:
        return new


def _rooted(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with what every object has, which definitions leave out."""
    properties = dict(node.get("properties") or {})
    properties.setdefault("apiVersion", {"type": "string"})
    properties.setdefault("kind", {"type": "string"})
    return {**node, "properties": properties}


# What is stored.


def defaulted(definition: Object) -> Object:
    """The definition with the names that follow from others, and the conversion that every one has."""
    spec = definition.get("spec") or {}
    names = spec.get("names") or {}
    kind = str(names.get("kind", ""))
    names = {
        **names,
        "singular": names.get("singular") or kind.lower(),
        "listKind": names.get("listKind") or (f"{kind}List" if kind else ""),
    }
    conversion = spec.get("conversion") or {"strategy": "None"}
    return {**definition, "spec": {**spec, "names": names, "conversion": conversion}}


def created(definition: Object, _: Context) -> Object:
    """A new definition, of which nothing is accepted yet."""
    nameless: Object = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": []}
    return _with_stored(definition | {"status": nameless})


def updated(definition: Object, old: Object, _: Context) -> Object:
    """A definition that has changed; its status has not."""
    return _with_stored(without(definition, "status") | {"status": old.get("status") or {}})


def _with_stored(definition: Object) -> Object:
    """The versions that objects may be stored in are never forgotten."""
    status = definition["status"]
    named = [version["name"] for version in definition["spec"].get("versions") or () if version.get("storage")]
    stored = list(dict.fromkeys([*(status.get("storedVersions") or ()), *named[:1]]))
    return definition | {"status": status | {"storedVersions": stored}}


# Names.


def accepted(definition: Object, others: Iterable[Object], now: str) -> Object:
    """The definition with the status of one whose names are its own, or another's.

    Args:
        definition: The definition.
        others: The other definitions of its group.
        now: The time, as RFC 3339.
    """
    wanted, status = definition["spec"]["names"], definition["status"]
    held = status.get("acceptedNames") or {}
    if held == wanted:
        return definition
    resources: set[Any] = set()
    taken: set[Any] = set()
    for other in others:
        names = (other.get("status") or {}).get("acceptedNames") or {}
        resources |= {names.get("plural"), names.get("singular"), *(names.get("shortNames") or ())}
        taken |= {names.get("kind"), names.get("listKind")}
    names, problem = _decided(wanted, held, resources, taken)
    told = {each["type"]: each for each in status.get("conditions") or ()}
    conditions = [_condition("NamesAccepted", problem or ("True", "NoConflicts", "no conflicts found"), told, now)]
    established = ("True", "InitialNamesAccepted", "the initial names have been accepted")
    if problem and told.get("Established", {}).get("status") != "True":
        established = ("False", "NotAccepted", "not all names are accepted")
    conditions.append(_condition("Established", established, told, now))
    return definition | {"status": status | {"conditions": conditions, "acceptedNames": names}}


def _decided(
    wanted: Mapping[str, Any], held: Mapping[str, Any], resources: set[Any], taken: set[Any]
) -> tuple[Object, tuple[str, str, str] | None]:
    """The names that are accepted, and the last conflict."""
    names, problem = dict(held), None
    for name, used, reason in (
        ("plural", resources, "PluralConflict"),
        ("singular", resources, "SingularConflict"),
        ("shortNames", resources, "ShortNamesConflict"),
        ("kind", taken, "KindConflict"),
        ("listKind", taken, "ListKindConflict"),
    ):
        asked, mine = (_listed(each.get(name)) for each in (wanted, held))
        conflicts = [f'"{each}" is already in use' for each in asked if each not in mine and each in used]
        if conflicts:
            problem = ("False", reason, conflicts[0] if len(conflicts) == 1 else f"[{', '.join(conflicts)}]")
        elif asked:
            names[name] = wanted[name]
        else:
            names.pop(name, None)
    categories = {"categories": wanted["categories"]} if wanted.get("categories") else {}
    return without(names, "categories") | categories, problem


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value] if value else []


def _condition(kind: str, state: tuple[str, str, str], told: Mapping[str, Object], now: str) -> Object:
    status, reason, message = state
    before = told.get(kind, {})
    since = before["lastTransitionTime"] if before.get("status") == status else now
    return {"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
