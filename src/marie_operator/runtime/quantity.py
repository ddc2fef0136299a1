"""Quantities, exactly: read in every form the API takes, written in the one form the API server stores."""

import functools
import re
from decimal import ROUND_UP, Context, Decimal

EXACT = Context(prec=256)
"""Arithmetic that never rounds: Python's default context keeps 28 digits, and an exbibyte in billionths has 28."""

_FORM = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])|[eE]([+-]?[0-9]{1,2}))?")
_LONGEST = 64
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BY_EXPONENT = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_NANO = Decimal("1e-9")
MILLI = Decimal("1e-3")
_MOST_BINARY = Decimal(2**63 - 1)


def parse(text: str | float) -> Decimal:
    """The value of a quantity such as ``500m``, ``1.5Gi`` or ``1e3``.

    As the API server does, it rounds what is finer than a billionth away from zero, and caps what has a binary suffix.

    Raises:
        ValueError: the text is no quantity.
    """
    return _read(str(text))[0]


@functools.lru_cache(maxsize=1024)
def _read(text: str) -> tuple[Decimal, str, str]:
    """Value, suffix and exponent as written."""
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(f"{text!r} is not a quantity; write a number with an optional suffix, such as 500m or 2Gi")
    number, suffix, exponent = match.group(1), match.group(2) or "", match.group(3) or ""
    if suffix in _BINARY:
        value = EXACT.multiply(Decimal(number), Decimal(1024 ** _BINARY[suffix]))
        value = min(max(value, -_MOST_BINARY), _MOST_BINARY)
    else:
        value = Decimal(number).scaleb(int(exponent) if exponent else _DECIMAL[suffix], EXACT)
    return value.quantize(_NANO, ROUND_UP, EXACT), suffix, exponent


@functools.lru_cache(maxsize=1024)
def canonical(text: str | float, *, finest: Decimal = _NANO) -> str:
    """The quantity as the API server writes it: no fraction, the largest suffix of its own family.

    ``0.5`` becomes ``500m``, ``1024Mi`` becomes ``1Gi``, ``1000e3`` becomes ``1e6``. What is no quantity stays as it
    is: the API server refuses it with a sentence that names the field.

    Args:
        text: A quantity.
        finest: What is finer is rounded away from zero; the API server keeps a container's resources to ``MILLI``.
    """
    try:
        value, suffix, exponent = _read(str(text))
    except ValueError:
        return str(text)
    value = value.quantize(finest, ROUND_UP, EXACT)
    if suffix in _BINARY and value == value.to_integral_value() and abs(value) >= 1024:
        return _binary(int(value))
    return _scaled(value, exponential=bool(exponent))


def formatted(value: Decimal, *, binary: bool = False) -> str:
    """A value as a quantity: ``binary`` prefers Ki, Mi, Gi where they are exact."""
    whole = value == value.to_integral_value() and abs(value) <= _MOST_BINARY
    if binary and whole and value and int(value) % 1024 == 0:
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
    exponent = -9
    number = int(value.scaleb(9, EXACT))
    while number % 1000 == 0 and (exponential or exponent < 18):
        number //= 1000
        exponent += 3
    if exponential:
        return f"{number}e{exponent}" if exponent else str(number)
    return f"{number}{_BY_EXPONENT[exponent]}"
