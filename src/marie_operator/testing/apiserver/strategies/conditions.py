"""What may be wrong with conditions of the common form (``metav1.ValidateConditions``)."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from marie_operator.testing.apiserver import names
from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies.base import required
from marie_operator.testing.apiserver.strategies.containers import duplicate, invalid, unsupported

_REASON: Final = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_IS_REASON: Final = (
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric "
    "characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or "
    "'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is "
    "'[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')"
)
_LONGEST_REASON, _LONGEST_MESSAGE = 1024, 32 * 1024


def condition_errors(conditions: Sequence[Object], path: str) -> Iterator[FieldError]:
    """What is wrong with a list of conditions."""
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        at, kind = f"{path}[{index}]", str(condition.get("type") or "")
        if kind in seen:
            yield duplicate(kind, f"{at}.type")
        seen.add(kind)
        yield from _errors(condition, kind, at)


def _errors(condition: Object, kind: str, at: str) -> Iterator[FieldError]:
    for why in names.qualified(kind):
        yield invalid(kind, why, f"{at}.type")
    yield from unsupported(condition.get("status") or "", ("False", "True", "Unknown"), f"{at}.status")
    if (condition.get("observedGeneration") or 0) < 0:
        why = "must be greater than or equal to zero"
        yield invalid(condition["observedGeneration"], why, f"{at}.observedGeneration")
    if not condition.get("lastTransitionTime"):
        yield required(f"{at}.lastTransitionTime")
    reason = str(condition.get("reason") or "")
    if not reason:
        yield required(f"{at}.reason")
    else:
        if not _REASON.fullmatch(reason):
            yield invalid(reason, _IS_REASON, f"{at}.reason")
        if len(reason.encode()) > _LONGEST_REASON:
            yield FieldError.too_long(f"{at}.reason", _LONGEST_REASON)
    if len(str(condition.get("message") or "").encode()) > _LONGEST_MESSAGE:
        yield FieldError.too_long(f"{at}.message", _LONGEST_MESSAGE)
