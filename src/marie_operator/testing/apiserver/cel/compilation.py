"""Rules of definitions, compiled: what they evaluate, and why they cannot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marie_operator.testing.apiserver.cel import types
from marie_operator.testing.apiserver.cel.checker import checked
from marie_operator.testing.apiserver.cel.evaluation import Program, program
from marie_operator.testing.apiserver.cel.expressions import Malformed
from marie_operator.testing.apiserver.cel.parser import parsed
from marie_operator.testing.apiserver.cel.types import Type
from marie_operator.testing.apiserver.cel.values import Failure

_OLD = "oldSelf"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule.

    Attributes:
        program: What it asks; None when it cannot be asked.
        error: Why not; empty when it can.
        message: What makes its message; None when nothing does.
        message_error: Why that cannot be; empty when it can.
        uses_old: Whether it compares with what was before.
    """

    program: Program | None = None
    error: str = ""
    message: Program | None = None
    message_error: str = ""
    uses_old: bool = False


def compiled(rule: Mapping[str, Any], declared: Type) -> Compiled:
    """A rule over a value.

    Args:
        rule: As the definition says it.
        declared: The value's type.
    """
    old = types.optional_of(declared) if rule.get("optionalOldSelf") else declared
    variables = {"self": declared, _OLD: old}
    try:
        asked, used = _compiled(rule["rule"], variables, types.BOOL)
    except Malformed as error:
        return Compiled(error=f"compilation failed: {error}")
    except Failure as failure:
        return Compiled(error=f"program instantiation failed: {failure}")
    if asked is None:
        return Compiled(error="cel expression must evaluate to a bool")
    message, message_error = None, ""
    if expression := rule.get("messageExpression"):
        try:
            message, _ = _compiled(expression, variables, types.STRING)
            message_error = "" if message else "messageExpression must evaluate to a string"
        except Malformed as error:
            message_error = f"messageExpression compilation failed: {error}"
        except Failure as failure:
            message_error = f"messageExpression instantiation failed: {failure}"
    return Compiled(asked, "", message, message_error, uses_old=_OLD in used)


def _compiled(text: str, variables: Mapping[str, Type], wanted: Type) -> tuple[Program | None, frozenset[str]]:
    expression = parsed(text)
    found = checked(expression, variables, text)
    return (program(expression) if found.type == wanted else None), found.used
