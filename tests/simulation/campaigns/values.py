"""Values to give a field: what its schema makes valid, its bounds, what is just beyond them, and what people write."""

import json
import random
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from tests.simulation.campaigns.fields import ABSENT, Absent, Field, Schema


class Expected(StrEnum):
    """What becomes of a value."""

    WORKS = "works"
    """It is accepted, and what is asked for comes about."""
    EITHER = "either"
    """It works or it is refused; which, follows from the rest of the object."""
    REFUSED = "refused"
    """The API server refuses it, or the operator says on the object what is wrong."""


class Value(NamedTuple):
    """One value."""

    value: Any
    expected: Expected

    def __str__(self) -> str:
        text = "absent" if isinstance(self.value, Absent) else json.dumps(self.value)
        return text if len(text) < 60 else f"{text[:40]}…({len(text)})"


HOSTILE = ("two words", "line\nbreak: {}", "1e5", "$HOME \"quoted\" 'twice' \\", "größe-日本")
"""What a label, a shell, a command line, YAML or a template would take for something else."""
_INT32 = 2**31


def _works(*values: Any) -> Iterator[Value]:
    return (Value(value, Expected.WORKS) for value in values)


def _either(*values: Any) -> Iterator[Value]:
    return (Value(value, Expected.EITHER) for value in values)


def _refused(*values: Any) -> Iterator[Value]:
    return (Value(value, Expected.REFUSED) for value in values)


def values(field: Field, chosen: Mapping[str, tuple[Any, ...]]) -> list[Value]:
    """What to set the field to, in this order; at the end it is taken away and returns to what it was.

    Args:
        field: The field.
        chosen: Values that work, by field, where the schema alone does not say what makes sense.
    """
    own = chosen.get(str(field), ())
    found = [*_works(*own), *_of_type(field, own), *_either(None, ABSENT)]
    unique: dict[str, Value] = {}
    for each in found:
        unique.setdefault(repr(each.value), each)
    return list(unique.values())


def template_values(field: Field, chosen: Mapping[str, tuple[Any, ...]]) -> list[Value]:
    """Values for a field of a pod template: the chosen ones, or the first few that its schema makes."""
    given = [*_either(*chosen.get(str(field), ()))]
    return [*(given or list(_of_type(field, ()))[:3]), Value(ABSENT, Expected.EITHER)]


def _of_type(field: Field, own: tuple[Any, ...]) -> Iterator[Value]:
    schema = field.schema
    if schema.get("x-kubernetes-int-or-string"):
        yield from _shares() if schema["pattern"].endswith("%$") else _quantities()
        return
    match schema["type"]:
        case "string":
            yield from _strings(field, own)
        case "integer":
            yield from _integers(schema)
        case "boolean":
            yield from _works(True, False)
            yield from _refused("true", 1)
        case "array":
            yield from _lists(schema, own)
        case "object":
            yield from _objects(schema)
        case other:
            raise NotImplementedError(f"no values of type {other}")


def _strings(field: Field, own: tuple[Any, ...]) -> Iterator[Value]:
    schema = field.schema
    if "enum" in schema:
        yield from _works(*schema["enum"])
        yield from _refused(schema["enum"][0].lower() + "-", "")
        return
    if not own:
        yield from _either("another")
    free = "pattern" not in schema
    yield from _either(*(random.Random(str(field)).sample(HOSTILE, 1) if free else HOSTILE[:1]))
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    yield from _refused("") if least > 0 else _either("")
    if most is not None:
        yield from _either("a" * most)
        yield from _refused("a" * (most + 1))
    yield from _refused(7, True, ["list"])


def _integers(schema: Schema) -> Iterator[Value]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None:
        yield from _either(least, least + 1)
        yield from _refused(least - 1)
    if most is not None:
        yield from _either(most)
        yield from _refused(most + 1)
    yield from _refused("2", 1.5)
    if schema.get("format") == "int32":
        yield from _refused(_INT32)


def _shares() -> Iterator[Value]:
    """A number, or a share of a whole."""
    yield from _works(0, 2, 2**31 - 1, "0%", "50%", "100%")
    yield from _refused(-1, 1.5, True, "2", "101%", "-5%", "5 %", "")


def _quantities() -> Iterator[Value]:
    yield from _works("2", "1500m", "2Gi")
    yield from _either(2, "0", "-1", "0.0001", "1e3", "1Ei", "100E")
    yield from _refused("much", "", True, 1.5)


def _lists(schema: Schema, own: tuple[Any, ...]) -> Iterator[Value]:
    yield from _either([])
    yield from _refused("list", {})
    if schema["items"].get("type") != "string":
        yield from _refused(["text"])
    elif "maxItems" in schema:
        yield from _refused([f"item-{number}" for number in range(schema["maxItems"] + 1)])
    if own and own[0]:
        first = own[0][0]
        if schema.get("x-kubernetes-list-type") == "map":
            yield from _refused([first, first])
        else:
            yield from _either([first, first])


def _objects(schema: Schema) -> Iterator[Value]:
    yield from _refused("text", [])
    if schema.get("required"):
        yield from _refused({})
    else:
        yield from _either({})
    if schema.get("additionalProperties", {}).get("type") == "string":
        yield from _works({"one": "1"})
        yield from _either({"one": "1", "two": "line\nbreak", "three-3": ""}, {"a key": "x"}, {"": "x"})
        yield from _refused({"one": 1}, {"one": ["x"]})
