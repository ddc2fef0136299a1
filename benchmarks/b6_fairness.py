"""B6: how late small clusters are served while pods of a large one come in their hundreds.

The small clusters are changed one after the other, each in a label of its children; what counts is the time from the
answer to that change to the answer to the write of the first child that follows. The pods of the large cluster are
made by hand, each with a change of status, as a kubelet would: controllers would be what is measured.

The floor is a bare client that watches the clusters and answers each change with a write, on a control plane of its own
on which the same pods are made: what those alone cost everybody.
"""

import asyncio
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import echo, rig
from benchmarks.rig import Options, Tail
from benchmarks.subject import Subject
from marie_operator.testing import controlplane
from marie_operator.testing.api import Api, ApiStatus
from marie_operator.testing.controlplane import ControlPlane

ECHO = f"{shlex.quote(sys.executable)} -m benchmarks.echo {{kubeconfig}}"
PODS = 500
PAUSE = 0.05
"""Seconds between two changes."""
LABELS = {
    "marie.ai/cluster": "clarge",
    "marie.ai/node-type": "executor",
    "marie.ai/group": "ocr",
    "app.kubernetes.io/managed-by": "marie-operator",
}


@dataclass(frozen=True)
class Delays:
    """Seconds from changes to the writes that follow.

    Attributes:
        idle: While nothing else happens.
        busy: Beside the pods.
        outlasted: Whether pods were still made when the last change was.
    """

    idle: Sequence[float]
    busy: Sequence[float]
    outlasted: bool

    def row(self, what: str, share: int) -> str:
        """A row of the table: one percentile."""
        late, calm = (sorted(each)[len(each) * share // 100] * 1000 for each in (self.busy, self.idle))
        return f"| B6, p{share} delay of small changes {what} | {late:.0f} ms | {calm:.0f} ms | {late / calm:.2f}x |"


async def run(options: Options) -> list[str]:
    """Rows of the table."""
    if options.peer:
        return [rig.unmeasured("B6", "what it writes when one of its pods changes is not known")]
    async with rig.control_plane(options) as (plane, api):
        subject = options.subject(plane)
        await subject.start()
        try:
            owners = rig.collection(options.manifest(0))
            names = [*range(options.clusters), "large"]
            tail = Tail.of(plane)
            await rig.create(api, owners, [options.manifest(name) for name in names])
            await tail.until_quiet(subject, at_least=len(names) * 7)
            found = await _measured(plane, api, owners, options.clusters)
        finally:
            await subject.stop()
    async with rig.control_plane(options) as (plane, api):
        await rig.create(api, owners, [options.manifest(number) for number in range(options.clusters)])
        await rig.create(api, echo.SERVICES, [_answered(number) for number in range(options.clusters)])
        folder = plane.directory / "echo"
        folder.mkdir()
        bare = Subject(ECHO, plane.kubeconfig(controlplane.OPERATOR), directory=folder)
        await bare.start()
        try:
            await bare.until_idle()
            floor = await _measured(plane, api, owners, options.clusters)
        finally:
            await bare.stop()
    beside = f"beside {PODS} pods, and without"
    rows = [
        each.row(what, share) for share in (50, 99) for each, what in ((found, beside), (floor, "of a bare client"))
    ]
    return [*rows, f"| B6, pods were made until after the last change | {found.outlasted and floor.outlasted} | | |"]


async def _measured(plane: ControlPlane, api: Api, owners: str, small: int) -> Delays:
    await rig.create(api, "/api/v1/namespaces/default/serviceaccounts", [{"metadata": {"name": "default"}}])
    idle = await _delays(plane, api, owners, "idle", small)
    burst = asyncio.create_task(_burst(api))
    busy = await _delays(plane, api, owners, "busy", small)
    outlasted = not burst.done()
    await burst
    return Delays(idle, busy, outlasted)


def _answered(number: int) -> rig.Object:
    return {"metadata": {"name": f"c{number}-echo"}, "spec": {"ports": [{"port": 80}]}}


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
