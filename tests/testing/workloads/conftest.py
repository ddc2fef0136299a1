"""What tests of controllers run on, for the session: the real ones, the simulated ones on a real API server, and both
simulated. Whatever holds of the first must hold of the others.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import pytest_asyncio

from marie_operator.testing.api import Api
from marie_operator.testing.controlplane import ControlPlane, locate_binaries
from marie_operator.testing.embedded import EmbeddedControlPlane
from marie_operator.testing.kubelet import Behaviour, FakeKubelet, NodeSpec
from marie_operator.testing.workloads import Workloads

REPOSITORY = Path(__file__).parents[3]
WAIT = 240.0
REAL, SIMULATED, EMBEDDED = STAGES = ("real", "simulated", "embedded")
Plane: TypeAlias = ControlPlane | EmbeddedControlPlane
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and hasattr(item, "callspec") and "stage" in item.callspec.params:
            embedded = item.callspec.params["stage"] == EMBEDDED
            item.add_marker(pytest.mark.embedded if embedded else pytest.mark.controlplane)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@dataclass(frozen=True)
class Stage:
    """What all tests share."""

    plane: Plane
    api: Api
    kubelet: FakeKubelet


@dataclass(frozen=True)
class Room:
    """A namespace of a test's own."""

    stage: Stage
    name: str

    @property
    def api(self) -> Api:
        return self.stage.api

    def path(self, kind: str, name: str = "") -> str:
        group = {
            "deployments": "/apis/apps/v1",
            "replicasets": "/apis/apps/v1",
            "statefulsets": "/apis/apps/v1",
            "jobs": "/apis/batch/v1",
            "endpointslices": "/apis/discovery.k8s.io/v1",
        }.get(kind, "/api/v1")
        return f"{group}/namespaces/{self.name}/{kind}" + (f"/{name}" if name else "")

    async def create(self, kind: str, body: dict[str, Any]) -> Any:
        return await self.api.create(self.path(kind), body)

    async def get(self, kind: str, name: str) -> Any:
        return await self.api.get(self.path(kind, name))

    async def items(self, kind: str, query: str = "") -> list[Any]:
        return list((await self.api.get(f"{self.path(kind)}?{query}"))["items"])

    async def until(self, kind: str, name: str, holds: Callable[[Any], bool]) -> Any:
        """Wait until an object is as it should be; which it is then."""

        async def looked() -> Any:
            found = await self.get(kind, name)
            return found if holds(found) else None

        return await until(looked, f"{kind}/{name}")

    async def until_items(self, kind: str, holds: Callable[[list[Any]], bool], query: str = "") -> list[Any]:
        async def looked() -> Any:
            found = await self.items(kind, query)
            return (found,) if holds(found) else None

        (found,) = await until(looked, kind)
        return list(found)

    async def kubectl(self, *arguments: str, stdin: str = "") -> str:
        return await self.stage.plane.kubectl("--namespace", self.name, *arguments, stdin=stdin)


async def until(looked: Callable[[], Awaitable[Any]], what: str) -> Any:
    try:
        async with asyncio.timeout(WAIT):
            while not (found := await looked()):
                await asyncio.sleep(0.03)
            return found
    except TimeoutError:
        raise AssertionError(f"{what} never came to be as expected") from None


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=STAGES)
async def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder, binaries = tmp_path_factory.mktemp("plane"), locate_binaries(REPOSITORY)
    behaviours = [
        Behaviour(image="never-ready:*", ready=False),
        Behaviour(image="succeeds:*", start=0.02, runs=0.05, exit_code=0),
        Behaviour(image="fails:*", start=0.02, runs=0.05, exit_code=1),
        Behaviour(start=0.02),
    ]
    async with contextlib.AsyncExitStack() as stack:
        plane: Plane
        if request.param == EMBEDDED:
            plane = EmbeddedControlPlane(folder, kubectl=binaries / "kubectl")
        else:
            plane = ControlPlane(binaries, folder, controllers=request.param == REAL)
        await stack.enter_async_context(plane)
        api = await stack.enter_async_context(plane.api())
        nodes = [NodeSpec("node-1", {"nvidia.com/gpu": "2"}, {"disk": "fast"})]
        kubelet = FakeKubelet(api, nodes=nodes, behaviours=behaviours, grace_scale=0.001)
        if request.param == SIMULATED:
            await stack.enter_async_context(Workloads(api))
        await stack.enter_async_context(kubelet)
        yield Stage(plane, api, kubelet)


@pytest_asyncio.fixture(loop_scope="session")
async def room(stage: Stage) -> Room:
    name = f"room-{next(_numbers)}"
    await stage.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    path = f"/api/v1/namespaces/{name}/serviceaccounts/default"

    async def ready() -> bool:
        return await stage.api.exists(path)

    await until(ready, "the namespace's account")
    return Room(stage, name)
