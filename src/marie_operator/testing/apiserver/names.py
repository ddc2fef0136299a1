"""What names, labels and the rest of an object's metadata may look like (``ValidateObjectMeta``)."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from marie_operator.testing.apiserver.errors import FieldError, Json, Object

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_STANDARD_FINALIZERS = frozenset({"orphan", "foregroundDeletion", "kubernetes"})
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
IS_NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
IS_LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_FREE = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})
"""Kinds whose names may hold any character that a path may."""


def errors(kind: str, meta: Mapping[str, Json], *, core: bool = True) -> list[FieldError]:
    """What is wrong with the metadata of an object.

    Args:
        kind: Its kind.
        meta: Its metadata.
        core: Whether finalizers without a domain are known ones, as of all kinds but those of extensions.
    """
    return list(_errors(kind, meta, core=core))


def _errors(kind: str, meta: Mapping[str, Json], *, core: bool) -> Iterator[FieldError]:
    if prefix := meta.get("generateName"):
        for why in _name(kind, str(prefix).rstrip("-") if kind not in _FREE else str(prefix)):
            yield _wrong(prefix, why, "metadata.generateName")
    for why in _name(kind, str(meta.get("name", ""))):
        yield _wrong(meta["name"], why, "metadata.name")
    yield from label_errors(meta.get("labels") or {}, "metadata.labels")
    yield from _annotations(meta.get("annotations") or {})
    for number, finalizer in enumerate(meta.get("finalizers") or ()):
        if core and finalizer not in _STANDARD_FINALIZERS and "/" not in str(finalizer):
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield _wrong(finalizer, why, f"metadata.finalizers[{number}]")
    yield from _owners(meta.get("ownerReferences") or ())


def _name(kind: str, name: str) -> Iterator[str]:
    if kind in _FREE:
        for forbidden in ("/", "%"):
            if forbidden in name:
                yield f"may not contain '{forbidden}'"
        return
    if kind == "Namespace":
        if "." in name:
            yield "must not contain dots"
        elif not _LABEL.fullmatch(name):
            yield IS_LABEL
        if len(name) > 63:
            yield "must be no more than 63 characters"
        return
    if not _SUBDOMAIN.fullmatch(name):
        yield IS_SUBDOMAIN
    if len(name) > 253:
        yield "must be no more than 253 characters"


def subdomain(name: str) -> list[str]:
    """What is wrong with a DNS subdomain."""
    found = ["must be no more than 253 characters"] if len(name) > 253 else []
    return found if _SUBDOMAIN.fullmatch(name) else [*found, IS_SUBDOMAIN]


def label_1035(name: str) -> list[str]:
    """What is wrong with a DNS label that begins with a letter."""
    found = ["must be no more than 63 characters"] if len(name) > 63 else []
    return found if _LABEL_1035.fullmatch(name) else [*found, IS_LABEL_1035]


def is_label(name: str) -> bool:
    """Whether a name is a DNS label."""
    return _LABEL.fullmatch(name) is not None and len(name) <= 63


def qualified(name: str) -> str:
    """What is wrong with a key of labels or annotations; empty for nothing."""
    prefix, _, part = name.rpartition("/")
    if prefix and not _SUBDOMAIN.fullmatch(prefix):
        return f"prefix part {IS_SUBDOMAIN}"
    if not part or not _PART.fullmatch(part):
        return IS_NAME_PART
    return "name part must be no more than 63 bytes" if len(part) > 63 else ""


def is_subdomain(name: str) -> bool:
    """Whether a name is one of DNS."""
    return _SUBDOMAIN.fullmatch(name) is not None and len(name) <= 253


def label_errors(labels: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    """What is wrong with labels."""
    for name, value in labels.items():
        if why := qualified(name):
            yield _wrong(name, why, path)
        if len(str(value)) > 63:
            yield _wrong(value, "must be no more than 63 bytes", path)
        elif value and not _PART.fullmatch(str(value)):
            yield _wrong(value, IS_LABEL_VALUE, path)


def _annotations(annotations: Mapping[str, Any]) -> Iterator[FieldError]:
    for name in annotations:
        if why := qualified(name.lower()):
            yield _wrong(name, why, "metadata.annotations")
    if sum(len(name) + len(str(value)) for name, value in annotations.items()) > ANNOTATIONS_LIMIT:
        message = f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"
        yield FieldError("FieldValueTooLong", message, "metadata.annotations")


def _owners(owners: Sequence[Object]) -> Iterator[FieldError]:
    for owner in owners:
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                yield _wrong("", "must not be empty", f"metadata.ownerReferences.{name}")
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        named = " and ".join(f"{owner.get('kind')}/{owner.get('name')}" for owner in controllers[:2])
        why = f'Only one reference can have Controller set to true. Found "true" in references for {named}'
        yield _wrong(owners, why, "metadata.ownerReferences")


def _wrong(value: Json, why: str, path: str) -> FieldError:
    return FieldError("FieldValueInvalid", f"Invalid value: {json.dumps(value, ensure_ascii=False)}: {why}", path)
