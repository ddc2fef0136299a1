"""Quantities in their canonical form (``resource.Quantity``)."""

import re
from decimal import ROUND_UP, Decimal, InvalidOperation
from functools import lru_cache

_FORM = re.compile(r"([+-]?\d*\.?\d*)([eE][+-]?\d+|Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])?")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
MALFORMED = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


class QuantityError(ValueError):
    """A text is no quantity."""


@lru_cache(maxsize=4096, typed=True)
def parse(text: str | float) -> tuple[Decimal, str]:
    """A quantity's value, and its kind of suffix: ``binary``, ``exponent`` or ``decimal``.

    Raises:
        QuantityError: it is none.
    """
    found = _FORM.fullmatch(str(text))
    try:
        number = Decimal(found[1]) if found else None
    except InvalidOperation:
        number = None
    if found is None or number is None:
        raise QuantityError(MALFORMED)
    suffix = found[2] or ""
    if suffix in _BINARY:
        return number * 1024 ** _BINARY[suffix], "binary"
    if suffix[:1] in {"e", "E"} and len(suffix) > 1:
        return number.scaleb(int(suffix[1:])), "exponent"
    return number.scaleb(_DECIMAL[suffix]), "decimal"


@lru_cache(maxsize=4096, typed=True)
def canonical(text: str | float, finest: int = -9) -> str:
    """The form that a server stores: the largest suffix that needs no fraction.

    Args:
        text: A quantity.
        finest: The power of ten to which it is rounded up; amounts of resources are counted in thousandths.

    Raises:
        QuantityError: it is no quantity.
    """
    value, kind = parse(text)
    value = value.quantize(Decimal(1).scaleb(finest), rounding=ROUND_UP)
    if kind == "binary" and value == value.to_integral_value() and abs(value) >= 1024:
        number, power = int(value), 0
        while number % 1024 == 0 and power < len(_BINARY) and number:
            number, power = number // 1024, power + 1
        return f"{number}{['', *_BINARY][power]}"
    scales = {power: name for name, power in _DECIMAL.items()}
    for power in sorted(scales, reverse=True):
        scaled = value.scaleb(-power)
        if scaled == scaled.to_integral_value():
            number = int(scaled)
            if not number:
                return "0"
            suffix = scales[power]
            return f"{number}e{power}" if kind == "exponent" and power else f"{number}{suffix}"
    return str(text)
