"""When nothing changes, nothing is written."""

import asyncio

import pytest

from marie_operator.builders import association
from marie_operator.testing.audit import Request
from marie_operator.testing.controlplane import OPERATOR_USER
from tests.controlplane.clusters import cluster, job
from tests.controlplane.world import World

MANY = 100
GATHERED = 15.0
"""Seconds; counts of pods are gathered for some less before they are written."""


async def everything_is_finished(world: World) -> bool:
    clusters, jobs = await world.items("marieclusters"), await world.items("mariejobs")
    done = [each for each in jobs if each.get("status", {}).get("phase") == "Succeeded"]
    ready = [each for each in clusters if each.get("status", {}).get("phase") == "Running"]
    return len(done) == len(ready) == MANY


def written(world: World, since: int) -> list[Request]:
    """What the operator has written, but for its lease."""
    found = world.stage.audit.requests(user=OPERATOR_USER, since=since, writes=True)
    return [each for each in found if each.resource != "leases" or each.name != "idle"]


async def nobody_works(world: World) -> bool:
    """Whether no executor is told to be at work: one that was seen at work is for another minute."""
    groups = [
        group
        for each in await world.items("marieclusters")
        for group in each["status"].get("executorGroupStatuses", {}).values()
    ]
    pods = [each["metadata"].get("labels", {}) for each in await world.items("pods")]
    marked = any(association.BUSY.items() <= labels.items() for labels in pods)
    return not marked and all(group.get("busyReplicas") == 0 for group in groups)


async def leads(world: World, *, times: int) -> bool:
    return world.operator.log.count("became leader") == times


async def at_rest(world: World) -> bool:
    """Whether what has happened has been written."""
    since = world.mark()
    await asyncio.sleep(GATHERED)
    return not written(world, since) and await nobody_works(world)


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
    await world.until("nobody works, and that is told", lambda: at_rest(world))

    for phase, seconds in (("at rest", 60), ("after a restart", 30)):
        since = world.mark()
        if phase == "after a restart":
            assert await world.operator.end() == 0
            await world.operator.start()
            await world.until("it leads again", lambda: leads(world, times=2))
        await asyncio.sleep(seconds)
        assert not written(world, since), phase
        requests = world.stage.audit.requests(user=OPERATOR_USER, since=since, writes=True)
        assert any(each.resource == "leases" for each in requests), "the operator lives"
