"""The ``spec`` of a definition: names, versions, subresources, columns.

The rules are those of ``ValidateCustomResourceDefinition`` of apiextensions-apiserver, whose internal type has what all
versions have in common in one place; errors are told there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from marie_operator.testing.apiserver import names
from marie_operator.testing.apiserver.crd import defaults, fieldpath, schemas, structural
from marie_operator.testing.apiserver.errors import FieldError, Object, compact
from marie_operator.testing.apiserver.strategies.base import at

Node = Mapping[str, Any]

APPROVAL = "api-approved.kubernetes.io"
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_MOST_SELECTABLE = 8
_ROOT_FIELDS = (
    *("Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum"),
    *("MaxLength", "MinLength", "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items"),
    *("Properties", "ExternalDocs", "Example", "XPreserveUnknownFields", "XValidations"),
)


def problems(definition: Object, old: Object | None = None) -> list[FieldError]:
    """What keeps a definition from being stored.

    Args:
        definition: With its defaults.
        old: What it replaces; None when it is created.
    """
    spec = definition["spec"]
    found = [*_name(definition), *_spec(spec)]
    if old is not None:
        found += _fixed(spec, old)
        found += _stored_versions(definition)
    found += _approval(definition, old)
    if spec.get("preserveUnknownFields") and not (old or {}).get("spec", {}).get("preserveUnknownFields"):
        why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        found.append(FieldError.invalid("spec.preserveUnknownFields", True, why))
    return found


def _name(definition: Object) -> Iterator[FieldError]:
    spec, name = definition["spec"], definition["metadata"].get("name", "")
    if name != f"{spec['names'].get('plural', '')}.{spec.get('group', '')}":
        yield FieldError.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')


def _spec(spec: Node) -> Iterator[FieldError]:
    group, versions = spec.get("group") or "", spec.get("versions") or []
    if not group:
        yield FieldError.required("spec.group")
    elif wrong := names.subdomain(group):
        yield FieldError.invalid("spec.group", group, ",".join(wrong))
    elif "." not in group:
        yield FieldError.invalid("spec.group", group, "should be a domain with at least one dot")
    yield from _one_of("spec.scope", spec.get("scope") or "", ("Cluster", "Namespaced"))
    for number, version in enumerate(versions):
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            yield FieldError.required(f"spec.versions[{number}].schema.openAPIV3Schema")
    yield from _versions(versions)
    for name in ("plural", "singular", "kind", "listKind"):
        if not spec["names"].get(name):
            yield FieldError.required(f"spec.names.{name}")
    yield from _names(spec["names"], "spec.names")
    yield from _shared(versions)
    yield from _conversion(spec.get("conversion") or {})


def _one_of(path: str, value: str, choices: Sequence[str]) -> Iterator[FieldError]:
    if not value:
        yield FieldError.required(path)
    elif value not in choices:
        yield FieldError.unsupported(path, value, choices)


# Versions.


def _parts(version: Node) -> Iterator[tuple[str, str, Any, Callable[[Any, str, Node], Iterator[FieldError]]]]:
    """What versions may have in common: name, name of the common place, value, check."""
    yield "schema", "validation", version.get("schema"), _schema
    yield "subresources", "subresources", version.get("subresources"), _subresources
    yield "additionalPrinterColumns", "additionalPrinterColumns", version.get("additionalPrinterColumns"), _columns
    yield "selectableFields", "selectableFields", version.get("selectableFields"), _selectable


def _common(versions: Sequence[Node], part: str) -> bool:
    return all((each.get(part) or None) == (versions[0].get(part) or None) for each in versions)


def _versions(versions: Sequence[Node]) -> Iterator[FieldError]:
    for number, version in enumerate(versions):
        path = f"spec.versions[{number}]"
        if wrong := names.label_1035(version["name"]):
            yield FieldError.invalid(f"{path}.name", version["name"], ",".join(wrong))
        for why in _deprecation(version):
            yield FieldError.invalid(f"{path}.deprecationWarning", version.get("deprecationWarning", ""), why)
        for part, _, value, check in _parts(version):
            if value and not _common(versions, part):
                yield from check(value, f"{path}.{part}", version)
    told = [version["name"] for version in versions]
    if len(set(told)) != len(told):
        yield FieldError(
            "FieldValueInvalid",
            f"Invalid value: {_shown(versions)}: must contain unique version names",
            "spec.versions",
        )
    if sum(bool(version.get("storage")) for version in versions) != 1:
        why = "must have exactly one version marked as storage version"
        yield FieldError("FieldValueInvalid", f"Invalid value: {_shown(versions)}: {why}", "spec.versions")


def _shared(versions: Sequence[Node]) -> Iterator[FieldError]:
    if versions:
        for part, common, value, check in _parts(versions[0]):
            if value and _common(versions, part):
                yield from check(value, f"spec.{common}", versions[0])


def _shown(versions: Sequence[Node]) -> str:
    """Versions as the server's internal type is printed, without what they have in common."""
    kept = {part: not _common(versions, part) for part, *_ in _parts(versions[0])} if versions else {}
    return compact(
        [
            {
                "Name": version["name"],
                "Served": bool(version.get("served")),
                "Storage": bool(version.get("storage")),
                "Deprecated": bool(version.get("deprecated")),
                "DeprecationWarning": version.get("deprecationWarning"),
                **{f"{part[0].upper()}{part[1:]}": version.get(part) if kept[part] else None for part in kept},
            }
            for version in versions
        ],
        sort=False,
    )


