"""A million documents through the controller of jobs: what it keeps does not grow with their number.

Marie's monitors are played: of each document they tell at the next moment that it is at Marie, and at the one after
that it has ended. All else is the operator's own: listings, status, records of failures, results and their manifest.
"""

import asyncio
import base64
import contextlib
import gc
import json
import os
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from prometheus_client import CollectorRegistry

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import DocumentInFlight, MarieJob
from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob import (
    INDEXES,
    Clearances,
    Deliveries,
    Imports,
    Listings,
    MarieJobReconciler,
    Origins,
    Outcomes,
    Owned,
    Secrets,
    Sources,
    Turns,
)
from marie_operator.controllers.mariejob.delivery import Ended
from marie_operator.controllers.named import NamedObjects
from marie_operator.marie.gateways import DatabaseView, DocumentState, DocumentView, GatewayView, Ticket
from marie_operator.runtime import ObjectReference, Typed, Writer
from marie_operator.runtime.resource import CONFIG_MAPS, SECRETS, Object, ObjectKey, Resource
from marie_operator.testing import virtual
from marie_operator.testing.gateway import Document
from marie_operator.testing.gateway.results import results
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.operator_process import KEY, NoSubmitters, wired
from tests.controllers.mariejob.samples import UP, cluster, job
from tests.simulation.ledger import Keys, Ledger, ordinal
from tests.simulation.network import Network
from tests.simulation.trace import Trace
from tests.simulation.wires import BucketWire, ObjectsWire, Port
from tests.simulation.world import VirtualClock

PAGE = 1000
LARGEST = 1 << 20
"""Bytes that an object of the API server's has room for, and more."""
LONGEST_LINE = 600
"""Bytes of a document in the manifest, at most."""
SHOWN = 20
"""Failures in status."""
WHY = " ".join(["The executor found no text."] * 16)
MOMENT = 1.0
"""Seconds between two looks at Marie."""


class Measured(ApiServer):
    """Takes down how often what is written, and how large it is then."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: Counter[str] = Counter()
        self.largest: Counter[str] = Counter()

    def _reply(self, verb: str, resource: Resource, obj: Object) -> Object:
        self.writes[resource.kind] += 1
        self.largest[resource.kind] = max(self.largest[resource.kind], len(json.dumps(obj).encode()))
        return super()._reply(verb, resource, obj)


class Marie:
    """Does every document that it is given, within two moments.

    Args:
        ledger: Where it stores results.
        documents: How many there are.
        failing: Of so many documents the last one fails; 0 for none.

    Attributes:
        given: How often it was given each.
    """

    def __init__(self, ledger: Ledger, documents: int, failing: int) -> None:
        self.given = bytearray(documents)
        self.failing = failing
        self._ledger = ledger
        self._followed: dict[str, Ticket] = {}
        self._views: dict[str, DocumentView] = {}

    def view(self, _cluster: ObjectKey) -> GatewayView | None:
        return UP

    def database(self, _cluster: ObjectKey) -> DatabaseView | None:
        return None

    def documents(self, _cluster: ObjectKey, _job: ObjectKey) -> Mapping[str, DocumentView]:
        return dict(self._views)

    def follow(self, _cluster: ObjectKey, _job: ObjectKey, tickets: Sequence[Ticket], *, api_key: str) -> None:
        assert api_key == "mas_key"
        self._followed = {ticket.ref_id: ticket for ticket in tickets}
        waiting = DocumentView(DocumentState.WAITING)
        self._views = {ref_id: self._views.get(ref_id, waiting) for ref_id in self._followed}

    def abandon(self, _job: ObjectKey) -> None:
        self._followed, self._views = {}, {}

    def forget(self) -> None:
        """The operator's process has ended; Marie goes on."""
        self._followed, self._views = {}, {}

    def work(self) -> bool:
        """A moment passes; whether anything has moved."""
        moved = False
        for ref_id, view in self._views.items():
            if view.state is DocumentState.WAITING:
                self._take(ref_id)
            elif view.state is DocumentState.SUBMITTED:
                self._end(ref_id, view.dag_id)
            else:
                continue
            moved = True
        return moved

    def _take(self, ref_id: str) -> None:
        number = ordinal(ref_id)
        # What a process that is no more may have brought is looked up first.
        if self._followed[ref_id].fresh or not self.given[number]:
            self.given[number] += 1
        self._views[ref_id] = DocumentView(DocumentState.SUBMITTED, f"dag-of-{ref_id}")

    def _end(self, ref_id: str, dag_id: str) -> None:
        if self.failing and ordinal(ref_id) % self.failing == self.failing - 1:
            self._views[ref_id] = DocumentView(DocumentState.FAILED, dag_id, WHY)
            return
        asked = self._followed[ref_id].submission
        document = Document(ref_id, asked.uri, "extract_executor", {"ref_type": asked.ref_type})
        for key, content in results(document).items():
            self._ledger["marie", key] = content
        self._views[ref_id] = DocumentView(DocumentState.SUCCEEDED, dag_id)


