"""The complete record of failures."""

import json

import pytest

from marie_operator.api.mariejob import DocumentFailure
from marie_operator.controllers.mariejob import failures
from marie_operator.runtime.resource import CONFIG_MAPS, ObjectKey
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
    await failures.record(api, job(), failed("a", "b"), total=2)
    await failures.record(api, job(), failed("c"), total=3)
    assert recorded(api) == ["a", "b", "c"]
    owner = api.objects[CONFIG_MAPS, KEY]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("MarieJob", "scan", job().metadata.uid)


async def test_recording_again_after_a_crash_changes_nothing(api: ApiServer) -> None:
    await failures.record(api, job(), failed("a"), total=1)
    before = api.objects[CONFIG_MAPS, KEY]["metadata"]["resourceVersion"]
    await failures.record(api, job(), failed("a", message="another word"), total=1)
    assert api.objects[CONFIG_MAPS, KEY]["metadata"]["resourceVersion"] == before


async def test_what_does_not_fit_is_counted(api: ApiServer) -> None:
    many = failed(*(f"{number:04}" for number in range(3000)), message="x" * 512)
    await failures.record(api, job(), many, total=3000)
    data = api.objects[CONFIG_MAPS, KEY]["data"]
    assert len(data["failures.jsonl"].encode()) <= 900_000
    assert data["omitted"] == f"{3000 - len(recorded(api))} more failed than fit into a ConfigMap"
    await failures.record(api, job(), many[-1:], total=3000)
    assert api.objects[CONFIG_MAPS, KEY]["data"] == data


async def test_the_record_of_a_deleted_job_of_the_same_name_is_replaced(api: ApiServer) -> None:
    before = job().model_copy(update={"metadata": job().metadata.model_copy(update={"uid": "before"})})
    await failures.record(api, before, failed("old"), total=1)
    await failures.record(api, job(), failed("new"), total=1)
    assert recorded(api) == ["new"]


async def test_someone_elses_config_map_is_left_alone(api: ApiServer) -> None:
    theirs = {"metadata": {"namespace": "docs", "name": "scan-failures"}, "data": {"mine": "yes"}}
    api.put(CONFIG_MAPS, theirs)
    with pytest.raises(failures.RecordTakenError, match="scan-failures exists"):
        await failures.record(api, job(), failed("a"), total=1)
    assert api.objects[CONFIG_MAPS, KEY]["data"] == {"mine": "yes"}


async def test_a_long_name_still_makes_a_record(api: ApiServer) -> None:
    long = job().model_copy(update={"metadata": job().metadata.model_copy(update={"name": "n" * 253})})
    await failures.record(api, long, failed("a"), total=1)
    [(_, key)] = api.objects
    assert len(key.name) == 253
