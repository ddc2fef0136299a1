"""Objects as ownership of fields sees them: which fields there are, what differs, what merges to what.

Maps own field by field, lists of type ``set`` and ``map`` item by item; everything else is one field. The rules are
those of structured-merge-diff.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from marie_operator.testing.apiserver.errors import Json
from marie_operator.testing.apiserver.fieldset import LEAF, FieldSet, encoded, is_member, union
from marie_operator.testing.apiserver.schema import ANY, MISSING, Schema

_CONTAINERS = frozenset({dict, list})


class Unkeyed(ValueError):  # noqa: N818 - what it is
    """An item of a list that cannot be told from the others."""


@dataclass(slots=True)
class Comparison:
    """How one object differs from another.

    Attributes:
        removed: Fields that only the first has.
        modified: Fields that differ.
        added: Fields that only the second has.
    """

    removed: FieldSet = field(default_factory=dict)
    modified: FieldSet = field(default_factory=dict)
    added: FieldSet = field(default_factory=dict)

    def absorb(self, key: str, below: "Comparison") -> None:
        """Take what was found below a field."""
        if below.removed:
            self.removed[key] = below.removed
        if below.modified:
            self.modified[key] = below.modified
        if below.added:
            self.added[key] = below.added


def below(schema: Schema, name: str) -> Schema:
    """The schema of a field, whether it is known or not."""
    return schema.owned(name) or ANY


def element(item: Json, schema: Schema) -> str:
    """The path element of an item of a granular list.

    Args:
        item: One of its items.
        schema: Of the list.

    Raises:
        Unkeyed: it has none.
    """
    if not schema.item_keys:
        return _value_element(item)
    if item.__class__ is not dict:
        kind = "a null element" if item is None else "non-map elements"
        raise Unkeyed(f"associative list with keys may not have {kind}")
    parts = []
    for name, default in schema.item_defaults.items():
        value = item.get(name, default)
        if value is not MISSING:
            parts.append(f'"{name}":{encoded(value)}')
    if not parts:
        names = " ".join(f'"{name}"' for name in schema.item_keys)
        raise Unkeyed(
            f"associative list with keys has an element that omits all key fields [{names}] "
            "(and doesn't have default values for any key fields)"
        )
    return "k:{" + ",".join(parts) + "}"


def _value_element(item: Json) -> str:
    if isinstance(item, dict):
        raise Unkeyed("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise Unkeyed("not supported: associative list with lists as elements")
    if item is None:
        raise Unkeyed("associative list without keys has an element that's an explicit null")
    return "v:" + encoded(item)


def _told_apart(values: list[Json], schema: Schema) -> Iterator[tuple[str, Json]]:
    """Items of a granular list with their path elements; those that have none are nobody's."""
    for value in values:
        try:
            key = element(value, schema)
        except Unkeyed:
            continue
        yield key, value


def _items(values: list[Json], schema: Schema) -> dict[str, list[Json]]:
    """Items of a granular list by their path elements."""
    found: dict[str, list[Json]] = {}
    for key, value in _told_apart(values, schema):
        found.setdefault(key, []).append(value)
    return found


def _granular(value: Json, schema: Schema) -> bool:
    """Whether a value has fields or items with owners of their own."""
    return (isinstance(value, dict) and not schema.atomic) or (isinstance(value, list) and schema.granular)


def fields_of(value: Json, schema: Schema) -> FieldSet:
    """The fields that an object mentions."""
    return _mentioned(value, schema, member=False) or {}


def _mentioned(value: Json, schema: Schema, *, member: bool) -> FieldSet | None:
    """The node of a field, without itself unless it is a member; None when there is nothing."""
    result: FieldSet = {".": {}} if member else {}
    if isinstance(value, dict):
        if not value or schema.atomic:
            return {}
        fields = schema.fields
        for name, each in value.items():
            known = fields.get(name)
            if each.__class__ not in _CONTAINERS:
                result[f"f:{name}"] = {}
            elif (node := _mentioned(each, known or below(schema, name), member=known is None)) is not None:
                result[f"f:{name}"] = node
    elif isinstance(value, list) and schema.granular:
        items = schema.items or ANY
        for key, found in _items(value, schema).items():
            result[key] = (_mentioned(found[0], items, member=True) if len(found) == 1 else None) or {}
    else:
        return {}
    if len(result) > member:
        return result
    return {} if member else None


