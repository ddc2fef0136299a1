"""Jobs over documents in other clouds, which Marie cannot read where they are."""

import asyncio
import json
from typing import Any

import pytest

from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import MANAGED, cluster, job, succeeded

pytestmark = pytest.mark.embedded

AT_ONCE = 3


def over(uri: str, **spec: Any) -> dict[str, Any]:
    made = job()
    made["spec"] |= {"input": {"uri": uri}, "batch": {"maxInFlight": AT_ONCE}, "backoffLimit": 0, **spec}
    return made


def hold(plane: Plane, *keys: str) -> None:
    for key in keys:
        plane.keys.append(key)
        plane.objects["bucket", key] = key.encode()


def staged(plane: Plane) -> list[str]:
    return [key for key in plane.objects.under("marie") if key.startswith("staged/")]


async def begun(plane: Plane, made: dict[str, Any]) -> None:
    await plane.apply(cluster(backingServices=MANAGED))
    await plane.condition("c", "Ready")
    await plane.apply(made)


async def ended(plane: Plane, *, watch: bool = True) -> dict[str, Any]:
    """The job's status once it has ended; until then, no more documents are put for Marie than may be in flight."""

    async def is_over() -> bool:
        assert not watch or len(staged(plane)) <= AT_ONCE
        return (await plane.get("mariejobs", "j")).get("status", {}).get("phase") in {"Succeeded", "Failed"}

    await plane.until(is_over, seconds=600)
    status: dict[str, Any] = (await plane.get("mariejobs", "j"))["status"]
    return status


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_documents_are_put_where_marie_reads_from_a_few_at_a_time_and_taken_away(scheme: str) -> None:
    async def story(plane: Plane) -> None:
        keys = [f"in/{number:02}.pdf" for number in range(10)]
        hold(plane, *keys, "in/draft.txt")
        await begun(
            plane,
            over(f"{scheme}://bucket/in/", input={"uri": f"{scheme}://bucket/in/", "include": ["*.pdf"]}) | {},
        )
        status = await ended(plane)
        assert status["phase"] == "Succeeded", status
        assert (status["documents"]["succeeded"], status["documents"]["filtered"]) == (10, 1)
        dags = plane.gateways.cluster("default", "c").dags
        places = [f"s3://marie/staged/{dag.ref_id.rsplit('-', 2)[0]}/{dag.ref_id}" for dag in dags]
        assert [dag.uri for dag in dags] == places
        assert sorted(dag.ref_id.rpartition("-")[2] for dag in dags) == [key.removeprefix("in/") for key in keys]
        assert staged(plane) == []

    run(story)


def test_one_document_is_put_there_too() -> None:
    async def story(plane: Plane) -> None:
        hold(plane, "one.pdf")
        await begun(plane, over("gs://bucket/one.pdf"))
        await plane.until(lambda: succeeded(plane))
        (dag,) = plane.gateways.cluster("default", "c").dags
        assert dag.uri.startswith("s3://marie/staged/j-")
        assert staged(plane) == []

    run(story)


def test_a_submitter_is_made_once_its_document_is_there() -> None:
    async def story(plane: Plane) -> None:
        hold(plane, "one.pdf")
        await begun(plane, over("az://bucket/one.pdf", submissionMode="K8sJobSubmission"))
        await plane.until(lambda: succeeded(plane))
        (dag,) = plane.gateways.cluster("default", "c").dags
        assert dag.uri.startswith("s3://marie/staged/j-")
        assert staged(plane) == []

    run(story)


def test_a_submitter_whose_document_is_nowhere_is_not_made() -> None:
    async def story(plane: Plane) -> None:
        await begun(plane, over("az://bucket/gone.pdf", submissionMode="K8sJobSubmission"))
        status = await ended(plane)
        assert "az://bucket has no gone.pdf." in status["error"]["message"]
        assert await plane.names("jobs") == set()

    run(story)