def _deprecation(version: Node) -> Iterator[str]:
    warning = version.get("deprecationWarning")
    if warning is None:
        return
    if not version.get("deprecated"):
        yield "can only be set for deprecated versions"
        return
    if len(warning.encode()) > 256:
        yield "must be <= 256 characters long"
    if not warning:
        yield "must not be an empty string"
    if (index := next((n for n, char in enumerate(warning) if not char.isprintable()), None)) is not None:
        yield f"must only contain printable UTF-8 characters; non-printable character found at index {index}"


def _schema(value: Node, path: str, version: Node) -> Iterator[FieldError]:
    node = value.get("openAPIV3Schema")
    if node is None:
        return
    path = f"{path}.openAPIV3Schema"
    if (version.get("subresources") or {}).get("status") is not None:
        yield from _root(node, path)
    if node.get("nullable"):
        yield FieldError.forbidden(f"{path}.nullable", "nullable cannot be true at the root")
    unreadable = structural.unsupported(node)
    found = [] if unreadable else structural.problems(node, path) or defaults.problems(node, path)
    found += schemas.problems(node, path, typed=not found and not unreadable)
    yield from found
    if unreadable and not found:
        yield FieldError.invalid(path, "", unreadable)


def _root(node: Node, path: str) -> Iterator[FieldError]:
    """With a status of its own, the rest of the root would not be checked."""
    if node.get("type") not in {"object", None, ""}:
        why = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        yield FieldError.invalid(f"{path}.type", node["type"], why)
        return
    for name, value in node.items():
        words = name.replace("x-kubernetes", "x").split("-")
        internal = "".join(word[:1].upper() + word[1:] for word in words)
        if value not in (None, False, "") and internal not in _ROOT_FIELDS:
            listed = f"[{' '.join(_ROOT_FIELDS)}]"
            why = f"only {listed} fields are allowed at the root of the schema if the status subresource is enabled"
            yield FieldError("FieldValueInvalid", f"Invalid value: {compact(node)}: {why}", path)
            return


# Parts of a version.


def _subresources(value: Node, path: str, _: Node) -> Iterator[FieldError]:
    scale = value.get("scale")
    if scale is None:
        return
    for name, roots in (
        ("specReplicasPath", (".spec.",)),
        ("statusReplicasPath", (".status.",)),
        ("labelSelectorPath", (".spec.", ".status.")),
    ):
        given, where = scale.get(name) or "", f"{path}.scale.{name}"
        if not given:
            if name != "labelSelectorPath":
                yield FieldError.required(where)
        elif not given.startswith("."):
            yield FieldError.invalid(where, given, "must be a simple json path starting with .")
        elif not given.startswith(roots):
            under = "either .spec or .status" if len(roots) > 1 else roots[0].rstrip(".")
            yield FieldError.invalid(where, given, f"should be a json path under {under}")


def _columns(value: Sequence[Node], path: str, _: Node) -> Iterator[FieldError]:
    for number, column in enumerate(value):
        where, kind, given = f"{path}[{number}]", column.get("type") or "", column.get("jsonPath") or ""
        if not column.get("name"):
            yield FieldError.required(f"{where}.name")
        why = f"must be one of {','.join(_COLUMN_TYPES)}"
        if not kind:
            yield FieldError.required(f"{where}.type", why)
        elif kind not in _COLUMN_TYPES:
            yield FieldError.invalid(f"{where}.type", kind, why)
        if column.get("format") and column["format"] not in _COLUMN_FORMATS:
            yield FieldError.invalid(f"{where}.format", column["format"], f"must be one of {','.join(_COLUMN_FORMATS)}")
        if not given:
            yield FieldError.required(f"{where}.JSONPath")
        elif not given.startswith("."):
            yield FieldError.invalid(f"{where}.JSONPath", given, "must be a simple json path starting with .")


