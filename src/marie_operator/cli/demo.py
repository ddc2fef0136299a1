"""The demo: a control plane, the operator, and the example cluster and job, live on this machine until the end."""

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live

from marie_operator.builders import association
from marie_operator.cli import live
from marie_operator.cli.live import Snapshot
from marie_operator.testing.api import Api, ApiStatus
from marie_operator.testing.controlplane import OPERATOR, ControlPlane
from marie_operator.testing.gateway import Outcome, Outcomes, SimulatedGateways
from marie_operator.testing.kubelet import Behaviour, FakeKubelet, NodeSpec
from marie_operator.testing.pods import MariePods
from marie_operator.testing.processes import Process, ProcessError
from marie_operator.testing.s3 import S3Server

CLUSTER, JOB = "my-cluster", "ocr-batch-job"
API_KEY = "mas_demo-key-000000000000000000000000000000000000000000000"
SPEED = 2.0
"""How much faster than a real Marie the simulated one works."""
PERIOD = 0.25
"""Seconds between two looks at the API server."""
NAMESPACE = "/api/v1/namespaces/default"
MARIE = "/apis/marie.ai/v1alpha1/namespaces/default"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"


class DemoError(Exception):
    """The demo cannot run; the message says what to do."""


@dataclass(frozen=True)
class Stage:
    """What runs during the demo."""

    plane: ControlPlane
    api: Api
    operator: Process


