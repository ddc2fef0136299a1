"""What people read: explain, get, describe, wait, delete."""

import pytest

from tests.controlplane.clusters import cluster, group, job
from tests.controlplane.processes import ServedWorld

pytestmark = pytest.mark.real


async def test_explain_describes_every_own_field(served: ServedWorld) -> None:
    async def documented() -> bool:
        # What is served is documented a second or two later.
        found = (await served.api.get("/openapi/v3/apis/marie.ai/v1alpha1"))["components"]["schemas"].values()
        kinds = {each["kind"] for schema in found for each in schema.get("x-kubernetes-group-version-kind", ())}
        return {"MarieCluster", "MarieJob"} <= kinds

    await served.until("the kinds are documented", documented)
    text = await served.kubectl("explain", "mariecluster.spec.executorGroupSpecs")
    for field in ("groupName", "replicas", "executorName", "slots", "template"):
        assert field in text
    assert "extract_executor" in await served.kubectl("explain", "mariecluster.spec.executorGroupSpecs.executorName")
    assert "s3://" in await served.kubectl("explain", "mariejob.spec.input.uri")


async def test_get_wait_describe_and_delete_read_well(served: ServedWorld) -> None:
    await served.key_of("c")
    await served.create(cluster("c", group("extract", replicas=2)))
    assert "condition met" in await served.kubectl("wait", "--for=condition=Ready", "mc/c", "--timeout=240s")
    await served.create(job("j", "c"))
    assert "condition met" in await served.kubectl("wait", "--for=condition=Complete", "mj/j", "--timeout=240s")

    headings, row = (await served.kubectl("get", "marie")).strip().splitlines()[:2]
    assert headings.split()[:2] == ["NAME", "PHASE"]
    assert "Running" in row
    headings, row = (await served.kubectl("get", "mj")).strip().splitlines()[:2]
    assert headings.split()[:4] == ["NAME", "CLUSTER", "TYPE", "PHASE"]
    assert row.split()[:5] == ["j", "c", "extract", "Succeeded", "100"]

    described = await served.kubectl("describe", "mc/c")
    assert "Deployment c-executor-extract" in next(line for line in described.splitlines() if "Created" in line)
    assert "The server and every wanted executor are ready." in described
    described = await served.kubectl("describe", "mj/j")
    assert "Succeeded" in described

    assert "deleted" in await served.kubectl("delete", "mj/j", "mc/c")
