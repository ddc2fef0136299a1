"""The operator as a process: probes, metrics, handing over, stopping, lacking rights, objects it cannot read."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from marie_operator.testing.controlplane import ControlPlane
from tests.controlplane.clusters import cluster, job
from tests.controlplane.installation import install, is_allowed
from tests.controlplane.processes import ServedStage, ServedWorld
from tests.controlplane.world import Operator, World

LEASE = 15.0
"""Seconds for which who leads does so without a renewal."""


async def fetched(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


@pytest.mark.kuberay("KR-33")
async def test_probes_and_metrics(served: ServedWorld) -> None:
    async def ready() -> bool:
        try:
            return await fetched(served.operator.health, "/readyz") == (200, "ok")
        except aiohttp.ClientError:
            return False

    await served.until("ready", ready)
    status, text = await fetched(served.operator.health, "/healthz?verbose")
    assert status == 200
    assert text.splitlines() == ["[+]event-loop ok", "healthz check passed"]
    _, text = await fetched(served.operator.metrics, "/metrics")
    for name in ("controller_runtime_reconcile_total", "workqueue_depth", "rest_client_requests_total"):
        assert f"# TYPE {name} " in text


@pytest.mark.kuberay("KR-34")
async def test_a_standby_takes_over_at_once_after_a_clean_stop_and_in_time_after_a_kill(world: World) -> None:
    await world.operator.end()
    first, second = (world.new_operator(lease=world.namespace) for _ in range(2))

    async def leads(operator: Operator) -> bool:
        return "became leader" in operator.log

    async def waits(operator: Operator) -> bool:
        return "waiting for the lease" in operator.log

    world.operator = first
    await first.start()
    await world.until("the first leads", lambda: leads(first))
    await second.start()
    await world.until("the second waits", lambda: waits(second))
    assert not await leads(second)
    assert await first.end() == 0
    # Long before the lease of the first would have run out.
    await world.until("the second leads", lambda: leads(second), timeout=LEASE - 1)

    third = world.new_operator(lease=world.namespace)
    world.operator = third
    await third.start()
    await world.until("the third waits", lambda: waits(third))
    await second.kill()
    await world.until("the third leads", lambda: leads(third), timeout=4 * LEASE)
    await world.create(cluster("c"))
    await world.condition("marieclusters", "c", "Ready")


@pytest_asyncio.fixture(loop_scope="session")
async def private(stage: ServedStage, binaries: Path, tmp_path: Path) -> AsyncIterator[ServedWorld]:
    """A control plane of the test's own, whose roles and CRDs it may change."""
    async with ControlPlane(binaries, tmp_path, controllers=False) as plane, plane.api() as api:
        await install(plane)
        own = ServedStage(plane, api, stage.kubelet, stage.gateways, stage.gateways_url, stage.s3)
        result = ServedWorld(own, "default", tmp_path)
        async with result.running():
            yield result


@pytest.mark.real
async def test_a_missing_permission_is_named_on_the_object_and_in_the_log(private: ServedWorld) -> None:
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles/marie-operator"
    role = await private.api.get(roles)
    for rule in role["rules"]:
        if "deployments" in rule["resources"]:
            rule["verbs"].remove("patch")
    await private.api.call("PUT", roles, role)

    async def missing() -> bool:
        return not await is_allowed(private.stage.plane, "patch", "deployments.apps", private.namespace)

    await private.until("the permission is missing", missing)
    await private.create(cluster("c"))
    condition = await private.condition("marieclusters", "c", "Ready", "False", reason="PermissionDenied")
    assert 'cannot patch resource "deployments" in API group "apps"' in condition["message"]
    assert (await private.get("services", "c-server-svc"))["spec"]["type"] == "ClusterIP"


@pytest.mark.real
async def test_an_object_that_no_longer_parses_says_so_and_harms_no_other(private: ServedWorld) -> None:
    """As one stored under an older CRD: the schema is taken away for as long as it takes to store it."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/marieclusters.marie.ai"
    schema = (await private.api.get(path))["spec"]["versions"][0]["schema"]

    async def defined(schema: dict[str, Any]) -> None:
        # A patch, since the API server may write the status between a reading and an update.
        replaced = [{"op": "replace", "path": "/spec/versions/0/schema", "value": schema}]
        await private.api.call("PATCH", path, replaced, content_type="application/json-patch+json")

    await defined({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}})
    bad = cluster("old")
    bad["spec"]["executorGroupSpecs"] = "none"

    async def stored() -> bool:
        await private.create(bad)
        return True

    await private.until("the object is stored", stored)
    condition = await private.condition("marieclusters", "old", "Ready", "False", reason="Unreadable")
    assert "executorGroupSpecs" in condition["message"]
    await defined(schema)

    await private.create(cluster("new"))
    await private.condition("marieclusters", "new", "Ready", "False", reason="ServerStarting")
    await private.create(job("j", "old"))
    await private.condition("mariejobs", "j", "Submitted", "False")
    assert "failed unexpectedly" not in private.operator.log
