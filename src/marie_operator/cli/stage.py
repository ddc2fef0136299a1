"""What the demo runs on: a control plane of its own, documents, a simulated Marie, and the operator beside them."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from marie_operator.builders import association
from marie_operator.testing import manifests
from marie_operator.testing.api import Api
from marie_operator.testing.controlplane import OPERATOR, ControlPlane, locate_binaries
from marie_operator.testing.embedded import EmbeddedControlPlane
from marie_operator.testing.gateway import Outcome, Outcomes, SimulatedGateways
from marie_operator.testing.kubelet import Behaviour, FakeKubelet, NodeSpec
from marie_operator.testing.objectstore import SimulatedS3
from marie_operator.testing.pods import MariePods
from marie_operator.testing.processes import Process

CLUSTER, JOB = "my-cluster", "ocr-batch-job"
API_KEY = "mas_demo-key-000000000000000000000000000000000000000000000"
_INSTALLED = Path(str(files("marie_operator"))) / "config"
SPEED = 2.0
"""How much faster than a real Marie the simulated one works."""


class Plane(Protocol):
    """A control plane, embedded or real."""

    def api(self, user: str = ...) -> Api:
        """A client of its API server."""

    def kubeconfig(self, user: str = ...) -> Path:
        """The kubeconfig of a user."""


@dataclass(frozen=True)
class Stage:
    """What runs during the demo.

    Attributes:
        plane: The control plane.
        api: A client of it.
        operator: The operator's process.
        samples: The example cluster and job.
        store: Holds the documents and the results.
    """

    plane: Plane
    api: Api
    operator: Process
    samples: list[dict[str, object]]
    store: SimulatedS3


def config_folder() -> Path:
    """The manifests: of the installed package, or of the checkout it runs from."""
    return _INSTALLED if is_installed() else Path(__file__).parents[3] / "config"


def is_installed() -> bool:
    """Whether this runs from an installed package, and not from a checkout."""
    return _INSTALLED.is_dir()


@asynccontextmanager
async def stage(folder: Path, *, real: bool, documents: int) -> AsyncIterator[Stage]:
    """Everything around the operator, and the operator as a process under its own service account.

    Args:
        folder: For data, kubeconfigs and logs; empty, and the caller's to delete.
        real: On etcd and kube-apiserver as processes, which are built first if need be.
        documents: How many there are to process.

    Raises:
        ProcessError: a server did not start, or could not be built.
    """
    config = config_folder()
    behaviours = [
        Behaviour({association.NODE_TYPE_LABEL: association.SERVER}, start=1.0),
        Behaviour({association.NODE_TYPE_LABEL: association.EXECUTOR}, start=2.5),
    ]
    async with AsyncExitStack() as stack:
        plane = await stack.enter_async_context(_plane(folder, real=real))
        store = await stack.enter_async_context(SimulatedS3())
        gateways = SimulatedGateways(
            speed=SPEED, outcome=Outcomes(default=Outcome(seconds=1.5)), store=partial(store.put, "marie")
        )
        api = await stack.enter_async_context(plane.api())
        pods = MariePods(
            gateways,
            cluster_label=association.CLUSTER_LABEL,
            role_label=association.NODE_TYPE_LABEL,
            # What the Flow in the image registers, whatever the group is called.
            executors=lambda _: ["extract_executor"],
            api_key=API_KEY,
            api=api,
        )
        url = await stack.enter_async_context(gateways.serve())
        nodes = [NodeSpec("gpu-node", {"nvidia.com/gpu": "4"})]
        await stack.enter_async_context(
            FakeKubelet(api, nodes=nodes, behaviours=behaviours, on_ready=pods.ready, on_gone=pods.gone)
        )
        for number in range(1, documents + 1):
            store.put("bucket", f"documents/scan-{number:04}.pdf", b"%PDF-1.7")
        namespace = config / "default" / "namespace.yaml"
        await manifests.apply(api, manifests.read(namespace, config / "crd", config / "rbac"))
        await manifests.apply(api, [_api_key()])
        operator = Process(
            "operator",
            [
                *(sys.executable, "-m", "marie_operator", "run", f"--kubeconfig={plane.kubeconfig(OPERATOR)}"),
                *("--marie-url-template", f"{url}/{{namespace}}/{{name}}"),
                *("--metrics-bind-address=0", "--health-probe-bind-address=0", "--log-format=json"),
            ],
            directory=folder,
            environment=store.environment,
        )
        stack.push_async_callback(operator.stop)
        await operator.start()
        yield Stage(plane, api, operator, manifests.read(config / "samples" / "seed"), store)


@asynccontextmanager
async def _plane(folder: Path, *, real: bool) -> AsyncIterator[Plane]:
    if real:
        checkout = Path(__file__).parents[3]
        has_build = (checkout / "hack" / "controlplane").is_dir()
        async with ControlPlane(locate_binaries(checkout if has_build else None), folder) as plane:
            yield plane
        return
    async with EmbeddedControlPlane(folder) as embedded:
        yield embedded


def _api_key() -> dict[str, object]:
    name = f"{CLUSTER}-api-key"
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"apiKey": API_KEY}}
