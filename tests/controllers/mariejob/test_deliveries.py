"""Results on their way: each document's exactly once in the manifest, whatever happens between two requests."""

import asyncio
import contextlib
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marie_operator.controllers.mariejob import delivery, refs
from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.credentials import Credentials
from marie_operator.controllers.mariejob.deliveries import Deliveries
from marie_operator.controllers.mariejob.delivery import DeliveryRequest, Ended, Output, Receipt, Route, Totals
from marie_operator.controllers.mariejob.objects import ObjectsError
from marie_operator.controllers.mariejob.refusal import Refusal
from marie_operator.controllers.mariejob.source import FailedOf, Inline, Prefix, SingleDocument, Source, SourceError
from marie_operator.runtime.resource import ObjectKey
from marie_operator.testing import virtual
from tests.controllers.mariejob.memory import MemoryObjects

KEY, UID = ObjectKey("docs", "scan"), "6e5c9f0a-2f6e-4a44-8c8e-0a1c2b3d4e5f"
STEM = refs.stem("scan", UID)
MARIE, TARGET = Bucket("marie"), Bucket("bucket")
ROUTE = Route(MARIE, "ocr", TARGET, "results/", STEM)
MANIFEST = f"results/_manifests/{STEM}.jsonl"


class Clock:
    """The loop's time."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return datetime.fromtimestamp(1_767_225_600 + self.monotonic(), UTC)


def ended(ordinal: int, *, state: delivery.DocumentEnd = "Succeeded") -> Ended:
    key = f"in/{ordinal}.pdf"
    ref_id = refs.ref_id(job="scan", uid=UID, ordinal=ordinal, key=key, attempt=0, content_type="application/pdf")
    return Ended(
        f"s3://bucket/{key}", ref_id, f"{ordinal}.pdf", 1, Receipt(state, "" if state == "Succeeded" else "boom")
    )


def stored(objects: MemoryObjects, document: Ended, results: int = 2) -> None:
    for number in range(results):
        objects.put("marie", f"ocr/{document.stem}/results/{number}.json", document.uri.encode())


class Process:
    """One process of the operator: what it was told is delivered is gone when it dies."""

    def __init__(self, objects: MemoryObjects, name: str = "one") -> None:
        self.changed = asyncio.Event()
        self.deliveries = Deliveries(objects, on_change=lambda _: self.changed.set(), clock=Clock(), writer=name)
        self._task = asyncio.create_task(self.deliveries.run())

    async def wait(self) -> None:
        await self.changed.wait()
        self.changed.clear()

    async def die(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


class Job:
    """A job's status as far as its results are concerned, which outlives processes."""

    def __init__(self, documents: list[Ended], route: Route = ROUTE) -> None:
        self.route = route
        self.total = len(documents)
        self.waiting = documents
        self.parts = 0

    @property
    def request(self) -> DeliveryRequest:
        return DeliveryRequest(self.route, tuple(self.waiting), self.parts, None if self.waiting else self.total)

    async def turn(self, process: Process) -> Totals | None:
        """What a reconcile does; what the finished manifest lists, once it is."""
        process.deliveries.want(KEY, UID, self.request)
        await process.wait()
        outcome = process.deliveries.outcome(KEY)
        left = [document for document in self.waiting if document.ref_id not in outcome.delivered]
        if len(left) < len(self.waiting):
            self.waiting, self.parts = left, outcome.parts
        return outcome.totals


def lines(objects: MemoryObjects) -> list[dict[str, object]]:
    found = [json.loads(line) for line in objects.objects["bucket", MANIFEST].splitlines()]
    return sorted(found, key=lambda line: str(line["document"]))


async def carried_out(objects: MemoryObjects, job: Job) -> Totals:
    process = Process(objects)
    async with asyncio.timeout(36_000):
        while (totals := await job.turn(process)) is None:
            pass
    await process.die()
    return totals


def test_results_are_copied_and_listed() -> None:
    async def main() -> None:
        objects = MemoryObjects("bucket", "marie")
        documents = [ended(1), ended(2), ended(3, state="Failed")]
        stored(objects, documents[0])
        totals = await carried_out(objects, Job(documents))

        assert totals == Totals(results=2, without=1)
        assert set(objects.under("bucket")) == {
            "results/1.pdf/results/0.json",
            "results/1.pdf/results/1.json",
            MANIFEST,
        }
        first, second, third = lines(objects)
        assert first["document"] == "s3://bucket/in/1.pdf"
        assert first["results"] == [f"s3://bucket/results/1.pdf/results/{n}.json" for n in (0, 1)]
        assert (second["state"], second["results"]) == ("Succeeded", [])
        assert (third["state"], third["error"], third["results"]) == ("Failed", "boom", [])

    virtual.run(main)


