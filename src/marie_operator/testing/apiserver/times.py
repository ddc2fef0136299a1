"""Times as Go reads and writes them (``metav1.Time`` and ``metav1.MicroTime``)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_START: Final = (
    ("2006", r"\d{4}"),
    ("-", "-"),
    ("01", r"\d\d"),
    ("-", "-"),
    ("02", r"\d\d"),
    ("T", "T"),
    ("15", r"\d\d"),
    (":", ":"),
    ("04", r"\d\d"),
    (":", ":"),
)
_ZONE: Final = ("Z07:00", r"Z|[+-]\d\d:\d\d")
_SECOND: Final = (*_START, ("05", r"\d\d(?:[.,]\d+)?"), _ZONE)
_MICROSECOND: Final = (*_START, ("05", r"\d\d"), (".000000", r"\.\d{6}"), _ZONE)
_MOMENT: Final = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
_PLAIN: Final = re.compile(f"{_MOMENT}Z", re.ASCII)
_PLAIN_MICROSECOND: Final = re.compile(rf"{_MOMENT}\.\d{{6}}Z", re.ASCII)


def second(text: str) -> str:
    """A time as RFC 3339 in UTC, to the second.

    Raises:
        ValueError: it is none.
    """
    if _PLAIN.fullmatch(text):
        return text
    return _read(text, _SECOND).strftime("%Y-%m-%dT%H:%M:%SZ")


def microsecond(text: str) -> str:
    """A time as RFC 3339 in UTC, to the microsecond.

    Raises:
        ValueError: it is none.
    """
    if _PLAIN_MICROSECOND.fullmatch(text):
        return text
    return _read(text, _MICROSECOND).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read(text: str, layout: tuple[tuple[str, str], ...]) -> datetime:
    rest, found = text, []
    for name, pattern in layout:
        match = re.match(pattern, rest, re.ASCII)
        if match is None:
            whole = "".join(each for each, _ in layout)
            raise ValueError(f'parsing time "{text}" as "{whole}": cannot parse "{rest}" as "{name}"')
        found.append(match[0])
        rest = rest[match.end() :]
    if rest:
        raise ValueError(f'parsing time "{text}": extra text: "{rest}"')
    zone = found.pop()
    # Digits beyond microseconds do not fit, and are not shown.
    number = re.sub(r"[.,](\d{1,6})\d*$", r".\1", "".join(found))
    try:
        moment = datetime.fromisoformat(number).replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f'parsing time "{text}": {_range(str(error))} out of range') from None
    if zone == "Z":
        return moment
    away = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:]))
    return moment - away if zone[0] == "+" else moment + away


def _range(error: str) -> str:
    return next((part for part in ("month", "day", "hour", "minute", "second") if part in error), "day")
