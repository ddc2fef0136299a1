"""A job that brings its own cluster, and one that a pod submits."""

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
    await world.condition("mariejobs", "j", "Complete")
    name = (await world.get("mariejobs", "j"))["status"]["clusterName"]
    assert len(world.marie(name).dags) == 1

    async def gone() -> bool:
        kinds = ("marieclusters", "deployments", "services", "pods")
        return not any([await world.items(kind) for kind in kinds])

    await world.until("the cluster is gone", gone)
    assert [each["metadata"]["name"] for each in await world.items("mariejobs")] == ["j"]


async def test_a_jobs_pod_submits_its_document_once_and_ends_as_it_does(world: World) -> None:
    await world.key_of("c")
    await world.create(cluster("c"))
    await world.condition("marieclusters", "c", "ServerPodReady")
    await world.create(job("j", "c", submissionMode="K8sJobSubmission"))
    await world.condition("mariejobs", "j", "Complete")
    told = (await world.get("mariejobs", "j"))["status"]
    assert [dag.ref_id.startswith("j-") for dag in world.marie("c").dags] == [True]

    async def complete() -> bool:
        conditions = (await world.get("jobs", told["submitterJobName"]))["status"].get("conditions", ())
        return any((each["type"], each["status"]) == ("Complete", "True") for each in conditions)

    await world.until("the submitter Job is Complete", complete)
    (pod,) = [each for each in await world.items("pods") if each["metadata"]["labels"].get("marie.ai/job") == "j"]
    (container,) = pod["status"]["containerStatuses"]
    assert container["state"]["terminated"]["message"] == f"DAG {told['dagId']} has completed."
