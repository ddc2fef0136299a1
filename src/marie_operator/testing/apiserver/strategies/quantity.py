"""Quantities in their canonical form (``resource.Quantity``)."""

import re
from decimal import ROUND_UP, Context, Decimal, InvalidOperation
from functools import lru_cache

_FORM = re.compile(r"([+-]?[0-9]*\.?[0-9]*)([eE][+-]?[0-9]{1,3}|Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])?")
_EXACT = Context(prec=4096)
"""Never rounds: the exponents of ``_FORM`` and the longest number that is read are far within it."""
_LONGEST = 512
_FAST = 18
"""Digits that a server calculates with as a machine's integer."""
_MOST_BINARY = Decimal(2**63 - 1)
_FINEST = Decimal("1e-9")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BY_EXPONENT = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
MALFORMED = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


class QuantityError(ValueError):
    """A text is no quantity."""


@lru_cache(maxsize=4096, typed=True)
def parse(text: str | float) -> tuple[Decimal, str]:
    """A quantity's value, and its kind of suffix: ``binary``, ``exponent`` or ``decimal``.

    What is finer than a billionth is rounded away from zero, and what has a binary suffix is at most 2^63-1.

    Raises:
        QuantityError: it is none.
    """
    written = str(text)
    found = _FORM.fullmatch(written) if len(written) <= _LONGEST else None
    try:
        number = Decimal(found[1]) if found else None
    except InvalidOperation:
        number = None
    if found is None or number is None:
        raise QuantityError(MALFORMED)
    suffix = found[2] or ""
    if suffix in _BINARY:
        value = _EXACT.multiply(number, Decimal(1024 ** _BINARY[suffix]))
        kind, value = "binary", min(max(value, -_MOST_BINARY), _MOST_BINARY)
    elif suffix[:1] in {"e", "E"} and len(suffix) > 1:
        kind, value = "exponent", number.scaleb(int(suffix[1:]), _EXACT)
    else:
        kind, value = "decimal", number.scaleb(_DECIMAL[suffix], _EXACT)
    return value.quantize(_FINEST, ROUND_UP, _EXACT), kind


@lru_cache(maxsize=4096, typed=True)
def canonical(text: str | float, finest: int = -9) -> str:
    """The form that a server stores: the largest suffix that needs no fraction, or as written what is nearly that.

    Args:
        text: A quantity.
        finest: The power of ten to which it is rounded up; amounts of resources are counted in thousandths.

    Raises:
        QuantityError: it is no quantity.
    """
    value, kind = parse(text)
    if _is_kept(str(text), finest):
        return str(text)
    value = value.quantize(Decimal(1).scaleb(finest), ROUND_UP, _EXACT)
    if kind == "binary" and value == value.to_integral_value() and abs(value) >= 1024:
        number, power = int(value), 0
        while number % 1024 == 0 and power < len(_BINARY) and number:
            number, power = number // 1024, power + 1
        return f"{number}{['', *_BINARY][power]}"
    exponent, number = -9, int(value.scaleb(9, _EXACT))
    if not number:
        return "0"
    while number % 1000 == 0 and (kind == "exponent" or exponent < max(_BY_EXPONENT)):
        exponent, number = exponent + 3, number // 1000
    if kind == "exponent":
        return f"{number}e{exponent}" if exponent else str(number)
    return f"{number}{_BY_EXPONENT[exponent]}"


def _is_kept(text: str, finest: int) -> bool:
    """Whether a server takes a quantity for canonical, and stores it as it is written (``resource.ParseQuantity``)."""
    found = _FORM.fullmatch(text)
    number, suffix = found.groups("") if found else ("", "")
    whole, _, fraction = number.lstrip("+-").partition(".")
    digits = (whole.lstrip("0") or "0") + fraction
    if suffix in _BINARY:
        power = 10 * _BINARY[suffix]
        return not fraction and len(digits) <= 14 - power * 3 // 10 and int(digits) % 8 != 0
    scale = (_DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])) - len(fraction)
    canonical = scale % 3 == 0 and not digits.endswith("000") and not digits.startswith("0")
    return canonical and scale >= finest and len(digits) <= _FAST
