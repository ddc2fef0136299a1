"""Regular expressions as Go has them (RE2), by Python's.

What RE2 does not know (look-around, back-references) is refused with the words of Go's ``regexp/syntax``; what both
know but read differently (``$``, digits, POSIX classes, flags in the middle) is translated.
"""

import re
import string
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise

Ranges = list[tuple[int, int]]

_LAST = sys.maxunicode
_UPPER, _LOWER, _DIGIT = (65, 90), (97, 122), (48, 57)
_PERL: dict[str, Ranges] = {"d": [_DIGIT], "s": [(9, 10), (12, 13), (32, 32)], "w": [_DIGIT, _UPPER, (95, 95), _LOWER]}
_POSIX: dict[str, Ranges] = {
    "alnum": [_DIGIT, _UPPER, _LOWER],
    "alpha": [_UPPER, _LOWER],
    "ascii": [(0, 127)],
    "blank": [(9, 9), (32, 32)],
    "cntrl": [(0, 31), (127, 127)],
    "digit": [_DIGIT],
    "graph": [(33, 126)],
    "lower": [_LOWER],
    "print": [(32, 126)],
    "punct": [(33, 47), (58, 64), (91, 96), (123, 126)],
    "space": [(9, 13), (32, 32)],
    "upper": [_UPPER],
    "word": _PERL["w"],
    "xdigit": [_DIGIT, (65, 70), (97, 102)],
}
_C_ESCAPES = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_MOST_REPEATS = 1000
_COUNT = re.compile(r"\{(0|[1-9]\d*)(,(0|[1-9]\d*)?)?\}")


class Malformed(ValueError):  # noqa: N818 - what the expression is
    """It is no regular expression of RE2.

    Args:
        why: In Go's words.
        part: What of the expression is wrong.
    """

    def __init__(self, why: str, part: str) -> None:
        super().__init__(f"{why}: `{part}`")


@lru_cache(maxsize=2048)
def compiled(pattern: str) -> re.Pattern[str]:
    """The expression.

    Raises:
        Malformed: Go would not take it.
    """
    return re.compile(_Parser(pattern).translated())


@dataclass(frozen=True, slots=True)
class _Flags:
    fold: bool = False
    lines: bool = False
    dot_all: bool = False
    lazy: bool = False