def test_a_document_that_is_not_there_fails_under_its_own_name() -> None:
    async def story(plane: Plane) -> None:
        hold(plane, "in/a.pdf")
        plane.keys.append("in/gone.pdf")
        await begun(plane, over("az://bucket/in/"))
        status = await ended(plane)
        assert status["phase"] == "Failed"
        assert status["documents"]["failures"] == [
            {"uri": "az://bucket/in/gone.pdf", "message": "az://bucket has no in/gone.pdf."}
        ]
        assert status["documents"]["succeeded"] == 1
        record = (await plane.get("configmaps", "j-failures"))["data"]["failures.jsonl"]
        assert json.loads(record)["uri"] == "az://bucket/in/gone.pdf"
        assert staged(plane) == []

        again = job("again")
        again["spec"] |= {"input": {"failedOf": "j"}}
        plane.objects["bucket", "in/gone.pdf"] = b"found"
        await plane.apply(again)
        await plane.until(lambda: succeeded(plane, "again"))
        assert staged(plane) == []

    run(story)


@pytest.mark.parametrize("pause", [0.0, 0.7, 1.3, 2.9])
def test_a_crash_costs_no_document_and_leaves_nothing(pause: float) -> None:
    async def story(plane: Plane) -> None:
        hold(plane, *(f"in/{number:02}.pdf" for number in range(8)))
        plane.objects["marie", "staged/of-another-job/kept"] = b""
        await begun(plane, over("gs://bucket/in/"))
        lives = 0
        while (await plane.get("mariejobs", "j")).get("status", {}).get("phase") not in {"Succeeded", "Failed"}:
            await asyncio.sleep(5 + pause)
            await plane.replica.crash()
            plane.replica.start()
            lives += 1
            assert lives < 60
        status = await ended(plane, watch=False)
        assert status["phase"] == "Succeeded", status
        assert lives > 1
        dags = plane.gateways.cluster("default", "c").dags
        assert len(dags) == len({dag.ref_id for dag in dags}) == 8
        assert staged(plane) == ["staged/of-another-job/kept"]

    run(story)


def test_a_job_that_is_deleted_leaves_what_marie_may_be_reading_and_nothing_is_added() -> None:
    async def story(plane: Plane) -> None:
        hold(plane, *(f"in/{number:02}.pdf" for number in range(8)))
        await begun(plane, over("gs://bucket/in/"))

        async def some() -> bool:
            return len(staged(plane)) == AT_ONCE

        await plane.until(some)
        await plane.api.delete(plane.path("mariejobs", "j"))
        await asyncio.sleep(5)
        left = staged(plane)
        assert len(left) <= AT_ONCE
        await asyncio.sleep(120)
        assert staged(plane) == left

    run(story)


def test_results_go_to_another_cloud_with_a_manifest_that_names_what_the_user_named() -> None:
    async def story(plane: Plane) -> None:
        hold(plane, "in/a.pdf", "in/b.pdf")
        await begun(plane, over("gs://bucket/in/", output={"uri": "az://archive/results/"}))
        plane.objects["archive", "made"] = b""

        await plane.until(lambda: succeeded(plane))
        status = (await plane.get("mariejobs", "j"))["status"]
        assert status["result"]["outputUri"] == "az://archive/results/"
        assert status["result"]["manifestUri"].startswith("az://archive/results/_manifests/j-")
        manifest = plane.objects["archive", status["result"]["manifestUri"].removeprefix("az://archive/")]
        lines = [json.loads(line) for line in manifest.splitlines()]
        assert sorted(line["document"] for line in lines) == ["gs://bucket/in/a.pdf", "gs://bucket/in/b.pdf"]
        for line in lines:
            folder = f"az://archive/results/{line['document'].rpartition('/')[2]}/"
            assert line["results"]
            assert all(uri.startswith(folder) for uri in line["results"])

    run(story)
