"""Paths of fields as rules and selectable fields write them: ``.a['b'].c``."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Node = Mapping[str, Any]

_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|[.\[\]]|[^.\[\]']+")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}


class Wrong(ValueError):  # noqa: N818 - what the path is
    """It leads nowhere, or is no path."""


def resolved(path: str, node: Node, *, brackets: bool = True) -> tuple[str, Node]:
    """The path as messages write it, without its first dot, and the schema of what is there.

    Args:
        path: As it is written.
        node: The schema that it starts from.
        brackets: Whether ``['name']`` may be in it.

    Raises:
        Wrong: the schema has no such field.
    """
    tokens = iter(_TOKEN.findall(path))
    shown = ""
    for part in tokens:
        if part == ".":
            name = _taken(tokens)
        elif part == "[":
            if not brackets:
                raise Wrong("array notation is not allowed")
            name = _unquoted(_taken(tokens))
        else:
            raise Wrong(f"expected [ or . but got: {part}")
        if node.get("properties"):
            if name not in node["properties"]:
                raise Wrong("does not refer to a valid field")
            shown, node = f"{shown}.{name}", node["properties"][name]
        elif isinstance(node.get("additionalProperties"), Mapping):
            shown, node = f"{shown}[{name}]", node["additionalProperties"]
        else:
            raise Wrong("does not refer to a valid field")
        if part == "[" and (end := _taken(tokens)) != "]":
            raise Wrong(f"expected ] but got {end}")
    return shown.removeprefix("."), node


def _taken(tokens: Iterator[str]) -> str:
    token = next(tokens, None)
    if token is None:
        raise Wrong("unexpected end of JSON path")
    return token


def _unquoted(token: str) -> str:
    if len(token) < 2 or not (token.startswith("'") and token.endswith("'")):
        raise Wrong(f"expected single quoted string but got {token}")

    def replaced(found: re.Match[str]) -> str:
        if found[1] not in _ESCAPES:
            raise Wrong(f"invalid string literal: invalid escape char {found[0]}")
        return _ESCAPES[found[1]]

    return _ESCAPE.sub(replaced, token[1:-1])
