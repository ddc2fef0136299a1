"""The demo: a control plane, the operator, and the example cluster and job, live on this machine until the end."""

import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live

from marie_operator.cli import live
from marie_operator.cli.live import Snapshot
from marie_operator.cli.stage import CLUSTER, JOB, Stage, is_installed, stage
from marie_operator.testing import manifests
from marie_operator.testing.api import ApiStatus, ApiUnreachable
from marie_operator.testing.processes import ProcessError

PERIOD = 0.25
"""Seconds between two looks at the API server."""
STOPPED = "Stopped; nothing is left behind."
NAMESPACE = "/api/v1/namespaces/default"
MARIE = "/apis/marie.ai/v1alpha1/namespaces/default"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"


def main(*, jobs: int, documents: int, real: bool, keep: bool) -> int:
    """Show the demo; 0 when every job has succeeded."""
    console = Console()
    try:
        folder = tempfile.TemporaryDirectory(prefix="marie-demo-", ignore_cleanup_errors=True)
    except OSError as error:
        return _failed(f"{error}. Set TMPDIR to a folder in which the demo can make one of its own.")
    try:
        with folder as path:
            return asyncio.run(_show(console, Path(path), jobs=jobs, documents=documents, real=real, keep=keep))
    except ProcessError as error:
        return _failed(str(error))
    except ApiUnreachable as error:
        return _failed(f"the API server has gone: {error}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print(STOPPED)
        return 130


def _failed(why: str) -> int:
    print(f"error: {why}", file=sys.stderr)
    return 1


async def _show(console: Console, folder: Path, *, jobs: int, documents: int, real: bool, keep: bool) -> int:
    _cancel_on_signals()
    began = time.monotonic()
    what = "etcd, kube-apiserver, controller manager, scheduler" if real else "an API server inside this process"
    console.print(f"Starting {what}, an object store, a simulated Marie, and the operator …", soft_wrap=True)
    async with stage(folder, real=real, documents=documents) as running:
        console.print(_kubectl(running), highlight=False, soft_wrap=True)
        named = "" if jobs == 1 else f" and {jobs - 1} like it"
        console.print(f"Applying MarieCluster {CLUSTER}, MarieJob {JOB}{named} over {documents} documents.")
        await manifests.apply(running.api, [*running.samples, *_more(running.samples, jobs)])
        last = await _watch(console, running, jobs)
        _summary(console, running, last, time.monotonic() - began, documents=documents, keep=keep)
        if keep:
            # Ctrl-C is how it is meant to end.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
    if keep:
        console.print(STOPPED)
    return 0 if all(job["status"]["phase"] == "Succeeded" for job in last.jobs) else 1


def _more(samples: list[dict[str, object]], jobs: int) -> list[dict[str, object]]:
    """Jobs like the example under other names."""
    (example,) = (each for each in samples if each["kind"] == "MarieJob")
    return [example | {"metadata": {"name": f"{JOB}-{number}"}} for number in range(2, jobs + 1)]


async def _watch(console: Console, running: Stage, jobs: int) -> Snapshot:
    """Show every change until all jobs have ended; the last state."""
    seen = Snapshot(expected=jobs)
    if not console.is_terminal:
        while not seen.ended:
            before, seen = seen, await _look(running, jobs)
            for line in live.lines(before, seen):
                console.print(line, highlight=False, markup=False, soft_wrap=True)
            await asyncio.sleep(PERIOD)
        return seen
    with Live(live.picture(seen, width=console.width), console=console, refresh_per_second=8) as view:
        while not seen.ended:
            seen = await _look(running, jobs)
            view.update(live.picture(seen, width=console.width))
            await asyncio.sleep(PERIOD)
    return seen


async def _look(running: Stage, jobs: int) -> Snapshot:
    if not running.operator.running:
        raise running.operator.failure("ended")
    with contextlib.suppress(ApiStatus):
        events = [
            event
            for event in (await running.api.get(EVENTS))["items"]
            if event["regarding"]["kind"] in {"MarieCluster", "MarieJob"}
        ]
        found = (await running.api.get(f"{MARIE}/mariejobs"))["items"]
        return Snapshot(
            cluster=await running.api.get(f"{MARIE}/marieclusters/{CLUSTER}"),
            jobs=sorted(found, key=lambda job: (len(job["metadata"]["name"]), job["metadata"]["name"])),
            pods=(await running.api.get(f"{NAMESPACE}/pods"))["items"],
            events=sorted(events, key=lambda event: str(event["eventTime"])),
            expected=jobs,
        )
    return Snapshot(expected=jobs)


def _kubectl(running: Stage) -> str:
    return f"Look in from another terminal: kubectl --kubeconfig={running.plane.kubeconfig()} get marie,mj,pods"


def _summary(console: Console, running: Stage, last: Snapshot, seconds: float, *, documents: int, keep: bool) -> None:
    console.print()
    for job in last.jobs:
        status = job["status"]
        count = status.get("result", {}).get("documentCount", 0)
        name, phase = job["metadata"]["name"], status["phase"]
        console.print(f"MarieJob {name}: {phase}, {count} of {documents} documents.", soft_wrap=True)
        if result := status.get("result"):
            _results(console, running, result)
    console.print(f"All of it took {seconds:.0f} s, control plane included.")
    if not keep:
        again = "marie-operator demo --keep" if is_installed() else "make demo ARGS=--keep"
        console.print(f"To look around in it while it runs on: {again}", highlight=False, soft_wrap=True)
        return
    kubectl = f"{shutil.which('kubectl') or 'kubectl'} --kubeconfig={running.plane.kubeconfig()}"
    console.print("It runs on until Ctrl-C. In another terminal:", highlight=False)
    for command in (
        "get marie,mj,pods",
        f"describe mc/{CLUSTER}",
        f"""patch mc/{CLUSTER} --type=merge -p '{{"spec": {{"suspend": true}}}}'""",
        f"delete mc/{CLUSTER}",
    ):
        console.print(f"  {kubectl} {command}", highlight=False, soft_wrap=True)
    variables = " ".join(f"{name}={value}" for name, value in running.store.environment.items())
    console.print(f"  {variables} aws s3 ls --recursive s3://bucket/results/", highlight=False, soft_wrap=True)
    console.print(f"The operator's log: {running.operator.log}", highlight=False, soft_wrap=True)


def _results(console: Console, running: Stage, result: dict[str, str]) -> None:
    """Where a job's results are, counted where they are."""
    manifest = _objects(running, result.get("manifestUri", ""))
    if not manifest:
        return
    there = sum(len(json.loads(line)["results"]) for line in next(iter(manifest.values())).splitlines())
    console.print(
        f"  {there} results are under {result['outputUri']}, listed in {result['manifestUri']}.",
        highlight=False,
        soft_wrap=True,
    )


def _objects(running: Stage, uri: str) -> dict[str, bytes]:
    """What is in the demo's object store below a URI."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    return {key: content for key, content in running.store.objects(bucket).items() if key.startswith(prefix)}


def _cancel_on_signals() -> None:
    """Ctrl-C and SIGTERM end the demo in order, so that no server stays behind."""
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
