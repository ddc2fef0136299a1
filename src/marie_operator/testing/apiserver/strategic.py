"""Strategic merge patches: a merge patch that knows which lists are merged, and has directives for the rest."""

from collections.abc import Iterable
from typing import NoReturn

from marie_operator.testing.apiserver.conformity import go
from marie_operator.testing.apiserver.errors import Json, Object, Refusal
from marie_operator.testing.apiserver.schema import ANY, Schema

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
DELETE_FROM = "$deleteFromPrimitiveList"
SET_ORDER = "$setElementOrder"

_TYPES = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}
_UNRETAINED = "invalid patch format of retainKeys"
_UNORDERED = "invalid patch format of setElementOrder list"


def strategic_merge_patch(document: Object, patch: Json, schema: Schema) -> Object:
    """Merge a document into another, lists by the strategies that the schema names.

    Args:
        document: What is.
        patch: What should be, with directives; both stay as they are.
        schema: Of the document.

    Raises:
        Refusal: 400, a directive has the wrong form; 422 or 500, the patch does not fit, as the server has it.
    """
    if patch is None:
        return document
    if not isinstance(patch, dict):
        raise undecodable(patch, "Go value of type map[string]interface {}")
    return _map(document, patch, schema)


def undecodable(value: Json, wanted: str) -> Refusal:
    """What Go's decoder says of JSON of the wrong type."""
    return Refusal(400, f"json: cannot unmarshal {_TYPES[type(value)]} into {wanted}")


def unprocessable() -> Refusal:
    """What the server says of most patches that do not fit."""
    return Refusal(422, "the server rejected our request due to an error in our request", details={})


def _fail(message: str) -> NoReturn:
    raise Refusal(500, message, reason="")


def _map(original: Object, patch: Object, schema: Schema) -> Object:
    if DIRECTIVE in patch:
        return _directed(patch)
    result, left = _retained(dict(original), dict(patch))
    for key in [key for key in left if key.startswith(SET_ORDER)]:
        _set_order(result, left, key, schema)
    # Items that go leave before others come.
    for key in [key for key in left if key.startswith(DELETE_FROM)]:
        _delete_from(result, left.pop(key), _field(key, DELETE_FROM, "invalid patch format of primitive list"))
    for name, value in left.items():
        if value is None:
            result.pop(name, None)
        else:
            _set_field(result, name, value, schema)
    return result


def _directed(patch: Object) -> Object:
    directive = patch[DIRECTIVE]
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != DIRECTIVE}
    if directive == "delete":
        return {}
    _fail(f"unknown patch type: {go(directive)} in map: {go(patch)}")


def _set_field(result: Object, name: str, value: Json, schema: Schema) -> None:
    known = result.get(name)
    field = schema.child(name) or ANY
    if isinstance(known, dict) and isinstance(value, dict):
        result[name] = value if "replace" in field.patch_strategies else _map(known, value, field)
    elif isinstance(known, list) and isinstance(value, list):
        result[name] = _list(known, value, field)
    else:
        new, keep = _plain(_without_nulls(value))
        if keep:
            result[name] = new
        else:
            result.pop(name, None)


def _without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _plain(value: Json) -> tuple[Json, bool]:
    """A new value without what is only a directive; False when it is nothing else."""
    if isinstance(value, dict):
        if DIRECTIVE in value:
            return None, False
        fields = {name: _plain(each) for name, each in value.items()}
        return {name: each for name, (each, keep) in fields.items() if keep}, True
    if isinstance(value, list):
        return [each for each, keep in map(_plain, value) if keep], True
    return value, True


# Directives beside the fields.


def _field(key: str, prefix: str, malformed: str) -> str:
    """The field that a directive is about."""
    directive, slash, name = key.partition("/")
    if not slash or directive != prefix:
        raise Refusal(400, malformed)
    return name


def _retained(result: Object, patch: Object) -> tuple[Object, Object]:
    if RETAIN_KEYS not in patch:
        return result, patch
    keys = patch.pop(RETAIN_KEYS)
    if not isinstance(keys, list):
        raise Refusal(400, _UNRETAINED)
    for name, value in patch.items():
        if value is not None and not name.startswith((DELETE_FROM, SET_ORDER)) and name not in keys:
            raise Refusal(400, _UNRETAINED)
    return {name: value for name, value in result.items() if name in keys}, patch


def _delete_from(result: Object, values: Json, name: str) -> None:
    known = result.get(name)
    if values is None:
        result.pop(name, None)
    elif isinstance(known, list) and isinstance(values, list) and (known or values):
        _check_alike(known, values)
        result[name] = [each for each in known if each not in values]


