"""One control plane for the session, one namespace and one operator process for each test.

The servers live on the session's event loop, so everything here and every test in this folder runs on it.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from marie_operator.builders import association
from marie_operator.testing.controlplane import OPERATOR, ControlPlane, locate_binaries
from marie_operator.testing.gateway import Outcome, SimulatedGateways
from marie_operator.testing.kubelet import FakeKubelet, NodeSpec
from marie_operator.testing.pods import MariePods
from marie_operator.testing.processes import ProcessError
from marie_operator.testing.s3 import S3Server
from tests.controlplane.world import API_KEY, ROOT, Stage, World

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.controlplane)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def binaries() -> Path:
    return locate_binaries(ROOT)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("plane")
    gateways = SimulatedGateways(speed=5.0, outcome=lambda _: Outcome(seconds=1.0))
    pods = MariePods(
        gateways,
        cluster_label=association.CLUSTER_LABEL,
        role_label=association.NODE_TYPE_LABEL,
        executors=lambda _: ["extract_executor"],
        api_key=API_KEY,
    )
    nodes = [NodeSpec(f"node-{n}", {"nvidia.com/gpu": "64"}, {"accelerator": "nvidia-gpu"}) for n in (1, 2)]
    async with contextlib.AsyncExitStack() as stack:
        plane = await stack.enter_async_context(ControlPlane(binaries, folder, guard_owners=True))
        s3 = await stack.enter_async_context(S3Server(binaries / "versitygw", folder))
        api = await stack.enter_async_context(plane.api())
        url = await stack.enter_async_context(gateways.serve())
        kubelet = await stack.enter_async_context(FakeKubelet(api, nodes=nodes, on_ready=pods.ready, on_gone=pods.gone))
        await install(plane)
        yield Stage(plane, api, kubelet, gateways, url, s3)


@pytest_asyncio.fixture(loop_scope="session")
async def namespace(stage: Stage) -> AsyncIterator[str]:
    """A namespace of the test's own."""
    name = f"test-{next(_numbers)}"
    await stage.plane.kubectl("create", "namespace", name)
    yield name
    await stage.plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest_asyncio.fixture(loop_scope="session")
async def world(stage: Stage, namespace: str, tmp_path: Path) -> AsyncIterator[World]:
    """A namespace with an operator that looks after it alone."""
    result = World(stage, namespace, tmp_path)
    async with result.running():
        yield result


async def install(plane: ControlPlane) -> None:
    """CRDs, role and namespace, without the operator's own Deployment: the tests run the operator."""
    await plane.kubectl("apply", "-f", str(ROOT / "config/default/namespace.yaml"))
    await plane.kubectl("apply", "-k", str(ROOT / "config/crd"))
    await plane.kubectl("apply", "-k", str(ROOT / "config/rbac"))
    crds = ("crd/marieclusters.marie.ai", "crd/mariejobs.marie.ai")
    await plane.kubectl("wait", "--for=condition=Established", *crds)
    await _owners_known(plane)


async def _owners_known(plane: ControlPlane) -> None:
    """Admission of owner references learns of a new kind some time after the API server serves it."""
    owner = "{apiVersion: marie.ai/v1alpha1, kind: MarieCluster, name: x, uid: x, blockOwnerDeletion: true}"
    probe = f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: probe, ownerReferences: [{owner}]}}}}"
    async with asyncio.timeout(60):
        while True:
            try:
                await plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=probe, user=OPERATOR)
            except ProcessError as error:
                if "RESTMapping" not in str(error):
                    raise
                await asyncio.sleep(0.5)
            else:
                return
