"""One control plane for the session, one namespace and one operator process for each test.

Every test of the operator runs twice: on a real control plane (marked ``controlplane``) and on the embedded one
(marked ``embedded``), but for those that are about the real one alone (marked ``real``). The servers live on the
session's event loop, so everything here and every test in this folder runs on it.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from marie_operator.builders import association
from marie_operator.testing import manifests
from marie_operator.testing.api import Api, ApiStatus
from marie_operator.testing.controlplane import OPERATOR, ControlPlane, locate_binaries
from marie_operator.testing.embedded import EmbeddedControlPlane
from marie_operator.testing.gateway import Outcome, SimulatedGateways
from marie_operator.testing.kubelet import FakeKubelet, NodeSpec
from marie_operator.testing.objectstore import SimulatedS3
from marie_operator.testing.pods import MariePods
from marie_operator.testing.s3 import S3Server
from tests.controlplane.waiting import until
from tests.controlplane.world import API_KEY, ROOT, Plane, Stage, World

REAL, EMBEDDED = "real", "embedded"
_numbers = itertools.count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    left: list[pytest.Item] = []
    for item in [each for each in items if here in each.path.parents]:
        embedded = isinstance(item, pytest.Function) and _server(item) == EMBEDDED
        item.add_marker(pytest.mark.embedded if embedded else pytest.mark.controlplane)
        item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
        if item.get_closest_marker("timeout") is None:
            # After an API server was killed, controllers come back to it with pauses of up to half a minute.
            item.add_marker(pytest.mark.timeout(180))
        if embedded and item.get_closest_marker("real"):
            left.append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [each for each in items if each not in left]


def _server(item: pytest.Function) -> str:
    return str(item.callspec.params.get("stage", "")) if hasattr(item, "callspec") else ""


@pytest.fixture(scope="session")
def binaries() -> Path:
    return locate_binaries(ROOT)


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=[REAL, EMBEDDED])
async def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("plane")
    gateways = SimulatedGateways(speed=5.0, outcome=lambda _: Outcome(seconds=1.0))
    nodes = [NodeSpec(f"node-{n}", {"nvidia.com/gpu": "64"}, {"accelerator": "nvidia-gpu"}) for n in (1, 2)]
    async with contextlib.AsyncExitStack() as stack:
        plane: Plane
        s3: S3Server | SimulatedS3
        binaries: Path = request.getfixturevalue("binaries")
        if request.param == REAL:
            plane = await stack.enter_async_context(ControlPlane(binaries, folder, guard_owners=True))
            s3 = await stack.enter_async_context(S3Server(binaries / "versitygw", folder))
        else:
            plane = await stack.enter_async_context(EmbeddedControlPlane(folder, kubectl=binaries / "kubectl"))
            s3 = await stack.enter_async_context(SimulatedS3())
        api = await stack.enter_async_context(plane.api())
        pods = MariePods(
            gateways,
            cluster_label=association.CLUSTER_LABEL,
            role_label=association.NODE_TYPE_LABEL,
            executors=lambda _: ["extract_executor"],
            api_key=API_KEY,
            api=api,
        )
        url = await stack.enter_async_context(gateways.serve())
        kubelet = await stack.enter_async_context(FakeKubelet(api, nodes=nodes, on_ready=pods.ready, on_gone=pods.gone))
        await install(plane)
        yield Stage(plane, api, kubelet, gateways, url, s3)


@pytest_asyncio.fixture(loop_scope="session")
async def namespace(stage: Stage) -> AsyncIterator[str]:
    """A namespace of the test's own."""
    name = f"test-{next(_numbers)}"
    await stage.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    await until("pods can be made", lambda: stage.api.exists(account), timeout=90)
    yield name
    await stage.api.delete(f"/api/v1/namespaces/{name}")


@pytest_asyncio.fixture(loop_scope="session")
async def world(stage: Stage, namespace: str, tmp_path: Path) -> AsyncIterator[World]:
    """A namespace with an operator that looks after it alone."""
    result = World(stage, namespace, tmp_path)
    async with result.running():
        yield result


async def install(plane: Plane) -> None:
    """CRDs, role and namespace, without the operator's own Deployment: the tests run the operator."""
    folders = (ROOT / "config/default/namespace.yaml", ROOT / "config/crd", ROOT / "config/rbac")
    async with plane.api() as api, plane.api(OPERATOR) as operator:
        await manifests.apply(api, manifests.read(*folders))
        await _owners_known(operator)


async def _owners_known(operator: Api) -> None:
    """Admission of owner references learns of a new kind some time after the API server serves it."""
    owner = {"apiVersion": "marie.ai/v1alpha1", "kind": "MarieCluster", "name": "x", "uid": "x"}
    probe = {"metadata": {"name": "probe", "ownerReferences": [owner | {"blockOwnerDeletion": True}]}}
    async with asyncio.timeout(60):
        while True:
            try:
                await operator.create("/api/v1/namespaces/default/configmaps?dryRun=All", probe)
            except ApiStatus as error:
                if "RESTMapping" not in str(error):
                    raise
                await asyncio.sleep(0.5)
            else:
                return