def test_of_results_those_are_copied_that_are_wanted() -> None:
    async def main() -> None:
        objects, document = MemoryObjects("bucket", "marie"), ended(1)
        for name in (
            "results/1.json",
            "adlib/1.tif.xml",
            "blobs/1.blobs.xml",
            "assets/1.blobs.xml.zip",
            "pdf/results.pdf",
        ):
            objects.put("marie", f"ocr/{document.stem}/{name}", b"result")
        totals = await carried_out(objects, Job([document], route=replace(ROUTE, ending=".xml")))

        assert totals == Totals(results=2, without=0)
        assert set(objects.under("bucket")) == {
            "results/1.pdf/adlib/1.tif.xml",
            "results/1.pdf/blobs/1.blobs.xml",
            MANIFEST,
        }

    virtual.run(main)


@settings(max_examples=150)
@given(
    sizes=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    deaths=st.lists(st.integers(1, 12), max_size=6),
    refusals=st.sets(st.integers(1, 60), max_size=8),
    late=st.booleans(),
)
def test_every_document_is_listed_once_wherever_processes_die(
    sizes: list[int], deaths: list[int], refusals: set[int], late: bool
) -> None:
    """A process dies before, or after, one of its requests to the store; some requests are refused."""

    async def main() -> None:
        objects = MemoryObjects("bucket", "marie")
        documents = [
            ended(number, state="Failed" if size == 0 else "Succeeded") for number, size in enumerate(sizes, 1)
        ]
        for document, size in zip(documents, sizes, strict=True):
            stored(objects, document, size)
        job = Job(documents)
        asked = 0

        def refuse(what: str, bucket: Bucket) -> None:
            nonlocal asked
            asked += 1
            if asked in refusals:
                raise ObjectsError(f"{what} refused", bucket, Refusal.OTHER_STATUS)

        objects.on_request = refuse
        totals = None
        for life, requests in enumerate(deaths):
            process = Process(objects, f"life-{life}")
            until = asked + requests
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(600):
                    while asked < until and (totals := await job.turn(process)) is None:
                        pass
            if late:
                await asyncio.sleep(0)
            await process.die()
            if totals is not None:
                break
        totals = totals or await carried_out(objects, job)

        assert totals.results == sum(sizes)
        assert Counter(line["document"] for line in lines(objects)) == {document.uri: 1 for document in documents}
        assert set(objects.under("bucket")) == {MANIFEST} | {
            f"results/{number}.pdf/results/{result}.json"
            for number, size in enumerate(sizes, 1)
            for result in range(size)
        }

    virtual.run(main)


def test_what_the_manifest_lists_is_not_copied_again() -> None:
    async def main() -> None:
        objects = MemoryObjects("bucket", "marie")
        documents = [ended(number) for number in range(1, 31)]
        for document in documents:
            stored(objects, document, 1)
        job = Job(documents)
        first = Process(objects, "first")
        # The first turn learns that there are no parts; the second delivers all, and its status is never written.
        await job.turn(first)
        first.deliveries.want(KEY, UID, job.request)
        await first.wait()
        await first.die()
        assert len(objects.copied) == 30

        await carried_out(objects, job)
        assert len(objects.copied) == 30
        assert len(lines(objects)) == 30

    virtual.run(main)


def test_what_a_leader_before_wrote_late_is_listed_once() -> None:
    async def main() -> None:
        objects = MemoryObjects("bucket", "marie")
        documents = [ended(1), ended(2)]
        for document in documents:
            stored(objects, document, 1)
        old, job = Process(objects, "old"), Job(documents)
        await job.turn(old)
        await job.turn(old)
        (late,) = objects.under("bucket", "results/_manifests/")
        written = objects.objects.pop(("bucket", late))
        await old.die()

        job = Job(documents)
        new = Process(objects, "new")
        while job.waiting:
            await job.turn(new)
        objects.put("bucket", late, written)
        await new.die()

        assert await carried_out(objects, job) == Totals(results=2, without=0)
        assert len(lines(objects)) == 2

    virtual.run(main)


@pytest.mark.parametrize("total", [5_000, pytest.param(100_000, marks=pytest.mark.campaign)])
def test_many_documents_take_two_requests_each_and_little_memory(total: int) -> None:
    """A listing and a copy for each, and one more for the manifest of many; never all of it in memory."""
    flight = 1000

    async def main() -> None:
        objects = MemoryObjects("bucket", "marie")
        # What the buckets hold would be in a store: it is made when it is asked for, and forgotten when it is copied.
        objects.generated = lambda folder: [f"{folder}/results/page.json"]
        process, parts, done = Process(objects), 0, 0
        totals = None
        waiting = [ended(number) for number in range(1, flight + 1)]
        listed = flight
        while totals is None:
            closing = total if not waiting else None
            process.deliveries.want(KEY, UID, DeliveryRequest(ROUTE, tuple(waiting), parts, closing))
            await process.wait()
            outcome = process.deliveries.outcome(KEY)
            left = [document for document in waiting if document.ref_id not in outcome.delivered]
            if len(left) < len(waiting):
                done, parts = done + len(waiting) - len(left), outcome.parts
            more = min(flight - len(left), total - listed)
            waiting = left + [ended(number) for number in range(listed + 1, listed + more + 1)]
            listed += more
            totals = outcome.totals
        await process.die()

        assert done == total
        assert totals == Totals(results=total, without=0)
        assert objects.requests["list"] <= total * 1.01
        assert objects.requests["copy"] == total
        assert objects.requests["write"] + objects.requests["read"] <= total / 50
        # A part of the manifest at a time.
        assert objects.held < 200_000

    virtual.run(main)


