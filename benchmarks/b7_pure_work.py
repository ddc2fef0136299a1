"""B7: what is done for each object and each event, without a server; with --instructions counted by callgrind.

The floor is encoding the same objects as JSON. Instructions do not depend on what else the machine does, so that a
change of a few per cent is seen; each work is run alone under callgrind, which takes a minute.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from prometheus_client import CollectorRegistry

from benchmarks.rig import REPOSITORY, Options, unmeasured
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import chain
from marie_operator.controllers.mariecluster import status
from marie_operator.controllers.mariecluster.status import Observation
from marie_operator.controllers.mariejob.line import Claim, Line
from marie_operator.runtime import Cache, Client, LoopClock, Metrics, ObjectKey, WatchEvent
from marie_operator.runtime.children import steps
from marie_operator.runtime.decoding import watch_event
from marie_operator.runtime.queue import WorkQueue
from marie_operator.runtime.resource import DEPLOYMENTS, Object, Resource

Work: TypeAlias = Callable[[], Any]
REPEATS = 5
COUNTED = 200


async def run(options: Options) -> list[str]:
    """Rows of the table."""
    if options.peer:
        return [unmeasured("B7", "its functions are its own")]
    if options.instructions and not shutil.which("valgrind"):
        sys.exit("--instructions counts with callgrind: install valgrind, or leave it out")
    live = await _applied(_wanted())
    found = await works(live)
    floor = _microseconds(found["children of a cluster: encoding them as JSON"])
    rows = []
    for name, work in found.items():
        cost = _microseconds(work)
        rows.append(f"| B7, {name} | {cost:.0f} us | {floor:.0f} us | {cost / floor:.2f}x |")
    if options.instructions:
        nothing = await asyncio.to_thread(_instructions, live, "", 0)
        for name in found:
            each = (await asyncio.to_thread(_instructions, live, name, COUNTED) - nothing) / COUNTED
            rows.append(f"| B7, {name}: instructions | {each:,.0f} | | |")
    return rows


def _cluster() -> Object:
    sample = REPOSITORY / "config" / "samples" / "mariecluster_pools.yaml"
    documents = yaml.safe_load_all(sample.read_text("utf-8"))
    manifest: Object = next(each for each in documents if each["kind"] == "MarieCluster")
    manifest["metadata"] |= {"namespace": "default", "uid": "uid"}
    return manifest


def _wanted() -> list[tuple[Resource, Object]]:
    return chain.desired(MarieCluster.model_validate(_cluster()))


async def works(applied: Sequence[Object]) -> dict[str, Work]:
    """What is measured, by its name.

    Args:
        applied: The cluster's children, as an API server keeps them.
    """
    manifest = await asyncio.to_thread(_cluster)
    cluster = MarieCluster.model_validate(manifest)
    wanted = chain.desired(cluster)
    live = {(kind, each["metadata"]["name"]): each for (kind, _), each in zip(wanted, applied, strict=True)}
    seen = Observation(cluster, live, (), None, datetime.now(UTC))
    deployment = next(each for (kind, _), each in live.items() if kind == DEPLOYMENTS)
    line = json.dumps({"type": "MODIFIED", "object": deployment}).encode()
    return {
        "children of a cluster: encoding them as JSON": lambda: json.dumps([each for _, each in wanted]),
        "a cluster: parsing it": lambda: MarieCluster.model_validate(manifest),
        "children of a cluster: building them": lambda: chain.desired(cluster),
        "children of a cluster: comparing them with live ones": lambda: steps(wanted, live),
        "a cluster: computing its status": lambda: status.of(seen),
        "a Deployment: decoding its watch event": lambda: watch_event(line, request="watch"),
        "a Deployment: taking its watch event into the cache": _cached(deployment),
        "a key: through the queue": await _queued(),
        "a job among 5,000: it ends, the next is found, another is told its place": _waited(5000),
    }


async def _applied(wanted: Iterable[tuple[Resource, Object]]) -> list[Object]:
    """The manifests as an API server keeps them, with its defaults."""
    # Under callgrind its many modules would take minutes.
    from marie_operator.testing.apiserver.embedded import EmbeddedApiServer  # noqa: PLC0415
    from marie_operator.testing.apiserver.requests import Call  # noqa: PLC0415

    embedded = EmbeddedApiServer()
    headers = {"content-type": "application/apply-patch+yaml", "authorization": f"Bearer {embedded.token()}"}
    live = []
    for kind, manifest in wanted:
        path, query = kind.path("default", manifest["metadata"]["name"]), {"fieldManager": "bench"}
        answer = await embedded.server.handle(Call("PATCH", path, query, headers, json.dumps(manifest).encode()))
        live.append(json.loads(answer.body))
    return live


def _cached(obj: dict[str, Any]) -> Work:
    clock = LoopClock()
    informer = Cache(Client(_NoTransport(), clock=clock), clock=clock).add(DEPLOYMENTS)
    version = 1

    def take() -> None:
        nonlocal version
        version += 1
        metadata = {**obj["metadata"], "resourceVersion": str(version)}
        informer.event("", WatchEvent("MODIFIED", {**obj, "metadata": metadata}))

    return take


async def _queued() -> Work:
    queue = WorkQueue("bench", clock=LoopClock(), metrics=Metrics(CollectorRegistry()))
    key = ObjectKey("default", "c")

    def through() -> None:
        queue.add(key)
        turn = queue.get()
        try:
            turn.send(None)
        except StopIteration:
            queue.done(key)

    return through


def _waited(many: int) -> Work:
    now = datetime.now(UTC)
    claims = [Claim(ObjectKey("default", f"j{n}"), 0, None, now, 0, 1, 1, now) for n in range(many)]
    line = Line()
    for claim in claims:
        line.claim(claim)
    first, last = claims[0], claims[-1]

    def end() -> None:
        line.leave(first.job)
        line.granted(now)
        line.claim(first)
        line.turn(last, now)

    return end


class _NoTransport:
    """Nothing is asked."""

    url = "none://"

    def exchange(self, request: Any) -> Any:
        raise NotImplementedError

    def stream(self, request: Any, *, silence: float) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""


def _microseconds(work: Work, number: int = 200) -> float:
    # Of this process alone, whatever else the machine does.
    return min(timeit.repeat(work, timer=time.process_time, number=number, repeat=REPEATS)) / number * 1e6


def _instructions(live: Sequence[Object], name: str, number: int) -> int:
    """How many a process executes that does a work so often."""
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        file = Path(folder) / "live.json"
        file.write_text(json.dumps(live), encoding="utf-8")
        command = [*tool, sys.executable, "-m", "benchmarks.b7_pure_work", str(file), name, str(number)]
        subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY)
        lines = (Path(folder) / "out").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith(("totals:", "summary:"))).split()[1])


async def _alone(live: Sequence[Object], name: str, number: int) -> None:
    found = await works(live)
    for _ in range(number):
        found[name]()


if __name__ == "__main__":
    asyncio.run(_alone(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.argv[2], int(sys.argv[3])))
