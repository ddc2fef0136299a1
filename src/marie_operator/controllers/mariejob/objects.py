"""Objects of buckets: listed, copied, read and written, with obstore."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from marie_operator.controllers.mariejob import refusal as refusals
from marie_operator.controllers.mariejob.buckets import Bucket, Buckets, EndpointError
from marie_operator.controllers.mariejob.refusal import Reading, Refusal
from marie_operator.runtime import NotLeader

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

LISTED = 1000
"""Keys that a listing brings at a time; what S3 returns to one request."""

_SECONDS = 300.0
"""Most that a request may take: an object is read or written within it."""
_LISTING_SECONDS = 60.0
_PIECE = 8 * 1024 * 1024
"""Bytes of an object in memory at a time; larger ones are written in parts of this size."""
_PARTS_AT_ONCE = 2
_NAMED_IN = ("spec.output.credentialsSecretRef", "spec.input.credentialsSecretRef")


class ObjectsError(Exception):
    """Something could not be done with a bucket; the message says why and what to do.

    Attributes:
        bucket: Which.
        refusal: What kind of answer its store gave.
    """

    def __init__(self, message: str, bucket: Bucket, refusal: Refusal) -> None:
        super().__init__(message)
        self.bucket = bucket
        self.refusal = refusal


class Objects(Protocol):
    """What is done with objects. Each of these raises ``ObjectsError`` when it cannot be done."""

    @property
    def has_own(self) -> bool:
        """Whether the operator was given credentials of its own for S3."""
        ...

    async def keys(self, bucket: Bucket, folder: str, after: str = "") -> Sequence[str]:
        """The keys under a folder, whose name has no slash at its end: up to 1000 that come after another, in order."""
        ...

    async def copy(self, source: Bucket, key: str, target: Bucket, new: str) -> None:
        """Copy an object; one that is there under the new key is replaced."""
        ...

    def read(self, bucket: Bucket, key: str) -> AsyncIterator[bytes]:
        """An object's content, a piece at a time."""
        ...

    async def write(self, bucket: Bucket, key: str, content: AsyncIterator[bytes]) -> None:
        """Make an object, all of it or nothing."""
        ...

    async def delete(self, bucket: Bucket, keys: Sequence[str]) -> None:
        """Delete objects; those that are gone already do no harm."""
        ...


