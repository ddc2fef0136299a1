"""The simulated world by itself: the same seed is the same run, and processes die, stand still and start again."""

import asyncio
import os
import random
import subprocess
import sys
from typing import Any

from marie_operator.testing import manifests, virtual
from tests.simulation.network import Fate, Weather
from tests.simulation.world import World, installed

ROUGH = Weather(
    fates={Fate.REFUSED: 0.02, Fate.LOST: 0.02, Fate.UNANSWERED: 0.02, Fate.SILENT: 0.005, Fate.FAILED: 0.02},
    slow=0.05,
    slowest=2.0,
    cut=0.3,
    mute=0.02,
    lag=0.2,
    latest=1.0,
)
TEMPLATE = {"spec": {"containers": [{"name": "marie", "image": "marieai/marie:4.0.0"}]}}


def objects() -> list[dict[str, Any]]:
    group = {"groupName": "extract", "executorType": "extract", "template": TEMPLATE}
    uri = {"uri": "s3://bucket/documents/"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "c-api-key"},
            "stringData": {"apiKey": "mas_none"},
        },
        {
            "apiVersion": "marie.ai/v1alpha1",
            "kind": "MarieCluster",
            "metadata": {"name": "c"},
            "spec": {"serverSpec": {"template": TEMPLATE}, "executorGroupSpecs": [group]},
        },
        {
            "apiVersion": "marie.ai/v1alpha1",
            "kind": "MarieJob",
            "metadata": {"name": "j"},
            "spec": {"clusterRef": "c", "jobType": "extract", "input": uri},
        },
    ]


def story(seed: int) -> str:
    """The digest of a run in bad weather, with a crash, a pause and a clean stop."""
    origin = installed()
    keys = [f"documents/{number}.pdf" for number in range(5)]

    async def main() -> str:
        source = random.Random(seed)
        async with World(
            origin, source, usual=(0.0005, 0.005), replicas=2, terms=(15, 10, 2), keys=keys, lease_period=600
        ) as world:
            await manifests.apply(world.api, objects())
            world.network.weather = ROUGH
            first, second = world.replicas
            first.start()
            second.start()
            await asyncio.sleep(20)
            await first.crash()
            assert not first.process.tasks
            await asyncio.sleep(15)
            first.start()
            second.process.stop()
            await asyncio.sleep(30)
            second.process.resume()
            await asyncio.sleep(30)
            return world.trace.digest

    return virtual.run(main)


def test_a_seed_is_one_run() -> None:
    assert story(1) == story(1)
    assert story(1) != story(2)


def test_a_seed_is_one_run_in_every_process() -> None:
    program = "from tests.simulation.test_world import story; print(story(3))"
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()[-1]
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_containers_that_crash_are_started_again_in_their_pod() -> None:
    origin = installed()
    path = "/api/v1/namespaces/default/pods"
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}

    async def main() -> list[tuple[str, int, str]]:
        found = []
        async with World(origin, random.Random(1), replicas=0, lease_period=600) as world:
            await world.api.create(path, {"apiVersion": "v1", "kind": "Pod", **pod})
            for _ in range(3):
                await asyncio.sleep(60)
                status = (await world.api.get(f"{path}/p"))["status"]
                ready = next(each["status"] for each in status["conditions"] if each["type"] == "Ready")
                found.append((ready, status["containerStatuses"][0]["restartCount"], status["podIP"]))
                world.kubelet.crash("default", "p")
        return found

    before, once, twice = virtual.run(main)
    assert [before[:2], once[:2], twice[:2]] == [("True", 0), ("True", 1), ("True", 2)]
    assert before[2] == once[2] == twice[2]


def test_a_killed_process_leaves_no_watchdog_to_the_next() -> None:
    origin = installed()

    async def main() -> tuple[int, bool]:
        async with World(origin, random.Random(1), usual=(0.0005, 0.005), terms=(15, 10, 2), lease_period=600) as world:
            (replica,) = world.replicas
            replica.start()
            await asyncio.sleep(5)
            await replica.crash()
            await asyncio.sleep(1)
            replica.start()
            await asyncio.sleep(60)
            return replica.life, replica.running

    assert virtual.run(main) == (2, True)