def everything(value: Json, schema: Schema) -> FieldSet:
    """The node of a field that was not there before: it and all that is below it."""
    if not value or value.__class__ not in _CONTAINERS:
        return LEAF
    result: FieldSet = {".": LEAF}
    if value.__class__ is dict:
        if schema.atomic:
            return LEAF
        members = schema.members
        for name, each in value.items():
            member = members.get(name)
            key, inner = (f"f:{name}", None) if member is None else member
            result[key] = everything(each, inner or below(schema, name)) if each.__class__ in _CONTAINERS else LEAF
    elif schema.granular:
        items = schema.items or ANY
        for key, each in _told_apart(value, schema):
            # Items that cannot be told apart are one field.
            result[key] = LEAF if key in result else everything(each, items)
    else:
        return LEAF
    return result


def appearing(value: dict[str, Json], schema: Schema) -> FieldSet:
    """The fields of an object that was not there before: what comparing it with an empty one finds, at less cost."""
    result: FieldSet = {}
    members, zeros = schema.members, schema.zeros
    for name, each in value.items():
        key, inner = members.get(name) or (f"f:{name}", below(schema, name))
        zero = zeros.get(name, MISSING) if each is not None else _absent(name, each, schema)
        if zero is MISSING:
            result[key] = everything(each, inner)
        elif zero == {} and each.__class__ is dict and not inner.atomic:
            if fields := appearing(each, inner):
                result[key] = fields
        elif zero is None and each and each.__class__ is list and inner.granular:
            result[key] = {item: node for item, node in everything(each, inner).items() if item != "."}
        elif zero != each:
            found = Comparison()
            _compare_present(key, zero, each, inner, found)
            result |= union(found.modified, found.added)
    return result


def compare(left: Json, right: Json, schema: Schema) -> Comparison:
    """How the second object differs from the first."""
    result = Comparison()
    if left is not right and left != right:
        _compare_maps(left, right, schema, result)
    return result


def _compare_maps(left: Json, right: Json, schema: Schema, result: Comparison) -> None:
    for name, ours in left.items():
        theirs = right.get(name, MISSING)
        if theirs is MISSING:
            theirs = _absent(name, ours, schema)
        if theirs is not ours and theirs != ours:
            _compare_field(f"f:{name}", ours, theirs, below(schema, name), result)
    for name, theirs in right.items():
        if name not in left:
            _compare_field(f"f:{name}", _absent(name, theirs, schema), theirs, below(schema, name), result)


def _absent(name: str, other: Json, schema: Schema) -> Json:
    """What a field is where it is absent, when it is something elsewhere."""
    return None if other is None and schema.built_in else schema.zeros.get(name, MISSING)


def _compare_field(key: str, left: Json, right: Json, schema: Schema, result: Comparison) -> None:
    if left is MISSING:
        result.added[key] = everything(right, schema)
    elif right is MISSING:
        result.removed[key] = everything(left, schema)
    elif left != right:
        _compare_present(key, left, right, schema, result)


def _compare_present(key: str, left: Json, right: Json, schema: Schema, result: Comparison) -> None:
    """Compare two values that differ."""
    inner = Comparison()
    # A null where fields or items could be is a container without any.
    one, two = left, right
    if left is None and right and _granular(right, schema):
        one = type(right)()
    elif right is None and left and _granular(left, schema):
        two = type(left)()
    if isinstance(one, dict) and isinstance(two, dict) and not schema.atomic:
        _compare_maps(one, two, schema, inner)
    elif isinstance(one, list) and isinstance(two, list) and schema.granular:
        _compare_lists(one, two, schema, inner)
    else:
        _compare_unlike(key, left, right, schema, result)
        return
    result.absorb(key, inner)


def _compare_unlike(key: str, left: Json, right: Json, schema: Schema, result: Comparison) -> None:
    """Compare values of which at most one has fields or items."""
    if left and _granular(left, schema):
        result.removed[key] = {name: node for name, node in everything(left, schema).items() if name != "."}
    else:
        result.modified[key] = {}
    if right and _granular(right, schema):
        result.added[key] = {name: node for name, node in everything(right, schema).items() if name != "."}
    else:
        result.modified[key] = {}


def _compare_lists(left: list[Json], right: list[Json], schema: Schema, result: Comparison) -> None:
    ours, theirs = _items(left, schema), _items(right, schema)
    items = schema.items or ANY
    for key in ours | theirs:
        before, after = ours.get(key, []), theirs.get(key, [])
        if len(before) > 1 or len(after) > 1:
            _compare_repeated(key, before, after, items, result)
        elif not before:
            result.added[key] = everything(after[0], items)
        elif not after:
            result.removed[key] = everything(before[0], items)
        elif before[0] != after[0]:
            _compare_present(key, before[0], after[0], items, result)


