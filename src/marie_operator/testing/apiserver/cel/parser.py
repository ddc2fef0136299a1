"""Reads CEL, macros included."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from marie_operator.testing.apiserver.cel import tokens as words
from marie_operator.testing.apiserver.cel.expressions import (
    Call,
    Expression,
    Fold,
    Identifier,
    Issue,
    ListOf,
    Literal,
    Malformed,
    MapOf,
    Message,
    Select,
)
from marie_operator.testing.apiserver.cel.values import INT_MAX, INT_MIN, UINT_MAX, Uint

_EXPECTED = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)
_LEVELS: Final = (("||",), ("&&",), ("<", "<=", ">=", ">", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))
_MACROS: Final = {
    **{(name, 2): name for name in ("all", "exists", "exists_one", "map", "filter", "sortBy", "optMap", "optFlatMap")},
    ("map", 3): "map",
    ("all", 3): "all",
    ("exists", 3): "exists",
    ("exists_one", 3): "exists_one",
    ("existsOne", 3): "exists_one",
    **{(name, count): name for name in ("transformList", "transformMap", "transformMapEntry") for count in (3, 4)},
}
_TWO_VARIABLES = frozenset(
    [("all", 3), ("exists", 3), ("exists_one", 3), ("existsOne", 3)]
    + [(name, count) for name in ("transformList", "transformMap", "transformMapEntry") for count in (3, 4)]
)
_LITERALS = {"true": True, "false": False, "null": None}
_FIRST = frozenset(
    ["[", "{", "(", ".", "-", "!", *_LITERALS, "NUM_FLOAT", "NUM_INT", "NUM_UINT", "STRING", "BYTES", "IDENTIFIER"]
)


class _Stop(Exception):  # noqa: N818 - nothing more can be read
    pass


def parsed(text: str) -> Expression:
    """The expression that a text is.

    Raises:
        Malformed: it is none.
    """
    reader = _Parser(text)
    try:
        found = reader.expression()
        reader.end()
    except _Stop:
        found = None
    if reader.issues or found is None:
        raise Malformed(text, reader.issues)
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self.issues: list[Issue] = []
        self._tokens = list(words.tokens(text, self.issues))
        self._next = 0

    # Words.

    @property
    def _token(self) -> words.Token:
        return self._tokens[self._next]

    def _take(self, *kinds: str) -> words.Token | None:
        token = self._token
        if token.kind not in kinds:
            return None
        self._next += 1
        return token

    def _expect(self, kind: str) -> words.Token:
        found = self._take(kind)
        if found is None:
            shown = f"'{kind}'" if not kind.isupper() else kind
            raise self._stop(f"missing {shown} at '{self._token.text}'")
        return found

    def _stop(self, message: str) -> _Stop:
        self._tell(self._token.at, f"Syntax error: {message}")
        return _Stop()

    def _tell(self, at: int, message: str) -> None:
        self.issues.append(Issue(at, message))

    def end(self) -> None:
        """See that nothing follows."""
        if self._token.kind != words.END:
            verb = "extraneous" if self._token.kind in {")", "]", "}", ":", ","} else "mismatched"
            raise self._stop(f"{verb} input '{self._token.text}' expecting <EOF>")

    # Operators.

    def expression(self) -> Expression:
        """The next expression."""
        condition = self._binary(0)
        question = self._take("?")
        if question is None:
            return condition
        then = self._binary(0)
        self._expect(":")
        return Call(question.at, "_?_:_", None, (condition, then, self.expression()))

    def _binary(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while (token := self._take(*_LEVELS[level])) is not None:
            name = "@in" if token.kind == "in" else f"_{token.kind}_"
            left = Call(token.at, name, None, (left, self._binary(level + 1)))
        return left

    def _unary(self) -> Expression:
        first, count = self._token, 0
        while self._token.kind == first.kind and first.kind in {"!", "-"} and not self._negative():
            self._next += 1
            count += 1
        operand = self._members(self._primary())
        # Two in a row mean nothing.
        return Call(first.at, f"{first.kind}_", None, (operand,)) if count % 2 else operand

    def _negative(self) -> bool:
        """Whether a number below zero comes next."""
        return self._token.kind == "-" and self._tokens[self._next + 1].kind in {"NUM_INT", "NUM_FLOAT"}

    def _taken(self) -> words.Token:
        self._next += 1
        return self._tokens[self._next - 1]

    # Members.

    def _members(self, found: Expression) -> Expression:
        while True:
            if dot := self._take("."):
                found = self._member(found, dot)
            elif bracket := self._take("["):
                optional = self._take("?") is not None
                index = self.expression()
                self._expect("]")
                found = Call(bracket.at, "_[?_]" if optional else "_[_]", None, (found, index))
            else:
                return found

    def _member(self, operand: Expression, dot: words.Token) -> Expression:
        optional = self._take("?") is not None
        escaped = self._take("ESC_IDENTIFIER")
        token = escaped or self._take("IDENTIFIER", "in")
        if token is None:
            if self._token.kind in _LITERALS:
                raise self._stop(f"mismatched input '{self._token.text}' expecting IDENTIFIER")
            raise self._stop(f"no viable alternative at input '.{self._token.text}'")
        if escaped:
            self._tell(escaped.at, "unsupported syntax: '`'")
        if token.kind == "in":
            self._tell(token.at, "Syntax error: no viable alternative at input '.in'")
        name = token.text.strip("`")
        opened = None if escaped or optional else self._take("(")
        if opened is None:
            return Select(dot.at, operand, name, optional=optional)
        arguments = self._arguments(")")
        return self._macro(name, operand, arguments, opened.at) or Call(opened.at, name, operand, arguments)

    def _arguments(self, closing: str) -> Sequence[Expression]:
        found: list[Expression] = []
        if self._take(closing):
            return found
        found.append(self.expression())
        while self._take(","):
            found.append(self.expression())
        self._expect(closing)
        return found

    def _macro(self, name: str, target: Expression, arguments: Sequence[Expression], at: int) -> Expression | None:
        signature = (name, len(arguments))
        if signature not in _MACROS:
            return None
        count = 2 if signature in _TWO_VARIABLES else 1
        variables = []
        for argument in arguments[:count]:
            if not isinstance(argument, Identifier):
                self._tell(
                    argument.at, "argument must be a simple name" if count == 1 else "argument is not an identifier"
                )
                return Literal(at, None)
            variables.append(argument.name)
        if len(set(variables)) < count:
            self._tell(arguments[1].at, f"duplicate variable name: {variables[0]}")
        rest = arguments[count:]
        return Fold(at, _MACROS[signature], target, variables, rest[0] if len(rest) > 1 else None, rest[-1])

    # Primaries.

    def _primary(self) -> Expression:
        token = self._token
        read: Callable[[words.Token], Expression] | None = {
            "(": self._nested,
            "[": self._list,
            "{": self._map,
            ".": self._rooted,
            "IDENTIFIER": self._named,
            "NUM_INT": self._number,
            "NUM_UINT": self._number,
            "NUM_FLOAT": self._number,
            "STRING": self._text,
            "BYTES": self._text,
        }.get(token.kind)
        if token.kind in _LITERALS:
            return Literal(self._taken().at, _LITERALS[token.kind])
        if self._negative():
            minus = self._taken()
            return self._number(self._taken(), sign=-1, at=minus.at)
        if read is not None:
            return read(self._taken())
        if token.kind != words.END and self._tokens[self._next + 1].kind in _FIRST:
            # What stands in the way of an expression is told, and left out.
            self._tell(token.at, f"Syntax error: extraneous input '{token.text}' expecting {_EXPECTED}")
            self._next += 1
            return self._primary()
        raise self._stop(f"mismatched input '{token.text}' expecting {_EXPECTED}")

    def _nested(self, _: words.Token) -> Expression:
        found = self.expression()
        self._expect(")")
        return found

    def _rooted(self, _: words.Token) -> Expression:
        return self._named(self._expect("IDENTIFIER"))

    def _named(self, token: words.Token) -> Expression:
        if token.text in words.RESERVED:
            self._tell(token.at, f"reserved identifier: {token.text}")
        if opened := self._take("("):
            arguments = self._arguments(")")
            if (token.text, len(arguments)) == ("has", 1):
                return self._has(arguments[0], opened.at)
            return Call(opened.at, token.text, None, arguments)
        if message := self._message(token.text):
            return message
        return Identifier(token.at, token.text)

    def _has(self, asked: Expression, at: int) -> Expression:
        if not isinstance(asked, Select) or asked.optional:
            self._tell(asked.at, "invalid argument to has() macro")
            return asked
        return Select(at, asked.operand, asked.name, test=True)

    def _message(self, name: str) -> Expression | None:
        """An object of a named type; None when another expression begins with the name."""
        start = self._next
        while self._take("."):
            part = self._take("IDENTIFIER")
            if part is None:
                break
            name = f"{name}.{part.text}"
        opened = self._take("{")
        if opened is None:
            self._next = start
            return None
        while not self._take("}"):
            self._take("?")
            if not self._take("IDENTIFIER", "ESC_IDENTIFIER"):
                raise self._stop(f"extraneous input '{self._token.text}' expecting {{'}}', ','}}")
            self._expect(":")
            self.expression()
            if not self._take(","):
                self._expect("}")
                break
        return Message(opened.at, name)

    def _list(self, token: words.Token) -> Expression:
        found: list[tuple[Expression, bool]] = []
        while not self._take("]"):
            if not found and self._take(","):
                self._expect("]")
                break
            optional = self._take("?") is not None
            found.append((self.expression(), optional))
            if not self._take(","):
                self._expect("]")
                break
        return ListOf(token.at, found)

    def _map(self, token: words.Token) -> Expression:
        found: list[tuple[Expression, Expression, bool]] = []
        while not self._take("}"):
            if not found and self._take(","):
                self._expect("}")
                break
            optional = self._take("?") is not None
            key = self.expression()
            self._expect(":")
            found.append((key, self.expression(), optional))
            if not self._take(","):
                self._expect("}")
                break
        return MapOf(token.at, found)

    def _text(self, token: words.Token) -> Expression:
        try:
            value = words.string(token.text) if token.kind == "STRING" else words.octets(token.text)
        except ValueError as error:
            self._tell(token.at, str(error))
            value = ""
        return Literal(token.at, value)

    def _number(self, token: words.Token, *, sign: int = 1, at: int | None = None) -> Expression:
        at = token.at if at is None else at
        if token.kind == "NUM_FLOAT":
            number = sign * float(token.text)
            if math.isinf(number):
                self._tell(at, "invalid double literal")
            return Literal(at, number)
        text = token.text.rstrip("uU")
        value = sign * int(text, 16 if text.startswith("0x") else 10)
        if token.kind == "NUM_UINT":
            if value > UINT_MAX:
                self._tell(at, "invalid uint literal")
            return Literal(at, Uint(value))
        if not INT_MIN <= value <= INT_MAX:
            self._tell(at, "invalid int literal")
        return Literal(at, value)