@pytest.mark.parametrize("at", ["copy", "write"])
def test_a_refusal_is_told_with_its_beginning_and_tried_again(at: str) -> None:
    async def main() -> None:
        objects = MemoryObjects("bucket", "marie")
        stored(objects, ended(1))

        def refuse(what: str, bucket: Bucket) -> None:
            if what == at and asyncio.get_running_loop().time() < 1000:
                raise ObjectsError(f"no {what}", bucket, Refusal.DENIED)

        objects.on_request = refuse
        process, job = Process(objects), Job([ended(1)])
        process.deliveries.want(KEY, UID, job.request)
        failures = []
        while job.waiting:
            await job.turn(process)
            failures.append(process.deliveries.outcome(KEY).failure)
        (failure,) = {each for each in failures if each is not None}
        assert (failure.message, failure.answered, failure.at_source) == (f"no {at}", True, False)
        assert failure.since == datetime(2026, 1, 1, tzinfo=UTC)
        assert process.deliveries.outcome(KEY).failure is None
        # The last wait is a minute, and there is no more than one try in it.
        assert objects.requests[at] < 40
        await process.die()

    virtual.run(main)


def test_other_credentials_get_as_long_as_those_before() -> None:
    async def main() -> None:
        objects = MemoryObjects("bucket", "marie")

        def refuse(_what: str, bucket: Bucket) -> None:
            raise ObjectsError("Denied.", bucket, Refusal.DENIED)

        objects.on_request = refuse
        process, wanted = Process(objects), Job([ended(1)])
        process.deliveries.want(KEY, UID, wanted.request)
        await asyncio.sleep(3000)
        before = process.deliveries.outcome(KEY).failure
        wanted.route = replace(ROUTE, target=replace(TARGET, credentials=Credentials("new", "key")))
        process.deliveries.want(KEY, UID, wanted.request)
        assert process.deliveries.outcome(KEY).failure is None
        await asyncio.sleep(1)
        after = process.deliveries.outcome(KEY).failure
        assert before is not None
        assert after is not None
        assert (after.since - before.since).total_seconds() >= 2999
        await process.die()

    virtual.run(main)


def test_a_job_made_anew_under_its_name_has_nothing_of_the_old_ones() -> None:
    async def main() -> None:
        objects = MemoryObjects("bucket", "marie")
        stored(objects, ended(1))
        process, job = Process(objects), Job([ended(1)])
        while job.waiting:
            await job.turn(process)
        process.deliveries.want(KEY, "another", DeliveryRequest(ROUTE, (), 0))
        assert not process.deliveries.outcome(KEY).delivered
        process.deliveries.want(KEY, "another", None)
        await process.die()

    virtual.run(main)


@pytest.mark.parametrize(
    ("source", "uri", "folder"),
    [
        (SingleDocument("s3://b/in/one.pdf"), "s3://b/in/one.pdf", "one.pdf"),
        (Prefix("b", "in/"), "s3://b/in/2026/one.pdf", "2026/one.pdf"),
        (Prefix("b", ""), "s3://b/one.pdf", "one.pdf"),
        (FailedOf("docs", "other"), "s3://b/in/one.pdf", "in/one.pdf"),
        (Inline("scan-1", "docs", "ConfigMap", "letters", store=MARIE), "s3://marie/staged/scan-1/a.pdf", "a.pdf"),
        (Inline("scan-1", "docs", "", "document.pdf", store=MARIE), "s3://marie/staged/scan-1/x", "scan/document.pdf"),
        (Prefix("b", ""), "s3://b/a//./..//one.pdf", "a/%/.%/..%/%/one.pdf"),
        (Prefix("b", ""), f"s3://b/{'ü' * 450}", "scan-1-one"),
    ],
)
def test_a_document_has_a_folder_of_its_name(source: Source, uri: str, folder: str) -> None:
    assert delivery.folder("scan", source, uri, "scan-1-one.pdf", Output("bucket", "results/")) == folder


@pytest.mark.parametrize(
    ("uri", "output"),
    [
        ("s3://bucket/results/", Output("bucket", "results/")),
        ("s3://bucket/results", Output("bucket", "results/")),
        ("s3://bucket/", Output("bucket", "")),
        ("s3://bucket", Output("bucket", "")),
        ("gs://bucket/results", Output("bucket", "results/", "gs")),
        ("az://container/", Output("container", "", "az")),
    ],
)
def test_an_output_is_a_prefix(uri: str, output: Output) -> None:
    assert delivery.parse(uri) == output


@pytest.mark.parametrize(
    "uri",
    ["file:///tmp", "bucket/results", "s3:///results/", "s3://b/a//c/", "s3://bucket/../x/", "gcs://bucket/", "az://"],
)
def test_an_output_that_is_none_is_refused_with_an_example(uri: str) -> None:
    with pytest.raises(SourceError, match=r"spec\.output\.uri"):
        delivery.parse(uri)
