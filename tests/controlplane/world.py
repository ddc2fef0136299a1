"""Everything around one operator process: a real API server, a fake kubelet, simulated gateways, an S3 server."""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from marie_operator.testing.api import Api, ApiStatus
from marie_operator.testing.audit import Request
from marie_operator.testing.controlplane import OPERATOR, OPERATOR_USER, ControlPlane
from marie_operator.testing.embedded import EmbeddedControlPlane
from marie_operator.testing.gateway import SimulatedGateways, SimulatedMarie
from marie_operator.testing.kubelet import FakeKubelet
from marie_operator.testing.objectstore import SimulatedS3
from marie_operator.testing.processes import free_ports
from marie_operator.testing.s3 import S3Server

ROOT = Path(__file__).parents[2]
API_KEY = "mas_test-key-000000000000000000000000000000000000000000000"
MARIE = "/apis/marie.ai/v1alpha1"
PROGRAM = ("-m", "marie_operator")

_numbers = itertools.count(1)


def manifests(path: Path) -> list[dict[str, Any]]:
    """The objects of a YAML file."""
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


Plane = ControlPlane | EmbeddedControlPlane


@dataclass
class Stage:
    """What all tests of a session share."""

    plane: Plane
    api: Api
    kubelet: FakeKubelet
    gateways: SimulatedGateways
    gateways_url: str
    s3: S3Server | SimulatedS3


class Operator:
    """An operator process under its own service account."""

    def __init__(
        self,
        stage: Stage,
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


@dataclass
class World:
    """One test's namespace, and the operator that looks after it."""

    stage: Stage
    namespace: str
    folder: Path
    operator: Operator = field(init=False)

    @property
    def api(self) -> Api:
        """The API server, as its administrator."""
        return self.stage.api

    async def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """kubectl in the test's namespace."""
        return await self.stage.plane.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def marie(self, cluster: str) -> SimulatedMarie:
        """A cluster's simulated gateway."""
        return self.stage.gateways.cluster(self.namespace, cluster)

    def new_operator(
        self, *arguments: str, environment: dict[str, str] | None = None, program: Sequence[str] = PROGRAM
    ) -> Operator:
        """Another operator process for this namespace."""
        log = self.folder / f"operator-{next(_numbers)}.log"
        own = f"--namespaces={self.namespace}"
        return Operator(self.stage, log, own, *arguments, environment=environment, program=program)

    @contextlib.asynccontextmanager
    async def running(self, *arguments: str, program: Sequence[str] = PROGRAM) -> AsyncIterator[Operator]:
        """An operator that runs while entered."""
        self.operator = self.new_operator(*arguments, program=program)
        await self.operator.start()
        try:
            yield self.operator
        finally:
            await self.operator.end()

    # Objects.

    def path(self, kind: str, name: str = "") -> str:
        """The URL path of objects in the namespace."""
        roots = {
            "services": "/api/v1",
            "pods": "/api/v1",
            "secrets": "/api/v1",
            "configmaps": "/api/v1",
            "deployments": "/apis/apps/v1",
            "statefulsets": "/apis/apps/v1",
            "persistentvolumeclaims": "/api/v1",
            "ingresses": "/apis/networking.k8s.io/v1",
            "events": "/apis/events.k8s.io/v1",
            "marieclusters": MARIE,
            "mariejobs": MARIE,
        }
        return f"{roots[kind]}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create a MarieCluster, MarieJob or Secret."""
        kind = {"MarieCluster": "marieclusters", "MarieJob": "mariejobs", "Secret": "secrets"}[manifest["kind"]]
        created: dict[str, Any] = await self.api.create(self.path(kind), manifest)
        return created

    async def key_of(self, cluster: str, value: str = API_KEY) -> None:
        """The Secret with a cluster's API key, under its default name."""
        name = f"{cluster}-api-key"
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"apiKey": value}}
        await self.create(secret)

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        """Read an object."""
        found: dict[str, Any] = await self.api.get(self.path(kind, name))
        return found

    async def items(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind in the namespace."""
        found: list[dict[str, Any]] = (await self.api.get(self.path(kind)))["items"]
        return found

    async def patch(self, kind: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Merge-patch an object."""
        patched: dict[str, Any] = await self.api.patch(self.path(kind, name), body)
        return patched

    async def until(self, what: str, holds: Callable[[], Awaitable[Any]], *, timeout: float = 45.0) -> Any:
        """Wait until ``holds`` returns something true, and return it; fails with the operator's log."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    with contextlib.suppress(ApiStatus):
                        if found := await holds():
                            return found
                    await asyncio.sleep(0.1)
        except TimeoutError:
            tail = "\n".join(self.operator.log.splitlines()[-25:])
            raise AssertionError(f"not within {timeout:g} s: {what}\n{tail}") from None

    async def condition(
        self, kind: str, name: str, condition: str, status: str = "True", *, reason: str = "", timeout: float = 45.0
    ) -> dict[str, Any]:
        """Wait for a condition of an object; returns the condition."""

        async def holds() -> Any:
            conditions = (await self.get(kind, name)).get("status", {}).get("conditions", ())
            return next(
                (
                    each
                    for each in conditions
                    if each["type"] == condition and each["status"] == status and reason in {"", each["reason"]}
                ),
                None,
            )

        found: dict[str, Any] = await self.until(f"{kind}/{name} {condition}={status} {reason}", holds, timeout=timeout)
        return found

    # What the operator did.

    def mark(self) -> int:
        """A place in the audit log."""
        return self.stage.plane.audit.mark()

    def writes(self, since: int) -> list[Request]:
        """The operator's writes after a mark, but for the lease's and events."""
        found = self.stage.plane.audit.requests(user=OPERATOR_USER, since=since, writes=True)
        return [
            each for each in found if each.resource not in {"leases", "events"} and each.namespace == self.namespace
        ]