class Stores(Trace):
    """Counts what object stores are asked."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: Counter[str] = Counter()
        self.after: list[str] = []

    def note(self, who: str, what: str, *contents: bytes) -> None:
        """Something happened."""
        if what.startswith("s3://"):
            self.requests[what.split(" ")[1]] += 1
        elif what.startswith("LIST "):
            self.after.append(what.split(" after ")[1].rsplit(" ", 1)[0].strip("'"))


@dataclass
class Seen:
    """What was seen.

    Attributes:
        api: What was written.
        marie: What was asked of it.
        ledger: What is in the output.
        stores: What was asked of them.
        keys: Under the prefix.
        held: Documents that the operator had in memory, at most.
        memory: MiB of the whole process, at each tenth of the documents.
        seconds: Of processor time, likewise.
        crashed: The cursor when the operator was killed.
        listed: Where listings began after that.
    """

    api: Measured
    marie: Marie
    ledger: Ledger
    stores: Stores
    keys: Keys
    held: int = 0
    memory: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    crashed: str = ""
    listed: list[str] = field(default_factory=list)

    def status(self, key: ObjectKey = KEY) -> dict[str, Any]:
        """A job's."""
        found: dict[str, Any] = self.api.objects[kinds.MARIE_JOBS, key].get("status", {})
        return found

    def records(self) -> list[list[int]]:
        """The documents in each part of the record of failures."""
        parts = range(1, self.status()["documents"].get("failureParts", 0) + 1)
        names = ["scan-failures" if part == 1 else f"scan-failures-{part}" for part in parts]
        texts = [self.api.objects[CONFIG_MAPS, ObjectKey("docs", name)]["data"]["failures.jsonl"] for name in names]
        return [[ordinal(json.loads(line)["uri"]) for line in text.splitlines()] for text in texts]

    def weigh(self) -> None:
        """Look what the operator has in memory."""
        gc.collect()
        kinds_held = DocumentInFlight | Ticket | DocumentView | Ended
        self.held = max(self.held, sum(isinstance(each, kinds_held) for each in gc.get_objects()))
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        self.memory.append(pages * os.sysconf("SC_PAGE_SIZE") >> 20)
        self.seconds.append(time.process_time())


class Silence:
    """Keeps no events."""

    def record(
        self,
        regarding: ObjectReference,
        *,
        type: Literal["Normal", "Warning"],  # noqa: A002 - the field's own name
        reason: str,
        action: str,
        note: str,
    ) -> None:
        """Nothing is told."""


