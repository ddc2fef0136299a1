"""The complete record of failures."""

import itertools
import json

import pytest

from marie_operator.api.mariejob import DocumentFailure, JobDocuments, MarieJob, MarieJobStatus
from marie_operator.controllers.mariejob import failures
from marie_operator.runtime import Unreachable
from marie_operator.runtime.resource import CONFIG_MAPS, ObjectKey, Resource
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.samples import job

KEY = ObjectKey("docs", "scan-failures")


@pytest.fixture
def api() -> ApiServer:
    return ApiServer()


def failed(*names: str, message: str = "boom") -> list[DocumentFailure]:
    return [DocumentFailure(uri=f"s3://bucket/{name}.pdf", message=message) for name in names]


def recorded(api: ApiServer) -> list[str]:
    lines = api.objects[CONFIG_MAPS, KEY]["data"]["failures.jsonl"].splitlines()
    return [json.loads(line)["uri"].removeprefix("s3://bucket/").removesuffix(".pdf") for line in lines]


async def test_failures_are_added_to_those_before(api: ApiServer) -> None:
    await failures.record(api, job(), failed("a", "b"))
    await failures.record(api, job(), failed("c"))
    assert recorded(api) == ["a", "b", "c"]
    owner = api.objects[CONFIG_MAPS, KEY]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("MarieJob", "scan", job().metadata.uid)


async def test_recording_again_after_a_crash_changes_nothing(api: ApiServer) -> None:
    await failures.record(api, job(), failed("a"))
    before = api.objects[CONFIG_MAPS, KEY]["metadata"]["resourceVersion"]
    await failures.record(api, job(), failed("a", message="another word"))
    assert api.objects[CONFIG_MAPS, KEY]["metadata"]["resourceVersion"] == before


async def test_a_record_that_was_edited_by_hand_is_kept_and_added_to(api: ApiServer) -> None:
    await failures.record(api, job(), failed("a"))
    found = api.objects[CONFIG_MAPS, KEY]
    api.put(CONFIG_MAPS, {**found, "data": {failures.KEY: found["data"][failures.KEY] + "\n# b was corrected"}})
    await failures.record(api, job(), failed("a", "b"))
    lines = api.objects[CONFIG_MAPS, KEY]["data"][failures.KEY].splitlines()
    assert [line[:8] for line in lines] == ['{"uri": ', "", "# b was ", '{"uri": ']


def parts(api: ApiServer) -> list[list[str]]:
    """The documents in each part, in the order of the parts."""
    found: list[list[str]] = []
    for number in itertools.count(1):
        key = ObjectKey("docs", failures.name("scan", number))
        if (CONFIG_MAPS, key) not in api.objects:
            return found
        lines = api.objects[CONFIG_MAPS, key]["data"]["failures.jsonl"].splitlines()
        found.append([json.loads(line)["uri"].removeprefix("s3://bucket/").removesuffix(".pdf") for line in lines])
    raise AssertionError


def having(parts: int) -> MarieJob:
    status = MarieJobStatus(documents=JobDocuments(failure_parts=parts))
    return job(status=status)


async def test_a_record_of_any_size_is_complete_in_parts_that_are_not_written_again(api: ApiServer) -> None:
    names = [f"{number:04}" for number in range(3000)]
    known = 0
    versions: dict[ObjectKey, str] = {}
    for first in range(0, 3000, 250):
        batch = failed(*names[first : first + 250], message="\u00e9&" * 256)
        known = await failures.record(api, having(known), batch)
        for part in range(1, known):
            key = ObjectKey("docs", failures.name("scan", part))
            version = api.objects[CONFIG_MAPS, key]["metadata"]["resourceVersion"]
            assert versions.setdefault(key, version) == version
    assert known == len(parts(api)) > 2
    assert list(itertools.chain(*parts(api))) == names
    for (_, key), stored in api.objects.items():
        assert len(json.dumps(stored).encode()) < 1 << 20, key


async def test_a_crash_between_parts_loses_and_doubles_nothing(api: ApiServer) -> None:
    names = [f"{number:04}" for number in range(3000)]
    await failures.record(api, having(0), failed(*names[:100]))
    writes = 0

    def lost(verb: str, resource: Resource) -> bool:
        nonlocal writes
        writes += (verb, resource) == ("apply", CONFIG_MAPS)
        return writes == 2

    api.lose_reply_of = lost
    with pytest.raises(Unreachable):
        await failures.record(api, having(1), failed(*names[100:], message="x" * 512))
    # The status knows of one part only, and Marie tells of the failures in another order.
    again = failed(*reversed(names[100:]), message="x" * 400)
    assert await failures.record(api, having(1), again) == len(parts(api))
    assert sorted(itertools.chain(*parts(api))) == names


async def test_the_record_of_a_deleted_job_of_the_same_name_is_replaced(api: ApiServer) -> None:
    before = job().model_copy(update={"metadata": job().metadata.model_copy(update={"uid": "before"})})
    await failures.record(api, before, failed("old"))
    await failures.record(api, job(), failed("new"))
    assert recorded(api) == ["new"]


async def test_someone_elses_config_map_is_left_alone(api: ApiServer) -> None:
    theirs = {"metadata": {"namespace": "docs", "name": "scan-failures"}, "data": {"mine": "yes"}}
    api.put(CONFIG_MAPS, theirs)
    with pytest.raises(failures.RecordTakenError, match="scan-failures exists"):
        await failures.record(api, job(), failed("a"))
    assert api.objects[CONFIG_MAPS, KEY]["data"] == {"mine": "yes"}


async def test_a_long_name_still_makes_a_record(api: ApiServer) -> None:
    long = job().model_copy(update={"metadata": job().metadata.model_copy(update={"name": "n" * 253})})
    await failures.record(api, long, failed("a"))
    [(_, key)] = api.objects
    assert len(key.name) == 253
