"""Time until the children of many new clusters exist, beside a bare client that makes the same objects."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import chain
from marie_operator.runtime import Client, LoopClock
from marie_operator.testing.controlplane import ControlPlane, locate_binaries

CONCURRENCY = 8
CLUSTER = """
apiVersion: marie.ai/v1alpha1
kind: MarieCluster
metadata: {name: NAME, namespace: default}
spec:
  serverSpec: {template: {spec: {containers: [{name: marie, image: marie}]}}}
  executorGroupSpecs:
    - {groupName: ocr, template: {spec: {containers: [{name: marie, image: marie}]}}}
    - {groupName: ner, template: {spec: {containers: [{name: marie, image: marie}]}}}
"""


async def run(repository: Path, clusters: int) -> list[str]:
    """The figures as lines; each side has a fresh control plane without controllers."""
    binaries = await asyncio.to_thread(locate_binaries, repository)
    async with _plane(binaries, repository) as plane:
        bare = await _bare(plane, clusters)
    async with _plane(binaries, repository) as plane:
        operated, memory = await _operated(plane, clusters)
    return [
        f"convergence: {clusters} clusters, bare client        {bare:8.2f} s    1.0x (floor)",
        f"convergence: {clusters} clusters, the operator       {operated:8.2f} s    {operated / bare:.2f}x",
        f"memory: operator with {clusters} clusters and {clusters * 7} children  {memory:6.0f} MiB resident",
    ]


@asynccontextmanager
async def _plane(binaries: Path, repository: Path) -> AsyncIterator[ControlPlane]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        async with ControlPlane(binaries, Path(folder), controllers=False) as plane:
            await plane.kubectl("apply", "-k", str(repository / "config" / "crd"))
            kinds = ("crd/marieclusters.marie.ai", "crd/mariejobs.marie.ai")
            await plane.kubectl("wait", "--for=condition=Established", *kinds)
            yield plane


def _manifest(number: int) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(CLUSTER.replace("NAME", f"c{number}"))
    return found


async def _bare(plane: ControlPlane, clusters: int) -> float:
    """The same writes, with as many at a time as the operator has workers."""
    wanted = []
    for number in range(clusters):
        manifest = _manifest(number)
        manifest["metadata"]["uid"] = f"00000000-0000-0000-0000-{number:012}"
        wanted.append(chain.desired(MarieCluster.model_validate(manifest)))
    limit = asyncio.Semaphore(CONCURRENCY)
    async with await Client.connect(kubeconfig=plane.kubeconfig(), user_agent="bare", clock=LoopClock()) as client:

        async def make(children: list[Any]) -> None:
            async with limit:
                for resource, manifest in children:
                    await client.apply(resource, manifest, field_manager="bare")

        began = time.perf_counter()
        await asyncio.gather(*(make(children) for children in wanted))
        return time.perf_counter() - began


async def _operated(plane: ControlPlane, clusters: int) -> tuple[float, float]:
    """From the operator's start, with every cluster there already, to the last child; and its memory."""
    async with plane.api() as api:
        path = "/apis/marie.ai/v1alpha1/namespaces/default/marieclusters"
        for number in range(clusters):
            await api.create(path, _manifest(number))
        addresses = ("--metrics-bind-address=0", "--health-probe-bind-address=0", "--log-level=error")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "marie_operator", "run", f"--kubeconfig={plane.kubeconfig()}", *addresses),
            f"--concurrency={CONCURRENCY}",
            env={**os.environ, "MARIE_URL_TEMPLATE": "http://127.0.0.1:1/{namespace}/{name}"},
        )
        try:
            began = 0.0
            while (there := await _children(api)) < clusters * 7:
                began = began or (time.perf_counter() if there else 0.0)
                await asyncio.sleep(0.02)
            seconds = time.perf_counter() - began
            return seconds, await asyncio.to_thread(_resident, process.pid)
        finally:
            process.terminate()
            await process.wait()


async def _children(api: Any) -> int:
    """Counted by the API server, which is asked for one item and tells how many remain."""
    total = 0
    for path in ("/api/v1/namespaces/default/services", "/apis/apps/v1/namespaces/default/deployments"):
        page = await api.get(f"{path}?limit=1")
        own = [each for each in page["items"] if each["metadata"]["name"] != "kubernetes"]
        total += len(own) + page["metadata"].get("remainingItemCount", 0)
    return total


def _resident(pid: int) -> float:
    line = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