class FencedObjects:
    """Objects that only who leads changes: no store refuses what a process sends that stood still meanwhile.

    Args:
        objects: Does it.
        check: Called when a change is about to be made; raises NotLeader when another process may be about to make it.
    """

    def __init__(self, objects: Objects, check: Callable[[], None]) -> None:
        self._objects = objects
        self._check = check

    @property
    def has_own(self) -> bool:
        """As in ``Objects``, like all below."""
        return self._objects.has_own

    async def keys(self, bucket: Bucket, folder: str, after: str = "") -> Sequence[str]:
        """Unfenced."""
        return await self._objects.keys(bucket, folder, after)

    def read(self, bucket: Bucket, key: str) -> AsyncIterator[bytes]:
        """Unfenced."""
        return self._objects.read(bucket, key)

    async def copy(self, source: Bucket, key: str, target: Bucket, new: str) -> None:
        """Fenced."""
        self._pass(target)
        await self._objects.copy(source, key, target, new)

    async def write(self, bucket: Bucket, key: str, content: AsyncIterator[bytes]) -> None:
        """Fenced when all of the content is known, which may have taken long."""
        await self._objects.write(bucket, key, self._passed(bucket, content))

    async def delete(self, bucket: Bucket, keys: Sequence[str]) -> None:
        """Fenced."""
        self._pass(bucket)
        await self._objects.delete(bucket, keys)

    async def _passed(self, bucket: Bucket, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in content:
            yield piece
        self._pass(bucket)

    def _pass(self, bucket: Bucket) -> None:
        # Whoever delivers tries again later, and has ended by then.
        try:
            self._check()
        except NotLeader as error:
            raise ObjectsError(str(error), bucket, Refusal.UNREACHABLE) from error


class BucketObjects:
    """Objects in S3 and what speaks its protocol, in Google Cloud Storage, and in Azure Blob Storage.

    Args:
        environ: The operator's environment; see ``Buckets``.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._buckets = Buckets(environ)
        self._apart: set[tuple[Bucket, Bucket]] = set()

    @property
    def has_own(self) -> bool:
        """Whether the operator was given credentials of its own for S3."""
        return self._buckets.has_own

    async def keys(self, bucket: Bucket, folder: str, after: str = "") -> Sequence[str]:
        """The keys under a folder."""
        import obstore  # noqa: PLC0415 - see Buckets

        async def first() -> Sequence[str]:
            stream = obstore.list(self._buckets.store(bucket), folder, offset=after or None, chunk_size=LISTED)
            async for chunk in stream:
                return [item["path"] for item in chunk]
            return ()

        with self._explained(bucket, "list"):
            return await _within(_LISTING_SECONDS, first())

    async def copy(self, source: Bucket, key: str, target: Bucket, new: str) -> None:
        """Copy an object: by the store itself where one store has both and lets it, else through this process."""
        if self._buckets.are_of_one_store(source, target) and (source, target) not in self._apart:
            try:
                await self._copied_there(source, key, target, new)
            except ObjectsError as error:
                if error.refusal is Refusal.UNREACHABLE:
                    raise
                # Who writes may not read, the store copies no object of this size, or one of the buckets is not there:
                # read apart and written apart, it works, or it shows which.
                if error.refusal is Refusal.DENIED:
                    self._apart.add((source, target))
            else:
                return
        await self.write(target, new, self.read(source, key))

    async def _copied_there(self, source: Bucket, key: str, target: Bucket, new: str) -> None:
        import obstore  # noqa: PLC0415 - see Buckets

        with self._explained(target, "write to"):
            store = self._buckets.whole_store(source, target, seconds=_SECONDS)
            await _within(_SECONDS, obstore.copy_async(store, key, f"{target.name}/{new}"))

    async def read(self, bucket: Bucket, key: str) -> AsyncIterator[bytes]:
        """An object's content."""
        import obstore  # noqa: PLC0415 - see Buckets

        with self._explained(bucket, "read", key):
            found = await _within(_SECONDS, obstore.get_async(self._buckets.store(bucket, seconds=_SECONDS), key))
            async for piece in found.stream(min_chunk_size=1024 * 1024):
                yield bytes(piece)

    async def write(self, bucket: Bucket, key: str, content: AsyncIterator[bytes]) -> None:
        """Make an object: in one request, or in parts when it is large."""
        import obstore  # noqa: PLC0415 - see Buckets

        start, is_whole = await _begun(content)
        with self._explained(bucket, "write to"):
            store = self._buckets.store(bucket, seconds=_SECONDS)
            if is_whole:
                await _within(_SECONDS, obstore.put_async(store, key, start, use_multipart=False))
                return
            rest = _joined(start, content)
            await obstore.put_async(store, key, rest, chunk_size=_PIECE, max_concurrency=_PARTS_AT_ONCE)

    async def delete(self, bucket: Bucket, keys: Sequence[str]) -> None:
        """Delete objects."""
        try:
            await self._deleted(bucket, keys)
        except ObjectsError as error:
            if error.refusal is not Refusal.NO_OBJECT:
                raise
            # S3 does not mind what is gone already. The others do, and leave the rest of what they were told.
            for key in keys:
                with _unless_gone():
                    await self._deleted(bucket, [key])

    async def _deleted(self, bucket: Bucket, keys: Sequence[str]) -> None:
        import obstore  # noqa: PLC0415 - see Buckets

        with self._explained(bucket, "delete from", keys[0]):
            await _within(_SECONDS, obstore.delete_async(self._buckets.store(bucket), list(keys)))

    @contextmanager
    def _explained(self, bucket: Bucket, verb: str, key: str = "") -> "Iterator[None]":
        from obstore.exceptions import BaseError  # noqa: PLC0415 - see Buckets

        try:
            yield
        except EndpointError as error:
            raise ObjectsError(str(error), bucket, Refusal.OTHER) from error
        except TimeoutError as error:
            raise self._error(bucket, verb, Reading(Refusal.UNREACHABLE)) from error
        except FileNotFoundError as error:
            reading = refusals.read(str(error))
            if reading.refusal is not Refusal.NO_BUCKET:
                reading = reading._replace(refusal=Refusal.NO_OBJECT if key else Refusal.OTHER)
            raise self._error(bucket, verb, reading, key) from error
        except (BaseError, ValueError) as error:
            raise self._error(bucket, verb, refusals.read(str(error))) from error

    def _error(self, bucket: Bucket, verb: str, reading: Reading, key: str = "") -> ObjectsError:
        place, uri = self._buckets.place(bucket), f"{bucket.uri}/{key}" if key else ""
        named_in = _NAMED_IN[bucket.named_by == "spec.input.uri"]
        message = refusals.sentence(reading, bucket, place, verb, named_in=named_in, uri=uri)
        return ObjectsError(message, bucket, reading.refusal)


@contextmanager
def _unless_gone() -> "Iterator[None]":
    try:
        yield
    except ObjectsError as error:
        if error.refusal is not Refusal.NO_OBJECT:
            raise


async def whole(content: bytes) -> AsyncIterator[bytes]:
    """A content that is at hand, as one piece."""
    yield content


async def _within(seconds: float, work: Awaitable[T]) -> T:
    async with asyncio.timeout(seconds):
        return await work


async def _begun(content: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """The first piece of a content, and whether it is all of it."""
    start = bytearray()
    async for piece in content:
        start += piece
        if len(start) > _PIECE:
            return bytes(start), False
    return bytes(start), True


async def _joined(start: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield start
    async for piece in rest:
        yield piece
