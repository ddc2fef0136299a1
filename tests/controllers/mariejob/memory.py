"""Buckets in memory, for tests of what is done with their objects."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.objects import LISTED, ObjectsError
from marie_operator.controllers.mariejob.refusal import Refusal


class MemoryObjects:
    """Buckets that are there once something is in them, or once they are made.

    Args:
        buckets: Names of buckets that are there.

    Attributes:
        objects: What is there, by bucket and key.
        requests: How often what was asked.
        on_request: Called before each request with what it is; may raise.
        copied: The keys that objects were copied to, in order.
        held: The most bytes that were handed over in one piece.
        generated: What Marie has in a folder, for more results than are to be held; they are not kept when copied.
    """

    has_own = True

    def __init__(self, *buckets: str) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.buckets = set(buckets)
        self.requests: Counter[str] = Counter()
        self.on_request: Callable[[str, Bucket], None] = lambda *_: None
        self.copied: list[str] = []
        self.held = 0
        self.generated: Callable[[str], Sequence[str]] | None = None

    def put(self, bucket: str, key: str, content: bytes) -> None:
        self.buckets.add(bucket)
        self.objects[bucket, key] = content

    def under(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        return {
            key: content for (name, key), content in self.objects.items() if name == bucket and key.startswith(prefix)
        }

    async def keys(self, bucket: Bucket, folder: str, after: str = "") -> Sequence[str]:
        await self._asked("list", bucket)
        if self.generated is not None and bucket.name == "marie":
            return self.generated(folder)
        return sorted(key for key in self.under(bucket.name, f"{folder}/") if key > after)[:LISTED]

    async def copy(self, source: Bucket, key: str, target: Bucket, new: str) -> None:
        await self._asked("copy", target)
        if self.generated is None:
            self.objects[target.name, new] = self.objects[source.name, key]
            self.copied.append(new)

    async def read(self, bucket: Bucket, key: str) -> AsyncIterator[bytes]:
        await self._asked("read", bucket)
        content = self.objects[bucket.name, key]
        for start in range(0, len(content), 50_000):
            yield content[start : start + 50_000]

    async def write(self, bucket: Bucket, key: str, content: AsyncIterator[bytes]) -> None:
        pieces = []
        async for piece in content:
            self.held = max(self.held, len(piece))
            pieces.append(piece)
        await self._asked("write", bucket)
        self.objects[bucket.name, key] = b"".join(pieces)

    async def delete(self, bucket: Bucket, keys: Sequence[str]) -> None:
        await self._asked("delete", bucket)
        for key in keys:
            self.objects.pop((bucket.name, key), None)

    async def _asked(self, what: str, bucket: Bucket) -> None:
        self.requests[what] += 1
        await asyncio.sleep(0)
        self.on_request(what, bucket)
        if bucket.name not in self.buckets:
            raise ObjectsError(f"There is no bucket {bucket.name}.", bucket, Refusal.NO_BUCKET)
