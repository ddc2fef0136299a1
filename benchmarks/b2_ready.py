"""B2: until many new objects are ready, with controllers, a scheduler and a kubelet that starts pods at once.

The floor is a bare client that makes the same children, until as many of their Deployments are ready: how long
Kubernetes itself takes.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from benchmarks import rig
from benchmarks.rig import Bare, Cost, Options, Tail
from marie_operator.testing.api import Api
from marie_operator.testing.gateway import SimulatedGateways
from marie_operator.testing.kubelet import Behaviour, FakeKubelet, NodeSpec
from marie_operator.testing.pods import MariePods

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
NODES = 20
PATIENCE = 600.0


async def run(options: Options) -> list[str]:
    """Rows of the table."""
    if options.peer:
        return [rig.unmeasured("B2", "what its objects call ready is not known")]
    subjects, floors, told = [], [], ""
    for _ in range(options.rounds):
        async with rig.control_plane(options, controllers=True) as (plane, api), _pods(api) as url:
            subject = options.subject(plane, MARIE_URL_TEMPLATE=url + "/{namespace}/{name}")
            tail = Tail.of(plane)
            await subject.start()
            try:
                first = options.manifest("warm")
                owners = rig.collection(first)
                await api.create(owners, first)
                await _until(api, owners, _is_ready, 1)
                subject.pause()
                objects = [options.manifest(number) for number in range(options.clusters)]
                await rig.create(api, owners, objects)
                tail = Tail.of(plane)
                began, cpu = time.time(), subject.usage.cpu
                subject.resume()
                await _until(api, owners, _is_ready, options.clusters + 1)
                seconds = time.time() - began
                subjects.append(Cost(seconds, subject.usage.cpu - cpu, subject.usage.peak))
                tail.read()
                told = f"{len(tail.writes) / options.clusters:.2f} writes for each ({tail.counted()})"
                requests = await rig.replayed(api, tail, owners)
            finally:
                await subject.stop()
        async with rig.control_plane(options, controllers=True) as (plane, api), _pods(api):
            made = await rig.create(api, owners, [first, *objects])
            deployments = sum("/deployments/" in request[1] for group in requests for request in group)
            bare = asyncio.create_task(Bare(plane, rig.owned_by(requests, made)).run())
            began = time.time()
            await _until(api, DEPLOYMENTS, _is_available, deployments)
            cost = await bare
            floors.append(Cost(time.time() - began, cost.cpu, cost.peak))
    what = f"B2, {options.clusters} clusters ready"
    return [*rig.compared(what, options, subjects, floors), f"| its writes | {told} | | |"]


@contextlib.asynccontextmanager
async def _pods(api: Api) -> AsyncIterator[str]:
    """Nodes whose pods are ready at once, and gateways in them; yields where those are reached."""
    gateways = SimulatedGateways()
    pods = MariePods(
        gateways,
        cluster_label="marie.ai/cluster",
        role_label="marie.ai/node-type",
        executors=lambda _: ["extract_executor"],
        api_key="mas_" + "0" * 54,
        api=api,
    )
    nodes = [NodeSpec(f"node-{number}") for number in range(NODES)]
    kubelet = FakeKubelet(api, nodes=nodes, behaviours=[Behaviour(start=0.0)], on_ready=pods.ready, on_gone=pods.gone)
    async with kubelet, gateways.serve() as url:
        yield url


async def _until(api: Api, path: str, holds: Any, count: int) -> None:
    """Return when so many of a collection's objects are as meant."""
    async with asyncio.timeout(PATIENCE):
        met: set[str] = set()
        async for _, obj in api.watch(path):
            if holds(obj):
                met.add(obj["metadata"]["name"])
            if len(met) >= count:
                return


def _is_ready(obj: dict[str, Any]) -> bool:
    conditions = obj.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _is_available(obj: dict[str, Any]) -> bool:
    return bool(obj.get("status", {}).get("readyReplicas"))
