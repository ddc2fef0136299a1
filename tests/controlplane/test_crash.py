"""The operator dies, or loses the API server or the gateway, in the middle of a batch."""

import asyncio
import random
from collections import Counter

import pytest

from marie_operator.testing.gateway import Fault
from tests.controlplane.clusters import cluster, job
from tests.controlplane.world import World

DOCUMENTS = 50


async def batch(world: World) -> None:
    for number in range(DOCUMENTS):
        world.stage.s3.put(world.namespace, f"in/{number:03}.pdf", b"%PDF")
    await world.key_of("c")
    await world.create(cluster("c"))
    await world.condition("marieclusters", "c", "ServerPodReady")
    await world.create(job("batch", "c", f"s3://{world.namespace}/in/", batch={"maxInFlight": 8}))


async def finished(world: World) -> None:
    await world.condition("mariejobs", "batch", "Complete")
    status = (await world.get("mariejobs", "batch"))["status"]
    assert status["result"]["documentCount"] == DOCUMENTS
    uris = Counter(dag.uri for dag in world.marie("c").dags)
    assert uris == {f"s3://{world.namespace}/in/{number:03}.pdf": 1 for number in range(DOCUMENTS)}


@pytest.mark.kuberay("KU-12")
async def test_ten_kills_at_random_moments_lose_and_double_nothing(world: World) -> None:
    await batch(world)
    moments = random.Random(20)
    for _ in range(10):
        await asyncio.sleep(moments.uniform(0.2, 2.5))
        await world.operator.kill()
        await world.operator.start()
    await finished(world)


async def test_replies_that_are_lost_double_nothing(world: World) -> None:
    await batch(world)
    world.marie("c").faults += [Fault("/api/v1/invoke", times=5, lost=True), Fault("/api/jobs", times=3, status=502)]
    await finished(world)


async def test_a_database_that_goes_away_loses_nothing(world: World) -> None:
    await batch(world)
    marie = world.marie("c")
    marie.engine.database = False
    await asyncio.sleep(3)
    marie.engine.database = True
    await finished(world)


async def test_an_api_server_that_restarts_is_waited_for(world: World) -> None:
    await batch(world)
    await world.stage.crash_apiserver()
    await asyncio.sleep(2)
    await world.stage.start_apiserver()
    await finished(world)
