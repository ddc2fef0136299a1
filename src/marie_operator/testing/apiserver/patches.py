"""Patches of documents: JSON patch (RFC 6902) and JSON merge patch (RFC 7386), as the API server applies them.

Documents and patches are not changed; what comes out shares with them what is the same.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from marie_operator.testing.apiserver.errors import Json, Object, Refusal
from marie_operator.testing.apiserver.strategic import strategic_merge_patch, undecodable, unprocessable

__all__ = ["json_patch", "merge_patch", "strategic_merge_patch"]

MAX_OPERATIONS = 10000
_INDEX = re.compile(r"[+-]?[0-9]+", re.ASCII)

Container = dict[str, Json] | list[Json]


class _Unfit(Exception):  # noqa: N818 - what the patch is
    """An operation that the document does not bear."""


def json_patch(document: Json, operations: Json) -> Json:
    """Do the operations of a JSON patch, all or none.

    As with the server's library, indices may be negative, and ``replace`` adds a field that was not there.

    Raises:
        Refusal: 400, it is no JSON patch; 413, it is too long; 422, it does not fit the document.
    """
    if operations is None:
        return document
    for operation in _checked(operations):
        try:
            document = _done(document, operation)
        except _Unfit:
            raise unprocessable() from None
    return document


def _checked(operations: Json) -> Sequence[Mapping[str, Json]]:
    if not isinstance(operations, list):
        raise _undecodable(operations, "Go value of type []handlers.jsonPatchOp")
    for operation in operations:
        if operation is not None and not isinstance(operation, dict):
            raise _undecodable(operation, "Go value of type handlers.jsonPatchOp")
        for name in ("op", "path", "from"):
            value = (operation or {}).get(name)
            if value is not None and not isinstance(value, str):
                raise _undecodable(value, f"Go struct field jsonPatchOp.{name} of type string")
    if len(operations) > MAX_OPERATIONS:
        raise Refusal(
            413,
            "Request entity too large: "
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}",
        )
    return [operation or {} for operation in operations]


def _undecodable(value: Json, wanted: str) -> Refusal:
    return Refusal(400, f"error decoding patch: {undecodable(value, wanted).message}")


def _done(document: Json, operation: Mapping[str, Json]) -> Json:
    act = _OPERATIONS.get(operation.get("op") or "")
    if act is None:
        raise _Unfit
    return act(document, operation)


def _add(document: Json, operation: Mapping[str, Json]) -> Json:
    return _added(document, _steps(operation, "path"), operation.get("value"))


def _added(document: Json, steps: list[str], value: Json) -> Json:
    def edit(container: Container, step: str) -> None:
        if isinstance(container, dict):
            container[step] = value
        elif step == "-":
            container.append(value)
        else:
            container.insert(_position(step, len(container) + 1), value)

    return _edited(document, steps, edit)


def _remove(document: Json, operation: Mapping[str, Json]) -> Json:
    return _removed(document, _steps(operation, "path"))


def _removed(document: Json, steps: list[str]) -> Json:
    def edit(container: Container, step: str) -> None:
        if isinstance(container, list):
            del container[_position(step, len(container))]
        elif step in container:
            del container[step]
        else:
            raise _Unfit

    return _edited(document, steps, edit)


def _replace(document: Json, operation: Mapping[str, Json]) -> Json:
    value = operation.get("value")
    if operation.get("path") == "":
        if not isinstance(value, dict | list):
            raise _Unfit
        return value

    def edit(container: Container, step: str) -> None:
        if isinstance(container, dict):
            container[step] = value
        else:
            container[_position(step, len(container))] = value

    return _edited(document, _steps(operation, "path"), edit)


def _move(document: Json, operation: Mapping[str, Json]) -> Json:
    source = _steps(operation, "from")
    value = _found(document, source)
    return _added(_removed(document, source), _steps(operation, "path"), value)


def _copy(document: Json, operation: Mapping[str, Json]) -> Json:
    value = _found(document, _steps(operation, "from"))
    return _added(document, _steps(operation, "path"), value)


def _test(document: Json, operation: Mapping[str, Json]) -> Json:
    found = document if operation.get("path") == "" else _found(document, _steps(operation, "path"))
    # As text, so that a number is no truth value.
    if json.dumps(found, sort_keys=True) != json.dumps(operation.get("value"), sort_keys=True):
        raise _Unfit
    return document


_OPERATIONS: Mapping[str, Callable[[Json, Mapping[str, Json]], Json]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def _steps(operation: Mapping[str, Json], name: str) -> list[str]:
    """The steps of a JSON pointer."""
    pointer = operation.get(name)
    if pointer is None:
        raise _Unfit
    found = str(pointer).split("/")[1:]
    if not found:
        raise _Unfit
    return [step.replace("~1", "/").replace("~0", "~") for step in found]


def _position(step: str, length: int) -> int:
    if not _INDEX.fullmatch(step):
        raise _Unfit
    index = int(step)
    if not -length <= index < length:
        raise _Unfit
    return index % length


def _step(container: Json, step: str) -> Json:
    """What is at one step; a field that is not there is null."""
    if isinstance(container, list):
        return container[_position(step, len(container))]
    if isinstance(container, dict):
        return container.get(step)
    raise _Unfit


def _found(document: Json, steps: list[str]) -> Json:
    for step in steps:
        document = _step(document, step)
    return document


def _edited(document: Json, steps: list[str], edit: Callable[[Any, str], None]) -> Json:
    """A document in which one container is changed; only those above it are new."""
    if not isinstance(document, dict | list):
        raise _Unfit
    copied: Any = document.copy()
    step = steps[0]
    if len(steps) == 1:
        edit(copied, step)
        return copied
    inner = _edited(_step(document, step), steps[1:], edit)
    copied[_position(step, len(copied)) if isinstance(copied, list) else step] = inner
    return copied


def merge_patch(document: Json, patch: Json) -> Json:
    """Merge a document into another: null removes a field, and lists are replaced.

    Raises:
        Refusal: 400, the patch is not an object.
    """
    if patch is None:
        raise Refusal(400, "Invalid JSON Patch")
    if not isinstance(patch, dict):
        raise _undecodable(patch, "Go value of type map[string]interface {}")
    return _merged(document, patch) if isinstance(document, dict) else _pruned(patch)


def _merged(document: Object, patch: Object) -> Object:
    result = dict(document)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
            continue
        known = result.get(name)
        if not isinstance(known, dict):
            result[name] = _pruned(value)
        else:
            result[name] = _merged(known, value) if isinstance(value, dict) else value
    return result


def _pruned(value: Json) -> Json:
    """A value without the fields that are null."""
    if isinstance(value, dict):
        return {name: _pruned(each) for name, each in value.items() if each is not None}
    return [_pruned(each) for each in value] if isinstance(value, list) else value
