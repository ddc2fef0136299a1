"""A test's namespace, what happens in it, and the operator that looks after it, whatever it stands on."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from marie_operator.testing.api import Api, ApiStatus
from marie_operator.testing.audit import Request, Requests
from marie_operator.testing.controlplane import OPERATOR_USER
from marie_operator.testing.gateway import SimulatedGateways, SimulatedMarie
from marie_operator.testing.kubelet import FakeKubelet
from tests.controlplane.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
API_KEY = "mas_test-key-000000000000000000000000000000000000000000000"
MARIE = "/apis/marie.ai/v1alpha1"

_numbers = itertools.count(1)


class Operator(Protocol):
    """An operator under its own service account."""

    @property
    def log(self) -> str:
        """What it has logged so far."""
        ...

    async def start(self) -> None:
        """Start it; it is ready some time later."""
        ...

    async def end(self) -> int:
        """Ask it to end, and wait until it has; its exit code."""
        ...

    async def kill(self) -> None:
        """As a power cut would."""
        ...


class Buckets(Protocol):
    """An object store."""

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Make an object, and its bucket if need be."""
        ...

    def objects(self, bucket: str) -> Mapping[str, bytes]:
        """What is in a bucket."""
        ...


class Stage(Protocol):
    """What stands around operators."""

    @property
    def api(self) -> Api:
        """The API server, as its administrator."""
        ...

    @property
    def audit(self) -> Requests:
        """What the API server was asked for."""
        ...

    @property
    def kubelet(self) -> FakeKubelet:
        """Runs the pods."""
        ...

    @property
    def gateways(self) -> SimulatedGateways:
        """Marie."""
        ...

    @property
    def s3(self) -> Buckets:
        """Where documents are."""
        ...

    def operator(self, name: str, namespace: str, folder: Path, *, lease: str) -> Operator:
        """An operator that can be started.

        Args:
            name: Of its own among the test's.
            namespace: The one that it looks after.
            folder: For its log.
            lease: In ``marie-system``; empty for one that leads as soon as it runs.
        """
        ...

    async def apply(self, namespace: str, folder: Path) -> None:
        """Apply the manifests of a folder."""
        ...

    async def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        """Scale a Deployment as a person does who uses kubectl."""
        ...

    async def crash_apiserver(self) -> None:
        """End the API server as a power cut would."""
        ...

    async def start_apiserver(self) -> None:
        """Start it again, with what it had stored."""
        ...


SomeOperator = TypeVar("SomeOperator", bound=Operator)


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

    def marie(self, cluster: str) -> SimulatedMarie:
        """A cluster's simulated gateway."""
        return self.stage.gateways.cluster(self.namespace, cluster)

    def new_operator(self, *, lease: str = "") -> Operator:
        """Another operator for this namespace; with a lease, one that works only while it holds it."""
        return self.stage.operator(self.next_name(), self.namespace, self.folder, lease=lease)

    def next_name(self) -> str:
        """A name that no operator has yet."""
        return f"operator-{next(_numbers)}"

    def running(self) -> AbstractAsyncContextManager[Operator]:
        """An operator that runs while entered."""
        return self.while_running(self.new_operator())

    @contextlib.asynccontextmanager
    async def while_running(self, operator: SomeOperator) -> AsyncIterator[SomeOperator]:
        """Have an operator look after the namespace while entered, or whichever the test puts in its place."""
        self.operator = operator
        await operator.start()
        try:
            yield operator
        finally:
            await self.operator.end()

    # What people do.

    async def apply(self, folder: Path) -> None:
        """Apply the manifests of a folder."""
        await self.stage.apply(self.namespace, folder)

    async def scale(self, deployment: str, replicas: int) -> None:
        """Scale a Deployment as a person does who uses kubectl."""
        await self.stage.scale(self.namespace, deployment, replicas)

    # Objects.

    def path(self, kind: str, name: str = "") -> str:
        """The URL path of objects in the namespace."""
        roots = {
            "services": "/api/v1",
            "pods": "/api/v1",
            "secrets": "/api/v1",
            "configmaps": "/api/v1",
            "deployments": "/apis/apps/v1",
            "jobs": "/apis/batch/v1",
            "statefulsets": "/apis/apps/v1",
            "persistentvolumeclaims": "/api/v1",
            "ingresses": "/apis/networking.k8s.io/v1",
            "networkpolicies": "/apis/networking.k8s.io/v1",
            "poddisruptionbudgets": "/apis/policy/v1",
            "events": "/apis/events.k8s.io/v1",
            "marieclusters": MARIE,
            "mariejobs": MARIE,
        }
        return f"{roots[kind]}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create a MarieCluster, MarieJob, Secret or ConfigMap."""
        created: dict[str, Any] = await self.api.create(self.path(f"{manifest['kind'].lower()}s"), manifest)
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

    async def until(
        self, what: str, holds: Callable[[], Awaitable[Any]], *, timeout: float = PATIENCE, every: float = 0.1
    ) -> Any:
        """Wait until ``holds`` returns something true, and return it; fails with the operator's log.

        Args:
            what: Is waited for.
            holds: Asked until then.
            timeout: Seconds after which the test fails.
            every: Seconds between two questions.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    with contextlib.suppress(ApiStatus):
                        if found := await holds():
                            return found
                    await asyncio.sleep(every)
        except TimeoutError:
            tail = "\n".join(self.operator.log.splitlines()[-25:])
            raise AssertionError(f"not within {timeout:g} s: {what}\n{tail}") from None

    async def condition(
        self, kind: str, name: str, condition: str, status: str = "True", *, reason: str = "", timeout: float = PATIENCE
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
        return self.stage.audit.mark()

    def writes(self, since: int) -> list[Request]:
        """The operator's writes after a mark, but for the lease's and events."""
        found = self.stage.audit.requests(user=OPERATOR_USER, since=since, writes=True)
        return [
            each for each in found if each.resource not in {"leases", "events"} and each.namespace == self.namespace
        ]
