"""When nothing changes, nothing is written."""

import asyncio

import pytest

from marie_operator.testing.controlplane import OPERATOR_USER
from tests.controlplane.clusters import cluster, job
from tests.controlplane.world import World

MANY = 100


async def everything_is_finished(world: World) -> bool:
    clusters, jobs = await world.items("marieclusters"), await world.items("mariejobs")
    done = [each for each in jobs if each.get("status", {}).get("phase") == "Succeeded"]
    ready = [each for each in clusters if each.get("status", {}).get("phase") == "Running"]
    return len(done) == len(ready) == MANY


@pytest.mark.kuberay("KU-17", "KU-27")
async def test_a_hundred_clusters_and_finished_jobs_at_rest_cause_no_write(world: World) -> None:
    await world.operator.end()
    world.operator = world.new_operator(lease="idle")
    await world.operator.start()
    for number in range(MANY):
        await world.key_of(f"c{number}")
        await world.create(cluster(f"c{number}"))
        await world.create(job(f"j{number}", f"c{number}"))
    await world.until("all are finished", lambda: everything_is_finished(world), every=1.0)
    # Counts of pods are gathered for some seconds before they are written.
    await asyncio.sleep(15)

    for phase in ("at rest", "after a restart"):
        since = world.mark()
        await asyncio.sleep(60 if phase == "at rest" else 30)
        found = world.stage.audit.requests(user=OPERATOR_USER, since=since, writes=True)
        own = [each for each in found if each.resource != "leases" or each.name != "idle"]
        assert not own, phase
        assert any(each.resource == "leases" for each in found), "the operator lives"
        if phase == "at rest":
            assert await world.operator.end() == 0
            await world.operator.start()
            await asyncio.sleep(5)
