"""Where tests of the operator run, each in a namespace of its own with an operator of its own.

A test of what the operator does asks for a ``world`` and runs twice: in real time on a real control plane, where the
operator is a process; and in virtual time on the embedded one, beside which it runs in the test's own process. The
event loop decides which: pytest-asyncio is given both. A test of what a process shows to others asks for ``served``,
or for the ``stage`` alone: it runs in real time on both. One that is about the real control plane alone is marked
``real``. What runs on the real control plane is marked ``controlplane``, the rest ``embedded``.

Servers live on the session's event loop, and so does every test in real time.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from marie_operator.builders import association
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.controlplane import ControlPlane, locate_binaries
from marie_operator.testing.embedded import EmbeddedControlPlane
from marie_operator.testing.gateway import Outcome, SimulatedGateways
from marie_operator.testing.kubelet import FakeKubelet, NodeSpec
from marie_operator.testing.objectstore import SimulatedS3
from marie_operator.testing.pods import MariePods
from marie_operator.testing.s3 import S3Server
from marie_operator.testing.workloads import Periods
from tests.controlplane import submitters
from tests.controlplane.installation import Plane, install
from tests.controlplane.processes import ServedStage, ServedWorld
from tests.controlplane.virtual import TestLoop, VirtualStage, logs_kept
from tests.controlplane.waiting import until
from tests.controlplane.world import API_KEY, ROOT, World
from tests.simulation.world import installed

REAL, EMBEDDED = "real", "embedded"
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {REAL: asyncio.new_event_loop, EMBEDDED: TestLoop}
ON_SESSION_LOOP = pytest.mark.asyncio(loop_scope="session")
SPEED = 5.0
"""How much faster than recorded gateways go that are served."""
PERIODS = Periods(node_monitor=1.0, node_grace=20.0)
"""Of the real controllers: no node is taken for lost where the process of the tests, its kubelet's, is held up."""
_numbers = itertools.count(1)


def pytest_asyncio_loop_factories(item: pytest.Function) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    twice = "world" in item.fixturenames and item.get_closest_marker("real") is None
    return LOOPS if twice else {REAL: LOOPS[REAL]}


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # One loop for all tests in real time: said here to who gives loops out, and below to each test.
    metafunc.definition.add_marker(ON_SESSION_LOOP, append=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    left: list[pytest.Item] = []
    for item in [each for each in items if here in each.path.parents]:
        given: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
        virtual = TestLoop in given.values()
        embedded = virtual or given.get("stage") == EMBEDDED
        item.add_marker(pytest.mark.embedded if embedded else pytest.mark.controlplane)
        if not virtual:
            item.add_marker(ON_SESSION_LOOP, append=False)
        else:
            # An alarm ends whatever task it finds at work, and in virtual time one always is: the test would go on.
            item.add_marker(pytest.mark.timeout(method="thread"), append=False)
        if embedded and item.get_closest_marker("real"):
            left.append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [each for each in items if each not in left]


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    """A namespace with an operator that looks after it alone."""
    virtual = request.node.get_closest_marker("embedded") is not None
    found: World = request.getfixturevalue("virtual_world" if virtual else "real_world")
    return found


# In virtual time.


@pytest_asyncio.fixture
async def virtual_world(origin: EmbeddedApiServer, tmp_path: Path) -> AsyncIterator[World]:
    stage = VirtualStage.made(origin)
    async with stage.simulation:
        result = World(stage, "default", tmp_path)
        async with result.running():
            yield result


@pytest.fixture(scope="session")
def origin() -> Iterator[EmbeddedApiServer]:
    """An API server on which the operator is installed."""
    with logs_kept():
        yield installed()


# In real time.


@pytest.fixture(scope="session", params=[REAL, EMBEDDED])
def stage(request: pytest.FixtureRequest) -> ServedStage:
    found: ServedStage = request.getfixturevalue(f"{request.param}_stage")
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def namespace(stage: ServedStage) -> AsyncIterator[str]:
    """A namespace of the test's own."""
    async with namespace_on(stage) as name:
        yield name


@pytest_asyncio.fixture(loop_scope="session")
async def served(stage: ServedStage, namespace: str, tmp_path: Path) -> AsyncIterator[ServedWorld]:
    """A namespace with an operator process that looks after it alone."""
    result = ServedWorld(stage, namespace, tmp_path)
    async with result.running():
        yield result


@pytest_asyncio.fixture(loop_scope="session")
async def real_world(real_stage: ServedStage, tmp_path: Path) -> AsyncIterator[ServedWorld]:
    async with namespace_on(real_stage) as name:
        result = ServedWorld(real_stage, name, tmp_path)
        async with result.running():
            yield result


@pytest.fixture(scope="session")
def binaries() -> Path:
    return locate_binaries(ROOT)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real_stage(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServedStage]:
    folder = tmp_path_factory.mktemp("plane")
    plane = ControlPlane(binaries, folder, guard_owners=True, periods=PERIODS)
    async with plane, S3Server(binaries / "versitygw", folder) as s3, furnished(plane, s3) as result:
        yield result


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedded_stage(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServedStage]:
    plane = EmbeddedControlPlane(tmp_path_factory.mktemp("plane"), kubectl=binaries / "kubectl")
    async with plane, SimulatedS3() as s3, furnished(plane, s3) as result:
        yield result


@contextlib.asynccontextmanager
async def furnished(plane: Plane, s3: S3Server | SimulatedS3) -> AsyncIterator[ServedStage]:
    """A control plane with nodes whose pods run, and with gateways for them."""
    gateways = SimulatedGateways(speed=SPEED, outcome=lambda _: Outcome(seconds=1.0), store=partial(s3.put, "marie"))
    nodes = [NodeSpec(f"node-{n}", {"nvidia.com/gpu": "64"}, {"accelerator": "nvidia-gpu"}) for n in (1, 2)]
    async with plane.api() as api, gateways.serve() as url:
        pods = MariePods(
            gateways,
            cluster_label=association.CLUSTER_LABEL,
            role_label=association.NODE_TYPE_LABEL,
            executors=lambda _: ["extract_executor"],
            api_key=API_KEY,
            api=api,
        )
        behaviours = [submitters.behaviour(api, url)]
        async with FakeKubelet(
            api, nodes=nodes, behaviours=behaviours, on_ready=pods.ready, on_gone=pods.gone
        ) as kubelet:
            await install(plane)
            yield ServedStage(plane, api, kubelet, gateways, url, s3)


@contextlib.asynccontextmanager
async def namespace_on(stage: ServedStage) -> AsyncIterator[str]:
    """A namespace that exists while entered."""
    name = f"test-{next(_numbers)}"
    await stage.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    await until("pods can be made", lambda: stage.api.exists(account))
    yield name
    await stage.api.delete(f"/api/v1/namespaces/{name}")
