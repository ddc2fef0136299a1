"""Listings in the background, so that no reconcile waits for an object store."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from marie_operator.controllers.mariejob.store import Lister, ListingError, ListRequest, Page
from marie_operator.runtime.resource import ObjectKey

_FIRST_RETRY = 2.0
_LAST_RETRY = 60.0


@dataclass(frozen=True, slots=True)
class ListingFailure:
    """Why the wanted page is not there; the listing is tried again by itself.

    Attributes:
        message: what is wrong and what to do.
        answered: whether the object store gave an answer that only a correction on our side will change.
    """

    message: str
    answered: bool


@dataclass(slots=True)
class _Listing:
    request: ListRequest
    outcome: Page | ListingFailure | None = None
    task: asyncio.Task[None] | None = None


class Listings:
    """At most one page of keys per job, listed when wanted and kept until another is.

    Args:
        lister: reads pages.
        on_change: called with a job's key when the outcome of its listing changed.
        concurrency: how many pages are read at a time.
    """

    def __init__(self, lister: Lister, *, on_change: Callable[[ObjectKey], None], concurrency: int = 4) -> None:
        self._lister = lister
        self._on_change = on_change
        self._slots = asyncio.Semaphore(concurrency)
        self._listings: dict[ObjectKey, _Listing] = {}
        self._unstarted: dict[ObjectKey, None] = {}
        self._wake = asyncio.Event()

    def want(self, job: ObjectKey, request: ListRequest | None) -> None:
        """Say which page ``job`` works from; ``None`` when it needs none, which forgets what there was.

        Saying the same again changes nothing.
        """
        listing = self._listings.get(job)
        if listing is not None and listing.request == request:
            return
        if listing is not None:
            if listing.task is not None:
                listing.task.cancel()
            del self._listings[job]
        if request is not None:
            self._listings[job] = _Listing(request)
            self._unstarted[job] = None
            self._wake.set()

    def outcome(self, job: ObjectKey) -> Page | ListingFailure | None:
        """The page last wanted for ``job``, or why it cannot be had; ``None`` before either is known."""
        listing = self._listings.get(job)
        return listing.outcome if listing is not None else None

    async def run(self) -> None:
        """List what is wanted, until cancelled. To be run by the leader only."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for job in self._unstarted:
                    if (listing := self._listings.get(job)) is not None and listing.task is None:
                        listing.task = group.create_task(self._list(job, listing))
                self._unstarted.clear()

    async def _list(self, job: ObjectKey, listing: _Listing) -> None:
        delay = _FIRST_RETRY
        while not isinstance(listing.outcome, Page):
            async with self._slots:
                outcome = await self._read(listing.request)
            if outcome != listing.outcome:
                listing.outcome = outcome
                self._on_change(job)
            if isinstance(outcome, ListingFailure):
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_RETRY)

    async def _read(self, request: ListRequest) -> Page | ListingFailure:
        try:
            return await self._lister.page(request)
        except ListingError as error:
            return ListingFailure(str(error), error.answered)
