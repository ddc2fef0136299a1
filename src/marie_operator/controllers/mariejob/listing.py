"""Listings in the background, so that no reconcile waits for an object store."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from marie_operator.controllers.mariejob.background import Background, uncounted
from marie_operator.controllers.mariejob.store import Lister, ListingError, ListRequest, Page
from marie_operator.runtime.resource import ObjectKey

AHEAD = 4
"""Pages at hand for a job: in one step, a job passes over no more than these."""

_FIRST_RETRY = 2.0
_LAST_RETRY = 60.0


@dataclass(frozen=True, slots=True)
class ListingFailure:
    """Why the wanted page is not there; the listing is tried again by itself.

    Attributes:
        message: what is wrong and what to do.
        answered: whether the object store gave an answer that only a correction on our side will change.
        missing: whether it is a ConfigMap or Secret with the documents that is not there.
    """

    message: str
    answered: bool
    missing: bool = False


@dataclass(slots=True)
class _Listing:
    """One job's pages.

    Attributes:
        request: what is wanted.
        start: the key after which the pages begin.
        pages: those at hand, in their order.
        failure: why the next one cannot be had at the moment.
    """

    request: ListRequest
    start: str
    pages: list[Page] = field(default_factory=list)
    failure: ListingFailure | None = None

    @property
    def end(self) -> str:
        """Where the next page begins."""
        return self.pages[-1].end if self.pages else self.start

    @property
    def is_enough(self) -> bool:
        """Whether nothing needs to be read for now."""
        return len(self.pages) >= AHEAD or bool(self.pages and self.pages[-1].last)

    def goes_on(self, request: ListRequest) -> bool:
        """Whether what is wanted now is a later part of the same."""
        here, there = self.request, request
        same = (here.source, here.credentials) == (there.source, there.credentials)
        return same and self.start <= request.after <= self.end

    def pass_over(self, after: str) -> None:
        """Let go of pages that are done with; the last one of all stays, since it says so."""
        while self.pages and self.pages[0].end <= after and not self.pages[0].last:
            self.start = self.pages.pop(0).end


class Listings:
    """A few pages of keys ahead for each job, so that it does not wait for the next while it works.

    Args:
        lister: reads pages.
        on_change: called with a job's key when there is another page, or another reason why there is none.
        concurrency: how many pages are read at a time.
        on_defect: called when reading raises what nobody expected, which is told of that job alone.
    """

    def __init__(
        self,
        lister: Lister,
        *,
        on_change: Callable[[ObjectKey], None],
        concurrency: int = 4,
        on_defect: Callable[[], None] = uncounted,
    ) -> None:
        self._lister = lister
        self._on_change = on_change
        self._slots = asyncio.Semaphore(concurrency)
        self._listings: dict[ObjectKey, _Listing] = {}
        self._background = Background("listing", on_failure=self._fail, on_defect=on_defect)

    def want(self, job: ObjectKey, request: ListRequest | None) -> None:
        """Say after which key ``job`` goes on; ``None`` when it needs no more, which forgets what there was.

        Saying the same again changes nothing.
        """
        listing = self._listings.get(job)
        if listing is not None and (request is None or not listing.goes_on(request)):
            self._background.end(job)
            del self._listings[job]
            listing = None
        if request is None:
            return
        if listing is None:
            listing = self._listings[job] = _Listing(request, request.after)
        listing.request = request
        listing.pass_over(request.after)
        if not listing.is_enough:
            self._background.begin(job, partial(self._list, job, listing))

    def outcome(self, job: ObjectKey) -> Page | ListingFailure | None:
        """All keys at hand for ``job``, or why there are none; ``None`` before either is known."""
        listing = self._listings.get(job)
        if listing is None:
            return None
        if not listing.pages:
            return listing.failure
        keys = tuple(key for page in listing.pages for key in page.keys)
        last = listing.pages[-1]
        return Page(listing.request, keys, last.end, last.last)

    async def run(self) -> None:
        """List what is wanted, until cancelled. To be run by the leader only."""
        await self._background.run()

    async def _list(self, job: ObjectKey, listing: _Listing) -> None:
        delay = _FIRST_RETRY
        while not listing.is_enough:
            async with self._slots:
                outcome = await self._read(replace(listing.request, after=listing.end))
            if isinstance(outcome, Page):
                listing.pages.append(outcome)
                listing.failure, delay = None, _FIRST_RETRY
                self._on_change(job)
                continue
            self._failed(job, listing, outcome)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_RETRY)

    def _fail(self, job: ObjectKey, message: str) -> None:
        if (listing := self._listings.get(job)) is not None:
            self._failed(job, listing, ListingFailure(message, answered=False))

    def _failed(self, job: ObjectKey, listing: _Listing, failure: ListingFailure) -> None:
        if failure != listing.failure:
            listing.failure = failure
            self._on_change(job)

    async def _read(self, request: ListRequest) -> Page | ListingFailure:
        try:
            return await self._lister.page(request)
        except ListingError as error:
            return ListingFailure(str(error), error.answered, error.missing)
