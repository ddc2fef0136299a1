"""String formats that an API server looks at; all others are for people."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from marie_operator.testing.apiserver.crd import regexp

_GO_DURATION = re.compile(r"[-+]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+|[-+]?0")
_SCALA_DURATION = re.compile(r"(\d+)\s*([A-Za-zµ]+)")
_SCALA_UNITS = (
    *("ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk"),
    *("nano", "micro", "milli", "sec", "min", "hour", "day", "week"),
)
_LAST_UNITS = ("nano", "micro", "milli", "sec", "min", "hour", "day", "week")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))")
_BASE64 = re.compile(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})")
_HOSTNAME = (
    r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}]"
    r"(([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
)
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def matches(name: str, value: str) -> bool:
    """Whether a text has a format; true for formats that nobody looks at."""
    check = _FORMATS.get(name.replace("-", "") if not name.startswith("k8s-") else name)
    return check is None or check(value)


def _date_time(value: str) -> bool:
    day, separator, rest = value.lower().partition("t")
    found = _TIME.fullmatch(rest)
    return bool(separator) and _date(day) and found is not None and found[1] <= "23" and max(found[2], found[3]) <= "59"


def _date(value: str) -> bool:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) is None:
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _duration(value: str) -> bool:
    if _GO_DURATION.fullmatch(value):
        return True
    units = (unit.lower() for _, unit in _SCALA_DURATION.findall(value))
    return any(unit in _SCALA_UNITS or unit.startswith(_LAST_UNITS) for unit in units)


def _sloppy(value: str) -> str:
    """An IPv4 address as older versions of Go read it: parts may begin with zeros."""
    return re.sub(r"(?<![\d:a-fA-F])0+(?=\d)", "", value) if "." in value else value


def _ipv4(value: str) -> bool:
    return "." in value and _address(value)


def _ipv6(value: str) -> bool:
    return ":" in value and _address(value)


def _address(value: str) -> bool:
    try:
        return "%" not in value and bool(ipaddress.ip_address(_sloppy(value)))
    except ValueError:
        return False


def _cidr(value: str) -> bool:
    address, slash, bits = value.partition("/")
    if not slash or re.fullmatch(r"\d{1,3}", bits) is None or not _address(address):
        return False
    return int(bits) <= (32 if ":" not in address else 128)


def _hostname(value: str) -> bool:
    return (
        regexp.compiled(_HOSTNAME).search(value) is not None
        and len(value.encode()) <= 255
        and all(len(part.encode()) <= 63 for part in value.split("."))
    )


def _pattern(pattern: str, flags: re.RegexFlag = re.ASCII) -> Callable[[str], bool]:
    compiled = re.compile(pattern, flags)
    return lambda value: compiled.fullmatch(value) is not None


def _uuid(third: str = "[0-9a-f]{4}", fourth: str = "[0-9a-f]{4}") -> Callable[[str], bool]:
    return _pattern(f"[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{third}-?{fourth}-?[0-9a-f]{{12}}", re.IGNORECASE | re.ASCII)


def _isbn(*lengths: int) -> Callable[[str], bool]:
    return lambda value: any(_is_isbn(re.sub(r"[\s-]", "", value), length) for length in lengths)


def _is_isbn(digits: str, length: int) -> bool:
    if length == 10:
        if re.fullmatch(r"\d{9}[\dX]", digits) is None:
            return False
        return sum((n + 1) * (10 if char == "X" else int(char)) for n, char in enumerate(digits)) % 11 == 0
    return (
        re.fullmatch(r"\d{13}", digits) is not None
        and sum(int(c) * (1, 3)[n % 2] for n, c in enumerate(digits)) % 10 == 0
    )


_FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {
    "bsonobjectid": _pattern("[0-9a-fA-F]{24}"),
    "uri": lambda value: re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/?[^\s]", value) is not None or value.startswith("/"),
    "email": _pattern(r"([^<>@\s]+\s+)*<?[^@\s<>]+@[^@\s<>]+>?"),
    "hostname": _hostname,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "cidr": _cidr,
    "mac": _pattern(r"([0-9a-fA-F]{2}[:-]){5}([0-9a-fA-F]{2}|[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){2})"),
    "uuid": _uuid(),
    "uuid3": _uuid(third="3[0-9a-f]{3}"),
    "uuid4": _uuid("4[0-9a-f]{3}", "[89ab][0-9a-f]{3}"),
    "uuid5": _uuid("5[0-9a-f]{3}", "[89ab][0-9a-f]{3}"),
    "isbn": _isbn(10, 13),
    "isbn10": _isbn(10),
    "isbn13": _isbn(13),
    "ssn": _pattern(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _pattern("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "byte": lambda value: _BASE64.fullmatch(value) is not None,
    "password": lambda _: True,
    "date": _date,
    "duration": _duration,
    "datetime": _date_time,
    "k8s-short-name": lambda value: len(value) <= 63 and _LABEL.fullmatch(value) is not None,
    "k8s-long-name": lambda value: len(value) <= 253 and all(_LABEL.fullmatch(part) for part in value.split(".")),
}
KNOWN: Final = frozenset({*(name.replace("-", "") for name in _FORMATS), "creditcard", "rgbcolor"})
"""Formats that are looked at, without their dashes."""
