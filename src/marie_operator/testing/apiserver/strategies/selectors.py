"""What may be wrong with label selectors in objects (``ValidateLabelSelector``)."""

from collections.abc import Iterator

from marie_operator.testing.apiserver import names
from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies.base import forbidden, required
from marie_operator.testing.apiserver.strategies.containers import invalid


def selector_errors(selector: Object | None, path: str) -> Iterator[FieldError]:
    """What is wrong with a label selector."""
    if selector is None:
        return
    yield from names.label_errors(selector.get("matchLabels") or {}, f"{path}.matchLabels")
    for number, each in enumerate(selector.get("matchExpressions") or ()):
        yield from _requirement(each, f"{path}.matchExpressions[{number}]")


def _requirement(requirement: Object, at: str) -> Iterator[FieldError]:
    operator, values = requirement.get("operator"), requirement.get("values") or ()
    if operator in {"In", "NotIn"}:
        if not values:
            yield required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in {"Exists", "DoesNotExist"}:
        if values:
            yield forbidden(f"{at}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    else:
        yield invalid(operator, "not a valid selector operator", f"{at}.operator")
    key = str(requirement.get("key") or "")
    for why in names.qualified(key):
        yield invalid(key, why, f"{at}.key")
    for index, value in enumerate(values):
        for why in names.label_value(value):
            yield invalid(value, why, f"{at}.values[{index}]")


def matches(selector: Object, labels: Object) -> bool:
    """Whether labels are selected."""
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    return all(_matches(each, labels) for each in selector.get("matchExpressions") or ())


def _matches(requirement: Object, labels: Object) -> bool:
    held, values = labels.get(requirement["key"]), requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return held in values
        case "NotIn":
            return held not in values
        case "Exists":
            return held is not None
        case _:
            return held is None
