"""Work in the background: what one job's work raises is that job's."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import structlog

from marie_operator.controllers.mariejob.buckets import Bucket, Folder
from marie_operator.controllers.mariejob.deliveries import Deliveries
from marie_operator.controllers.mariejob.delivery import DeliveryRequest
from marie_operator.controllers.mariejob.imports import ImportRequest, Imports
from marie_operator.controllers.mariejob.listing import ListingFailure, Listings
from marie_operator.controllers.mariejob.source import Prefix
from marie_operator.controllers.mariejob.staging import Clearances
from marie_operator.controllers.mariejob.store import ListRequest, Page
from marie_operator.runtime.resource import ObjectKey
from marie_operator.testing import virtual
from tests.controllers.mariejob.memory import MemoryObjects
from tests.controllers.mariejob.test_deliveries import KEY, ROUTE, UID, Clock, ended

pytestmark = pytest.mark.looptime

OTHER = ObjectKey("docs", "other")
BAD, GOOD = (ListRequest(Prefix(bucket, "a/")) for bucket in ("bad", "good"))
TOLD = "Unexpected ZeroDivisionError; see the operator's log. The operator tries again."


class Store:
    """An object store whose library has a defect that one bucket meets a few times."""

    def __init__(self, times: int) -> None:
        self.left = times

    async def page(self, request: ListRequest) -> Page:
        if request.prefix.bucket == "bad" and self.left:
            self.left -= 1
            raise ZeroDivisionError("s3cret")
        return Page(request, ("a/1",), "a/1", last=True)


@asynccontextmanager
async def running(run: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(run())
    yield
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_defect_is_told_of_the_job_that_met_it_and_harms_no_other() -> None:
    changed, defects = Counter[ObjectKey](), list[None]()
    listings = Listings(Store(3), on_change=lambda job: changed.update([job]), on_defect=lambda: defects.append(None))
    with structlog.testing.capture_logs() as logs:
        async with running(listings.run):
            listings.want(KEY, BAD)
            await asyncio.sleep(1)
            assert listings.outcome(KEY) == ListingFailure(TOLD, answered=False)
            listings.want(OTHER, GOOD)
            await asyncio.sleep(1.5)
            assert isinstance(listings.outcome(OTHER), Page)
            # After 2, 4 and 8 seconds.
            await asyncio.sleep(10)
            assert isinstance(listings.outcome(KEY), ListingFailure)
            await asyncio.sleep(2)
            assert isinstance(listings.outcome(KEY), Page)
    assert (changed[KEY], changed[OTHER], len(defects)) == (2, 1, 3)
    assert [(each["event"], each["log_level"], each["name"]) for each in logs] == 3 * [
        ("failed unexpectedly; will try again", "error", "scan")
    ]


class Defective(MemoryObjects):
    """Buckets whose library has a defect until it is mended."""

    def __init__(self, *buckets: str) -> None:
        super().__init__(*buckets)
        self.on_request = self._raise

    def _raise(self, _what: str, _bucket: Bucket) -> None:
        raise ZeroDivisionError("s3cret")

    def mend(self) -> None:
        self.on_request = lambda _what, _bucket: None


def test_results_wait_for_the_end_of_a_defect() -> None:
    async def main() -> None:
        objects = Defective("bucket", "marie")
        deliveries = Deliveries(objects, on_change=lambda _: None, clock=Clock(), writer="one")
        async with running(deliveries.run):
            deliveries.want(KEY, UID, DeliveryRequest(ROUTE, (ended(1),), 0))
            await asyncio.sleep(1)
            failure = deliveries.outcome(KEY).failure
            assert failure is not None
            assert (failure.message, failure.answered, failure.at_source) == (TOLD, False, False)
            objects.mend()
            await asyncio.sleep(2)
            outcome = deliveries.outcome(KEY)
            assert outcome.failure is None
            assert list(outcome.delivered) == [ended(1).ref_id]

    virtual.run(main)


@pytest.mark.parametrize("mended_after", [1, 100])
def test_documents_of_other_clouds_wait_for_the_end_of_a_defect(mended_after: float) -> None:
    async def main() -> None:
        objects = Defective("marie")
        objects.put("bucket", "in/a", b"a")
        imports = Imports(objects, on_change=lambda _: None)
        wanted = ImportRequest(
            Bucket("", scheme="gs"), Folder(Bucket("marie"), "staged/scan-1"), {"a": "gs://bucket/in/a"}, frozenset()
        )
        async with running(imports.run):
            imports.want(KEY, UID, wanted)
            await asyncio.sleep(mended_after)
            failure = imports.outcome(KEY).failure
            assert failure is not None
            assert failure.message == TOLD
            objects.mend()
            await asyncio.sleep(61)
            assert imports.outcome(KEY).there == {"a"}
            assert imports.outcome(KEY).failure is None

    virtual.run(main)


def test_a_job_does_not_wait_for_a_defect_to_have_its_documents_taken_away() -> None:
    async def main() -> None:
        objects, changed = Defective("marie"), list[Sequence[str]]()
        clearances = Clearances(objects, on_change=lambda _: changed.append(()))
        async with running(clearances.run):
            clearances.want(KEY, UID, Folder(Bucket("marie"), "staged/scan-1"))
            await asyncio.sleep(1)
            told = f"What was put under s3://marie/staged/scan-1/ for Marie stays there: {TOLD}"
            assert clearances.outcome(KEY) == told

    virtual.run(main)
