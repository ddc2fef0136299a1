"""Expressions as they are read, and what is wrong with a text that is none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marie_operator.testing.apiserver.cel.functions import Overload

_MOST_ISSUES = 100
_WIDE = "\uff0e"


@dataclass(frozen=True, slots=True, order=True)
class Issue:
    """Something wrong with a text.

    Attributes:
        at: Where, as the number of characters before it.
        message: What.
    """

    at: int
    message: str


class Malformed(ValueError):  # noqa: N818 - what the text is
    """A text is no expression, or none that can be evaluated.

    Args:
        text: The text.
        issues: What is wrong, in any order.
    """

    def __init__(self, text: str, issues: Iterable[Issue]) -> None:
        found = sorted(issues, key=lambda issue: issue.at)[:_MOST_ISSUES]
        super().__init__("\n".join(_told(text, issue) for issue in found))


def _told(text: str, issue: Issue) -> str:
    before = text[: issue.at]
    line, column = before.count("\n"), issue.at - (before.rfind("\n") + 1)
    shown = text.split("\n")[line].replace("\t", " ")
    dots = "".join(_WIDE if ord(char) > 0xFF else "." for char in shown[:column])
    return f"ERROR: <input>:{line + 1}:{column + 1}: {issue.message}\n | {shown}\n | {dots}^"


@dataclass(slots=True, eq=False)
class Expression:
    """Any expression.

    Attributes:
        at: Where it is told to be when something is wrong with it.
    """

    at: int


@dataclass(slots=True, eq=False)
class Literal(Expression):
    """A constant."""

    value: Any


@dataclass(slots=True, eq=False)
class Identifier(Expression):
    """A variable, or a type."""

    name: str


@dataclass(slots=True, eq=False)
class Select(Expression):
    """A field.

    Attributes:
        operand: Of what.
        name: Which.
        test: Whether it is only asked for, by ``has()``.
        optional: Whether it may be absent (``.?``).
    """

    operand: Expression
    name: str
    test: bool = False
    optional: bool = False


@dataclass(slots=True, eq=False)
class Call(Expression):
    """A function or an operator.

    Attributes:
        function: Its name; operators are named like ``_+_``.
        target: Of a function that is called on something; None for others.
        arguments: Its arguments.
        overloads: The forms of the function that the types allow; told by the check.
        exact: Whether the types leave no doubt about the form.
        folded: Whether its value is known beforehand.
    """

    function: str
    target: Expression | None
    arguments: Sequence[Expression]
    overloads: "Sequence[Overload]" = field(default_factory=tuple)
    exact: bool = False
    folded: bool = False


@dataclass(slots=True, eq=False)
class ListOf(Expression):
    """A list; of an element behind ``?``, what an optional value holds."""

    elements: Sequence[tuple[Expression, bool]]


@dataclass(slots=True, eq=False)
class MapOf(Expression):
    """A map: keys, values, and whether a value is an optional one."""

    entries: Sequence[tuple[Expression, Expression, bool]]


@dataclass(slots=True, eq=False)
class Message(Expression):
    """An object of a named type, of which Kubernetes has none."""

    name: str


@dataclass(slots=True, eq=False)
class Fold(Expression):
    """A macro over the elements of a list, the keys of a map, or what an optional value holds.

    Attributes:
        macro: ``all``, ``exists``, ``exists_one``, ``map``, ``filter``, ``sortBy``, ``optMap``, ``optFlatMap``,
            ``transformList``, ``transformMap``, ``transformMapEntry``.
        over: What it goes over.
        variables: One, or two: index and element, or key and value.
        condition: Of elements that count; None for all.
        body: What is asked of each, or made of it.
    """

    macro: str
    over: Expression
    variables: Sequence[str]
    condition: Expression | None
    body: Expression
