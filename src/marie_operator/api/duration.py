"""Durations as Go writes them: "30m", "1h30m", "1.5s"."""

import re
from datetime import timedelta

_UNITS = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
DEADLINE_PATTERN = r"^([0-9]{1,5}(\.[0-9]{1,3})?h|[0-9]{1,7}(\.[0-9]{1,3})?(m|s|ms))+$"
"""What ``parse`` accepts, for RE2 and Python alike.

In 32 characters it cannot say more than Go's int64 nanoseconds hold.
"""

DEADLINE_MAX_LENGTH = 32

_WHOLE = re.compile(DEADLINE_PATTERN, re.ASCII)
_PART = re.compile(r"([0-9.]+)(ms|[hms])")


def parse(value: str) -> timedelta:
    """The length of a Go duration, exact to the microsecond.

    Args:
        value: numbers with units h, m, s or ms, largest first by custom ("1h30m").

    Raises:
        ValueError: the text is no such duration, or it is longer than 32 characters.
    """
    if len(value) > DEADLINE_MAX_LENGTH or not _WHOLE.fullmatch(value):
        raise ValueError(
            f'{value!r} is not a duration; write numbers with units h, m, s or ms, such as "30m" or "1h30m"'
        )
    total = timedelta()
    for number, unit in _PART.findall(value):
        whole, _, fraction = number.partition(".")
        total += int(whole) * _UNITS[unit] + int(fraction.ljust(3, "0") or 0) * _UNITS[unit] / 1000
    return total


def text(length: timedelta) -> str:
    """A duration for people and for ``parse``: whole seconds, without units that are zero ("1h5s"); "0s" for none.

    Args:
        length: not negative; fractions of a second are dropped.
    """
    seconds = max(0, length // timedelta(seconds=1))
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