def _set_order(result: Object, left: Object, key: str, schema: Schema) -> None:
    """Merge a list whose order is told; it is then done with."""
    order = left.pop(key)
    if not isinstance(order, list):
        _fail(f"expected a []interface {{}}, but received a {_go_type(order)}")
    name = _field(key, SET_ORDER, _UNORDERED)
    field = schema.child(name) or ANY
    merge_key = field.merge_key
    known, wanted = result.get(name), left.get(name)
    for each in (known, wanted):
        if each is not None and not isinstance(each, list):
            _fail(f"expected a []interface {{}}, but received a {_go_type(each)}")
    _check_order(wanted or [], order, merge_key)
    if name not in result and name not in left:
        return
    if name not in left:
        merged = known or []
    elif name not in result:
        merged = _plain(wanted or [])[0]
    else:
        merged = _list(known or [], wanted or [], field)
    _check_alike(known or [], wanted or [])
    result[name] = _ordered(merged, order, known or [], merge_key)
    left.pop(name, None)


def _check_order(wanted: list[Json], order: list[Json], merge_key: str) -> None:
    """The list of a patch and the order that it sets must agree."""
    if not order or not wanted:
        return
    places = iter(order)
    for each in wanted:
        if isinstance(each, dict) and DIRECTIVE in each:
            continue
        key = _key(each, merge_key)
        if not any(_key(place, merge_key) == key for place in places):
            _fail(f"The order in patch list:\n{go(wanted)}\n doesn't match {SET_ORDER} list:\n{go(order)}\n")


# Lists.


def _go_type(value: Json) -> str:
    if isinstance(value, dict):
        return "map[string]interface {}"
    names = {str: "string", bool: "bool", int: "int64", float: "float64", list: "[]interface {}"}
    return names.get(type(value), "%!s(<nil>)")


def _key(item: Json, merge_key: str) -> Json:
    """What tells an item from others: a field, or all of it where there are no fields."""
    if not merge_key:
        return item
    if not isinstance(item, dict):
        _fail(f"expected a map[string]interface {{}}, but received a {_go_type(item)}")
    if merge_key not in item:
        _fail(f"map: {go(item)} does not contain declared merge key: {merge_key}")
    return item[merge_key]


def _check_alike(*lists: list[Json]) -> None:
    kinds = dict.fromkeys(_go_type(each) for values in lists for each in values)
    if not kinds:
        _fail("no elements in any of the given slices")
    if next(iter(kinds)) == "[]interface {}":
        raise unprocessable()
    if len(kinds) > 1:
        _fail(f"list element types are not identical: {go(list(lists))}")


def _list(original: list[Json], patch: list[Json], schema: Schema) -> list[Json]:
    if "merge" not in schema.patch_strategies:
        return patch
    if not original and not patch:
        return original
    _check_alike(original, patch)
    if not isinstance((original or patch)[0], dict):
        return _ordered(list(dict.fromkeys([*original, *patch])), patch, original, "")
    if not schema.merge_key:
        _fail("cannot merge lists without merge key for struct")
    known, wanted = _special(original, patch, schema.merge_key)
    merged = list(known)
    for each in wanted:
        key = _key(each, schema.merge_key)
        place = _place(merged, key, schema.merge_key)
        if place is None:
            merged.append(each)
        else:
            merged[place] = _map(merged[place], each, schema.items or ANY)
    return _ordered(merged, wanted, known, schema.merge_key)


def _special(original: list[Json], patch: list[Json], merge_key: str) -> tuple[list[Json], list[Json]]:
    """Follow what items of a patch say of others; the items that are, and those that are to be merged with them."""
    wanted, replaced = [], False
    for each in patch:
        directive = each.get(DIRECTIVE)
        if DIRECTIVE not in each:
            wanted.append(each)
        elif directive == "delete":
            key = _key(each, merge_key)
            original = [item for item in original if item.get(merge_key) != key]
        elif directive == "replace":
            replaced = True
        elif directive == "merge":
            _fail("merging lists cannot yet be specified in the patch")
        else:
            _fail(f"unknown patch type: {go(directive)} in map: {go(each)}")
    return (wanted, []) if replaced else (original, wanted)


def _place(items: Iterable[Json], key: Json, merge_key: str) -> int | None:
    return next((place for place, each in enumerate(items) if each.get(merge_key) == key), None)


def _ordered(merged: list[Json], order: list[Json], live: list[Json], merge_key: str) -> list[Json]:
    """Items in the order of a patch, and those that only the live list has among them, where they were."""
    wanted = [_key(each, merge_key) for each in order]
    known = [_key(each, merge_key) for each in live]
    keyed = [(_key(each, merge_key), each) for each in merged]
    theirs = sorted((pair for pair in keyed if pair[0] in wanted), key=lambda pair: wanted.index(pair[0]))
    ours = [pair for pair in keyed if pair[0] not in wanted]
    ours.sort(key=lambda pair: known.index(pair[0]) if pair[0] in known else len(known))
    result = []
    i = 0
    for key, each in theirs:
        while i < len(ours) and key in known and ours[i][0] in known and known.index(ours[i][0]) < known.index(key):
            result.append(ours[i][1])
            i += 1
        result.append(each)
    return [*result, *(each for _, each in ours[i:])]
