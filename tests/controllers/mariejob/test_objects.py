"""Objects that only who leads changes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest

from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.objects import FencedObjects, ObjectsError, whole
from marie_operator.controllers.mariejob.refusal import Refusal
from marie_operator.runtime import NotLeader
from tests.controllers.mariejob.memory import MemoryObjects

BUCKET = Bucket("bucket")
CHANGES: Mapping[str, Callable[[FencedObjects], Awaitable[None]]] = {
    "copy": lambda objects: objects.copy(BUCKET, "a", BUCKET, "b"),
    "write": lambda objects: objects.write(BUCKET, "b", whole(b"new")),
    "delete": lambda objects: objects.delete(BUCKET, ["a"]),
}


class Lease:
    """Is held until it is lost."""

    lost = False

    def check(self) -> None:
        if self.lost:
            raise NotLeader("lease a/b is not held by this process")


@pytest.fixture
def stored() -> MemoryObjects:
    objects = MemoryObjects("bucket")
    objects.put("bucket", "a", b"old")
    return objects


@pytest.mark.semantics("W-18")
@pytest.mark.parametrize("change", CHANGES)
async def test_without_the_lease_nothing_is_changed_and_everything_read(stored: MemoryObjects, change: str) -> None:
    lease = Lease()
    objects = FencedObjects(stored, lease.check)
    lease.lost = True
    with pytest.raises(ObjectsError, match="lease a/b is not held") as told:
        await CHANGES[change](objects)
    assert told.value.refusal is Refusal.UNREACHABLE
    assert stored.under("bucket") == {"a": b"old"}
    assert await objects.keys(BUCKET, "") == await stored.keys(BUCKET, "")
    assert b"".join([piece async for piece in objects.read(BUCKET, "a")]) == b"old"
    lease.lost = False
    await CHANGES[change](objects)
    assert stored.under("bucket") != {"a": b"old"}


@pytest.mark.semantics("W-18")
async def test_a_lease_that_is_lost_while_the_content_is_put_together_keeps_it_from_being_written(
    stored: MemoryObjects,
) -> None:
    lease = Lease()

    async def content() -> AsyncIterator[bytes]:
        yield b"new"
        await asyncio.sleep(0)
        lease.lost = True

    with pytest.raises(ObjectsError, match="lease a/b is not held"):
        await FencedObjects(stored, lease.check).write(BUCKET, "a", content())
    assert stored.under("bucket") == {"a": b"old"}
