"""Operators that are processes, and servers that they reach over sockets."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from marie_operator.testing.api import Api
from marie_operator.testing.audit import Requests
from marie_operator.testing.controlplane import OPERATOR
from marie_operator.testing.gateway import SimulatedGateways
from marie_operator.testing.kubelet import FakeKubelet
from marie_operator.testing.objectstore import SimulatedS3
from marie_operator.testing.processes import free_ports, killed_with_parent
from marie_operator.testing.s3 import S3Server
from tests.controlplane.installation import Plane, owners_known
from tests.controlplane.world import ROOT, World
from tests.simulation.replica import SUBMITTER_IMAGE

PROGRAM = ("-m", "marie_operator")


@dataclass
class ServedStage:
    """What all tests of a session share: an API server that runs, a fake kubelet, gateways and an object store."""

    plane: Plane
    api: Api
    kubelet: FakeKubelet
    gateways: SimulatedGateways
    gateways_url: str
    s3: S3Server | SimulatedS3

    @property
    def audit(self) -> Requests:
        """What the API server was asked for."""
        return self.plane.audit

    def operator(
        self,
        name: str,
        namespace: str,
        folder: Path,
        *arguments: str,
        lease: str,
        environment: dict[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> "OperatorProcess":
        """An operator that can be started.

        Args:
            name: Of its own among the test's.
            namespace: The one that it looks after.
            folder: For its log.
            arguments: Further ones of its command line.
            lease: In ``marie-system``; empty for one that leads as soon as it runs.
            environment: Further variables.
            program: What Python runs.
        """
        leading = ("--leader-election", "--lease-namespace=marie-system", f"--lease-name={lease}") if lease else ()
        told = (f"--namespaces={namespace}", *leading, *arguments)
        return OperatorProcess(self, folder / f"{name}.log", *told, environment=environment, program=program)

    async def apply(self, namespace: str, folder: Path) -> None:
        """Apply the manifests of a folder."""
        await self.plane.kubectl("-n", namespace, "apply", "-f", str(folder))

    async def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        """Scale a Deployment as a person does who uses kubectl."""
        await self.plane.kubectl("-n", namespace, "scale", f"deployment/{deployment}", f"--replicas={replicas}")

    async def crash_apiserver(self) -> None:
        """End the API server as a power cut would."""
        await self.plane.stop_apiserver(signal.SIGKILL)

    async def start_apiserver(self) -> None:
        """Start it again, with what it had stored; operators can work again when it returns."""
        await self.plane.start_apiserver()
        await owners_known(self.plane)


class OperatorProcess:
    """An operator process under its own service account.

    Args:
        stage: What it reaches.
        log: A file for what it prints.
        arguments: Of its command line.
        environment: Variables besides those that every such process has.
        program: What Python runs.

    Attributes:
        log_file: What it has printed so far.
        health: The port of its probes.
        metrics: The port of its metrics.
    """

    def __init__(
        self,
        stage: ServedStage,
        log: Path,
        *arguments: str,
        environment: dict[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._stage = stage
        self._program = program
        self._arguments = arguments
        self._environment = environment or {}
        self._process: asyncio.subprocess.Process | None = None
        self.log_file = log
        self.health, self.metrics = free_ports(2)

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text(encoding="utf-8")

    async def start(self) -> None:
        """Start it; it is ready some time later."""
        environment = {
            **os.environ,
            **self._stage.s3.environment,
            "MARIE_URL_TEMPLATE": self._stage.gateways_url + "/{namespace}/{name}",
            "METRICS_BIND_ADDRESS": f"127.0.0.1:{self.metrics}",
            "HEALTH_PROBE_BIND_ADDRESS": f"127.0.0.1:{self.health}",
            "MARIE_OPERATOR_IMAGE": SUBMITTER_IMAGE,
            "LOG_FORMAT": "json",
            "PYTHONWARNINGS": "error",
            # Programs of the tests' own import each other by name.
            "PYTHONPATH": str(ROOT),
            **self._environment,
        }
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._program,
                "run",
                f"--kubeconfig={self._stage.plane.kubeconfig(OPERATOR)}",
                *self._arguments,
                env=environment,
                stdout=log,
                stderr=log,
                preexec_fn=killed_with_parent(),
            )

    async def end(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end; its exit code."""
        if self._process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(sig)
        return await self._process.wait()

    async def kill(self) -> None:
        """As a power cut would."""
        await self.end(signal.SIGKILL)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing of it runs meanwhile; what is sent to it waits for it."""
        assert self._process is not None, "start it first"
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@dataclass
class ServedWorld(World):
    """One test's namespace, and the operator process that looks after it."""

    stage: ServedStage
    operator: OperatorProcess = field(init=False)

    async def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """kubectl in the test's namespace."""
        return await self.stage.plane.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def new_operator(
        self,
        *arguments: str,
        lease: str = "",
        environment: dict[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> OperatorProcess:
        """Another operator process for this namespace; with a lease, one that works only while it holds it."""
        return self.stage.operator(
            self.next_name(),
            self.namespace,
            self.folder,
            *arguments,
            lease=lease,
            environment=environment,
            program=program,
        )

    def running(
        self, *arguments: str, lease: str = "", program: Sequence[str] = PROGRAM
    ) -> AbstractAsyncContextManager[OperatorProcess]:
        """An operator that runs while entered."""
        return self.while_running(self.new_operator(*arguments, lease=lease, program=program))