class Life:
    """One process of the operator, as far as jobs go, and the loop that its controller is.

    Args:
        seen: What is around it.
        key: Of the job.
    """

    def __init__(self, seen: Seen, key: ObjectKey = KEY) -> None:
        api, clock = seen.api, VirtualClock()
        self._key = key
        self._marie = seen.marie
        self._due = asyncio.Event()
        self._process = virtual.Process()
        port = Port(Network(random.Random(1)), self._process, "operator", seen.stores, lambda *_: None)
        objects = ObjectsWire(seen.ledger, port)
        jobs, clusters = api.inform(kinds.MARIE_JOBS, **INDEXES), api.inform(kinds.MARIE_CLUSTERS)
        for resource in (kinds.MARIE_JOBS, kinds.MARIE_CLUSTERS):
            for (kind, _), obj in list(api.objects.items()):
                if kind == resource:
                    api.put(resource, obj)

        def on_change(_job: ObjectKey) -> None:
            self._due.set()

        self._works = (
            Listings(Origins(BucketWire(seen.keys, PAGE, port), api, objects), on_change=on_change),
            Deliveries(objects, on_change=on_change, clock=clock, writer=f"life-{len(seen.stores.after)}"),
            Imports(objects, on_change=on_change),
            Clearances(objects, on_change=on_change),
        )
        typed = Typed(jobs, MarieJob.model_validate)
        turns = Turns(typed, clock=clock, on_turn=on_change)
        jobs.add_handler(turns.handle)
        listings, deliveries, imports, clearances = self._works
        sources = Sources(
            clusters=Typed(clusters, MarieCluster.model_validate),
            jobs=typed,
            secrets=Secrets(NamedObjects(api, clock=clock)),
            gateways=self._marie,
            listings=listings,
            deliveries=deliveries,
            imports=imports,
            clearances=clearances,
            turns=turns,
            submitters=NoSubmitters(),
            owned=Owned(cast("Writer", api), clock=clock),
            clock=clock,
        )
        outcomes = Outcomes(CollectorRegistry())
        self._reconciler = MarieJobReconciler(
            informer=jobs, jobs=typed, sources=sources, client=api, events=Silence(), outcomes=outcomes
        )

    def start(self) -> None:
        """Begin."""
        self._main = self._process.start(self._run())

    async def kill(self) -> None:
        """End at once."""
        await self._process.kill()
        self._marie.forget()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for work in self._works:
                group.create_task(work.run())
            group.create_task(self._look())
            while True:
                # What happens at one moment, such as parts of the manifest, is seen at once.
                await asyncio.sleep(MOMENT / 100)
                self._due.clear()
                result = await self._reconciler.reconcile(self._key)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(result.requeue_after):
                        await self._due.wait()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(MOMENT)
            if self._marie.work():
                self._due.set()


def begun(documents: int, window: int, *, failing: int) -> Seen:
    """A batch that is about to begin, and what is around it."""
    ledger, api = Ledger(documents), Measured()
    seen = Seen(api, Marie(ledger, documents, failing), ledger, Stores(), Keys(documents))
    api.put(kinds.MARIE_CLUSTERS, wired(cluster()))
    key = base64.b64encode(b"mas_key").decode()
    api.put(SECRETS, {"metadata": {"namespace": "docs", "name": "c-api-key"}, "data": {"apiKey": key}})
    spec: dict[str, Any] = {"output": {"uri": "s3://bucket/out/"}, "batch": {"maxInFlight": window}, "backoffLimit": 0}
    api.put(kinds.MARIE_JOBS, wired(job("s3://bucket/in/", **spec)))
    return seen


async def ended(seen: Seen, key: ObjectKey = KEY) -> None:
    """Wait for a job's end."""
    while "completionTime" not in seen.status(key):
        await asyncio.sleep(MOMENT)


async def carried_out(documents: int, window: int, *, failing: int) -> Seen:
    """A batch to its end, with the operator killed in the middle."""
    seen = begun(documents, window, failing=failing)

    async def until(share: float) -> None:
        while seen.status().get("documents", {}).get("listed", 0) < share * documents:
            await asyncio.sleep(MOMENT)
        seen.weigh()

    life = Life(seen)
    life.start()
    for tenth in range(1, 6):
        await until(tenth / 10)
    await life.kill()
    seen.crashed, before = seen.status()["documents"]["cursor"], len(seen.stores.after)
    life = Life(seen)
    life.start()
    for tenth in range(6, 11):
        await until(tenth / 10)
    await ended(seen)
    await life.kill()
    seen.listed = seen.stores.after[before:]
    return seen