@dataclass(slots=True)
class _Group:
    """An open parenthesis, and what has been read behind it."""

    opener: str
    flags: _Flags
    done: list[str] = field(default_factory=list)
    atoms: list[str] = field(default_factory=list)

    def closed(self) -> str:
        return f"{self.opener}{'|'.join([*self.done, ''.join(self.atoms)])})"


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._flags = _Flags()
        self._open = [_Group("(?:", self._flags)]
        self._repeated = -1

    def translated(self) -> str:
        while self._at < len(self._text):
            start, before = self._at, self._repeated
            self._repeated = -1
            self._next(self._text[start], start, before)
        if len(self._open) != 1:
            raise Malformed("missing closing )", self._text)
        return self._open[0].closed()

    def _next(self, char: str, start: int, repeated: int) -> None:
        self._at += 1
        match char:
            case "(" | ")" | "|":
                self._structure(char, start)
            case "^" | "$" | "." | "[":
                self._open[-1].atoms.append(self._set_or_anchor(char, start))
            case "*" | "+" | "?":
                self._repeat(char, start, repeated)
            case "{" if found := _COUNT.match(self._text, start):
                self._at = found.end()
                low, high = int(found[1]), int(found[3] or found[1])
                if max(low, high) > _MOST_REPEATS or low > high:
                    raise Malformed("invalid repeat count", found[0])
                self._repeat(found[0], start, repeated)
            case "\\":
                self._escape(start)
            case _:
                self._literal(ord(char))

    def _structure(self, char: str, start: int) -> None:
        group = self._open[-1]
        if char == "(":
            self._group(start)
        elif char == "|":
            group.done.append("".join(group.atoms))
            group.atoms = []
        elif len(self._open) == 1:
            raise Malformed("unexpected )", self._text)
        else:
            self._flags = group.flags
            self._open.pop()
            self._open[-1].atoms.append(group.closed())

    def _set_or_anchor(self, char: str, start: int) -> str:
        match char:
            case "^":
                return "(?m:^)" if self._flags.lines else "(?:\\A)"
            case "$":
                return "(?m:$)" if self._flags.lines else "(?:\\Z)"
            case ".":
                return "(?s:.)" if self._flags.dot_all else "[^\\n]"
            case _:
                return self._class(start)

    def _literal(self, char: int) -> None:
        self._open[-1].atoms.append(_wrapped(re.escape(chr(char)), fold=self._flags.fold))

    def _repeat(self, operator: str, start: int, repeated: int) -> None:
        lazy = self._text[self._at : self._at + 1] == "?"
        self._at += lazy
        if repeated >= 0:
            raise Malformed("invalid nested repetition operator", self._text[repeated : self._at])
        atoms = self._open[-1].atoms
        if not atoms:
            raise Malformed("missing argument to repetition operator", self._text[start : self._at])
        atoms[-1] = f"(?:{atoms[-1]}){operator}{'?' if lazy != self._flags.lazy else ''}"
        self._repeated = start

    def _group(self, start: int) -> None:
        if self._text[self._at : self._at + 1] != "?":
            self._open.append(_Group("(", self._flags))
            return
        rest = self._text[start:]
        if rest.startswith(("(?P<", "(?<")) and len(rest) > (4 if rest.startswith("(?P<") else 3):
            name, closed, _ = rest[rest.index("<") + 1 :].partition(">")
            if not closed:
                raise Malformed("invalid named capture", rest)
            if re.fullmatch(r"[A-Za-z0-9_]+", name) is None:
                raise Malformed("invalid named capture", rest[: rest.index(">") + 1])
            self._at = start + rest.index(">") + 1
            self._open.append(_Group("(", self._flags))
            return
        self._at += 1
        self._set_flags(start)

    def _set_flags(self, start: int) -> None:
        names = {"i": "fold", "m": "lines", "s": "dot_all", "U": "lazy"}
        flags, on, seen = self._flags, True, False
        while self._at < len(self._text):
            char = self._text[self._at]
            self._at += 1
            if char in names:
                flags, seen = replace(flags, **{names[char]: on}), True
            elif char == "-" and on:
                on, seen = False, False
            elif char in ":)" and (on or seen):
                if char == ":":
                    self._open.append(_Group("(?:", self._flags))
                self._flags = flags
                return
            else:
                break
        raise Malformed("invalid or unsupported Perl syntax", self._text[start : self._at])

    def _escape(self, start: int) -> None:
        char = self._text[self._at : self._at + 1]
        atoms = self._open[-1].atoms
        plain = {"A": "(?:\\A)", "z": "(?:\\Z)", "b": "(?a:\\b)", "B": "(?a:\\B)"}
        if char in plain and char:
            self._at += 1
            atoms.append(plain[char])
        elif char == "C":
            raise Malformed("invalid escape sequence", "\\C")
        elif char == "Q":
            quoted, _, _ = self._text[start + 2 :].partition("\\E")
            self._at = min(start + 2 + len(quoted) + 2, len(self._text))
            for each in quoted:
                self._literal(ord(each))
        elif (found := self._named_class(start)) is not None:
            atoms.append(_class(found, fold=self._flags.fold))
        else:
            self._literal(self._escaped(start))

    def _named_class(self, start: int) -> Ranges | None:
        """What an escaped class, by Perl or by Unicode, stands for; None when it is another escape."""
        char = self._text[start + 1 : start + 2]
        if char and char.lower() in _PERL:
            self._at = start + 2
            found = _PERL[char.lower()]
            return found if char.islower() else _complement(found)
        if not char or char not in "pP":
            return None
        text = self._text[start:]
        end = 3 if text[2:3] != "{" else text.find("}") + 1
        if end == 0 or len(text) < 3:
            raise Malformed("invalid character class range", text)
        self._at = start + end
        name = text[2:end].strip("{}")
        negated = (char == "P") != name.startswith("^")
        found = _category(name.lstrip("^"), text[:end])
        return _complement(found) if negated else found

    def _escaped(self, start: int) -> int:
        """The character that an escape behind ``start`` stands for."""
        self._at = start + 1
        text = self._text[start + 1 :]
        if not text:
            raise Malformed("trailing backslash at end of expression", "")
        octal = re.match(r"0[0-7]{0,2}|[1-7][0-7]{1,2}", text)
        hexadecimal = re.match(r"x([0-9A-Fa-f]{2}|\{([0-9A-Fa-f]+)\})", text)
        if octal:
            self._at += octal.end()
            return int(octal[0], 8)
        if hexadecimal and (value := int(hexadecimal[2] or hexadecimal[1], 16)) <= _LAST:
            self._at += hexadecimal.end()
            return value
        self._at += 1
        if text[0] in _C_ESCAPES:
            return _C_ESCAPES[text[0]]
        if ord(text[0]) < 128 and not text[0].isalnum():
            return ord(text[0])
        raise Malformed("invalid escape sequence", self._text[start : self._at])

    def _class(self, start: int) -> str:
        negated = self._text[self._at : self._at + 1] == "^"
        self._at += negated
        found: Ranges = []
        while not found or self._text[self._at : self._at + 1] != "]":
            found += self._class_part(start)
        self._at += 1
        return _class(_complement(found) if negated else found, fold=self._flags.fold, negated=negated, plain=found)

    def _class_part(self, start: int) -> Ranges:
        begin = self._at
        posix = re.compile(r"\[:(.*?):\]").match(self._text, begin)
        if posix:
            self._at = posix.end()
            name = posix[1].removeprefix("^")
            if name not in _POSIX:
                raise Malformed("invalid character class range", posix[0])
            return _complement(_POSIX[name]) if posix[1].startswith("^") else _POSIX[name]
        if self._text.startswith("\\", begin) and (found := self._named_class(begin)) is not None:
            return found
        low = high = self._class_char(start)
        if self._text.startswith("-", self._at) and self._text[self._at + 1 : self._at + 2] not in {"]", ""}:
            self._at += 1
            high = self._class_char(start)
            if high < low:
                raise Malformed("invalid character class range", self._text[begin : self._at])
        return [(low, high)]

    def _class_char(self, start: int) -> int:
        if self._at >= len(self._text):
            raise Malformed("missing closing ]", self._text[start:])
        if self._text[self._at] == "\\":
            return self._escaped(self._at)
        self._at += 1
        return ord(self._text[self._at - 1])


