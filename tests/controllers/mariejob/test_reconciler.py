"""The reconciler with everything around it, and what it leaves behind when it is interrupted."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import count

import pytest

from marie_operator.api.mariejob import MarieJob
from marie_operator.controllers import kinds
from marie_operator.marie.gateways import DocumentState
from marie_operator.runtime import Conflict, Unreachable, WatchEvent
from marie_operator.runtime.resource import CONFIG_MAPS, SECRETS, Object, ObjectKey, Resource
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.clock import TurnedClock
from tests.controllers.mariejob.operator_process import KEY, Bucket, Marie, Process, served, wired
from tests.controllers.mariejob.samples import SINGLE, cluster, job

KEYS = [f"invoices/{number}.pdf" for number in range(7)]


class Stage:
    """What outlives a process."""

    def __init__(self, subject: MarieJob | None = None) -> None:
        self.api: ApiServer = served(subject)
        self.marie, self.bucket, self.clock = Marie(), Bucket(KEYS), TurnedClock()

    def process(self, outdated: Object | None = None) -> Process:
        """A process that has seen everything as it is, or the job as it was."""
        for resource in (kinds.MARIE_JOBS, kinds.MARIE_CLUSTERS):
            self.api.informers.pop(resource, None)
        process = Process(self.api, self.marie, self.bucket, self.clock)
        for (resource, _), obj in list(self.api.objects.items()):
            if resource == kinds.MARIE_JOBS and outdated is not None:
                self.api.informers[resource].event("", WatchEvent("ADDED", outdated))
            elif resource in self.api.informers:
                self.api.put(resource, obj)
        return process


@pytest.fixture
async def stage() -> Stage:
    return Stage(job(batch={"maxInFlight": 2}))


@pytest.fixture
async def process(stage: Stage) -> AsyncIterator[Process]:
    async with stage.process() as running:
        yield running


def finished(process: Process) -> bool:
    return any(one["type"] in {"Complete", "Failed"} for one in process.status.get("conditions", ()))


async def run(stage: Stage, process: Process, turns: int = 80) -> None:
    for _ in range(turns):
        if finished(process):
            return
        await process.turn()
        stage.marie.work()
        stage.clock.wait(1)
    raise AssertionError(process.status)


async def test_a_batch_runs_to_its_end(stage: Stage, process: Process) -> None:
    await run(stage, process)
    assert process.status["phase"] == "Succeeded"
    assert process.status["result"]["documentCount"] == 7
    assert process.status["progress"] == 100
    assert sorted(stage.marie.uris.values()) == [f"s3://bucket/{key}" for key in KEYS]
    assert {reason for _, reason, _ in process.events.recorded} == {"Submitted", "Succeeded"}


async def test_at_rest_nothing_is_written_read_or_asked(stage: Stage, process: Process) -> None:
    await run(stage, process)
    stage.api.requests.clear()
    process.monitors.gateway = None
    for _ in range(5):
        stage.clock.wait(1000)
        assert (await process.turn()).requeue_after is None
    async with stage.process() as restarted:
        assert (await restarted.turn()).changes == ()
        assert restarted.events.recorded == []
    assert stage.api.requests == []


async def test_what_an_earlier_leader_wrote_is_seen_before_anything_is_done(stage: Stage, process: Process) -> None:
    """Marie and object stores do not refuse what is outdated, as the API server does."""
    while not process.status.get("documents", {}).get("inFlight"):
        await process.turn()
    outdated = stage.api.objects[kinds.MARIE_JOBS, KEY]
    await run(stage, process)
    async with stage.process(outdated) as late:
        stage.api.requests.clear()
        await late.turn()
        assert late.monitors.followed == {}
    assert stage.api.requests == ["list MarieJob"]


async def test_after_a_conflict_the_job_is_seen_as_it_is(stage: Stage, process: Process) -> None:
    await process.turn()
    informer = stage.api.informers.pop(kinds.MARIE_JOBS)
    stage.api.put(kinds.MARIE_JOBS, stage.api.objects[kinds.MARIE_JOBS, KEY])
    stage.api.informers[kinds.MARIE_JOBS] = informer
    stage.api.requests.clear()
    with pytest.raises(Conflict):
        await run(stage, process)
    await process.turn()
    assert [each for each in stage.api.requests if each != "get Secret"][-3:] == [
        "patch MarieJob",
        "list MarieJob",
        "patch MarieJob",
    ]


async def test_while_documents_run_nothing_is_written(stage: Stage, process: Process) -> None:
    for _ in range(6):
        await process.turn()
    stage.api.requests.clear()
    for _ in range(20):
        stage.clock.wait(1)
        assert (await process.turn()).changes == ()
    assert [request for request in stage.api.requests if request != "get Secret"] == []


async def test_failures_are_recorded_completely(stage: Stage, process: Process) -> None:
    stage.api.put(kinds.MARIE_JOBS, wired(job(backoffLimit=0, batch={"maxInFlight": 2})))
    stage.marie.outcome = DocumentState.FAILED
    await run(stage, process)
    assert (process.status["phase"], process.status["documents"]["failed"]) == ("Failed", 7)
    record = stage.api.objects[CONFIG_MAPS, ObjectKey("docs", "scan-failures")]
    assert record["data"]["failures.jsonl"].count("\n") == 7


async def test_failures_that_cannot_be_recorded_do_not_stop_the_job(stage: Stage, process: Process) -> None:
    stage.api.put(kinds.MARIE_JOBS, wired(job(backoffLimit=0, batch={"maxInFlight": 4})))
    stage.api.put(CONFIG_MAPS, {"metadata": {"namespace": "docs", "name": "scan-failures"}})
    stage.marie.outcome = DocumentState.FAILED
    await process.turn()
    await process.turn()
    stage.marie.work()
    await process.turn()
    stage.api.forbidden.add(("get", CONFIG_MAPS))
    await run(stage, process)
    assert process.status["phase"] == "Failed"
    notes = [note for _, _, note in process.events.recorded]
    assert any("Rename or delete" in note for note in notes)
    assert any('cannot get resource "configmaps"' in note for note in notes)


async def test_a_single_failure_is_told_by_the_status_alone(stage: Stage, process: Process) -> None:
    stage.api.put(kinds.MARIE_JOBS, wired(job(SINGLE, backoffLimit=0)))
    stage.marie.outcome = DocumentState.FAILED
    await run(stage, process)
    assert process.status["phase"] == "Failed"
    assert (CONFIG_MAPS, ObjectKey("docs", "scan-failures")) not in stage.api.objects


async def test_failed_attempts_are_repeated_under_ids_of_their_own(stage: Stage, process: Process) -> None:
    stage.api.put(kinds.MARIE_JOBS, wired(job(SINGLE, backoffLimit=2)))
    stage.marie.outcome = DocumentState.FAILED
    await run(stage, process, turns=60)
    assert len(stage.marie.dags) == 3
    assert process.status["retryCount"] == 2
    assert [reason for _, reason, _ in process.events.recorded].count("DocumentRetried") == 2


async def test_without_a_key_the_job_waits_and_says_so(stage: Stage, process: Process) -> None:
    secret = ObjectKey("docs", "c-api-key")
    stage.api.remove(SECRETS, secret)
    result = await process.turn()
    assert "There is no Secret c-api-key in namespace docs" in process.status["message"]
    assert result.requeue_after == 5
    before = process.status
    stage.clock.wait(60)
    assert (await process.turn()).requeue_after == 30
    assert process.status == before
    assert stage.marie.dags == {}


async def test_while_suspended_no_key_is_handed_out(stage: Stage, process: Process) -> None:
    stage.api.put(kinds.MARIE_JOBS, wired(job(SINGLE)))
    await process.turn()
    live = stage.api.objects[kinds.MARIE_JOBS, KEY]
    stage.api.put(kinds.MARIE_JOBS, {**live, "spec": {**live["spec"], "suspend": True}})
    await process.turn()
    assert process.monitors.keys == ["mas_key", ""]
    assert len(process.monitors.followed) == 1


async def test_a_key_that_may_not_be_read_is_named(stage: Stage, process: Process) -> None:
    stage.api.forbidden.add(("get", SECRETS))
    await process.turn()
    assert 'cannot get resource "secrets"' in process.status["message"]
    assert process.status["conditions"][0]["reason"] == "PermissionDenied"


async def test_the_key_that_the_cluster_names_is_used(stage: Stage, process: Process) -> None:
    auth = {"apiKeySecretRef": {"name": "other", "key": "token"}}
    stage.api.put(kinds.MARIE_CLUSTERS, wired(cluster(auth=auth)))
    stage.api.put(SECRETS, {"metadata": {"namespace": "docs", "name": "other"}, "data": {"token": "bWFzX290aGVy"}})
    await process.turn()
    assert process.monitors.keys == ["mas_other"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "There is no Secret s3 in namespace docs"),
        ({"AWS_ACCESS_KEY_ID": "YQ=="}, "Secret s3 has no AWS_SECRET_ACCESS_KEY"),
        (
            {"AWS_ACCESS_KEY_ID": "YQ==", "AWS_SECRET_ACCESS_KEY": "YQ==", "AWS_ENDPOINT_URL": "YQ=="},
            "AWS_ENDPOINT_URL in Secret s3 is 'a', which is no URL",
        ),
    ],
)
async def test_credentials_that_are_missing_are_named(
    stage: Stage, process: Process, data: dict[str, str] | None, sentence: str
) -> None:
    stage.api.put(kinds.MARIE_JOBS, wired(job(input={"credentialsSecretRef": {"name": "s3"}})))
    if data is not None:
        stage.api.put(SECRETS, {"metadata": {"namespace": "docs", "name": "s3"}, "data": data})
    await process.turn()
    assert sentence in process.status["message"]
    assert process.status["conditions"][0]["reason"] == "CredentialsMissing"


async def test_a_job_that_cannot_be_read_says_so_and_recovers(stage: Stage, process: Process) -> None:
    broken = wired(job())
    broken["spec"]["backoffLimit"] = "three"
    stage.api.put(kinds.MARIE_JOBS, broken)
    await process.turn()
    assert "spec.backoffLimit" in process.status["message"]
    assert process.status["conditions"][0]["reason"] == "Unreadable"
    stage.api.put(kinds.MARIE_JOBS, {**wired(job()), "status": process.status})
    await run(stage, process)
    assert process.status["phase"] == "Succeeded"


async def test_a_deleted_job_is_forgotten(stage: Stage, process: Process) -> None:
    await process.turn()
    await process.turn()
    assert process.monitors.followed
    stage.api.remove(kinds.MARIE_JOBS, KEY)
    await process.turn()
    assert process.monitors.followed == {}
    assert process.listings.outcome(KEY) is None


async def test_an_expired_job_is_deleted_but_not_its_successor(stage: Stage, process: Process) -> None:
    stage.api.put(kinds.MARIE_JOBS, wired(job(SINGLE, ttlSecondsAfterFinished=100)))
    await run(stage, process)
    assert (await process.turn()).requeue_after == pytest.approx(99)
    stage.clock.wait(100)
    result = await process.turn()
    assert result.changes == ("deleted MarieJob scan",)
    assert (kinds.MARIE_JOBS, KEY) not in stage.api.objects
    assert process.events.recorded[-1][1] == "Expired"


async def test_events_are_told_only_of_what_is_written(stage: Stage, process: Process) -> None:
    live = stage.api.objects[kinds.MARIE_JOBS, KEY]
    stage.api.informers.pop(kinds.MARIE_JOBS)
    stage.api.put(kinds.MARIE_JOBS, live)
    stage.api.remove(SECRETS, ObjectKey("docs", "c-api-key"))
    with pytest.raises(Conflict):
        await process.turn()
    assert process.events.recorded == []
    assert process.monitors.followed == {}


def losing(reply: int) -> Callable[[str, Resource], bool]:
    """Loses the reply to the write of this number, once."""
    writes = count(1)
    return lambda _verb, _resource: next(writes) == reply


async def interrupted_at(write: int, *, restart: bool, outcome: DocumentState) -> bool:
    """Run a batch whose write of this number is done but not answered; whether there was such a write."""
    stage = Stage(job(batch={"maxInFlight": 2}, backoffLimit=1))
    stage.marie.outcome = outcome
    stage.api.lose_reply_of = losing(write)
    process, interrupted = stage.process(), False
    for _ in range(2):
        async with process:
            try:
                await run(stage, process, turns=200)
            except Unreachable:
                interrupted = True
                process = stage.process() if restart else process
    attempts = Counter(stage.marie.uris[ref_id] for ref_id in stage.marie.dags)
    assert set(attempts) == {f"s3://bucket/{key}" for key in KEYS}
    assert set(attempts.values()) == {1 if outcome is DocumentState.SUCCEEDED else 2}
    assert {len(dags) for dags in stage.marie.dags.values()} == {1}
    documents = process.status["documents"]
    assert documents["succeeded"] + documents["failed"] == 7
    if outcome is DocumentState.FAILED:
        record = stage.api.objects[CONFIG_MAPS, ObjectKey("docs", "scan-failures")]
        assert record["data"]["failures.jsonl"].count("\n") == 7
    return interrupted


@pytest.mark.parametrize("outcome", [DocumentState.SUCCEEDED, DocumentState.FAILED])
@pytest.mark.parametrize("restart", [False, True])
async def test_a_lost_reply_or_a_death_after_any_write_loses_and_doubles_nothing(
    restart: bool, outcome: DocumentState
) -> None:
    write = 1
    while await interrupted_at(write, restart=restart, outcome=outcome):
        write += 1
    assert write > 5