def _selectable(value: Sequence[Node], path: str, version: Node) -> Iterator[FieldError]:
    node = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    seen: set[str] = set()
    for number, each in enumerate(value):
        where, given = f"{path}[{number}].jsonPath", each.get("jsonPath") or ""
        if not given:
            yield FieldError.required(where)
            continue
        try:
            shown, found = fieldpath.resolved(given, node, brackets=False)
        except fieldpath.Wrong as error:
            yield FieldError.invalid(where, given, f"is an invalid path: {error}")
            continue
        if shown.split(".")[0] == "metadata":
            yield FieldError.invalid(where, given, "must not point to fields in metadata")
        if found.get("type") not in {"string", "boolean", "integer"}:
            why = (
                "must point to a field of type string, boolean or integer. "
                "Enum string fields and strings with formats are allowed."
            )
            yield FieldError.invalid(where, given, why)
        if shown in seen:
            yield FieldError.duplicate(where, given)
        seen.add(shown)
    if len(seen) > _MOST_SELECTABLE:
        yield FieldError.too_many(path, len(seen), _MOST_SELECTABLE)


# Names.


def _names(given: Node, path: str) -> Iterator[FieldError]:
    for name in ("plural", "singular"):
        if given.get(name) and (wrong := names.label_1035(given[name])):
            yield FieldError.invalid(f"{path}.{name}", given[name], ",".join(wrong))
    for name in ("kind", "listKind"):
        if given.get(name) and (wrong := names.label_1035(given[name].lower())):
            why = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
            yield FieldError.invalid(f"{path}.{name}", given[name], why)
    for name in ("shortNames", "categories"):
        for number, each in enumerate(given.get(name) or ()):
            if wrong := names.label_1035(each):
                yield FieldError.invalid(f"{path}.{name}[{number}]", each, ",".join(wrong))
    if given.get("kind") and given["kind"] == given.get("listKind"):
        yield FieldError.invalid(f"{path}.listKind", given["listKind"], "kind and listKind may not be the same")


def _conversion(conversion: Node) -> Iterator[FieldError]:
    strategy = conversion.get("strategy") or ""
    path = "spec.conversion"
    yield from _one_of(f"{path}.strategy", strategy, ("None", "Webhook"))
    if strategy == "Webhook":
        why = 'the embedded API server does not call conversion webhooks; use "None"'
        yield FieldError.invalid(f"{path}.strategy", strategy, why)
    elif webhook := conversion.get("webhook"):
        why = "should not be set when strategy is not set to Webhook"
        if webhook.get("clientConfig"):
            yield FieldError.forbidden(f"{path}.webhookClientConfig", why)
        if webhook.get("conversionReviewVersions"):
            yield FieldError.forbidden(f"{path}.conversionReviewVersions", why)


# Changes.


def _fixed(spec: Node, old: Object) -> Iterator[FieldError]:
    """What can never change, and what cannot once the kind is served."""
    told = {each["type"]: each["status"] for each in (old.get("status") or {}).get("conditions") or ()}
    paths = ("scope", "names.kind") if told.get("Established") == "True" else ()
    for path in (*paths, "group", "names.plural"):
        one, other = at(dict(spec), path), at(old["spec"], path)
        if one != other:
            yield FieldError.invalid(f"spec.{path}", one, "field is immutable")


def _stored_versions(definition: Object) -> Iterator[FieldError]:
    path, versions = "status.storedVersions", definition["spec"]["versions"]
    stored = (definition.get("status") or {}).get("storedVersions") or []
    told = {version["name"] for version in versions}
    for number, name in enumerate(stored):
        if name not in told:
            why = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions"
                f" until a storage migration ensures no data remains persisted in {name} and removes {name} from "
                "status.storedVersions"
            )
            yield FieldError.invalid(f"{path}[{number}]", name, why)


def _approval(definition: Object, old: Object | None) -> Iterator[FieldError]:
    """Groups of the community need its approval."""
    if not f".{definition['spec'].get('group', '')}".endswith((".k8s.io", ".kubernetes.io")):
        return
    state, given = _approved(definition)
    if old is not None and _approved(old)[0] == state:
        return
    path, see = f"metadata.annotations[{APPROVAL}]", "see https://github.com/kubernetes/enhancements/pull/1111"
    why = f'protected groups must have approval annotation "{APPROVAL}"'
    if state == "missing":
        yield FieldError.required(path, f"{why}, {see}")
    elif state == "invalid":
        why = f'{why} with either a URL or a reason starting with "unapproved", {see}'
        yield FieldError.invalid(path, given, why)


def _approved(definition: Object) -> tuple[str, str]:
    given = str((definition["metadata"].get("annotations") or {}).get(APPROVAL) or "")
    if not given:
        return "missing", given
    if given.startswith("unapproved"):
        return "bypassed", given
    url = urlsplit(given)
    return ("approved" if url.scheme and url.netloc else "invalid"), given
