"""Sets of fields, in the form in which ``managedFields`` keeps them (FieldsV1).

A set is a tree of dicts. The keys are path elements: ``f:<field>``, ``k:<keys of a list's item>`` and ``v:<value in a
list>``. A field is in the set when its node is empty or has the key ``.``; else only what is below it is. A set that
is given to a function here is not changed, and what comes out may share parts with what went in.
"""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from marie_operator.testing.apiserver.errors import Json

FieldSet = dict[str, Any]
"""A whole set, or the node of a field in it. The empty set is ``{}``, as is the node of a field without children."""

LEAF: FieldSet = {}
"""The node of a field without children."""

Path = tuple[str, ...]
"""Path elements from the object downward."""

_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def encoded(value: Json) -> str:
    """A value as it stands in a path element."""
    if value.__class__ is str:
        return _quoted(value)
    if value.__class__ is int:
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.translate(_ESCAPED)


@lru_cache(maxsize=4096)
def _quoted(value: str) -> str:
    return encode_basestring(value).translate(_ESCAPED)


def item_key(keys: dict[str, Json]) -> str:
    """The path element of a list's item that is told by fields."""
    return "k:{" + ",".join(f"{encoded(name)}:{encoded(keys[name])}" for name in sorted(keys)) + "}"


def from_paths(paths: Iterable[tuple[str, ...]]) -> FieldSet:
    """The set of some fields, given by their names from the object downward."""
    result: FieldSet = {}
    for path in paths:
        node = result
        *parents, last = (f"f:{name}" for name in path)
        for parent in parents:
            known = parent in node
            node = node.setdefault(parent, {})
            if known and not node:
                node["."] = {}
        if node.get(last):
            node[last]["."] = {}
        else:
            node[last] = {}
    return result


def is_member(node: FieldSet) -> bool:
    """Whether the field of a node is in the set itself."""
    return not node or "." in node


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in either."""
    if left is right or not right:
        return left
    return _union(left, right) if left else right


def _union(left: FieldSet, right: FieldSet) -> FieldSet:
    result = dict(left)
    for key, theirs in right.items():
        ours = left.get(key)
        if ours is None:
            result[key] = theirs
        elif ours is not theirs:
            if not ours:
                result[key] = theirs if is_member(theirs) else {".": {}, **theirs}
            elif not theirs:
                result[key] = ours if "." in ours else {".": {}, **ours}
            else:
                result[key] = _union(ours, theirs)
    return result


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in the first and not in the second; a field does not stand for what is below it."""
    if not left or not right:
        return left
    return _difference(left, right) or {}


def _difference(left: FieldSet, right: FieldSet) -> FieldSet | None:
    if not left:
        return None if is_member(right) else left
    if not right:
        return {key: node for key, node in left.items() if key != "."} if "." in left else left
    result = {}
    for key, ours in left.items():
        theirs = right.get(key)
        if theirs is None:
            result[key] = ours
        elif key != "." and (rest := _difference(ours, theirs)) is not None:
            result[key] = rest
    return _normal(result)


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in both."""
    if not left or not right:
        return {}
    return _intersection(left, right) or {}


def _intersection(left: FieldSet, right: FieldSet) -> FieldSet | None:
    if not left:
        return {} if is_member(right) else None
    if not right:
        return {} if "." in left else None
    result = {}
    for key in left.keys() & right.keys():
        both = {} if key == "." else _intersection(left[key], right[key])
        if both is not None:
            result[key] = both
    return _normal(result)


def _normal(children: FieldSet) -> FieldSet | None:
    """A node of these; a field that is in a set without anything below it is an empty node."""
    if not children:
        return None
    return {} if len(children) == 1 and "." in children else children


def without(fields: FieldSet, prefixes: FieldSet) -> FieldSet:
    """What is neither in the second set nor below anything that is."""
    if not fields or not prefixes:
        return fields
    return _without(fields, prefixes) or {}


def _without(fields: FieldSet, prefixes: FieldSet) -> FieldSet | None:
    if not fields:
        return fields
    result = {}
    for key, node in fields.items():
        prefix = prefixes.get(key) if key != "." else None
        if prefix is None:
            result[key] = node
        elif not is_member(prefix) and (rest := _without(node, prefix)) is not None:
            result[key] = rest
    return _normal(result)


def has(fields: FieldSet, path: Path) -> bool:
    """Whether a field is in the set."""
    node: FieldSet | None = fields
    for element in path:
        node = None if node is None else node.get(element)
        if node is None:
            return False
    return bool(path) and node is not None and is_member(node)


def paths(fields: FieldSet, prefix: Path = ()) -> Iterator[Path]:
    """Every field of the set: at each level first the fields themselves, then what is below them."""
    elements = sorted((element for element in fields if element != "."), key=_order)
    for element in elements:
        if is_member(fields[element]):
            yield (*prefix, element)
    for element in elements:
        yield from paths(fields[element], (*prefix, element))


def _order(element: str) -> tuple[Any, ...]:
    kind, text = element[0], element[2:]
    if kind == "f":
        return (kind, text)
    value = json.loads(text)
    if kind == "k":
        return (kind, *((name, *_rank(value[name])) for name in sorted(value)))
    return (kind, *_rank(value))


def _rank(value: Json) -> tuple[int, Json]:
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (3, "")


def display(path: Path) -> str:
    """A path for people: ``.spec.containers[name="a"].image``."""
    return "".join(map(_displayed, path))


def _displayed(element: str) -> str:
    kind, text = element[0], element[2:]
    if kind == "f":
        return f".{text}"
    if kind == "i":
        return f"[{text}]"
    if kind == "v":
        return f"[={text}]"
    keys = json.loads(text)
    return "[" + ",".join(f"{name}={encoded(keys[name])}" for name in sorted(keys)) + "]"


def parsed(fields: Json) -> FieldSet:
    """A set that somebody sent, with path elements written as they are here; unknown kinds of elements are left out.

    Raises:
        TypeError: it is not a set.
        ValueError: one of its keys is no path element.
    """
    if not isinstance(fields, dict):
        raise TypeError("a set of fields is an object")
    result: FieldSet = {}
    for key, node in fields.items():
        element = _element(key)
        if key == ".":
            result["."] = {}
        elif element:
            result[element] = parsed(node)
    return {} if result.keys() == {"."} else result


def _element(key: str) -> str:
    if key == ".":
        return key
    if len(key) < 2 or key[1] != ":":
        raise ValueError(f"no path element: {key}")
    if key[0] == "f":
        return key
    if key[0] == "v":
        return "v:" + encoded(json.loads(key[2:]))
    if key[0] != "k":
        return ""
    keys = json.loads(key[2:])
    if not isinstance(keys, dict):
        raise TypeError("keys of a list's item are an object")
    return item_key(keys)
