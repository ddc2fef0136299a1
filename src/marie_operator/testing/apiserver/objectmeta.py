"""Object metadata: what the server sets, keeps and refuses."""

import re
from datetime import UTC, datetime
from typing import Any

from marie_operator.testing.apiserver import names
from marie_operator.testing.apiserver.errors import FieldError, Json, Object, Refusal, quoted
from marie_operator.testing.apiserver.kinds import Kind
from marie_operator.testing.apiserver.store import Key
from marie_operator.testing.apiserver.strategies import Context

_VERSION = re.compile(r"[0-9]{1,19}", re.ASCII)
_PLACES = {
    "services": "services/specs",
    "endpoints": "services/endpoints",
    "ingresses": "ingress",
    "nodes": "minions",
    "replicationcontrollers": "controllers",
}
"""Where kinds are stored that were once called otherwise."""
_GENERATED_LENGTH = 63 - 5
_SET_BY_SERVER = ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")


def timestamp(moment: datetime) -> str:
    """RFC 3339 to the second, as ``metav1.Time``."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


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
            raise undeterminable(name)
        if meta["name"] != name:
            raise Refusal(400, f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
    return body | {"metadata": meta}


def undeterminable(name: str) -> Refusal:
    """400 for an object that does not say what it is called."""
    return Refusal(400, f"the name of the object ({name} based on URL) was undeterminable: name must be provided")


def generated(prefix: str, suffix: str) -> str:
    """A name from ``generateName``."""
    return prefix[:_GENERATED_LENGTH] + suffix


def born(meta: Object, context: Context, *, counted: bool, wiped: bool) -> Object:
    """Metadata of an object that is being created.

    Args:
        meta: As it was sent.
        context: Gives it an id and a time.
        counted: Whether it has a generation.
        wiped: Whether it is rid of what only the server sets; it is not when an update or an apply creates it.
    """
    dropped = _SET_BY_SERVER if wiped else ()
    kept = {name: value for name, value in meta.items() if name not in dropped and value not in (None, {}, [])}
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
        if name == "uid" and meta.get("uid"):
            # Another's is refused, but not before all the rest was looked at.
            continue
        if name in old:
            result[name] = old[name]
        else:
            result.pop(name, None)
    if counted and "generation" in old:
        result["generation"] = old["generation"] + 1
    if owners:
        result["managedFields"] = owners
    return result


def errors(kind: Kind, new: Object) -> list[FieldError]:
    """What is wrong with the metadata of a new object (``BeforeCreate``)."""
    return names.errors(kind.kind, new["metadata"], core=_is_core(kind))


def change_errors(kind: Kind, asked: Object, new: Object, old: Object) -> list[FieldError]:
    """What is wrong with the metadata of an object that changes (``BeforeUpdate``).

    Args:
        kind: Its kind, which looks at what every kind's objects are looked at for once more.
        asked: The metadata as it was sent.
        new: The object as it would be.
        old: As it is.
    """
    meta, old_meta = new["metadata"], old["metadata"]
    changed = _added(meta, old_meta) + _immutable(asked, old_meta)
    first = [*names.common_errors(meta), *changed, *names.changed_errors(meta, core=False)]
    again = [*changed, *names.changed_errors(meta, core=_is_core(kind))]
    return [*first, *again]


def _is_core(kind: Kind) -> bool:
    return not kind.custom and kind.group not in {"apiextensions.k8s.io", "coordination.k8s.io"}


def _immutable(meta: Object, old: Object) -> list[FieldError]:
    """What an update would change that nothing can."""
    found = []
    for name in ("uid", "deletionTimestamp"):
        asked = meta.get(name)
        if asked and asked != old.get(name) and (name == "uid" or name not in old):
            found.append(FieldError.invalid(f"metadata.{name}", asked, "field is immutable"))
    seconds = meta.get("deletionGracePeriodSeconds")
    if seconds is not None and seconds != old.get("deletionGracePeriodSeconds"):
        found.append(FieldError.invalid("metadata.deletionGracePeriodSeconds", seconds, "field is immutable"))
    return found


def _added(meta: Object, old: Object) -> list[FieldError]:
    """What may not be added any more."""
    added = sorted(set(meta.get("finalizers") or ()) - set(old.get("finalizers") or ()))
    if not added or not old.get("deletionTimestamp"):
        return []
    listed = ", ".join(map(quoted, added))
    why = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
    return [FieldError.forbidden("metadata.finalizers", why)]


def version(meta: Object) -> int:
    """The resource version that a write was made from; 0 when it does not say.

    Raises:
        Refusal: 500, it is none.
    """
    text = str(meta.get("resourceVersion") or "0")
    if not _VERSION.fullmatch(text):
        raise Refusal(500, f"strconv.ParseUint: parsing {quoted(text)}: invalid syntax", reason="")
    return int(text)


def is_versioned(meta: Object) -> bool:
    """Whether a new object says which version it is; what is no number says nothing."""
    text = str(meta.get("resourceVersion") or "0")
    return _VERSION.fullmatch(text) is not None and int(text) > 0


def unversioned(new: Object) -> Object:
    """A new object of a writer who took it for one that is there.

    Raises:
        Refusal: 500, its resource version is none.
    """
    version(new["metadata"])
    meta = {name: value for name, value in new["metadata"].items() if name != "resourceVersion"}
    return new | {"metadata": meta}


def missing_version() -> FieldError:
    """Of an update that must say which state it was made from."""
    message = "Invalid value: 0: must be specified for an update"
    return FieldError("FieldValueInvalid", message, "metadata.resourceVersion")


def other_uid(kind: Kind, key: Key, asked: str, found: str, *, dry: bool) -> str:
    """Why an update of an object by its uid does not hold."""
    parts = ("" if dry else "registry", kind.group if kind.custom else "", _PLACES.get(kind.plural, kind.plural), *key)
    place = "/" + "/".join(filter(None, parts))
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
