"""A large batch, or very many jobs, in virtual time: what they cost, and what a restart in the middle costs."""

import asyncio
import gc
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from marie_operator.api.mariejob import DocumentInFlight
from marie_operator.marie.document import Document as Followed
from marie_operator.testing import manifests, virtual
from marie_operator.testing.gateway import Document, Outcome, SimulatedMarie
from marie_operator.testing.gateway.outcome import NEVER
from tests.simulation.trace import Trace
from tests.simulation.world import World, installed

WORKERS, SLOTS = 4, 25
"""Executors, and what each works on at a time: about 100 documents a second."""
WINDOW = 1000
FAILING = 5000
"""Of so many documents one has no result."""
FIXED = 40
"""Writes that any job and its cluster cost."""
RECOVERY = 15.0
"""Seconds after a crash for which documents are in doubt that may or may not have been submitted."""
PAGE = 1000
LARGEST = 1 << 20
NAMESPACE = "/apis/marie.ai/v1alpha1/namespaces/default"
TEMPLATE = {"spec": {"containers": [{"name": "marie", "image": "marieai/marie:4.0.0"}]}}


class Listings(Trace):
    """Remembers where listings began, and how often what was asked of stores, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.after: list[str] = []
        self.requests: Counter[str] = Counter()

    def note(self, who: str, what: str, *contents: bytes) -> None:
        if what.startswith("s3://"):
            self.requests[what.split(" ")[1]] += 1
        if what.startswith("LIST "):
            self.after.append(what.split(" after ")[1].rsplit(" ", 1)[0].strip("'"))


@dataclass
class Run:
    """What was seen of a batch.

    Attributes:
        writes: To the API server, by kind.
        hungry: Moments at which a slot was free although documents were left that nobody had submitted.
        largest: Bytes of the largest status.
        held: The most documents that the operator had in memory.
        crashed: The cursor when the process was killed.
        listed: Where listings began after that.
        status: The job's at the end.
        records: Lines of the record of failures.
        dags: How many each document had.
        copied: Results in the job's output.
        manifest: The documents in its manifest, and how often.
        requests: To object stores.
        asked: How often the gateway was asked for a task.
    """

    writes: Counter[str] = field(default_factory=Counter)
    hungry: list[float] = field(default_factory=list)
    largest: int = 0
    held: int = 0
    crashed: str = ""
    listed: list[str] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    records: list[dict[str, str]] = field(default_factory=list)
    dags: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    copied: int = 0
    manifest: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)


def fails(uri: str) -> bool:
    return int(uri.rsplit("/", 1)[-1].removesuffix(".pdf")) % FAILING == FAILING - 1


def outcome(document: Document) -> Outcome:
    return Outcome(1.0, NEVER if fails(document.uri) else 0)


def cluster() -> list[dict[str, Any]]:
    group = {"groupName": "extract", "executorType": "extract", "template": TEMPLATE}
    spec = {"serverSpec": {"template": TEMPLATE}, "executorGroupSpecs": [group]}
    key = {"metadata": {"name": "c-api-key"}, "stringData": {"apiKey": "mas_none"}}
    return [
        {"apiVersion": "v1", "kind": "Secret", **key},
        {"apiVersion": "marie.ai/v1alpha1", "kind": "MarieCluster", "metadata": {"name": "c"}, "spec": spec},
    ]


def job(name: str, **spec: Any) -> dict[str, Any]:
    spec = {"clusterRef": "c", "jobType": "extract", "backoffLimit": 0, **spec}
    return {"apiVersion": "marie.ai/v1alpha1", "kind": "MarieJob", "metadata": {"name": name}, "spec": spec}


def batch() -> dict[str, Any]:
    return job(
        "large",
        input={"uri": "s3://bucket/in/"},
        output={"uri": "s3://bucket/out/"},
        batch={"maxInFlight": WINDOW, "maxFailed": "1%"},
    )


async def watch(marie: SimulatedMarie, run: Run, documents: int, began: asyncio.Event) -> None:
    """Take down when the gateway waits for the operator, from when it first had enough."""
    await began.wait()
    while len(marie.engine.dags) < documents:
        engine = marie.engine
        waiting = any(not node.is_noop for node in engine.ready.values())
        if not waiting and engine.pool.free("extract_executor"):
            run.hungry.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.1)


async def carried_out(documents: int) -> Run:
    run, listings = Run(), Listings()
    world = World(
        installed(),
        random.Random(1),
        usual=(0.001, 0.005),
        keys=[f"in/{number:07}.pdf" for number in range(documents)],
        page_size=PAGE,
        lease_period=3600,
        outcome=outcome,
        trace=listings,
    )
    async with world:

        def on_send(_who: str, what: str) -> None:
            if not ("/api/v1/invoke" in what or what.startswith("s3://")):
                run.writes[what.split("?", maxsplit=1)[0]] += 1

        async def status() -> dict[str, Any]:
            found: dict[str, Any] = (await world.api.get(f"{NAMESPACE}/mariejobs/large")).get("status", {})
            run.largest = max(run.largest, len(json.dumps(found)))
            return found

        async def until(share: float) -> None:
            while (await status()).get("documents", {}).get("succeeded", 0) < share * documents:
                await asyncio.sleep(1)
            run.held = max(run.held, sum(isinstance(each, Followed | DocumentInFlight) for each in gc.get_objects()))

        world.on_send = on_send
        await manifests.apply(world.api, [*cluster(), batch()])
        marie = world.gateways.cluster("default", "c")
        for number in range(WORKERS):
            marie.register("extract_executor", f"10.9.0.{number}:52110", SLOTS)
        [replica] = world.replicas
        replica.start()
        began = asyncio.Event()
        watching = asyncio.create_task(watch(marie, run, documents, began))
        await until(0.1)
        began.set()
        await until(0.5)
        await replica.crash()
        run.crashed, before = (await status())["documents"]["cursor"], len(listings.after)
        crashed_at = asyncio.get_running_loop().time()
        replica.start()
        await until(0.9)
        while (await status()).get("phase") == "Running":
            await asyncio.sleep(5)
        await watching
        run.hungry = [at for at in run.hungry if not crashed_at <= at <= crashed_at + RECOVERY]
        run.listed, run.status = listings.after[before:], await status()
        record = await world.api.get("/api/v1/namespaces/default/configmaps/large-failures")
        run.records = [json.loads(line) for line in record["data"]["failures.jsonl"].splitlines()]
        run.dags = Counter(dag.uri for dag in marie.dags)
        run.copied = len(world.objects.under("bucket", "out")) - 1
        manifest = world.objects["bucket", run.status["result"]["manifestUri"].removeprefix("s3://bucket/")]
        run.manifest = Counter(json.loads(line)["document"] for line in manifest.splitlines())
        run.requests = listings.requests
        run.asked = marie.requests["GET /api/jobsXX/{job_id}"]
    return run


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("documents", [5_000, pytest.param(100_000, marks=pytest.mark.campaign)])
def test_a_batch_runs_at_the_gateways_speed_and_outlives_the_operator(documents: int) -> None:
    installed()
    run = virtual.run(lambda: carried_out(documents))
    counts, failing = run.status["documents"], documents // FAILING
    assert run.status["phase"] == "Succeeded"
    assert (counts["total"], counts["succeeded"], counts["failed"]) == (documents, documents - failing, failing)
    # No document is lost, and none is done twice.
    assert len(run.dags) == documents
    assert set(run.dags.values()) == {1}
    assert {record["uri"] for record in run.records} == {uri for uri in run.dags if fails(uri)}
    # Every result is where it should be, and every document in the manifest once.
    assert run.copied == 2 * (documents - failing)
    assert len(run.manifest) == documents
    assert set(run.manifest.values()) == {1}
    # One listing of a document's results, a copy of each, and little else; what a crash interrupted is done again.
    again = 2 * WINDOW
    assert run.requests["LIST"] <= documents + again
    assert run.requests["COPY"] <= 2 * (documents + again)
    assert sum(run.requests[each] for each in ("GET", "PUT", "DELETE")) <= documents / 20
    # The gateway never waits.
    assert run.hungry == []
    assert run.asked <= 7 * documents
    # The API server has little to do, and little to keep; and so has the operator.
    assert sum(run.writes.values()) <= FIXED + documents / 220, run.writes
    assert run.largest < LARGEST
    assert run.held <= 6 * WINDOW
    # Who starts again goes on where the status says.
    assert run.listed[0] == run.crashed
    assert len(run.listed) <= (documents // 2) // PAGE + 3


async def in_line(jobs: int) -> tuple[Counter[str], Counter[str], int]:
    """Phases in which so many jobs end, the documents that Marie was given, and how much the operator wrote or sent."""
    sent = 0
    world = World(installed(), random.Random(1), usual=(0.001, 0.005), lease_period=3600, outcome=outcome)
    async with world:

        def on_send(_who: str, _what: str) -> None:
            nonlocal sent
            sent += 1

        world.on_send = on_send
        each = [job(f"j{number}", input={"uri": f"s3://bucket/in/{number}.pdf"}) for number in range(jobs)]
        await manifests.apply(world.api, [*cluster(), *each])
        marie = world.gateways.cluster("default", "c")
        for number in range(WORKERS):
            marie.register("extract_executor", f"10.9.0.{number}:52110", SLOTS)
        [replica] = world.replicas
        replica.start()
        while True:
            await asyncio.sleep(10)
            found = (await world.api.get(f"{NAMESPACE}/mariejobs"))["items"]
            phases = Counter(str(each.get("status", {}).get("phase")) for each in found)
            if phases.keys() <= {"Succeeded", "Failed"}:
                return phases, Counter(dag.uri for dag in marie.dags), sent


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("jobs", [200, pytest.param(5_000, marks=pytest.mark.campaign)])
def test_jobs_in_a_line_all_come_to_their_turn(jobs: int) -> None:
    installed()
    phases, documents, sent = virtual.run(lambda: in_line(jobs))
    failing = sum(map(fails, documents))
    assert phases == Counter(Succeeded=jobs - failing, Failed=failing)
    assert len(documents) == jobs
    assert set(documents.values()) == {1}
    # Found, waiting, its turn, with Marie, at work, done: each a status, and most an event.
    assert sent <= FIXED + 12 * jobs