def main(*, binaries: Path, documents: int, keep: bool) -> int:
    """Show the demo; 0 when the job has succeeded."""
    console = Console()
    try:
        with tempfile.TemporaryDirectory(prefix="marie-demo-", ignore_cleanup_errors=True) as folder:
            return asyncio.run(_show(console, binaries, Path(folder), documents, keep=keep))
    except (DemoError, ProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Stopped; nothing is left behind.")
        return 130


async def _show(console: Console, binaries: Path, folder: Path, documents: int, *, keep: bool) -> int:
    config = Path("config")
    if not (config / "samples" / "seed").is_dir():
        raise DemoError("config/samples/seed is not here; run the demo from a checkout of marie-operator (make demo)")
    _cancel_on_signals()
    began = time.monotonic()
    async with _stage(console, binaries, folder, config, documents) as stage:
        console.print(
            f"Applying config/samples/seed: MarieCluster {CLUSTER}, MarieJob {JOB} over {documents} documents."
        )
        await stage.plane.kubectl("apply", "-f", str(config / "samples" / "seed"))
        last = await _watch(console, stage)
        _summary(console, stage, last, time.monotonic() - began, keep=keep)
        if keep:
            await asyncio.Event().wait()
    return 0 if last.job["status"]["phase"] == "Succeeded" else 1


@asynccontextmanager
async def _stage(console: Console, binaries: Path, folder: Path, config: Path, documents: int) -> AsyncIterator[Stage]:
    """Everything around the operator, and the operator as a process under its own service account."""
    gateways = SimulatedGateways(speed=SPEED, outcome=Outcomes(default=Outcome(seconds=1.5)))
    pods = MariePods(
        gateways,
        cluster_label=association.CLUSTER_LABEL,
        role_label=association.NODE_TYPE_LABEL,
        # What the Flow in the image registers, whatever the group is called.
        executors=lambda _: ["extract_executor"],
        api_key=API_KEY,
    )
    behaviours = [
        Behaviour({association.NODE_TYPE_LABEL: association.SERVER}, start=1.0),
        Behaviour({association.NODE_TYPE_LABEL: association.EXECUTOR}, start=2.5),
    ]
    async with AsyncExitStack() as stack:
        console.print("Starting etcd, kube-apiserver, controller manager, scheduler, an S3 server, a simulated Marie …")
        plane = await stack.enter_async_context(ControlPlane(binaries, folder))
        s3 = await stack.enter_async_context(S3Server(binaries / "versitygw", folder))
        api = await stack.enter_async_context(plane.api())
        url = await stack.enter_async_context(gateways.serve())
        nodes = [NodeSpec("gpu-node", {"nvidia.com/gpu": "4"})]
        await stack.enter_async_context(
            FakeKubelet(api, nodes=nodes, behaviours=behaviours, on_ready=pods.ready, on_gone=pods.gone)
        )
        for number in range(1, documents + 1):
            await asyncio.to_thread(s3.put, "bucket", f"documents/scan-{number:04}.pdf", b"%PDF-1.7")
        console.print("Installing the CRDs and the operator's role; the operator runs as its service account.")
        await plane.kubectl("apply", "-f", str(config / "default" / "namespace.yaml"))
        await plane.kubectl("apply", "-k", str(config / "crd"))
        await plane.kubectl("apply", "-k", str(config / "rbac"))
        kinds = ("crd/marieclusters.marie.ai", "crd/mariejobs.marie.ai")
        await plane.kubectl("wait", "--for=condition=Established", *kinds)
        key = f"--from-literal=apiKey={API_KEY}"
        await plane.kubectl("create", "secret", "generic", f"{CLUSTER}-api-key", key)
        operator = Process(
            "operator",
            [
                *(sys.executable, "-m", "marie_operator", "run", f"--kubeconfig={plane.kubeconfig(OPERATOR)}"),
                *("--marie-url-template", f"{url}/{{namespace}}/{{name}}"),
                *("--metrics-bind-address=0", "--health-probe-bind-address=0", "--log-format=json"),
            ],
            directory=folder,
            environment=s3.environment,
        )
        stack.push_async_callback(operator.stop)
        await operator.start()
        yield Stage(plane, api, operator)


async def _watch(console: Console, stage: Stage) -> Snapshot:
    """Show every change until the job has ended; the last state."""
    seen = Snapshot()
    if not console.is_terminal:
        while not seen.ended:
            before, seen = seen, await _look(stage)
            for line in live.lines(before, seen):
                console.print(line, highlight=False, markup=False, soft_wrap=True)
            await asyncio.sleep(PERIOD)
        return seen
    with Live(live.picture(seen), console=console, refresh_per_second=8) as view:
        while not seen.ended:
            seen = await _look(stage)
            view.update(live.picture(seen))
            await asyncio.sleep(PERIOD)
    return seen


async def _look(stage: Stage) -> Snapshot:
    if not stage.operator.running:
        raise stage.operator.failure("ended")
    with contextlib.suppress(ApiStatus):
        events = [
            event
            for event in (await stage.api.get(EVENTS))["items"]
            if event["regarding"]["kind"] in {"MarieCluster", "MarieJob"}
        ]
        return Snapshot(
            cluster=await stage.api.get(f"{MARIE}/marieclusters/{CLUSTER}"),
            job=await stage.api.get(f"{MARIE}/mariejobs/{JOB}"),
            pods=(await stage.api.get(f"{NAMESPACE}/pods"))["items"],
            events=sorted(events, key=lambda event: str(event["eventTime"])),
        )
    return Snapshot()


def _summary(console: Console, stage: Stage, last: Snapshot, seconds: float, *, keep: bool) -> None:
    status = last.job["status"]
    count = status.get("result", {}).get("documentCount", 0)
    console.print(
        f"\nMarieJob {JOB} has {status['phase']}: {count} documents,"
        f" {seconds:.0f} s after the control plane began to start."
    )
    kubectl = f"{stage.plane.binaries}/kubectl --kubeconfig={stage.plane.kubeconfig()}"
    if not keep:
        console.print("To look around in it: make demo ARGS=--keep")
        return
    console.print("It runs on until Ctrl-C. In another terminal:", highlight=False)
    for command in (
        "get marie,mj,pods",
        f"describe mc/{CLUSTER}",
        f"""patch mc/{CLUSTER} --type=merge -p '{{"spec": {{"suspend": true}}}}'""",
        f"delete mc/{CLUSTER}",
    ):
        console.print(f"  {kubectl} {command}", highlight=False, soft_wrap=True)
    console.print(f"The operator's log: {stage.operator.log}", highlight=False, soft_wrap=True)


def _cancel_on_signals() -> None:
    """Ctrl-C and SIGTERM end the demo in order, so that no server stays behind."""
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
