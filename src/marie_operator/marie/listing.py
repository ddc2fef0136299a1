"""Lists of tasks, read as they arrive: they have no pages, and one of them grows for ever."""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from json import JSONDecoder
from re import compile as pattern

from pydantic_core import from_json

from marie_operator.marie import replies
from marie_operator.marie.replies import Node, Unreadable

LONGEST_ROW = 4 << 20
"""Characters of one task, which has about a thousand."""

_START = pattern(r'\s*\{\s*"status"\s*:\s*"OK"\s*,\s*"result"\s*:\s*\{')
_KEY = pattern(r'[\s,]*("(?:[^"\\]|\\.)*"\s*:\s*)(?=\S)')
_END = pattern(r"\s*\}")


@dataclass(frozen=True, slots=True)
class Listing:
    """Tasks in one state.

    Attributes:
        nodes: Those that were asked for.
        complete: Whether the whole list was read.
    """

    nodes: Sequence[Node]
    complete: bool


class Rows:
    """Takes a list apart while it arrives, holding one task at a time."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._json = JSONDecoder(strict=False)
        self._rest = ""
        self._inside = False
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[Node]:
        """Tasks that are whole with this chunk.

        Raises:
            Unreadable: it is no list of tasks.
        """
        self._rest += self._text.decode(chunk)
        start = 0
        if not self._inside and (found := _START.match(self._rest)):
            self._inside, start = True, found.end()
        while self._inside and not self._ended:
            key = _KEY.match(self._rest, start)
            if key is None:
                self._ended = _END.match(self._rest, start) is not None
                break
            try:
                row, start = self._json.raw_decode(self._rest, key.end())
            except ValueError:
                break
            except RecursionError as error:
                raise Unreadable("a task of an unknown form") from error
            yield replies.task(row)
        self._rest = self._rest[start:]
        if len(self._rest) > LONGEST_ROW:
            raise Unreadable("a list of an unknown form")

    def close(self, status: int) -> Iterator[Node]:
        """The rest, when all chunks have been fed.

        Args:
            status: Of HTTP.

        Raises:
            Unreadable: it was no list of tasks, or not all of one.
        """
        if self._inside and status == 200:
            if not self._ended:
                raise Unreadable("a list that breaks off")
            return
        try:
            document = from_json(self._rest)
        except ValueError:
            document = self._rest
        yield from replies.tasks(status, document)
