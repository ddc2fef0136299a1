"""What people read: explain, get, describe, wait, delete."""

import pytest

from tests.controlplane.clusters import cluster, group, job
from tests.controlplane.world import World

pytestmark = pytest.mark.real


async def test_explain_describes_every_own_field(world: World) -> None:
    text = await world.kubectl("explain", "mariecluster.spec.executorGroupSpecs")
    for field in ("groupName", "replicas", "executorName", "slots", "template"):
        assert field in text
    assert "extract_executor" in await world.kubectl("explain", "mariecluster.spec.executorGroupSpecs.executorName")
    assert "s3://" in await world.kubectl("explain", "mariejob.spec.input.uri")


async def test_get_wait_describe_and_delete_read_well(world: World) -> None:
    await world.key_of("c")
    await world.create(cluster("c", group("extract", replicas=2)))
    assert "condition met" in await world.kubectl("wait", "--for=condition=Ready", "mc/c", "--timeout=40s")
    await world.create(job("j", "c"))
    assert "condition met" in await world.kubectl("wait", "--for=condition=Complete", "mj/j", "--timeout=40s")

    headings, row = (await world.kubectl("get", "marie")).strip().splitlines()[:2]
    assert headings.split()[:2] == ["NAME", "PHASE"]
    assert "Running" in row
    headings, row = (await world.kubectl("get", "mj")).strip().splitlines()[:2]
    assert headings.split()[:4] == ["NAME", "CLUSTER", "TYPE", "PHASE"]
    assert row.split()[:5] == ["j", "c", "extract", "Succeeded", "100"]

    described = await world.kubectl("describe", "mc/c")
    assert "Deployment c-executor-extract" in next(line for line in described.splitlines() if "Created" in line)
    assert "The server and every wanted executor are ready." in described
    described = await world.kubectl("describe", "mj/j")
    assert "Succeeded" in described

    assert "deleted" in await world.kubectl("delete", "mj/j", "mc/c")
