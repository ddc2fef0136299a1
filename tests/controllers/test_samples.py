"""Every sample, applied as it is and run to its end: clusters until they are ready, jobs until they have succeeded.

What the samples refer to stands around them, as their comments ask for. A job comes after the cluster, and after the
job, that it names.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from marie_operator.runtime import is_true
from marie_operator.testing import manifests, virtual
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.gateway import EXTRACT, NEVER, Document, Outcome, Planner
from marie_operator.testing.kubelet import NodeSpec
from tests.controllers.mariecluster.gateway_api import definition
from tests.controllers.mariecluster.plane import Plane
from tests.simulation.world import World, installed

FOLDER = Path(__file__).parents[2] / "config/samples"
FILES = sorted(FOLDER.rglob("marie*.yaml"))
SAMPLES: dict[str, dict[str, Any]] = {
    str(file.relative_to(FOLDER)): obj for file in FILES for obj in manifests.read(file)
}

KEY = "mas_sample-key-0000000000000000000000000000000000000000000"
ACCOUNT = {"type": "service_account", "client_email": "marie@project", "private_key": "key"}
STORE = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}
SECRETS: dict[str, dict[str, str]] = {
    "registry": {".dockerconfigjson": "{}"},
    "marie-credentials": {"operator-key": KEY},
    "marie-keys": {"operator": KEY, "frontend": KEY.replace("sample", "client")},
    "marie-database": {"username": "marie", "password": "s3cret"},
    "marie-broker": {"user": "marie", "pass": "s3cret"},
    "marie-bucket": STORE,
    "bucket-credentials": STORE,
    "archive-credentials": STORE,
    "google": {"service-account.json": json.dumps(ACCOUNT)},
    **{f"{name}-api-key": {"apiKey": KEY} for name in ("minimal", "pools", "my-cluster")},
}
TORN = "archive/torn.pdf"
KEYS = [
    "documents/letter.pdf",
    "documents/single.pdf",
    *(f"documents/{folder}/{number}.pdf" for folder in ("batch-001", "invoices") for number in range(3)),
    *(f"archive/{number}.pdf" for number in range(110)),
    "archive/draft/unfinished.pdf",
    TORN,
    "2026/january.pdf",
    "2026/february.pdf",
]
GPUS = {"nvidia.com/gpu": "8", "nvidia.com/mig-1g.10gb": "8"}


def around() -> Iterator[dict[str, Any]]:
    """What the samples refer to."""
    yield definition("v1")
    for name, data in SECRETS.items():
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
    for name in ("marie-config", "letters"):
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"letter.pdf": "text"}}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "marie"}}
    for name in ("model-zoo", "marie-models"):
        spec = {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "10Gi"}}}
        yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def chain(sample: dict[str, Any]) -> list[dict[str, Any]]:
    """A sample after those that it names."""
    spec, before = sample["spec"], []
    for other in SAMPLES.values():
        labels = other["metadata"].get("labels", {})
        named = {"MarieCluster": spec.get("clusterRef"), "MarieJob": spec.get("input", {}).get("failedOf")}
        selects = "clusterSelector" in spec and spec["clusterSelector"].items() <= labels.items()
        if other["metadata"]["name"] == named[other["kind"]] or (selects and other["kind"] == "MarieCluster"):
            before += chain(other)
    return [*(each for index, each in enumerate(before) if each not in before[:index]), sample]


class Documents:
    """What becomes of documents: one of them cannot be read until it is mended."""

    mended = False

    def __call__(self, document: Document) -> Outcome:
        """The outcome of a document."""
        broken = document.uri.endswith(TORN) and not self.mended
        return Outcome(seconds=1.0, failures=NEVER if broken else 0)


@pytest.fixture(scope="module")
def origin() -> EmbeddedApiServer:
    """An API server on which the operator is installed."""
    return installed()


@pytest.mark.embedded
@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_runs_to_its_end(name: str, origin: EmbeddedApiServer) -> None:
    async def main() -> None:
        documents = Documents()
        nodes = [NodeSpec(f"node-{number}", GPUS, {"accelerator": "nvidia-gpu"}) for number in (1, 2)]
        async with World(
            origin, random.Random(1), nodes=nodes, outcome=documents, api_key=KEY, keys=KEYS, page_size=1000
        ) as world:
            (replica,) = world.replicas
            replica.start()
            for key in KEYS:
                world.objects["bucket", key] = b"%PDF"
            plane = Plane.of(world)
            await plane.apply(*around())
            for each in chain(SAMPLES[name]):
                documents.mended = "failedOf" in each["spec"].get("input", {})
                await play(plane, each)

    virtual.run(main)


async def play(plane: Plane, sample: dict[str, Any]) -> None:
    """Apply a sample, and wait for its end."""
    name = sample["metadata"]["name"]
    await plane.apply(sample)
    if sample["kind"] == "MarieCluster":
        plane.gateways.cluster("default", name).planners["pipeline"] = Planner("pipeline", EXTRACT.steps)
        await plane.condition(name, "Ready")
        return

    async def succeeded() -> Any:
        status = (await plane.get("mariejobs", name)).get("status", {})
        return status if status.get("phase") == "Succeeded" else None

    status = await plane.until(succeeded, seconds=600)
    assert status["documents"]["total"] > 0
    assert is_true(status["conditions"], "ResultsCopied") == ("output" in sample["spec"])


def test_the_customization_has_every_sample() -> None:
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert sorted(listed["resources"]) == sorted(SAMPLES)
