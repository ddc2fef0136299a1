"""Why pods do not come, in the control plane's own words."""

from http import HTTPStatus
from typing import Any

import pytest

from marie_operator.testing.api import ApiStatus
from tests.controlplane.clusters import cluster, group
from tests.controlplane.world import World


def asking(spec: dict[str, Any], **limits: Any) -> dict[str, Any]:
    spec["template"]["spec"]["containers"][0]["resources"] = {"limits": limits}
    return spec


async def admitted(world: World) -> bool:
    """Whether one more pod would be."""
    tried = {"metadata": {"name": "tried"}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}
    try:
        await world.api.create(f"{world.path('pods')}?dryRun=All", tried)
    except ApiStatus as refusal:
        if refusal.code != HTTPStatus.FORBIDDEN:
            raise
        return False
    return True


@pytest.mark.kuberay("KU-24")
async def test_a_group_that_fits_on_no_node_says_so_in_the_scheduler_s_words(world: World) -> None:
    greedy = asking(group("greedy"), **{"nvidia.com/gpu": 100000})
    await world.create(cluster("c", greedy, group("fine")))
    told = await world.condition("marieclusters", "c", "AllExecutorsReady", "False", reason="ExecutorsFailing")
    assert "greedy: 0 of 1 ready (pod c-executor-greedy-" in told["message"]
    assert "cannot be scheduled: 0/" in told["message"]
    assert "Insufficient nvidia.com/gpu" in told["message"]

    async def others() -> bool:
        found = (await world.get("marieclusters", "c"))["status"]
        return bool(found["serverReady"] and found["executorGroupStatuses"]["fine"]["readyReplicas"] == 1)

    await world.until("the others are ready", others)


@pytest.mark.real
@pytest.mark.kuberay("KR-02")
@pytest.mark.kuberay("KU-24")
async def test_a_group_beyond_its_quota_says_so_in_the_quota_s_words_and_comes_when_there_is_room(world: World) -> None:
    quotas = f"/api/v1/namespaces/{world.namespace}/resourcequotas"
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "0"}}}
    await world.api.create(quotas, quota)
    # Admission learns of a quota, and of its change, after a moment.

    async def refused() -> bool:
        return not await admitted(world)

    await world.until("the quota counts", refused)
    await world.api.patch(f"{quotas}/few", {"spec": {"hard": {"pods": "2"}}})
    await world.until("the quota has room for two", lambda: admitted(world))
    await world.create(cluster("c", group("extract", replicas=3)))
    told = await world.condition("marieclusters", "c", "AllExecutorsReady", "False", reason="ExecutorsFailing")
    assert "its pods cannot be created: pods " in told["message"]
    assert "is forbidden: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2" in told["message"]
    # However many are refused, a cluster that waits for pods has not been provisioned.
    await world.condition("marieclusters", "c", "MarieClusterProvisioned", "False")

    await world.api.patch(f"{quotas}/few", {"spec": {"hard": {"pods": "10"}}})
    await world.condition("marieclusters", "c", "Ready")


async def test_a_change_that_the_api_server_refuses_is_told_once_and_corrected(world: World) -> None:
    await world.create(cluster("c", group("extract")))
    await world.condition("marieclusters", "c", "Ready")
    wrong, since = group("extract"), world.mark()
    wrong["template"]["spec"]["dnsPolicy"] = "Sometimes"
    await world.patch("marieclusters", "c", {"spec": {"executorGroupSpecs": [wrong]}})
    told = await world.condition("marieclusters", "c", "Ready", "False", reason="ChildRefused")
    assert 'spec.template.spec.dnsPolicy: Unsupported value: "Sometimes"' in told["message"]

    async def tried_again() -> bool:
        return sum("dryRun=All" in each.path for each in world.stage.audit.requests(since=since)) > 2

    await world.until("it is tried again, twice", tried_again)
    conditions = (await world.get("marieclusters", "c"))["status"]["conditions"]
    # Since when, too: nothing else was told in between.
    assert told in conditions
    assert "UpgradePending" not in {each["type"] for each in conditions}
    await world.patch("marieclusters", "c", {"spec": {"executorGroupSpecs": [group("extract")]}})
    await world.condition("marieclusters", "c", "Ready")
