"""A job that cannot go on says why, and goes on by itself once it can."""

import pytest

from marie_operator.testing.gateway import Fault
from tests.controlplane.clusters import cluster, job
from tests.controlplane.world import World


async def ready(world: World) -> None:
    await world.create(cluster("c"))
    await world.condition("marieclusters", "c", "ServerPodReady")


async def waits(world: World, reason: str) -> str:
    """The sentence of a job that waits, which nothing was submitted of."""
    condition = await world.condition("mariejobs", "j", "Submitted", "False", reason=reason)
    status = (await world.get("mariejobs", "j"))["status"]
    assert status["message"].startswith(condition["message"])
    return str(condition["message"])


@pytest.mark.kuberay("KU-09", "KU-19")
async def test_for_a_cluster_that_is_missing_then_suspended_then_starting(world: World) -> None:
    await world.create(job("j", "c"))
    message = await waits(world, "ClusterNotFound")
    assert "c" in message
    await world.key_of("c")
    await world.create(cluster("c", suspend=True))
    assert "spec.suspend to false" in await waits(world, "ClusterSuspended")
    await world.patch("marieclusters", "c", {"spec": {"suspend": False}})
    await world.condition("mariejobs", "j", "Complete")


async def test_for_an_api_key(world: World) -> None:
    await ready(world)
    await world.create(job("j", "c"))
    message = await waits(world, "APIKeyMissing")
    assert "c-api-key" in message
    assert "apiKey" in message
    await world.key_of("c")
    await world.condition("mariejobs", "j", "Complete")


async def test_for_an_api_key_that_is_accepted(world: World) -> None:
    await ready(world)
    await world.key_of("c", "mas_wrong")
    await world.create(job("j", "c"))
    assert "c-api-key" in await waits(world, "APIKeyRefused")
    await world.api.delete(world.path("secrets", "c-api-key"))
    await world.key_of("c")
    await world.condition("mariejobs", "j", "Complete")


async def test_for_a_planner(world: World) -> None:
    await ready(world)
    await world.key_of("c")
    await world.create(job("j", "c", planner="invoices"))
    message = await waits(world, "UnknownPlanner")
    assert "'invoices'" in message
    assert "extract" in message
    await world.patch("mariejobs", "j", {"spec": {"planner": "extract"}})
    await world.condition("mariejobs", "j", "Complete")


@pytest.mark.parametrize("fault", [Fault("/", -1, status=502), Fault("/", -1, status=200, body="<html>rubbish")])
async def test_for_a_gateway_that_answers_nonsense(world: World, fault: Fault) -> None:
    await ready(world)
    await world.key_of("c")
    world.marie("c").faults.append(fault)
    await world.condition("marieclusters", "c", "ServerPodReady", "False", reason="GatewayUnreachable")
    await world.create(job("j", "c"))
    message = await waits(world, "GatewayUnreachable")
    assert f"HTTP {fault.status}" in message
    world.marie("c").faults.clear()
    await world.condition("mariejobs", "j", "Complete")
    assert len(world.marie("c").dags) == 1


@pytest.mark.parametrize("uri", ["s3://", "s3://bucket", "az://container@account/a.pdf"])
async def test_a_uri_that_cannot_be_read_fails_the_job_with_a_sentence(world: World, uri: str) -> None:
    await ready(world)
    await world.key_of("c")
    await world.create(job("j", "c", uri))
    condition = await world.condition("mariejobs", "j", "Failed", reason="InvalidURI")
    assert f"spec.input.uri {uri!r} names" in condition["message"]
    assert not world.marie("c").dags


async def test_an_empty_prefix_fails_the_job_with_a_sentence(world: World) -> None:
    world.stage.s3.put(world.namespace, "other/a.pdf", b"")
    await ready(world)
    await world.key_of("c")
    await world.create(job("j", "c", f"s3://{world.namespace}/in/"))
    condition = await world.condition("mariejobs", "j", "Failed", reason="NoDocuments")
    assert f"s3://{world.namespace}/in/" in condition["message"]
