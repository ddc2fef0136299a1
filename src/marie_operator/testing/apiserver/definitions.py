"""CustomResourceDefinitions: what a server does when one appears, changes or goes."""

from collections.abc import Mapping
from typing import Any

from marie_operator.testing.apiserver import cel, validation
from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.kinds import CRD_GROUP, CRDS, Kind, Kinds, ScalePaths
from marie_operator.testing.apiserver.schema import Schema
from marie_operator.testing.apiserver.strategies import strategy
from marie_operator.testing.apiserver.strategies.base import at

_SINGLE = "spec.validation.openAPIV3Schema"
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_DEFAULT_COLUMNS = ({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},)


def is_definition(kind: Kind) -> bool:
    """Whether objects of a kind define kinds."""
    return kind.bucket == (CRD_GROUP, CRDS)


def problems(definition: Object) -> list[FieldError]:
    """What keeps a definition from being served."""
    spec, found = definition["spec"], []
    wanted = f"{spec['names']['plural']}.{spec['group']}"
    name = definition["metadata"].get("name", "")
    if name != wanted:
        message = f'Invalid value: "{name}": must be spec.names.plural+"."+spec.group'
        found.append(FieldError("FieldValueInvalid", message, "metadata.name"))
    stored = [version["name"] for version in spec["versions"] if version.get("storage")]
    if len(stored) != 1:
        message = "Invalid value: must have exactly one version marked as storage version"
        found.append(FieldError("FieldValueInvalid", message, "spec.versions"))
    for number, version in enumerate(spec["versions"]):
        # What all versions have in common is told once, where it stood before there were versions.
        where = f"spec.versions[{number}].schema.openAPIV3Schema" if len(spec["versions"]) > 1 else _SINGLE
        node = (version.get("schema") or {}).get("openAPIV3Schema")
        if node is None:
            where = f"spec.versions[{number}].schema.openAPIV3Schema"
            found.append(FieldError("FieldValueRequired", "Required value: schemas are required", where))
            continue
        structural = [FieldError(e.reason, e.message, _under(where, e.field)) for e in validation.problems(node)]
        found += structural or cel.problems(node, where)
    return found


def fixed(new: Object, old: Object) -> list[FieldError]:
    """What has changed of a definition that never can."""
    found = []
    for path in ("group", "scope", "names.kind", "names.plural"):
        one, other = (at(each["spec"], path) for each in (new, old))
        if one != other:
            message = f'Invalid value: "{one}": field is immutable'
            found.append(FieldError("FieldValueInvalid", message, f"spec.{path}"))
    return found


def _under(at: str, field: str) -> str:
    return at if not field else f"{at}{field}" if field.startswith(("[", ".")) else f"{at}.{field}"


def kinds(definition: Object) -> list[Kind]:
    """What it defines, a kind for each version that is served."""
    return [_kind(definition["spec"], version) for version in definition["spec"]["versions"] if version.get("served")]


def _kind(spec: Mapping[str, Any], version: Mapping[str, Any]) -> Kind:
    names = spec["names"]
    schema = Schema(_rooted(version["schema"]["openAPIV3Schema"]))
    subresources = version.get("subresources") or {}
    scale = subresources.get("scale")
    deprecated = ""
    if version.get("deprecated"):
        named = f"{spec['group']}/{version['name']} {names['kind']}"
        deprecated = str(version.get("deprecationWarning") or f"{named} is deprecated")
    return Kind(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        kind=names["kind"],
        list_kind=names.get("listKind") or f"{names['kind']}List",
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=frozenset(subresources),
        schema=schema,
        strategy=strategy(spec["group"], names["kind"], custom=True, status="status" in subresources),
        rules=_rules(schema),
        columns=tuple(version.get("additionalPrinterColumns") or _DEFAULT_COLUMNS),
        selectable={each["jsonPath"].lstrip("."): each["jsonPath"] for each in version.get("selectableFields") or ()},
        scale=None
        if scale is None
        else ScalePaths(scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath") or ""),
        custom=True,
        deprecated=deprecated,
    )


def _rules(schema: Schema) -> Any:
    rules = cel.Rules(schema)
    return lambda new, old: rules.errors(new, old, "")


def _rooted(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with what every object has, which definitions leave out."""
    properties = dict(node.get("properties") or {})
    properties.setdefault("apiVersion", {"type": "string"})
    properties.setdefault("kind", {"type": "string"})
    return {**node, "properties": properties}


def defaulted(definition: Object) -> Object:
    """The definition with the names that follow from others, and the conversion that every one has."""
    spec = definition.get("spec") or {}
    names = spec.get("names") or {}
    kind = str(names.get("kind", ""))
    names = {
        **names,
        "singular": names.get("singular") or kind.lower(),
        "listKind": names.get("listKind") or f"{kind}List",
    }
    conversion = spec.get("conversion") or {"strategy": "None"}
    return {**definition, "spec": {**spec, "names": names, "conversion": conversion}}


def accepted(definition: Object, now: str) -> Object:
    """The definition with the status of one that is served."""
    spec = definition["spec"]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    before = definition.get("status") or {}
    stored = list(dict.fromkeys([*(before.get("storedVersions") or ()), storage]))
    told = {each["type"]: each for each in before.get("conditions") or ()}
    conditions = [
        told.get("NamesAccepted")
        or {
            "type": "NamesAccepted",
            "status": "True",
            "lastTransitionTime": now,
            "reason": "NoConflicts",
            "message": "no conflicts found",
        },
        told.get("Established")
        or {
            "type": "Established",
            "status": "True",
            "lastTransitionTime": now,
            "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted",
        },
    ]
    taken = spec["names"]
    meta = definition["metadata"]
    finalizers = [*(each for each in meta.get("finalizers") or () if each != FINALIZER), FINALIZER]
    return definition | {
        "metadata": meta if meta.get("deletionTimestamp") else meta | {"finalizers": finalizers},
        "status": before | {"conditions": conditions, "acceptedNames": taken, "storedVersions": stored},
    }


def serve(served: Kinds, definition: Object) -> None:
    """Have what a definition says served, and no more what an older form of it said."""
    spec = definition["spec"]
    wanted = kinds(definition)
    versions = {kind.version for kind in wanted}
    for kind in served:
        if kind.bucket == (spec["group"], spec["names"]["plural"]) and kind.version not in versions:
            served.remove(kind.group, kind.plural, kind.version)
    for kind in wanted:
        served.add(kind)
