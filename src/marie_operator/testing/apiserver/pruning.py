"""What a schema makes of an object: unknown fields go, defaults come, nulls that may not be count as absent."""

import json
from collections.abc import Iterator

from marie_operator.testing.apiserver.errors import Json, Object
from marie_operator.testing.apiserver.schema import MISSING, OBJECT_META, Schema

_META = Schema(OBJECT_META)
_OBJECT = frozenset({"apiVersion", "kind", "metadata"})


# Unknown fields.


def unknown(value: Json, schema: Schema) -> list[str]:
    """The paths of fields that a schema does not know, such as ``spec.groups[0].name``."""
    return list(_unknown(value, schema, "", root=True))


def _unknown(value: Json, schema: Schema, path: str, *, root: bool = False) -> Iterator[str]:
    if isinstance(value, list):
        if schema.items is not None:
            for number, item in enumerate(value):
                yield from _unknown(item, schema.items, f"{path}[{number}]")
        return
    if not isinstance(value, dict):
        return
    whole = root or schema.embedded
    for name, inner in value.items():
        at = f"{path}.{name}" if path else name
        known = _known(schema, name, whole=whole)
        if known is not None:
            yield from _unknown(inner, known, at)
        elif not _open(schema) and not (whole and name in _OBJECT):
            yield at


def _open(schema: Schema) -> bool:
    """Whether any field may be; of built-in kinds, in every object of which nothing is said."""
    return schema.preserves or (schema.built_in and schema.open)


def _known(schema: Schema, name: str, *, whole: bool) -> Schema | None:
    """What is known of a field. The metadata of an object is not the definition's to describe."""
    return _META if whole and name == "metadata" and not schema.built_in else schema.child(name)


def prune(value: Json, schema: Schema, *, root: bool = True) -> Json:
    """A value without the fields that its schema does not know; itself when it has none.

    Args:
        value: The value.
        schema: Its schema.
        root: Whether it is a whole object.
    """
    return _prune(value, schema, root=root)


def _prune(value: Json, schema: Schema, *, root: bool = False) -> Json:
    if isinstance(value, list):
        if schema.items is None:
            return value
        items = [_prune(item, schema.items) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    whole, changed, result = root or schema.embedded, False, {}
    for name, inner in value.items():
        known = _known(schema, name, whole=whole)
        if known is not None:
            kept = _prune(inner, known)
            changed = changed or kept is not inner
            result[name] = kept
        elif _open(schema) or (whole and name in _OBJECT):
            result[name] = inner
        else:
            changed = True
    return result if changed else value


def completed(value: Json, schema: Schema) -> Json:
    """An object of a custom kind without nulls that may not be, and with what its schema fills in."""
    return default(_without_absent(value, schema), schema)


def _without_absent(value: Json, schema: Schema | None) -> Json:
    """Without fields that are null, may not be, and have no default; itself when it has none."""
    if schema is None:
        return value
    if isinstance(value, list):
        items = [_without_absent(item, schema.items) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    kept, changed = {}, False
    for name, inner in value.items():
        known = schema.child(name)
        if inner is None and known is not None and not known.nullable and known.default is MISSING:
            changed = True
            continue
        kept[name] = _without_absent(inner, known)
        changed = changed or kept[name] is not inner
    return kept if changed else value


def default(value: Json, schema: Schema) -> Json:
    """A value with what its schema fills in; itself when that is nothing."""
    if isinstance(value, list):
        if schema.items is None or not has_defaults(schema.items):
            return value
        items = [default(item, schema.items) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    changes: Object = {}
    for name, field in schema.fields.items():
        found = value.get(name, MISSING)
        filled = _field_default(found, field)
        if filled is not found:
            changes[name] = filled
    if schema.values is not None and has_defaults(schema.values):
        for name, found in value.items():
            if name not in schema.fields and (filled := default(found, schema.values)) is not found:
                changes[name] = filled
    return {**value, **changes} if changes else value


def _field_default(found: Json, field: Schema) -> Json:
    """A field's value with what its schema fills in; MISSING when it stays absent."""
    if found is MISSING or (found is None and not field.nullable and field.default is not MISSING):
        return found if field.default is MISSING else default(json.loads(json.dumps(field.default)), field)
    return default(found, field) if has_defaults(field) else found


def has_defaults(schema: Schema) -> bool:
    """Whether anything below a node has a default; found out once."""
    known = schema.__dict__.get("_has_defaults")
    if known is None:
        # A schema that contains itself is looked at once.
        schema.__dict__["_has_defaults"] = False
        children = [*schema.fields.values(), *filter(None, (schema.values, schema.items))]
        known = any(child.default is not MISSING or has_defaults(child) for child in children)
        schema.__dict__["_has_defaults"] = known
    return bool(known)
