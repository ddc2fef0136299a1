"""Object metadata: what the server sets, keeps and refuses."""

import json
from datetime import UTC, datetime
from typing import Any

from marie_operator.testing.apiserver import names
from marie_operator.testing.apiserver.errors import FieldError, Json, Object, Refusal
from marie_operator.testing.apiserver.kinds import Kind
from marie_operator.testing.apiserver.store import Key
from marie_operator.testing.apiserver.strategies import Context

_GENERATED_LENGTH = 63 - 5
_SET_BY_SERVER = ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")


def timestamp(moment: datetime) -> str:
    """RFC 3339 to the second, as ``metav1.Time``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def placed(body: Object, kind: Kind, namespace: str, name: str = "") -> Object:
    """The object with the namespace that the URL says, and its name, when it says one.

    Raises:
        Refusal: 400, the object says another, or no name.
    """
    meta: dict[str, Any] = dict(body.get("metadata") or {})
    if kind.namespaced:
        if (meta.get("namespace") or "") not in {"", namespace}:
            raise Refusal(400, "the namespace of the provided object does not match the namespace sent on the request")
        meta["namespace"] = namespace
    else:
        meta.pop("namespace", None)
    if meta.get("resourceVersion") in {"", "0"}:
        del meta["resourceVersion"]
    if name:
        if not meta.get("name"):
            why = f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
            raise Refusal(400, why)
        if meta["name"] != name:
            raise Refusal(400, f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
    return body | {"metadata": meta}


def generated(prefix: str, suffix: str) -> str:
    """A name from ``generateName``."""
    return prefix[:_GENERATED_LENGTH] + suffix


def born(meta: Object, context: Context, *, counted: bool) -> Object:
    """Metadata of an object that is being created."""
    kept = {name: value for name, value in meta.items() if name not in _SET_BY_SERVER and value not in (None, {}, [])}
    if "managedFields" in meta:
        kept["managedFields"] = meta["managedFields"]
    kept.pop("resourceVersion", None)
    kept.pop("generation", None)
    return kept | {"uid": context.uid(), "creationTimestamp": context.now} | ({"generation": 1} if counted else {})


def kept(meta: Object, old: Object, owners: Json, *, counted: bool) -> Object:
    """Metadata of an object that is being updated: what is the server's stays the server's.

    Args:
        meta: As it would be.
        old: As it is.
        owners: The ``managedFields`` from now on; None for none.
        counted: Whether the generation moves.
    """
    result = {name: value for name, value in meta.items() if value not in (None, {}, []) and name != "managedFields"}
    for name in ("uid", "creationTimestamp", "generation", "resourceVersion", *_SET_BY_SERVER):
        if name in old:
            result[name] = old[name]
        else:
            result.pop(name, None)
    if counted and "generation" in old:
        result["generation"] = old["generation"] + 1
    if owners:
        result["managedFields"] = owners
    return result


def immutable(meta: Object, old: Object) -> list[FieldError]:
    """What an update would change that nothing can."""
    found = []
    for name in ("uid", "deletionTimestamp"):
        asked = meta.get(name)
        if asked and asked != old.get(name) and (name == "uid" or name not in old):
            message = f"Invalid value: {json.dumps(asked)}: field is immutable"
            found.append(FieldError("FieldValueInvalid", message, f"metadata.{name}"))
    return found


def problems(kind: Kind, new: Object, old: Object | None) -> list[FieldError]:
    """What is wrong with the metadata, on its own and beside what it was."""
    meta = new["metadata"]
    if not meta.get("name"):
        return [FieldError("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")]
    found = names.errors(kind.kind, meta, core=not kind.custom and kind.group != "apiextensions.k8s.io")
    if old is not None and old["metadata"].get("deletionTimestamp"):
        added = sorted(set(meta.get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ()))
        if added:
            listed = ", ".join(f'"{each}"' for each in added)
            message = (
                "Forbidden: no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}"
            )
            found.append(FieldError("FieldValueForbidden", message, "metadata.finalizers"))
    return found


def missing_version() -> FieldError:
    """Of an update that must say which state it was made from."""
    message = "Invalid value: 0: must be specified for an update"
    return FieldError("FieldValueInvalid", message, "metadata.resourceVersion")


def other_uid(kind: Kind, key: Key, asked: str, found: str) -> str:
    """Why an update of an object by its uid does not hold."""
    place = "/".join(filter(None, ("/registry", kind.group if kind.custom else "", kind.plural, *key)))
    why = f"Precondition failed: UID in precondition: {asked}, UID in object meta: {found}"
    return f"StorageError: invalid object, Code: 4, Key: {place}, ResourceVersion: 0, AdditionalErrorMsg: {why}"


def uid_gone(asked: str) -> str:
    """Why an apply that names a uid does not create."""
    return f"uid mismatch: the provided object specified uid {asked}, and no existing object was found"


def terminating(kind: Kind, namespace: str, name: str) -> Refusal:
    """403: a namespace that is going takes nothing new."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    details = {
        "name": name,
        "group": kind.group,
        "kind": kind.plural,
        "causes": [
            {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
        ],
    }
    return Refusal(403, f'{kind.qualified} "{name}" is forbidden: {why}', details=details)