def complete(seen: Seen, documents: int, window: int, *, failing: int) -> None:
    """Check that no document is lost or done twice, and that what was written of each is there."""
    failed, status = documents // failing, seen.status()["documents"]
    assert (status["total"], status["succeeded"], status["failed"]) == (documents, documents - failed, failed)
    assert set(seen.marie.given) == {1}
    assert set(seen.ledger.listed) == {1}
    assert Counter(seen.ledger.copied) == Counter({3: documents - failed, 0: failed})
    assert sorted(number for part in seen.records() for number in part) == list(range(failing - 1, documents, failing))
    assert len(status["failures"]) == min(SHOWN, failed)
    # Who starts again goes on where the status says, and copies nothing again that is listed.
    assert seen.listed[0] == seen.crashed
    assert len(seen.listed) <= (documents // 2) // PAGE + 3
    assert seen.stores.requests["COPY"] <= 2 * (documents + 2 * window)


def test_objects_and_memory_are_as_large_for_ten_times_as_many_documents() -> None:
    window, failing = 50, 100
    few = virtual.run(lambda: carried_out(200, window, failing=failing))
    many = virtual.run(lambda: carried_out(2000, window, failing=failing))
    complete(few, 200, window, failing=failing)
    complete(many, 2000, window, failing=failing)
    # Counts have a digit more, and more failures are shown, up to as many as there is room for.
    assert many.api.largest["MarieJob"] <= few.api.largest["MarieJob"] + SHOWN * (len(WHY) + 100)
    assert few.held <= 6 * window
    assert many.held <= 6 * window
    assert many.ledger.largest <= few.ledger.largest + 200 * LONGEST_LINE
    assert many.api.largest["ConfigMap"] < LARGEST / 2
    # Listings are of pages, however many documents there are.
    assert len(many.stores.after) <= 2000 // PAGE + 4


@pytest.mark.parametrize(
    ("documents", "failing"),
    [(4_000, 2), pytest.param(100_000, 33, marks=[pytest.mark.campaign, pytest.mark.timeout(3600)])],
)
def test_of_failures_beyond_what_status_shows_none_is_lost_and_they_alone_are_done_again(
    documents: int, failing: int
) -> None:
    window, again = 500, ObjectKey("docs", "again")

    async def main() -> Seen:
        seen = await carried_out(documents, window, failing=failing)
        complete(seen, documents, window, failing=failing)
        assert len(seen.records()) > 2
        assert seen.api.largest["ConfigMap"] < LARGEST / 2
        seen.marie.failing = 0
        anew = wired(job("", input={"failedOf": "scan"}, batch={"maxInFlight": window}))
        seen.api.put(kinds.MARIE_JOBS, {**anew, "metadata": {"namespace": "docs", "name": again.name, "generation": 1}})
        life = Life(seen, again)
        life.start()
        await ended(seen, again)
        await life.kill()
        return seen

    seen = virtual.run(main)
    failed, status = documents // failing, seen.status(again)
    assert status["phase"] == "Succeeded"
    assert (status["documents"]["total"], status["documents"]["succeeded"]) == (failed, failed)
    assert Counter(seen.marie.given) == Counter({2: failed, 1: documents - failed})


@pytest.mark.campaign
@pytest.mark.timeout(7200)
def test_a_million_documents_take_no_more_than_are_in_flight() -> None:
    documents, window, failing = 1_000_000, 1000, 250
    seen = virtual.run(lambda: carried_out(documents, window, failing=failing))
    complete(seen, documents, window, failing=failing)
    assert seen.held <= 6 * window
    assert max(seen.api.largest.values()) < LARGEST
    assert seen.ledger.largest <= 200 * LONGEST_LINE
    # The process, with all that is simulated, grows no more once the first tenth is done.
    assert seen.memory[-1] <= seen.memory[0] + 100
    # A write of the status for some hundreds of documents, and one of the record where one of them has failed.
    assert seen.api.writes["MarieJob"] <= documents / 220
