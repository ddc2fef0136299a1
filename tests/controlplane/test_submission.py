"""A job that brings its own cluster."""

from typing import Any

from tests.controlplane.clusters import cluster, job
from tests.controlplane.world import World


async def test_a_job_with_its_own_cluster_ends_and_leaves_nothing_but_itself(world: World) -> None:
    owning: dict[str, Any] = job("j", "")
    del owning["spec"]["clusterRef"]
    owning["spec"] |= {
        "clusterSpec": cluster("c", auth={"apiKeySecretRef": {"name": "any-api-key"}})["spec"],
        "shutdownAfterJobFinishes": True,
    }
    await world.key_of("any")
    await world.create(owning)
    await world.condition("mariejobs", "j", "Complete", timeout=55)
    name = (await world.get("mariejobs", "j"))["status"]["clusterName"]
    assert len(world.marie(name).dags) == 1

    async def gone() -> bool:
        kinds = ("marieclusters", "deployments", "services", "pods")
        return not any([await world.items(kind) for kind in kinds])

    await world.until("the cluster is gone", gone)
    assert [each["metadata"]["name"] for each in await world.items("mariejobs")] == ["j"]
