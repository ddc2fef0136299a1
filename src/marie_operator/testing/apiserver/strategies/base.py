"""The form of a strategy, and what most kinds have."""

import difflib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from marie_operator.testing.apiserver.errors import FieldError, Json, Object


@dataclass(frozen=True, slots=True)
class Context:
    """What comes from outside when an object is written.

    Attributes:
        now: The time, as RFC 3339.
        random_suffix: Of a generated name.
        uid: Of a new object.
        find: An object by API group, plural, namespace and name; None when there is none.
        every: All objects of a kind, by API group and plural.
    """

    now: str
    random_suffix: Callable[[], str]
    uid: Callable[[], str]
    find: Callable[[str, str, str, str], Object | None]
    every: Callable[[str, str], Iterable[Object]]


def _same(new: Object, *_: object) -> Object:
    return new


def _without_status(new: Object, _: Context) -> Object:
    return without(new, "status")


def keep_status(new: Object, old: Object, _: Context) -> Object:
    """The status is the subresource's."""
    kept = without(new, "status")
    return kept | {"status": old["status"]} if "status" in old else kept


def status_and_metadata(new: Object, old: Object, _: object) -> Object:
    """All but status and metadata stays, as with most built-in kinds."""
    result = without(old, "status") | {"metadata": new["metadata"]}
    return result | {"status": new["status"]} if new.get("status") is not None else result


def only_status(new: Object, old: Object, context: object) -> Object:
    """All but the status stays (``ResetObjectMetaForStatus``)."""
    meta = old["metadata"]
    if owners := new["metadata"].get("managedFields"):
        meta = meta | {"managedFields": owners}
    return status_and_metadata(new | {"metadata": meta}, old, context)


def spec_changes(new: Object, old: Object) -> bool:
    """Whether anything but metadata and status differs."""
    return without(new, "metadata", "status") != without(old, "metadata", "status") or not old


def never(_: Object, __: Object) -> bool:
    """Of kinds without a generation."""
    return False


def without(value: Object, *names: str) -> Object:
    """A copy without some fields."""
    return {name: inner for name, inner in value.items() if name not in names}


def nothing(*_: Object) -> list[FieldError]:
    """No problem."""
    return []


def no_warnings(_: Object, __: Object | None) -> list[str]:
    """No warning."""
    return []


@dataclass(frozen=True)
class Strategy:
    """What a server does with objects of a kind beyond their schema.

    Attributes:
        default: Fills in what is absent.
        admit: What admission makes of a new object, before it is prepared; nobody owns what it adds.
        prepare_create: Makes a new object what it is at first.
        prepare_update: From the new and the old object: keeps what an update does not change.
        prepare_status: The same for ``/status``.
        validate: What is wrong with an object.
        validate_update: What is wrong with a change, the new object included.
        validate_status: The same for ``/status``; None where it is the same.
        allocate: From the new and the old object, or None: gives a valid object what no two may have.
        generation: Whether a change moves ``metadata.generation``; from nothing, whether there is one.
        warnings: What the answer to a write warns of, from the new and the old object, or None.
        unconditional: Whether an update may leave out which version it was made from.
        grows: Whether an object is stored once more by its first update, since reading it has made more of it.
    """

    default: Callable[[Object], Object] = _same
    admit: Callable[[Object, Context], Object] = _same
    prepare_create: Callable[[Object, Context], Object] = _without_status
    prepare_update: Callable[[Object, Object, Context], Object] = keep_status
    prepare_status: Callable[[Object, Object, Context], Object] = status_and_metadata
    validate: Callable[[Object], list[FieldError]] = nothing
    validate_update: Callable[[Object, Object], list[FieldError]] = nothing
    validate_status: Callable[[Object, Object], list[FieldError]] | None = None
    allocate: Callable[[Object, Object | None, Context], Object] = _same
    generation: Callable[[Object, Object], bool] = spec_changes
    warnings: Callable[[Object, Object | None], list[str]] = no_warnings
    unconditional: bool = True
    grows: bool = False


PLAIN = Strategy(
    prepare_create=lambda new, _: new,
    prepare_update=lambda new, _, __: new,
    prepare_status=lambda new, _, __: new,
    generation=never,
)
"""Of kinds without status and generation."""


def filled(value: Object, **defaults: Json) -> Object:
    """An object with what is absent filled in; itself when nothing is."""
    absent = {name: default for name, default in defaults.items() if value.get(name) is None}
    return {**value, **absent} if absent else value


def immutable(new: Object, old: Object, path: str) -> list[FieldError]:
    """Complains when what is at a path has changed."""
    one, other = at(new, path), at(old, path)
    if one == other:
        return []
    return [FieldError("FieldValueInvalid", f"Invalid value: {shown(one)}: field is immutable", path)]


def at(value: Json, path: str) -> Json:
    """What is at a path; None where nothing is."""
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def shown(value: Json) -> str:
    """A value as messages have it."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def required(path: str, why: str = "") -> FieldError:
    """Something that must be there is not."""
    return FieldError("FieldValueRequired", f"Required value{': ' + why if why else ''}", path)


def forbidden(path: str, why: str) -> FieldError:
    """Something that may not be is there."""
    return FieldError("FieldValueForbidden", f"Forbidden: {why}", path)


def difference(old: Json, new: Json) -> str:
    """The lines that go and the lines that come, with some of those around them."""
    before, after = (json.dumps(each, indent=1, sort_keys=True).splitlines() for each in (old, new))
    return "\n".join(list(difflib.unified_diff(before, after, lineterm=""))[2:])
