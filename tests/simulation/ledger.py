"""A bucket in which a million documents, and what became of them, take little memory."""

import json
import re
import zlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import overload

from tests.simulation.stored import Stored

RECENT = 5_000
"""Documents whose results Marie's store keeps."""
RESULTS = 2
"""Objects that an executor stores for a document."""

_CLOSED = re.compile(r"out/_manifests/[^/]+\.jsonl")
_ORDINAL = re.compile(r"(\d{7})\.pdf")


class Keys(Sequence[str]):
    """The keys under a prefix, none of which takes memory.

    Args:
        documents: How many.
    """

    def __init__(self, documents: int) -> None:
        self._documents = range(documents)

    def __len__(self) -> int:
        return len(self._documents)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        """A key by its place."""
        if isinstance(index, slice):
            return [self[each] for each in self._documents[index]]
        return f"in/{self._documents[index]:07}.pdf"


class Ledger(Stored):
    """Forgets what nobody reads any more, and counts it.

    Args:
        documents: How many there are.

    Attributes:
        copied: Which of a document's results are in the output, by its place: a bit for each.
        listed: How often the manifest has a document.
        largest: Bytes of the largest part of the manifest.
        manifest: Bytes of the manifest.
    """

    def __init__(self, documents: int) -> None:
        super().__init__()
        self.copied = bytearray(documents)
        self.listed = bytearray(documents)
        self.largest = 0
        self.manifest = 0
        self._recent: deque[tuple[str, str]] = deque()

    def __setitem__(self, place: tuple[str, str], content: bytes) -> None:
        bucket, key = place
        if bucket == "marie":
            self._recent.append(place)
            if len(self._recent) > RESULTS * RECENT:
                self.discard(self._recent.popleft())
        elif not key.startswith("out/_manifests/"):
            self.copied[ordinal(key)] |= 1 if key.endswith(".meta.json") else 2
            return
        elif not _CLOSED.fullmatch(key):
            self.largest = max(self.largest, len(content))
        super().__setitem__(place, zlib.compress(content))

    def __getitem__(self, place: tuple[str, str]) -> bytes:
        return zlib.decompress(super().__getitem__(place))

    async def gathered(self, bucket: str, key: str, pieces: AsyncIterator[bytes]) -> bytes:
        """What is to be an object's content; of the manifest it is counted only."""
        if not _CLOSED.fullmatch(key):
            return await super().gathered(bucket, key, pieces)
        async for piece in pieces:
            self.manifest += len(piece)
            for line in piece.splitlines():
                self.listed[ordinal(json.loads(line)["document"])] += 1
        return b""


def ordinal(text: str) -> int:
    """Which document a key or URI is of.

    Raises:
        ValueError: of none.
    """
    found = _ORDINAL.search(text)
    if found is None:
        raise ValueError(f"{text!r} is of no document")
    return int(found[1])
