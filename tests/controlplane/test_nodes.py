"""A node dies: what ran on it runs elsewhere, and the cluster says what it has meanwhile."""

from typing import Any

import pytest

from marie_operator.testing.pod_status import is_ready
from tests.controlplane.clusters import cluster, group
from tests.controlplane.world import World

GONE = "node.kubernetes.io/unreachable"


def hasty(spec: dict[str, Any]) -> dict[str, Any]:
    """A template whose pods leave a lost node within seconds instead of five minutes: enough for that to be told."""
    toleration = {"key": GONE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 10}
    spec["template"]["spec"]["tolerations"] = [toleration]
    return spec


async def executors(world: World) -> list[Any]:
    """Pods of the group that are not about to end."""
    pods = [each for each in await world.items("pods") if "-executor-" in each["metadata"]["name"]]
    return [each for each in pods if "deletionTimestamp" not in each["metadata"]]


@pytest.mark.kuberay("KR-05")
async def test_a_group_is_whole_again_elsewhere_after_its_node_has_died(world: World) -> None:
    api, kubelet = world.api, world.stage.kubelet
    manifest = cluster("c", hasty(group("extract", replicas=3)))
    hasty(manifest["spec"]["serverSpec"])
    await world.create(manifest)
    await world.condition("marieclusters", "c", "Ready")
    lost = (await executors(world))[0]["spec"]["nodeName"]

    kubelet.kill_node(lost)
    try:
        await world.condition("marieclusters", "c", "AllExecutorsReady", "False")

        async def elsewhere() -> bool:
            pods = await executors(world)
            return len(pods) == 3 and all(is_ready(each) and each["spec"]["nodeName"] != lost for each in pods)

        await world.until("all executors run elsewhere", elsewhere)
        await world.condition("marieclusters", "c", "Ready")
        taints = (await api.get(f"/api/v1/nodes/{lost}"))["spec"]["taints"]
        assert {(each["key"], each["effect"]) for each in taints} == {(GONE, "NoSchedule"), (GONE, "NoExecute")}
        # Nobody on a dead node can end a pod.
        assert any("deletionTimestamp" in each["metadata"] for each in await world.items("pods"))
    finally:
        await kubelet.revive_node(lost)

    async def back() -> bool:
        node = await api.get(f"/api/v1/nodes/{lost}")
        ended = all("deletionTimestamp" not in each["metadata"] for each in await world.items("pods"))
        return ended and is_ready(node) and not node["spec"].get("taints")

    await world.until("the node is back, and empty", back)
    assert (await world.get("marieclusters", "c"))["status"]["readyExecutorReplicas"] == 3
