"""Quantities, exactly: read in every form the API takes, written in the one form the API server stores."""

import re
from decimal import ROUND_CEILING, Decimal

_FORM = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(?:(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])|[eE]([+-]?\d+))?$")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BY_EXPONENT = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_NANO = Decimal("1e-9")


def parse(text: str | float) -> Decimal:
    """The value of a quantity such as ``500m``, ``1.5Gi`` or ``1e3``.

    Raises:
        ValueError: the text is no quantity.
    """
    match = _FORM.match(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a quantity; write a number with an optional suffix, such as 500m or 2Gi")
    number, suffix, exponent = match.groups()
    if exponent is not None:
        return Decimal(number).scaleb(int(exponent))
    if suffix in _BINARY:
        return Decimal(number) * Decimal(1024) ** _BINARY[suffix]
    return Decimal(number).scaleb(_DECIMAL[suffix or ""])


def canonical(text: str | float) -> str:
    """The quantity as the API server writes it: no fraction, the largest suffix of its own family.

    ``0.5`` becomes ``500m``, ``1024Mi`` becomes ``1Gi``, ``1e3`` becomes ``1e3``.
    """
    match = _FORM.match(str(text))
    value = parse(text)
    suffix, exponent = (match.group(2), match.group(3)) if match else (None, None)
    if suffix in _BINARY and value == value.to_integral_value() and abs(value) >= 1024:
        return _binary(int(value))
    return _scaled(value, exponential=exponent is not None)


def formatted(value: Decimal, *, binary: bool = False) -> str:
    """A value as a quantity: ``binary`` prefers Ki, Mi, Gi where they are exact."""
    if binary and value == value.to_integral_value() and value and int(value) % 1024 == 0:
        return _binary(int(value))
    return _scaled(value, exponential=False)


def _binary(value: int) -> str:
    power = 0
    while value and value % 1024 == 0 and power < 6:
        value //= 1024
        power += 1
    suffix = next((name for name, exponent in _BINARY.items() if exponent == power), "")
    return f"{value}{suffix}"


def _scaled(value: Decimal, *, exponential: bool) -> str:
    if not value:
        return "0"
    whole = value.quantize(_NANO, rounding=ROUND_CEILING) if value % _NANO else value
    exponent = -9
    number = whole.scaleb(9)
    while exponent < 18 and number % 1000 == 0:
        number /= 1000
        exponent += 3
    digits = format(number.to_integral_value(), "f")
    if exponential:
        return f"{digits}e{exponent}" if exponent else digits
    return f"{digits}{_BY_EXPONENT[exponent]}"