def _compare_repeated(key: str, before: list[Json], after: list[Json], schema: Schema, result: Comparison) -> None:
    """Compare items that cannot be told apart: together they are one field."""
    if len(before) > 1 and len(after) > 1:
        if before != after:
            result.modified[key] = {}
    elif len(before) > 1:
        if after:
            result.added[key] = everything(after[0], schema)
        result.removed[key] = {}
    else:
        if before:
            result.removed[key] = everything(before[0], schema)
        result.added[key] = {}


def merge(left: Json, right: Json, schema: Schema) -> Json:
    """What an object becomes when the second is applied to it; nothing goes away by this."""
    if left is MISSING or right is MISSING:
        return left if right is MISSING else right
    one = left if _granular(left, schema) else None
    two = right if _granular(right, schema) else None
    if not one and not two:
        return right
    if right is None:
        return left
    if isinstance(one, dict) and isinstance(two, dict):
        return _merge_maps(one, two, schema)
    if isinstance(one, list) and isinstance(two, list):
        return _merge_lists(one, two, schema)
    return right


def _merge_maps(left: dict[str, Json], right: dict[str, Json], schema: Schema) -> dict[str, Json]:
    result = dict(left)
    for name, theirs in right.items():
        ours = left.get(name, MISSING)
        if ours is MISSING or theirs.__class__ not in _CONTAINERS:
            # Null leaves what is below a field as it is.
            if theirs is not None or ours is MISSING or not ours or not _granular(ours, below(schema, name)):
                result[name] = theirs
        elif ours is not theirs:
            result[name] = merge(ours, theirs, below(schema, name))
    return result


def _merge_lists(left: list[Json], right: list[Json], schema: Schema) -> list[Json]:
    """Items that both have take the place they have in the second list, relative to one another."""
    ours = [element(item, schema) for item in left]
    theirs = {element(item, schema): item for item in right}
    known: dict[str, Json] = {}
    for key, item in zip(ours, left, strict=True):
        # Items that cannot be told apart are not merged with anything.
        known[key] = None if key in known else item
    order = list(theirs)
    shared = (key for key in order if key in known)
    next_shared = next(shared, None)
    items, merged, result = schema.items or ANY, set(), []
    i = j = 0
    while i < len(ours) or j < len(order):
        if i < len(ours):
            key = ours[i]
            if key not in theirs:
                result.append(left[i])
                i += 1
                continue
            here = j < len(order) and key == order[j]
            if j < len(order) and not here and next_shared not in {None, key}:
                i += 1
                continue
            if here or key in merged:
                i += 1
        if j < len(order):
            key = order[j]
            merged.add(key)
            result.append(merge(known.get(key, MISSING), theirs[key], items))
            j += 1
            if next_shared == key:
                next_shared = next(shared, None)
    return result


def remove(value: Json, fields: FieldSet, schema: Schema) -> Json:
    """A value without some of its fields; containers stay where they become empty."""
    if not value or not isinstance(value, dict | list):
        return value
    if not _granular(value, schema):
        return type(value)()
    if isinstance(value, dict):
        pairs = ((name, each, fields.get(f"f:{name}")) for name, each in value.items())
        return {
            name: remove(each, node, below(schema, name)) if node else each
            for name, each, node in pairs
            if node is None or not is_member(node)
        }
    nodes = ((each, fields.get(element(each, schema))) for each in value)
    return [
        remove(each, node, schema.items or ANY) if node else each
        for each, node in nodes
        if node is None or not is_member(node)
    ]


def with_parents(fields: FieldSet, schema: Schema) -> FieldSet:
    """The set and the named fields above those in it."""
    result: FieldSet = {}
    for key, node in fields.items():
        if not node:
            result[key] = node
            continue
        named, inner = False, ANY
        if key.startswith("f:"):
            named, inner = key[2:] in schema.fields, below(schema, key[2:])
        elif schema.items is not None:
            inner = schema.items
        inside = with_parents(node, inner)
        result[key] = {".": {}, **inside} if named and "." not in inside else inside
    return result


def reconciled(fields: FieldSet, changed: FieldSet, schema: Schema) -> FieldSet:
    """A set as the schema has it now, as far as fields have changed: what has become one field is owned as one."""
    result = fields
    for key, change in changed.items():
        node = fields.get(key)
        if not node:
            continue
        inner = (below(schema, key[2:]) if key.startswith("f:") else schema.items) or ANY
        whole = inner.atomic if inner.type == "object" else inner.type == "array" and not inner.granular
        now = {} if whole else reconciled(node, change, inner)
        if now is not node:
            result = {**result, key: now}
    return result
