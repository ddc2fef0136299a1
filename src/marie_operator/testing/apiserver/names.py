"""What names, labels and the rest of an object's metadata may look like (``ValidateObjectMeta``)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from marie_operator.testing.apiserver.errors import FieldError, Json, Object

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
STANDARD_FINALIZERS = frozenset({"orphan", "foregroundDeletion", "kubernetes"})
ANNOTATIONS_LIMIT = 256 * 1024

IS_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
IS_LABEL_1035 = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
IS_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_IS_PART = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
IS_LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
ANY = "any"
_FREE = frozenset({ANY, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})
"""Kinds whose names may hold any character that a path may."""


def errors(kind: str, meta: Mapping[str, Json], *, core: bool = True) -> list[FieldError]:
    """What is wrong with the metadata of an object of a kind.

    Args:
        kind: Its kind.
        meta: Its metadata.
        core: Whether finalizers without a domain are known ones, as of all kinds but those of extensions.
    """
    return [*_named(meta, kind), *_metadata(meta), *(_finalizers(meta) if core else ())]


def common_errors(meta: Mapping[str, Json]) -> list[FieldError]:
    """What is wrong with the metadata of an object of any kind."""
    return [*_named(meta, ANY), *_metadata(meta)]


def changed_errors(meta: Mapping[str, Json], *, core: bool) -> list[FieldError]:
    """What an update is told to be wrong with the metadata by itself."""
    found = [*label_errors(meta.get("labels") or {}, "metadata.labels"), *_annotations(meta.get("annotations") or {})]
    return [*found, *_owners(meta.get("ownerReferences") or ()), *(_finalizers(meta) if core else ())]


def _metadata(meta: Mapping[str, Json]) -> Iterator[FieldError]:
    yield from label_errors(meta.get("labels") or {}, "metadata.labels")
    yield from _annotations(meta.get("annotations") or {})
    yield from _owners(meta.get("ownerReferences") or ())
    finalizers = meta.get("finalizers") or ()
    for finalizer in finalizers:
        for why in qualified(finalizer):
            yield FieldError.invalid("metadata.finalizers", finalizer, why)
    if {"orphan", "foregroundDeletion"} <= set(finalizers):
        why = "finalizer orphan and foregroundDeletion cannot be both set"
        yield FieldError.invalid("metadata.finalizers", finalizers, why)


def _finalizers(meta: Mapping[str, Json]) -> Iterator[FieldError]:
    for number, finalizer in enumerate(meta.get("finalizers") or ()):
        if finalizer not in STANDARD_FINALIZERS and "/" not in finalizer:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield FieldError.invalid(f"metadata.finalizers[{number}]", finalizer, why)


def _named(meta: Mapping[str, Json], kind: str) -> Iterator[FieldError]:
    name, prefix = str(meta.get("name") or ""), str(meta.get("generateName") or "")
    if prefix:
        for why in _name(kind, prefix if kind in _FREE else re.sub("-$", "a", prefix)):
            yield FieldError.invalid("metadata.generateName", prefix, why)
    if not name:
        yield FieldError.required("metadata.name", "name or generateName is required")
    for why in _name(kind, name) if name else ():
        yield FieldError.invalid("metadata.name", name, why)


def _name(kind: str, name: str) -> list[str]:
    if kind in _FREE:
        return path_segment(name)
    if kind == "Namespace":
        return label(name)
    return label_1035(name) if kind == "Service" else subdomain(name)


def path_segment(name: str) -> list[str]:
    """What is wrong with a name that is to be a part of a path."""
    if name in {".", ".."}:
        return [f"may not be '{name}'"]
    return [f"may not contain '{forbidden}'" for forbidden in ("/", "%") if forbidden in name]


def subdomain(name: str) -> list[str]:
    """What is wrong with a DNS subdomain."""
    found = ["must be no more than 253 characters"] if len(name) > 253 else []
    return found if _SUBDOMAIN.fullmatch(name) else [*found, IS_SUBDOMAIN]


def label_1035(name: str) -> list[str]:
    """What is wrong with a DNS label that begins with a letter."""
    found = ["must be no more than 63 characters"] if len(name.encode()) > 63 else []
    return found if _LABEL_1035.fullmatch(name) else [*found, IS_LABEL_1035]


@lru_cache(maxsize=1024)
def port_name(name: str) -> tuple[str, ...]:
    """What is wrong with the name of a port."""
    found = ["must be no more than 15 characters"] if len(name) > 15 else []
    if not re.fullmatch("[-a-z0-9]+", name):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", name):
        found.append("must contain at least one letter (a-z)")
    if "--" in name:
        found.append("must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return tuple(found)


@lru_cache(maxsize=1024)
def is_label(name: str) -> bool:
    """Whether a name is a DNS label."""
    return _LABEL.fullmatch(name) is not None and len(name) <= 63


def label(name: str) -> list[str]:
    """What is wrong with a DNS label."""
    found = ["must be no more than 63 characters"] if len(name.encode()) > 63 else []
    if _LABEL.fullmatch(name):
        return found
    return [*found, "must not contain dots" if _SUBDOMAIN.fullmatch(name) else IS_LABEL]


@lru_cache(maxsize=1024)
def qualified(name: str) -> tuple[str, ...]:
    """What is wrong with a key of labels or annotations."""
    prefix, slash, part = name.rpartition("/")
    if "/" in prefix:
        return (
            f"a valid label key {_IS_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        )
    found = []
    if slash:
        found = [f"prefix part {why}" for why in (subdomain(prefix) if prefix else ["must be non-empty"])]
    if not part:
        found.append("name part must be non-empty")
    elif len(part.encode()) > 63:
        found.append("name part must be no more than 63 bytes")
    return tuple(found) if _PART.fullmatch(part) else (*found, f"name part {_IS_PART}")


def is_subdomain(name: str) -> bool:
    """Whether a name is one of DNS."""
    return _SUBDOMAIN.fullmatch(name) is not None and len(name) <= 253


def label_errors(labels: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    """What is wrong with labels."""
    for name, value in labels.items():
        for why in qualified(name):
            yield FieldError.invalid(path, name, why)
        for why in label_value(value or ""):
            yield FieldError.invalid(path, value, why)


@lru_cache(maxsize=1024)
def label_value(value: str) -> tuple[str, ...]:
    """What is wrong with the value of a label."""
    found = ("must be no more than 63 bytes",) if len(value.encode()) > 63 else ()
    return found if not value or _PART.fullmatch(value) else (*found, IS_LABEL_VALUE)


def _annotations(annotations: Mapping[str, Any]) -> Iterator[FieldError]:
    for name in annotations:
        for why in qualified(name.lower()):
            yield FieldError.invalid("metadata.annotations", name, why)
    if sum(len(name.encode()) + len((value or "").encode()) for name, value in annotations.items()) > ANNOTATIONS_LIMIT:
        yield FieldError.too_long("metadata.annotations", ANNOTATIONS_LIMIT)


def _owners(owners: Sequence[Object]) -> Iterator[FieldError]:
    path, controller = "metadata.ownerReferences", ""
    for owner in owners:
        yield from _owner(owner, path)
        if owner.get("controller"):
            named = f"{owner.get('kind')}/{owner.get('name')}"
            both = f'Found "true" in references for {controller} and {named}'
            why = f"Only one reference can have Controller set to true. {both}"
            if controller:
                yield FieldError.invalid(path, owners, why)
            controller = controller or named


def _owner(owner: Object, path: str) -> Iterator[FieldError]:
    version, kind = str(owner.get("apiVersion") or ""), str(owner.get("kind") or "")
    if not version.rpartition("/")[2] or version.count("/") > 1:
        yield FieldError.invalid(f"{path}.apiVersion", version, "version must not be empty")
    for name in ("kind", "name", "uid"):
        if not owner.get(name):
            yield FieldError.invalid(f"{path}.{name}", "", "must not be empty")
    if (version, kind) == ("v1", "Event"):
        yield FieldError.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner")
