"""The seed's objects, verbatim, to the end."""

import json
from collections import Counter

from marie_operator.runtime import is_true
from tests.controlplane.world import ROOT, World


async def test_a_prefix_of_fifty_documents_succeeds_with_each_submitted_once(world: World) -> None:
    for number in range(50):
        world.stage.s3.put("bucket", f"documents/scan-{number:03}.pdf", b"%PDF")
    await world.key_of("my-cluster")
    await world.apply(ROOT / "config/samples/seed")

    await world.condition("marieclusters", "my-cluster", "Ready")
    await world.condition("mariejobs", "ocr-batch-job", "Complete")

    job = (await world.get("mariejobs", "ocr-batch-job"))["status"]
    assert job["phase"] == "Succeeded"
    assert job["result"]["documentCount"] == 50
    assert job["documents"]["succeeded"] == job["documents"]["total"] == 50
    assert not job["documents"].get("inFlight")
    assert job["progress"] == 100
    objects = world.stage.s3.objects("bucket")
    results = {key for key in objects if key.startswith("results/scan-")}
    assert len(results) == 2 * 50
    assert {key.split("/")[1] for key in results} == {f"scan-{number:03}.pdf" for number in range(50)}
    assert job["result"]["outputUri"] == "s3://bucket/results/"
    assert job["result"]["summary"] == {"results": "100"}
    assert is_true(job["conditions"], "ResultsCopied")
    lines = [
        json.loads(line) for line in objects[job["result"]["manifestUri"].removeprefix("s3://bucket/")].splitlines()
    ]
    assert sorted(line["document"] for line in lines) == [f"s3://bucket/documents/scan-{n:03}.pdf" for n in range(50)]
    assert {result.removeprefix("s3://bucket/") for line in lines for result in line["results"]} == results
    assert [key for key in objects if key.startswith("results/_")] == [
        job["result"]["manifestUri"].removeprefix("s3://bucket/")
    ]
    uris = Counter(dag.uri for dag in world.marie("my-cluster").dags)
    assert uris == {f"s3://bucket/documents/scan-{number:03}.pdf": 1 for number in range(50)}
