"""Every field of the kinds, as their definitions have them, and its place in an object."""

import copy
import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from marie_operator.testing import manifests
from tests.simulation.campaigns.stage import Object
from tests.simulation.world import CONFIG

Schema = Mapping[str, Any]

TEMPLATES = frozenset({"template", "submitterPodTemplate", "clusterSpec"})
"""Fields that hold a pod template, whose own fields are chosen, not enumerated, or a cluster as MarieCluster has it."""

ITEM: Final = "[]"
VALUE: Final = "{}"


class Field(NamedTuple):
    """One field.

    Attributes:
        kind: Of the object, such as ``MarieCluster``.
        path: The names that lead to it; ``[]`` is the item of a list, ``{}`` the value of a map.
        schema: What the definition says of it.
    """

    kind: str
    path: tuple[str, ...]
    schema: Schema

    def __str__(self) -> str:
        return ".".join(self.path).replace(".[]", "[]").replace(".{}", "{}")


@functools.cache
def schemas() -> Mapping[str, Schema]:
    """The schema of each kind's spec."""
    found = {}
    for definition in manifests.read(CONFIG / "crd"):
        (version,) = definition["spec"]["versions"]
        properties = version["schema"]["openAPIV3Schema"]["properties"]
        found[definition["spec"]["names"]["kind"]] = properties["spec"]
    return found


def fields(kind: str) -> list[Field]:
    """Every field below ``spec``; of pod templates the whole alone."""
    return [Field(kind, path, schema) for path, schema in _below(("spec",), schemas()[kind])]


def template_fields() -> list[Field]:
    """Every field of a pod template, as paths within a group's."""
    path = ("spec", "executorGroupSpecs", ITEM, "template")
    schema = functools.reduce(_step, path[1:], schemas()["MarieCluster"])
    return [Field("MarieCluster", found, inner) for found, inner in _below(path, schema, templates=True)]


def _step(schema: Schema, name: str) -> Schema:
    below: Schema = schema["items"] if name == ITEM else schema["properties"][name]
    return below


def _below(
    path: tuple[str, ...], schema: Schema, *, templates: bool = False
) -> Iterator[tuple[tuple[str, ...], Schema]]:
    for name, inner in schema.get("properties", {}).items():
        at = (*path, name)
        yield at, inner
        if templates or name not in TEMPLATES:
            yield from _below(at, inner, templates=templates)
    for key, step in (("items", ITEM), ("additionalProperties", VALUE)):
        inner = schema.get(key)
        if isinstance(inner, Mapping):
            at = (*path, step)
            yield at, inner
            yield from _below(at, inner, templates=templates)


class Absent:
    """The value of a field that is left out."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = Absent()


def value_at(obj: Object, path: tuple[str, ...]) -> Any:
    """What an object has there; of a list the first item, of a map the first value.

    Raises:
        LookupError: there is no place for it.
    """
    at: Any = obj
    for number, step in enumerate(path):
        last = number == len(path) - 1
        at = (
            at.get(step, ABSENT)
            if last and isinstance(at, Mapping) and step not in {ITEM, VALUE}
            else at[_key(at, step)]
        )
    return at


def has_place(obj: Object, path: tuple[str, ...]) -> bool:
    """Whether an object has what the field is a part of."""
    try:
        value_at(obj, path)
    except (LookupError, TypeError, AttributeError):
        return False
    return True


def with_value(obj: Object, path: tuple[str, ...], value: Any) -> Object:
    """The object with another value there, or none."""
    # Not a deep copy: what stands in two places of a base would be one object in the copy as well, and change in both.
    result: Object = json.loads(json.dumps(obj))
    at: Any = result
    for step in path[:-1]:
        at = at[_key(at, step)]
    key = _key(at, path[-1])
    if not isinstance(value, Absent):
        at[key] = copy.deepcopy(value)
    elif path[-1] == ITEM:
        del at[key]
    else:
        at.pop(key, None)
    return result


def _key(at: Any, step: str) -> Any:
    if step == ITEM:
        if not at:
            raise LookupError("an empty list")
        return 0
    if step == VALUE:
        return next(iter(at), None) or _missing()
    return step


def _missing() -> Any:
    raise LookupError("an empty map")
