"""The words of CEL."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from marie_operator.testing.apiserver.cel.expressions import Issue

RESERVED = frozenset(
    [
        *("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package"),
        *("namespace", "return", "var", "void", "while"),
    ]
)
_ESCAPE = r"\\[abfnrtv\"'\\?`]|\\[0-3][0-7]{2}|\\[xX][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}"
_STRING = "|".join(
    [
        *(rf"[rR]{quote * 3}[\s\S]*?{quote * 3}" for quote in "\"'"),
        *(rf"[rR]{quote}[^{quote}\n\r]*{quote}" for quote in "\"'"),
        *(rf"{quote * 3}(?:{_ESCAPE}|[^\\])*?{quote * 3}" for quote in "\"'"),
        *(rf"{quote}(?:{_ESCAPE}|[^\\{quote}\n\r])*{quote}" for quote in "\"'"),
    ]
)
_TOKEN = re.compile(
    rf"""
    (?P<skip>[\t\ \r\n\f]+|//[^\n]*)
    |(?P<BYTES>[bB](?:{_STRING.replace(" ", chr(92) + " ")}))
    |(?P<STRING>{_STRING})
    |(?P<NUM_FLOAT>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<NUM_UINT>(?:0x[0-9a-fA-F]+|\d+)[uU])
    |(?P<NUM_INT>0x[0-9a-fA-F]+|\d+)
    |(?P<IDENTIFIER>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<ESC_IDENTIFIER>`[A-Za-z0-9_.\-/\ ]+`)
    |(?P<symbol>==|!=|<=|>=|&&|\|\||[<>\[\]{{}}().,\-!?:+*/%])
    """,
    re.VERBOSE,
)
_WORDS = frozenset({"true", "false", "null", "in"})
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPES = re.compile(_ESCAPE)


@dataclass(frozen=True, slots=True)
class Token:
    """One word.

    Attributes:
        kind: ``STRING``, ``NUM_INT``, ``IDENTIFIER`` …; of symbols and words of the language, the text itself.
        text: As it is written.
        at: How many characters are before it.
    """

    kind: str
    text: str
    at: int


END = "<EOF>"


def tokens(text: str, issues: list[Issue]) -> Iterator[Token]:
    """The words of a text and its end; what is no word is told and left out."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            bad = text[at:] if text[at] in "\"'" else text[at]
            issues.append(Issue(at, f"Syntax error: token recognition error at: '{bad}'"))
            at += len(bad)
            continue
        kind = str(found.lastgroup)
        if kind != "skip":
            plain = kind == "symbol" or found[0] in _WORDS
            yield Token(found[0] if plain else kind, found[0], at)
        at = found.end()
    yield Token(END, END, len(text))


def string(token: str) -> str:
    """What a text in quotes says.

    Raises:
        ValueError: it names a character that there is not.
    """
    raw, body = _body(token)
    return body if raw else _ESCAPES.sub(_character, body)


def octets(token: str) -> bytes:
    """What bytes in quotes say: escapes by numbers are bytes, the rest is UTF-8."""
    raw, body = _body(token[1:])
    if raw:
        return body.encode()
    parts, last = [], 0
    for found in _ESCAPES.finditer(body):
        parts.append(body[last : found.start()].encode())
        code = found[0][1:]
        by_number = code[0] in "xX" or code[0].isdigit()
        value = _character(found)
        parts.append(bytes([ord(value)]) if by_number else value.encode())
        last = found.end()
    return b"".join([*parts, body[last:].encode()])


def _body(token: str) -> tuple[bool, str]:
    raw = token[0] in "rR"
    token = token[raw:]
    size = 3 if token[:3] in {'"""', "'''"} and len(token) >= 6 else 1
    return raw, token[size:-size].replace("\r\n", "\n").replace("\r", "\n")


def _character(found: re.Match[str]) -> str:
    code = found[0][1:]
    if code[0] in "xXuU":
        return chr(int(code[1:], 16))
    if code[0].isdigit():
        return chr(int(code, 8))
    return _SIMPLE.get(code, code)
