"""A control plane that is there to be broken; it has no controllers, which the operator's own work does not need."""

import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from marie_operator.testing.controlplane import ControlPlane
from marie_operator.testing.gateway import SimulatedGateways
from marie_operator.testing.kubelet import FakeKubelet
from marie_operator.testing.objectstore import SimulatedS3
from marie_operator.testing.proxy import HttpProxy, TcpProxy
from tests.controlplane.faults.bounds import UNDISTURBED
from tests.controlplane.faults.trial import Expected, Trial
from tests.controlplane.installation import install
from tests.controlplane.processes import ServedStage

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def light(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServedStage]:
    """What the tests of this folder share; each leaves it whole."""
    async with contextlib.AsyncExitStack() as stack:
        directory = tmp_path_factory.mktemp("light")
        plane = await stack.enter_async_context(ControlPlane(binaries, directory, controllers=False))
        api = await stack.enter_async_context(plane.api())
        gateways = SimulatedGateways()
        url = await stack.enter_async_context(gateways.serve())
        s3 = await stack.enter_async_context(SimulatedS3())
        await install(plane)
        yield ServedStage(plane, api, FakeKubelet(api), gateways, url, s3)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def expected(light: ServedStage, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """What becomes of the clusters of a trial when nothing goes wrong, and how fast."""
    trial = await made(light, tmp_path_factory.mktemp("undisturbed"), Expected({}, 1.0))
    began = time.monotonic()
    async with trial.running():
        await trial.clusters()
        await trial.until("all children are there", trial.complete)
        return Expected(await trial.state(), max(1.0, (time.monotonic() - began) / UNDISTURBED))


@pytest_asyncio.fixture(loop_scope="session")
async def trial(light: ServedStage, expected: Expected, tmp_path: Path) -> Trial:
    """A namespace of the test's own, in which no operator runs yet."""
    return await made(light, tmp_path, expected)


@pytest_asyncio.fixture(loop_scope="session")
async def line(light: ServedStage) -> AsyncIterator[TcpProxy]:
    """The way to the API server."""
    async with TcpProxy(int(light.plane.url.rpartition(":")[2])) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(light: ServedStage, tmp_path: Path) -> AsyncIterator[HttpProxy]:
    """Another server before the API server, as a load balancer is."""
    authority = light.plane.kubeconfig().parent / "pki" / "apiserver.crt"
    async with HttpProxy(light.plane.url, authority=authority, directory=tmp_path / "proxy") as proxy:
        yield proxy


async def made(stage: ServedStage, folder: Path, expected: Expected) -> Trial:
    """A trial in a namespace that is new."""
    name = f"trial-{next(_numbers)}"
    await stage.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return Trial(stage, name, folder, expected)
