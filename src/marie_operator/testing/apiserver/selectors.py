"""Label and field selectors, as apimachinery reads them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from marie_operator.testing.apiserver.errors import Refusal

Labels = Mapping[str, str]
Fields = Mapping[str, str]

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_TOKEN = re.compile(r"\s*(==|!=|[=<>!(),]|[^\s=<>!(),]+)")
_SYMBOLS = frozenset(("", "==", "!=", *"=<>!(),"))
_QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Labels) -> bool:
        """Whether labels meet it."""
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "in" | "=":
                return value in self.values
            case "notin" | "!=":
                return value not in self.values
            case _:
                return value is not None and _compares(value, self.operator, next(iter(self.values)))


def _compares(value: str, operator: str, bound: str) -> bool:
    try:
        return int(value) > int(bound) if operator == "gt" else int(value) < int(bound)
    except ValueError:
        return False


def label_selector(text: str) -> tuple[Requirement, ...]:
    """The requirements of ``a=b,c in (d, e),!f``; none for an empty selector.

    Raises:
        Refusal: 400, it cannot be read.
    """
    if not text.strip():
        return ()
    return _Reader(text).requirements()


def matches(requirements: tuple[Requirement, ...], labels: Labels) -> bool:
    """Whether labels meet all requirements."""
    return all(each.matches(labels) for each in requirements)


class _Reader:
    """Reads one label selector."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _TOKEN.findall(text.strip())
        self._at = 0

    def requirements(self) -> tuple[Requirement, ...]:
        found = [self._requirement()]
        while self._peek():
            if self._peek() != ",":
                raise Refusal(400, f"found '{self._peek()}', expected: ',' or 'end of string'")
            self._take()
            if self._peek() in {"", ","}:
                raise Refusal(400, f"found '{self._peek()}', expected: identifier after ','")
            found.append(self._requirement())
        return tuple(found)

    def _requirement(self) -> Requirement:
        if self._peek() == "!":
            self._take()
            if self._peek() in _SYMBOLS:
                raise self._unreadable(f"found '{self._peek()}', expected: identifier")
            return Requirement(self._key(), "!")
        key = self._key()
        operator = self._peek()
        if operator in {"", ","}:
            return Requirement(key, "exists")
        self._take()
        match operator:
            case "=" | "==":
                return Requirement(key, "=", frozenset({self._value()}))
            case "!=":
                return Requirement(key, "!=", frozenset({self._value()}))
            case "in" | "notin":
                return Requirement(key, operator, self._values())
            case ">" | "<":
                return Requirement(key, "gt" if operator == ">" else "lt", frozenset({self._number()}))
            case _:
                raise self._unreadable(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")

    def _key(self) -> str:
        key = self._take()
        if key in _SYMBOLS:
            raise Refusal(400, f"found '{key}', expected: !, identifier, or 'end of string'")
        prefix, _, name = key.rpartition("/")
        if "/" in prefix:
            raise self._unreadable(f'<nil>: Invalid value: "{key}": a valid label key must have at most one "/"')
        if not _NAME.fullmatch(name) or len(name) > 63 or (prefix and not _PREFIX.fullmatch(prefix)):
            raise self._unreadable(f'<nil>: Invalid value: "{key}": {_QUALIFIED}')
        return key

    def _value(self) -> str:
        if self._peek() in {"", ","}:
            return ""
        if self._peek() in _SYMBOLS:
            raise self._unreadable(f"found '{self._peek()}', expected: identifier")
        return self._checked(self._take())

    def _number(self) -> str:
        value = self._take()
        if not re.fullmatch(r"[-+]?\d+", value):
            raise self._unreadable(
                f"values[0]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer"
            )
        return value

    def _values(self) -> frozenset[str]:
        if self._take() != "(":
            raise self._unreadable(f"found '{self._last()}' expected: '('")
        values: set[str] = set()
        expect_value = True
        while (found := self._take()) != ")":
            if not found:
                raise self._unreadable("found '', expected: ',' or ')'")
            if found == ",":
                if expect_value:
                    values.add("")
                expect_value = True
            else:
                values.add(self._checked(found))
                expect_value = False
        return frozenset(values or {""})

    def _checked(self, value: str) -> str:
        if value in set("=<>!(") or not re.fullmatch(rf"({_NAME.pattern})?", value) or len(value) > 63:
            raise self._unreadable(f'values[0]: Invalid value: "{value}": {_VALUE}')
        return value

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _last(self) -> str:
        return self._tokens[self._at - 1] if 0 < self._at <= len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return str(token)

    def _unreadable(self, why: str) -> Refusal:
        return Refusal(400, f"unable to parse requirement: {why}")


def field_selector(text: str, supported: Callable[[str], bool], unknown: str) -> tuple[tuple[str, bool, str], ...]:
    """The terms of ``a=b,c!=d``: field, whether it must be equal, value.

    Args:
        text: The selector.
        supported: Whether a kind has a field to select by.
        unknown: What to say of a ``{field}`` that it has not.

    Raises:
        Refusal: 400, it cannot be read, or names a field that cannot be selected by.
    """
    terms = []
    for term in filter(None, text.split(",")):
        found = re.fullmatch(r"(.*?)(!=|==|=)(.*)", term)
        if found is None:
            raise Refusal(400, f"invalid selector: '{text}'; can't understand '{term}'")
        field, operator, value = found.groups()
        if not supported(field):
            raise Refusal(400, unknown.format(field=field))
        terms.append((field, operator != "!=", value))
    return tuple(terms)