def _wrapped(atom: str, *, fold: bool) -> str:
    return f"(?i:{atom})" if fold else atom


def _class(found: Ranges, *, fold: bool, negated: bool = False, plain: Ranges | None = None) -> str:
    if fold and negated:
        return f"(?i:[^{_spelled(plain or [])}])"
    return _wrapped(f"[{_spelled(found)}]" if found else "(?!)", fold=fold)


def _spelled(found: Ranges) -> str:
    return "".join(_char(low) if low == high else f"{_char(low)}-{_char(high)}" for low, high in found)


def _char(char: int) -> str:
    text = chr(char)
    return text if text in string.ascii_letters + string.digits else f"\\U{char:08x}"


def _complement(found: Iterable[tuple[int, int]]) -> Ranges:
    inside = sorted(found)
    merged: Ranges = [(-1, -1)]
    for low, high in inside:
        if low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    merged.append((_LAST + 1, _LAST + 1))
    return [(one[1] + 1, other[0] - 1) for one, other in pairwise(merged) if one[1] + 1 <= other[0] - 1]


@lru_cache(maxsize=64)
def _category(name: str, part: str) -> Ranges:
    """The characters of a Unicode category; scripts are not known here."""
    if name == "Any":
        return [(0, _LAST)]
    if not any(unicodedata.category(chr(each)).startswith(name) for each in range(_LAST + 1)) or len(name) > 2:
        raise Malformed("the embedded API server does not implement this character class", part)
    found: Ranges = []
    for char in range(_LAST + 1):
        if unicodedata.category(chr(char)).startswith(name):
            if found and found[-1][1] == char - 1:
                found[-1] = (found[-1][0], char)
            else:
                found.append((char, char))
    return found
