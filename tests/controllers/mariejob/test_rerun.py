"""The failed documents of one job, taken by another: all of them, each once, and nothing else."""

import itertools

import pytest

from marie_operator.api.mariejob import DocumentFailure, JobDocuments, MarieJob, MarieJobStatus
from marie_operator.api.meta import Condition, ObjectMeta
from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob import Origins, failures
from marie_operator.controllers.mariejob.observation import Obstacle
from marie_operator.controllers.mariejob.rerun import find
from marie_operator.controllers.mariejob.source import FailedOf
from marie_operator.controllers.mariejob.store import ListingError, ListRequest
from marie_operator.marie.gateways import DocumentState
from marie_operator.runtime.resource import CONFIG_MAPS, ObjectKey
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.clock import TurnedClock
from tests.controllers.mariejob.jobs import Jobs
from tests.controllers.mariejob.memory import MemoryObjects
from tests.controllers.mariejob.operator_process import KEY, Bucket, Marie, Process, served, wired
from tests.controllers.mariejob.samples import NOW, SINGLE, job

SOURCE = FailedOf("docs", "before")
URIS = [f"s3://bucket/in/{number:04} ä&.pdf" for number in range(2500)]


def before(*failed: str, parts: int = 0, over: bool = True, uri: str = SINGLE) -> MarieJob:
    """The job whose failures are asked for."""
    shown = tuple(DocumentFailure(uri=each, message="boom") for each in failed[:20])
    ended = Condition(type="Failed", status="True", reason="DocumentsFailed", message="No.", last_transition_time=NOW)
    status = MarieJobStatus(
        documents=JobDocuments(failed=len(failed), failures=shown, failure_parts=parts),
        conditions=(ended,) if over else (),
    )
    metadata = ObjectMeta(name="before", namespace="docs", uid="uid-before")
    return job(uri, status=status).model_copy(update={"metadata": metadata})


def located(*jobs: MarieJob, cursor: str = "") -> FailedOf:
    found = find(SOURCE, Jobs(*jobs), cursor)
    assert isinstance(found, FailedOf), found
    return found


async def taken(api: ApiServer, source: FailedOf, after: str = "") -> list[str]:
    """Every document from a cursor on, page by page."""
    origins, uris = Origins(Bucket([]), api, MemoryObjects()), list[str]()
    for _ in itertools.repeat(None, 50):
        page = await origins.page(ListRequest(source, after))
        assert list(page.keys) == sorted(page.keys)
        assert all(key > after for key in page.keys)
        uris += [source.document(key) for key in page.keys]
        after = page.end
        if page.last:
            return uris
    raise AssertionError("there is no last page")


async def test_a_record_is_read_in_its_order_from_any_place() -> None:
    api, subject = ApiServer(), before(*URIS)
    failed = [DocumentFailure(uri=uri, message="x" * 400) for uri in URIS]
    parts = await failures.record(api, subject, failed)
    source = located(before(*URIS, parts=parts))
    assert parts > 1
    assert await taken(api, source) == URIS
    places = [key for part in range(1, parts + 1) for key in source.keys(part, await failures_of(api, part))]
    for place in (0, 1, 500, len(URIS) - 2, len(URIS) - 1):
        assert await taken(api, source, places[place]) == URIS[place + 1 :]
    edges = list(itertools.accumulate([len(await failures_of(api, part)) for part in range(1, parts + 1)]))
    for edge in edges:
        assert await taken(api, source, places[edge - 1]) == URIS[edge:]


async def failures_of(api: ApiServer, part: int) -> list[str]:
    return await failures.recorded(api, "docs", "before", "uid-before", part)


async def test_a_job_of_one_document_needs_no_record() -> None:
    assert await taken(ApiServer(), located(before(SINGLE))) == [SINGLE]


async def test_a_job_without_failures_has_none() -> None:
    assert await taken(ApiServer(), located(before())) == []


async def test_a_part_that_is_gone_is_named() -> None:
    api = ApiServer()
    failed = [DocumentFailure(uri=uri, message="x" * 400) for uri in URIS]
    parts = await failures.record(api, before(*URIS), failed)
    api.remove(CONFIG_MAPS, ObjectKey("docs", "before-failures-2"))
    with pytest.raises(ListingError, match="ConfigMap before-failures-2, which held failures of MarieJob before, is"):
        await taken(api, located(before(*URIS, parts=parts)))


@pytest.mark.parametrize("line", ["", "{", "[]", '{"uri": 1}', '{"uri": "one.pdf"}'])
async def test_a_part_that_was_edited_by_hand_is_named(line: str) -> None:
    api = ApiServer()
    await failures.record(api, before(*URIS), [DocumentFailure(uri=uri, message="boom") for uri in URIS[:2]])
    key = ObjectKey("docs", "before-failures")
    found = api.objects[CONFIG_MAPS, key]
    lines = found["data"][failures.KEY].splitlines()
    edited = "\n".join([lines[0], line, *lines[1:]])
    api.put(CONFIG_MAPS, {**found, "data": {failures.KEY: edited}})
    with pytest.raises(ListingError, match=r"Line 2 of failures\.jsonl in ConfigMap before-failures, which holds"):
        await taken(api, located(before(*URIS, parts=1)))


@pytest.mark.parametrize(
    ("jobs", "cursor", "sentence"),
    [
        ([], "", "There is no MarieJob before in namespace docs"),
        ([], "uid-before/000001/000000/s3://b/k", "MarieJob before is gone, and with it the record"),
        ([before(SINGLE)], "uid-older/000001/000000/s3://b/k", "MarieJob before was made anew"),
        ([before(SINGLE, over=False)], "", "MarieJob before of spec.input.failedOf has not ended"),
        ([before(*URIS)], "", "The failures of MarieJob before were not recorded"),
    ],
)
def test_what_is_waited_for_is_said(jobs: list[MarieJob], cursor: str, sentence: str) -> None:
    found = find(SOURCE, Jobs(*jobs), cursor)
    assert isinstance(found, Obstacle)
    assert found.message.startswith(sentence)


async def test_only_what_failed_is_tried_again_across_a_restart() -> None:
    api, clock = served(job("", input={"failedOf": "before"}, batch={"maxInFlight": 2})), TurnedClock()
    earlier, marie = before(*URIS[:7], parts=1), Marie()
    api.put(kinds.MARIE_JOBS, {**wired(earlier), "status": earlier.status.model_dump(mode="json", by_alias=True)})
    await failures.record(api, earlier, [DocumentFailure(uri=uri, message="boom") for uri in URIS[:7]])
    for lives in range(4):
        api.informers.clear()
        process = Process(api, marie, Bucket(["never"]), clock)
        for (resource, _), obj in list(api.objects.items()):
            api.put(resource, obj)
        async with process:
            for _ in range(3 if lives < 3 else 40):
                await process.turn()
                marie.work()
                clock.wait(15)
    status = api.objects[kinds.MARIE_JOBS, KEY]["status"]
    assert status["phase"] == "Succeeded"
    assert status["documents"]["succeeded"] == 7
    assert sorted(marie.uris.values()) == URIS[:7]
    assert all(states == [DocumentState.SUCCEEDED] for states in marie.dags.values())
