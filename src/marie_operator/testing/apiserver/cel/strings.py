"""Functions on texts that Kubernetes offers beside those of CEL."""

from typing import Any

from marie_operator.testing.apiserver.cel.functions import function
from marie_operator.testing.apiserver.cel.values import Failure
from marie_operator.testing.apiserver.crd import regexp

_SPACE = " \t\n\v\f\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f"
_SPACES = f"{_SPACE}\u205f\u3000"


def _outside(index: int) -> Failure:
    return Failure(f"index out of range: {index}")


@function("string.charAt(int): string")
def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise _outside(index)
    return text[index : index + 1]


@function("string.indexOf(string): int", "string.indexOf(string, int): int")
def _index_of(text: str, part: str, offset: int = 0) -> int:
    if not part:
        return offset
    if offset < 0:
        raise _outside(offset)
    return text.find(part, offset)


@function("string.lastIndexOf(string): int", "string.lastIndexOf(string, int): int")
def _last_index_of(text: str, part: str, offset: int | None = None) -> int:
    if offset is None:
        return text.rfind(part)
    if not part:
        return offset
    if offset < 0:
        raise _outside(offset)
    return -1 if offset >= len(text) else text.rfind(part, 0, offset + len(part))


@function("string.lowerAscii(): string")
def _lower(text: str) -> str:
    return "".join(char.lower() if char.isascii() else char for char in text)


@function("string.upperAscii(): string")
def _upper(text: str) -> str:
    return "".join(char.upper() if char.isascii() else char for char in text)


@function("string.replace(string, string): string", "string.replace(string, string, int): string")
def _replaced(text: str, old: str, new: str, count: int = -1) -> str:
    return text.replace(old, new, max(count, -1))


@function("string.split(string): list(string)", "string.split(string, int): list(string)")
def _split(text: str, separator: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if not separator:
        if count < 0 or count >= len(text):
            return list(text)
        return [*text[: count - 1], text[count - 1 :]]
    return text.split(separator, count - 1 if count > 0 else -1)


@function("string.substring(int): string", "string.substring(int, int): string")
def _substring(text: str, start: int, end: int | None = None) -> str:
    if end is not None and start > end:
        raise Failure(f"invalid substring range. start: {start}, end: {end}")
    for index in (start, end):
        if index is not None and not 0 <= index <= len(text):
            raise _outside(index)
    return text[start:end]


@function("string.trim(): string")
def _trimmed(text: str) -> str:
    return text.strip(_SPACES)


@function("list(string).join(): string", "list(string).join(string): string")
def _joined(texts: list[Any], separator: str = "") -> str:
    if not all(isinstance(text, str) for text in texts):
        raise Failure("no such overload")
    return separator.join(texts)


@function("string.find(string): string")
def _found(text: str, pattern: str) -> str:
    match = _pattern(pattern).search(text)
    return match[0] if match else ""


@function("string.findAll(string): list(string)", "string.findAll(string, int): list(string)")
def _all_found(text: str, pattern: str, count: int = -1) -> list[str]:
    found = [match[0] for match in _pattern(pattern).finditer(text)]
    return found if count < 0 else found[:count]


def _pattern(pattern: str) -> Any:
    try:
        return regexp.compiled(pattern)
    except regexp.Malformed as error:
        raise Failure(f"Illegal regex: error parsing regexp: {error}") from error
