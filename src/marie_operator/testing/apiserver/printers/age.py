"""Durations as kubectl shows them to people."""

from collections.abc import Callable
from datetime import datetime

Since = Callable[[str | None], str]
"""How long ago a timestamp was, for people."""

_MINUTE, _HOUR, _DAY = 60, 60 * 60, 24 * 60 * 60
_YEAR = 365 * _DAY


def since(now: datetime) -> Since:
    """Tells how long before ``now`` a timestamp was."""

    def told(timestamp: str | None) -> str:
        return human((now - instant(timestamp)).total_seconds()) if timestamp else "<unknown>"

    return told


def instant(timestamp: str) -> datetime:
    """The time that a timestamp of RFC 3339 names.

    Raises:
        ValueError: it is not one.
    """
    found = datetime.fromisoformat(timestamp)
    if found.tzinfo is None:
        raise ValueError(timestamp)
    return found


def human(seconds: float) -> str:
    """Two or three figures, such as ``5m30s`` or ``3d4h``.

    What is up to two seconds in the future counts as now: clocks differ.
    """
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 2 * _MINUTE:
        return f"{max(whole, 0)}s"
    if whole < 3 * _HOUR:
        return _parts(whole, _MINUTE, "m", 1, "s", up_to=10)
    if whole < 2 * _DAY:
        return _parts(whole, _HOUR, "h", _MINUTE, "m", up_to=8)
    if whole < 2 * _YEAR:
        return _parts(whole, _DAY, "d", _HOUR, "h", up_to=8)
    return _parts(whole, _YEAR, "y", _DAY, "d", up_to=8)


def _parts(seconds: int, unit: int, letter: str, part: int, small: str, *, up_to: int) -> str:
    """So many of a unit; below a number of them, with the rest in a smaller unit."""
    count, rest = divmod(seconds, unit)
    rest //= part
    return f"{count}{letter}{rest}{small}" if rest and count < up_to else f"{count}{letter}"
