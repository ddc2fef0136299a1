"""The manifests on a real API server: it takes them, and what it makes of them is what was asked for."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association, chain
from marie_operator.runtime import drift, quantity
from marie_operator.runtime.client import Client
from marie_operator.runtime.clock import LoopClock
from marie_operator.runtime.resource import DEPLOYMENTS, SERVICES, Object, ObjectKey, Resource
from marie_operator.testing.controlplane import ControlPlane, locate_binaries
from tests.builders.clusters import ROOT, admitted, cluster, container, group, inputs, template

pytestmark = [pytest.mark.controlplane, pytest.mark.asyncio(loop_scope="module")]

NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
CASES = list(inputs())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    folder = tmp_path_factory.mktemp("plane")
    async with contextlib.AsyncExitStack() as stack:
        plane = await stack.enter_async_context(ControlPlane(locate_binaries(ROOT), folder, controllers=False))
        config = plane.kubeconfig("admin")
        yield await stack.enter_async_context(
            await Client.connect(kubeconfig=config, user_agent="test", clock=LoopClock())
        )


@pytest_asyncio.fixture(loop_scope="module")
async def namespace(client: Client, request: pytest.FixtureRequest) -> str:
    created = await client.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-"}}
    )
    return str(created["metadata"]["name"])


async def applied(client: Client, of: MarieCluster) -> list[tuple[Object, Object]]:
    """Every manifest of a cluster with what is there after it was applied."""
    pairs = []
    for resource, manifest in chain.desired(of):
        await client.apply(resource, manifest, field_manager=association.FIELD_MANAGER)
        pairs.append((manifest, await client.get(resource, ObjectKey.of(manifest))))
    return pairs


def quantities(manifest: Object) -> list[Any]:
    pod = manifest["spec"]["template"]["spec"]
    each = [*pod["containers"], *pod.get("initContainers", ())]
    return [item.get("resources", {}) for item in each] + [item.get("emptyDir") for item in pod.get("volumes", ())]


@pytest.mark.parametrize(("name", "path"), CASES, ids=[name for name, _ in CASES])
async def test_what_is_applied_shows_no_drift_and_applied_again_changes_nothing(
    client: Client, namespace: str, name: str, path: Path
) -> None:
    first = await applied(client, admitted(path, namespace))
    assert {manifest["metadata"]["name"]: drift.differs(manifest, live) for manifest, live in first} == {
        manifest["metadata"]["name"]: [] for manifest, _ in first
    }
    again = await applied(client, admitted(path, namespace))
    # The API server stores a claim anew even when nothing of it changes.
    assert [live["metadata"]["resourceVersion"] for _, live in again if live["kind"] != "PersistentVolumeClaim"] == [
        live["metadata"]["resourceVersion"] for _, live in first if live["kind"] != "PersistentVolumeClaim"
    ]
    for manifest, live in first:
        if manifest["kind"] == "Deployment":
            assert quantities(live) == quantities(manifest)


async def test_what_a_spec_gives_up_is_gone(client: Client, namespace: str) -> None:
    def given(pod: Object, **spec: Any) -> MarieCluster:
        made = cluster(group(pod=pod), **spec)
        return made.model_copy(update={"metadata": made.metadata.model_copy(update={"namespace": namespace})})

    rich = template(
        container(
            env=[{"name": "A", "value": "1"}],
            command=["/start"],
            resources={"limits": {"cpu": "1"}},
            ports=[{"name": "own", "containerPort": 9}],
        ),
        {"name": "logs", "image": "fluent-bit"},
        metadata={"labels": {"team": "documents"}, "annotations": {"note": "x"}},
        nodeSelector={"disk": "ssd"},
        tolerations=[{"key": "gpu"}],
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    before = given(rich, serviceType="NodePort", marieVersion="4.0.0")
    after = given(template(), serviceType="ClusterIP")
    await applied(client, before)
    lives = [live for _, live in await applied(client, after)]
    (pod,) = [
        live["spec"]["template"]
        for live in lives
        if live["metadata"]["name"] == "c-executor-ocr" and "template" in live["spec"]
    ]
    assert {"team", "note"}.isdisjoint({**pod["metadata"]["labels"], **pod["metadata"].get("annotations", {})})
    assert {"nodeSelector", "tolerations"}.isdisjoint(pod["spec"])
    assert [item["name"] for item in pod["spec"]["containers"]] == ["marie"]
    (marie,) = pod["spec"]["containers"]
    assert "command" not in marie
    assert marie["resources"] == {}
    assert {item["name"] for item in marie["env"]}.isdisjoint({"A"})
    assert {port["name"] for port in marie["ports"]} == {"worker", "flow"}
    service = next(live for live in lives if live["metadata"]["name"] == "c-server-svc")
    assert (service["spec"]["type"], [port.get("nodePort") for port in service["spec"]["ports"]]) == (
        "ClusterIP",
        [None, None],
    )
    assert association.VERSION_LABEL not in service["metadata"]["labels"]


WRITTEN = [
    "1", "0", "0.0", "1000m", "0.5", ".5", "1.", "1.500", "100n", "0.1n", "1u", "1500m", "1001m", "1001u", "2k",
    "1000k", "1.001k", "1M", "1G", "1T", "12E", "1024", "1023Ki", "1024Ki", "1024Mi", "1.5Gi", "0.5Gi", "0.3Ki",
    "0.5Ki", "1Ti", "7Ei", "9Ei", "1e3", "1E3", "1000e3", "5e0", "1e-3", "12e2", "+5", "007", "1000000000", "123456789",
    "9223372036854775807", "0.0001Ki",
]  # fmt: skip


async def test_quantities_are_read_and_written_as_the_api_server_does(client: Client, namespace: str) -> None:
    def deployment(name: str, texts: list[str]) -> Object:
        labels = {"app": name}
        containers = [
            {"name": f"c{number}", "image": "i", "resources": {"limits": {"memory": text}}}
            for number, text in enumerate(texts)
        ]
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            },
        }

    async def stored(name: str, texts: list[str]) -> list[str]:
        live = await client.apply(DEPLOYMENTS, deployment(name, texts), field_manager="test")
        return [item["resources"]["limits"]["memory"] for item in live["spec"]["template"]["spec"]["containers"]]

    canonical = [quantity.canonical(text, finest=quantity.MILLI) for text in WRITTEN]
    assert await stored("canonical", canonical) == canonical
    as_written = await stored("as-written", WRITTEN)
    assert [quantity.parse(text) for text in as_written] == [quantity.parse(text) for text in canonical]


async def test_a_field_of_another_manager_is_no_drift(client: Client, namespace: str) -> None:
    made = cluster()
    made = made.model_copy(update={"metadata": made.metadata.model_copy(update={"namespace": namespace})})
    (first, _), *_ = await applied(client, made)
    other = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "c-server-svc",
            "namespace": namespace,
            "annotations": {"lb.example.com/internal": "true"},
        },
        "spec": {"externalTrafficPolicy": "", "sessionAffinity": "ClientIP"},
    }
    live = await client.apply(SERVICES, other, field_manager="someone", force=True)
    assert drift.differs(first, live) == []
