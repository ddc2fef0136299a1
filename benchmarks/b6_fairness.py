"""B6: how late small clusters are served while pods of a large one come in their hundreds.

The small clusters are changed one after the other, each in a label of its children; what counts is the time from the
answer to that change to the answer to the write of the first child that follows. The pods of the large cluster are
made by hand, each with a change of status, as a kubelet would: controllers would be what is measured.
"""

import asyncio
import time
from typing import Any

from benchmarks import rig
from benchmarks.rig import Options, Tail
from marie_operator.testing.api import Api, ApiStatus
from marie_operator.testing.controlplane import ControlPlane

PODS = 500
PAUSE = 0.05
"""Seconds between two changes."""
LABELS = {
    "marie.ai/cluster": "clarge",
    "marie.ai/node-type": "executor",
    "marie.ai/group": "ocr",
    "app.kubernetes.io/managed-by": "marie-operator",
}


async def run(options: Options) -> list[str]:
    """Rows of the table; a peer's pods would have other labels."""
    if options.peer:
        return []
    async with rig.control_plane(options) as (plane, api):
        subject = options.subject(plane)
        await subject.start()
        try:
            owners = rig.collection(options.manifest(0))
            names = [*range(options.clusters), "large"]
            tail = Tail.of(plane)
            await rig.create(api, owners, [options.manifest(name) for name in names])
            await tail.until_quiet(subject, at_least=len(names) * 7)
            await rig.create(api, "/api/v1/namespaces/default/serviceaccounts", [{"metadata": {"name": "default"}}])
            idle = await _delays(plane, api, owners, "idle", options.clusters)
            burst = asyncio.create_task(_burst(api))
            busy = await _delays(plane, api, owners, "busy", options.clusters)
            done = burst.done()
            await burst
        finally:
            await subject.stop()
    rows = []
    for share in (50, 99):
        calm, late = (sorted(each)[len(each) * share // 100] * 1000 for each in (idle, busy))
        what = f"B6, p{share} delay of small changes beside {PODS} pods, and without"
        rows.append(f"| {what} | {late:.0f} ms | {calm:.0f} ms | {late / calm:.2f}x |")
    return [*rows, f"| B6, the pods were all there before the last change | {done} | | |"]


async def _delays(plane: ControlPlane, api: Api, owners: str, value: str, small: int) -> list[float]:
    """Seconds from each change to the write that follows."""
    tail, changed = Tail.of(plane), {}
    for number in range(small):
        patch = {"spec": {"marieVersion": f"{value}-{number}"}}
        await api.patch(f"{owners}/c{number}", patch)
        changed[f"c{number}"] = time.time()
        await asyncio.sleep(PAUSE)
    async with asyncio.timeout(60):
        while True:
            tail.read()
            answered: dict[str, float] = {}
            for write in tail.writes:
                if write.resource in {"services", "deployments"}:
                    answered.setdefault(write.name.partition("-")[0], write.at)
            if len(answered.keys() & changed.keys()) == small:
                return [max(answered[name] - at, 0.0) for name, at in changed.items()]
            await asyncio.sleep(0.2)


async def _burst(api: Api) -> None:
    path = "/api/v1/namespaces/default/pods"
    limit = asyncio.Semaphore(8)

    async def one(number: int) -> None:
        container: dict[str, Any] = {"name": "marie", "image": "marie"}
        pod = {"metadata": {"name": f"clarge-{number}", "labels": LABELS}, "spec": {"containers": [container]}}
        async with limit:
            try:
                await api.create(path, pod)
                for phase in ("Pending", "Running"):
                    await api.patch(f"{path}/clarge-{number}/status", {"status": {"phase": phase, "message": phase}})
            except ApiStatus as error:
                raise RuntimeError(f"pod {number}: {error}") from error

    await asyncio.gather(*map(one, range(PODS)))
