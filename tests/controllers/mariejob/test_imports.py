"""Documents of other clouds on their way to where Marie reads from."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marie_operator.controllers.mariejob.buckets import Bucket, Folder
from marie_operator.controllers.mariejob.imports import AT_ONCE, ImportOutcome, ImportRequest, Imports
from marie_operator.controllers.mariejob.objects import ObjectsError
from marie_operator.controllers.mariejob.refusal import Refusal
from marie_operator.runtime.resource import ObjectKey
from marie_operator.testing import virtual
from tests.controllers.mariejob.memory import MemoryObjects

KEY, SOURCE, MARIE = ObjectKey("docs", "scan"), Bucket("", scheme="gs"), Bucket("marie")
FOLDER = Folder(MARIE, "staged/scan-1")


def request(wanted: Collection[str], kept: Collection[str] = ()) -> ImportRequest:
    return ImportRequest(SOURCE, FOLDER, {name: f"gs://bucket/in/{name}" for name in wanted}, frozenset(kept))


def held(*names: str) -> MemoryObjects:
    objects = MemoryObjects("marie")
    for name in names:
        objects.put("bucket", f"in/{name}", name.encode())
    return objects


def has(names: Collection[str], outcome: ImportOutcome) -> bool:
    return outcome.there == set(names)


def staged(objects: MemoryObjects) -> set[str]:
    return {key.rpartition("/")[2] for key in objects.under("marie", f"{FOLDER.path}/")}


class Story:
    """Imports at work, and what a job hears of them."""

    def __init__(self, objects: MemoryObjects) -> None:
        self.imports = Imports(objects, on_change=lambda _: self.changed.set())
        self.changed = asyncio.Event()

    async def until(self, holds: Callable[[ImportOutcome], bool]) -> ImportOutcome:
        """What a job sees once it is as it should be; it looks when it is called, and never else."""
        while not holds(outcome := self.imports.outcome(KEY)):
            await self.changed.wait()
            self.changed.clear()
        return outcome


def run(objects: MemoryObjects, tell: Callable[[Story], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        story = Story(objects)
        running = asyncio.create_task(story.imports.run())
        await tell(story)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    virtual.run(main)


def test_what_is_wanted_is_copied_what_is_kept_stays_and_the_rest_goes() -> None:
    objects = held("1.pdf", "2.pdf")
    for left in ("0.pdf", "7.pdf"):
        objects.put("marie", f"{FOLDER.path}/{left}", b"of a life before")
    objects.put("marie", "staged/scan-10/9.pdf", b"another job's")

    async def tell(story: Story) -> None:
        story.imports.want(KEY, "uid", request(["1.pdf", "2.pdf"], kept=["0.pdf", "1.pdf", "2.pdf"]))
        await story.until(lambda outcome: outcome.there == {"1.pdf", "2.pdf"})
        assert staged(objects) == {"0.pdf", "1.pdf", "2.pdf"}
        story.imports.want(KEY, "uid", request(["1.pdf", "2.pdf"], kept=["0.pdf", "1.pdf", "2.pdf"]))
        assert objects.requests["copy"] == 2
        story.imports.want(KEY, "uid", None)
        assert story.imports.outcome(KEY) == ImportOutcome()

    run(objects, tell)
    assert objects.under("marie", "staged/scan-10/")


def test_documents_are_copied_a_few_at_a_time() -> None:
    names = [f"{number}.pdf" for number in range(20)]
    objects, most = held(*names), 0
    copying = 0
    copy = objects.copy

    async def counted(source: Bucket, key: str, target: Bucket, new: str) -> None:
        nonlocal copying, most
        copying += 1
        most = max(most, copying)
        await asyncio.sleep(1)
        await copy(source, key, target, new)
        copying -= 1

    objects.copy = counted  # type: ignore[method-assign]

    async def tell(story: Story) -> None:
        story.imports.want(KEY, "uid", request(names))
        await story.until(lambda outcome: outcome.there == set(names))

    run(objects, tell)
    assert most == AT_ONCE


@pytest.mark.parametrize("what", ["list", "copy", "delete"])
def test_a_store_that_refuses_is_told_and_asked_again(what: str) -> None:
    objects = held("1.pdf")
    objects.put("marie", f"{FOLDER.path}/0.pdf", b"of a life before")
    left = 3

    def refuse(asked: str, bucket: Bucket) -> None:
        nonlocal left
        if asked == what and left:
            left -= 1
            raise ObjectsError(f"no right to {what}.", bucket, Refusal.DENIED)

    objects.on_request = refuse

    async def tell(story: Story) -> None:
        story.imports.want(KEY, "uid", request(["1.pdf"]))
        told = await story.until(lambda outcome: outcome.failure is not None)
        assert told.failure is not None
        assert (told.failure.message, told.failure.answered) == (f"no right to {what}.", True)
        assert not told.there
        # What cannot be deleted keeps others from being added.
        assert len(staged(objects)) == (0 if what == "copy" else 1)
        await story.until(lambda outcome: outcome.there == {"1.pdf"} and outcome.failure is None)
        assert staged(objects) == {"1.pdf"}

    run(objects, tell)


def test_other_credentials_are_tried_at_once() -> None:
    objects = held("1.pdf")

    def refuse(asked: str, bucket: Bucket) -> None:
        if asked == "copy" and not mended:
            raise ObjectsError("no right.", bucket, Refusal.DENIED)

    objects.on_request, mended = refuse, False

    async def tell(story: Story) -> None:
        nonlocal mended
        story.imports.want(KEY, "uid", request(["1.pdf"]))
        await story.until(lambda outcome: outcome.failure is not None)
        mended, began = True, asyncio.get_running_loop().time()
        other = ImportRequest(
            Bucket("", whose="others", scheme="gs"), FOLDER, {"1.pdf": "gs://bucket/in/1.pdf"}, frozenset()
        )
        story.imports.want(KEY, "uid", other)
        await story.until(lambda outcome: outcome.there == {"1.pdf"})
        assert asyncio.get_running_loop().time() == began

    run(objects, tell)


@given(ends=st.lists(st.integers(0, 2), max_size=12), crashes=st.sets(st.integers(0, 12), max_size=4))
@settings(max_examples=60, deadline=None)
def test_there_are_never_more_copies_than_documents_in_flight(ends: list[int], crashes: set[int]) -> None:
    names = [f"{number}.pdf" for number in range(3 + len(ends))]
    objects = held(*names)

    def bounded(asked: str, _: Bucket) -> None:
        # A copy that is about to be made is one more, unless it is made over itself.
        assert len(staged(objects)) <= 3

    objects.on_request = bounded

    async def tell(story: Story) -> None:
        in_flight, ahead = names[:3], iter(names[3:])
        for step, end in enumerate([*ends, 0]):
            # As after a crash, all are looked up again, and nothing is known to be there.
            story.imports.want(KEY, "uid" if step not in crashes else f"uid-{step}", request(in_flight, in_flight))
            await story.until(partial(has, in_flight))
            new = next(ahead, None)
            in_flight = [*in_flight[:end], *in_flight[end + 1 :], *([new] if new else [])]

    run(objects, tell)
