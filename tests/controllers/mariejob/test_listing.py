"""Listings in the background, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from marie_operator.controllers.mariejob.listing import AHEAD, ListingFailure, Listings
from marie_operator.controllers.mariejob.source import Prefix
from marie_operator.controllers.mariejob.store import ListingError, ListRequest, Page
from marie_operator.runtime.resource import ObjectKey

pytestmark = pytest.mark.looptime

JOB = ObjectKey("docs", "scan")
REQUEST = ListRequest(Prefix("bucket", "a/"))
NEXT = ListRequest(Prefix("bucket", "a/"), "a/1")


class Store:
    """An object store that takes a second for each page."""

    def __init__(self, fail: Callable[[int], bool] = lambda _: False) -> None:
        self.fail = fail
        self.asked: list[ListRequest] = []
        self.at_once = self.most_at_once = 0

    async def page(self, request: ListRequest) -> Page:
        self.asked.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(1)
        finally:
            self.at_once -= 1
        if self.fail(len(self.asked)):
            raise ListingError("No.", answered=False)
        return Page(request, ("a/1",), "a/1", last=True)


@asynccontextmanager
async def listings(store: Store) -> AsyncIterator[tuple[Listings, list[ObjectKey]]]:
    changed: list[ObjectKey] = []
    under_test = Listings(store, on_change=changed.append, concurrency=2)
    running = asyncio.create_task(under_test.run())
    yield under_test, changed
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_page_is_listed_once_and_announced() -> None:
    store = Store()
    async with listings(store) as (under_test, changed):
        for _ in range(3):
            under_test.want(JOB, REQUEST)
            await asyncio.sleep(2)
        assert under_test.outcome(JOB) == Page(REQUEST, ("a/1",), "a/1", last=True)
    assert (store.asked, changed) == ([REQUEST], [JOB])


async def test_what_was_wanted_before_it_ran_is_listed() -> None:
    store, changed = Store(), list[ObjectKey]()
    under_test = Listings(store, on_change=changed.append)
    under_test.want(JOB, REQUEST)
    running = asyncio.create_task(under_test.run())
    await asyncio.sleep(2)
    running.cancel()
    assert changed == [JOB]


async def test_a_failure_is_announced_once_and_tried_again_with_back_off() -> None:
    store = Store(fail=lambda attempt: attempt < 4)
    async with listings(store) as (under_test, changed):
        under_test.want(JOB, REQUEST)
        await asyncio.sleep(1.5)
        assert under_test.outcome(JOB) == ListingFailure("No.", answered=False)
        # 1 s each, with 2, 4 and 8 s between.
        await asyncio.sleep(15.6)
        assert len(store.asked) == 4
        await asyncio.sleep(1)
        assert isinstance(under_test.outcome(JOB), Page)
    assert changed == [JOB, JOB]


async def test_another_request_replaces_the_one_before() -> None:
    store = Store()
    async with listings(store) as (under_test, changed):
        under_test.want(JOB, REQUEST)
        await asyncio.sleep(0.5)
        under_test.want(JOB, NEXT)
        assert under_test.outcome(JOB) is None
        await asyncio.sleep(2)
        outcome = under_test.outcome(JOB)
        assert isinstance(outcome, Page)
        assert outcome.request == NEXT
    assert changed == [JOB]


async def test_what_nobody_wants_is_forgotten() -> None:
    store = Store(fail=lambda _: True)
    async with listings(store) as (under_test, changed):
        under_test.want(JOB, REQUEST)
        await asyncio.sleep(0.5)
        under_test.want(JOB, None)
        await asyncio.sleep(100)
        assert under_test.outcome(JOB) is None
    assert (len(store.asked), changed) == (1, [])


async def test_few_pages_are_read_at_a_time() -> None:
    store = Store()
    async with listings(store) as (under_test, changed):
        for number in range(10):
            under_test.want(ObjectKey("docs", str(number)), REQUEST)
        await asyncio.sleep(10)
    assert store.most_at_once == 2
    assert len(changed) == 10


class Shelf:
    """An object store with many keys, two on a page."""

    def __init__(self, keys: int) -> None:
        self.keys = [f"a/{number:02}" for number in range(keys)]
        self.asked: list[str] = []

    async def page(self, request: ListRequest) -> Page:
        self.asked.append(request.after)
        ahead = [key for key in self.keys if key > request.after]
        return Page(request, tuple(ahead[:2]), ahead[:2][-1] if ahead else request.after, last=len(ahead) <= 2)


async def test_some_pages_are_there_before_they_are_needed_and_no_more() -> None:
    shelf = Shelf(30)
    under_test = Listings(shelf, on_change=lambda _: None)
    running = asyncio.create_task(under_test.run())
    under_test.want(JOB, REQUEST)
    await asyncio.sleep(1)
    assert len(shelf.asked) == AHEAD
    found = under_test.outcome(JOB)
    assert isinstance(found, Page)
    assert found.keys == tuple(shelf.keys[: 2 * AHEAD])
    assert (found.end, found.last) == (shelf.keys[2 * AHEAD - 1], False)
    # A page that is passed makes room for another, and nothing is read twice.
    under_test.want(JOB, ListRequest(REQUEST.source, shelf.keys[2]))
    await asyncio.sleep(1)
    found = under_test.outcome(JOB)
    assert isinstance(found, Page)
    assert found.keys == tuple(shelf.keys[2 : 2 * AHEAD + 2])
    for number in range(3, 30):
        under_test.want(JOB, ListRequest(REQUEST.source, shelf.keys[number]))
        await asyncio.sleep(1)
    assert sorted(set(shelf.asked)) == shelf.asked
    found = under_test.outcome(JOB)
    assert isinstance(found, Page)
    assert found.last
    running.cancel()


async def test_a_cursor_from_elsewhere_begins_anew() -> None:
    shelf = Shelf(30)
    under_test = Listings(shelf, on_change=lambda _: None)
    running = asyncio.create_task(under_test.run())
    under_test.want(JOB, ListRequest(REQUEST.source, "a/05"))
    await asyncio.sleep(1)
    under_test.want(JOB, ListRequest(REQUEST.source, "a/01"))
    assert under_test.outcome(JOB) is None
    await asyncio.sleep(1)
    found = under_test.outcome(JOB)
    assert isinstance(found, Page)
    assert found.keys[0] == "a/02"
    running.cancel()
