"""What KubeRay's users ran into, as stories of a cluster; docs/kuberay.md has them all."""

import asyncio

import pytest

from marie_operator.builders import network_policy, totals
from marie_operator.controllers.mariecluster import status
from marie_operator.testing.gateway import Fault
from tests.builders.clusters import cluster as built
from tests.builders.clusters import container, group, template
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.seen import RUNNING, cluster, seen
from tests.controllers.mariecluster.test_backing import MANAGED
from tests.controllers.mariecluster.test_backing import cluster as manifest

READY = {"c-server": 1, "c-executor-ocr": 1}
APPS, NETWORK, POLICY = "/apis/apps/v1", "/apis/networking.k8s.io/v1", "/apis/policy/v1"
CHILDREN = {
    "services": ("/api/v1", "c-server-svc"),
    "deployments": (APPS, "c-executor-extract"),
    "ingresses": (NETWORK, "c-ingress"),
    "networkpolicies": (NETWORK, "c-executors"),
    "poddisruptionbudgets": (POLICY, "c-busy"),
}


@pytest.mark.embedded
@pytest.mark.kuberay("KR-01")
def test_an_invalid_spec_is_told_in_the_status_and_its_correction_is_enough() -> None:
    async def story(plane: Plane) -> None:
        made = manifest(backingServices=MANAGED)
        (first,) = made["spec"]["executorGroupSpecs"]
        made["spec"]["executorGroupSpecs"] = [{**first, "executorType": "unheard-of"}]
        await plane.apply(made)
        told = await plane.condition("c", "Ready", "False", reason="InvalidSpec")
        assert "unheard-of" in told["message"]
        await plane.patch("marieclusters", "c", {"spec": {"executorGroupSpecs": [first]}})
        await plane.condition("c", "Ready")

    run(story)


@pytest.mark.kuberay("KR-02")
def test_a_cluster_is_not_provisioned_before_it_has_as_many_pods_as_it_wants() -> None:
    of = cluster({"groupName": "ocr", "replicas": 3})
    found = {each.type: each.status for each in status.of(seen(of, READY, gateway=RUNNING)).conditions}
    assert (found["MarieClusterProvisioned"], found["AllExecutorsReady"]) == ("False", "False")


@pytest.mark.kuberay("KR-03")
def test_a_cluster_that_was_ready_does_not_stay_so_by_name() -> None:
    before = status.of(seen(cluster(), READY))
    assert before.phase == "Running"
    told = cluster(status=before.model_dump(mode="json", by_alias=True, exclude_none=True))
    after = status.of(seen(told, {**READY, "c-server": 0}))
    assert (after.phase, after.server_ready) == ("Creating", False)
    assert {each.type: each.status for each in after.conditions}["Ready"] == "False"


@pytest.mark.embedded
@pytest.mark.kuberay("KR-04")
def test_a_suspension_that_is_taken_out_of_the_spec_is_over() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(manifest(backingServices=MANAGED, suspend=True))
        await plane.condition("c", "Suspended")
        await plane.patch("marieclusters", "c", {"spec": {"suspend": None}})
        await plane.condition("c", "Ready")
        await plane.condition("c", "Suspended", "False")

    run(story)


@pytest.mark.embedded
@pytest.mark.kuberay("KR-10")
@pytest.mark.parametrize("kind", CHILDREN)
def test_a_child_of_any_kind_that_somebody_deletes_comes_back_at_once(kind: str) -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(manifest(backingServices=MANAGED, enableIngress=True, networkPolicy={}))
        await plane.condition("c", "Ready")
        root, name = CHILDREN[kind]
        path = f"{root}/namespaces/default/{kind}"
        uid = (await plane.api.get(f"{path}/{name}"))["metadata"]["uid"]
        await plane.api.delete(f"{path}/{name}")

        async def back() -> bool:
            found = (await plane.api.get(path))["items"]
            return any(each["metadata"]["name"] == name and each["metadata"]["uid"] != uid for each in found)

        await plane.until(back, seconds=30)

    run(story)


@pytest.mark.embedded
@pytest.mark.kuberay("KR-11")
def test_a_spec_that_changes_nothing_else_is_observed_all_the_same() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(manifest(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        await plane.patch("marieclusters", "c", {"spec": {"successfulJobsHistoryLimit": 7}})

        async def observed() -> bool:
            live = await plane.get("marieclusters", "c")
            return bool(live["status"]["observedGeneration"] == live["metadata"]["generation"])

        await plane.until(observed, seconds=2)

    run(story)


@pytest.mark.kuberay("KR-12")
@pytest.mark.parametrize(("replicas", "counted"), [(0, "2"), (2, "4"), (9, "6")])
def test_what_a_cluster_asks_for_is_what_its_bounds_let_it_have(replicas: int, counted: str) -> None:
    asks = template(container(resources={"limits": {"nvidia.com/gpu": "2"}}))
    given = built(group("a", asks, replicas=replicas, minReplicas=1, maxReplicas=3))
    assert totals.of(given).gpu == counted


@pytest.mark.embedded
@pytest.mark.kuberay("KR-15")
def test_a_gateway_that_takes_its_time_keeps_neither_its_cluster_nor_another() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(manifest("slow", backingServices=MANAGED))
        await plane.condition("slow", "Ready")
        plane.gateways.cluster("default", "slow").faults.append(Fault("/", times=-1, delay=60.0))
        await asyncio.sleep(30)
        (first,) = (await plane.get("marieclusters", "slow"))["spec"]["executorGroupSpecs"]
        await plane.patch("marieclusters", "slow", {"spec": {"executorGroupSpecs": [{**first, "replicas": 2}]}})

        async def grown() -> bool:
            return bool((await plane.get("deployments", "slow-executor-extract"))["spec"]["replicas"] == 2)

        await plane.until(grown, seconds=2)
        await plane.apply(manifest("other", backingServices=MANAGED))
        await plane.condition("other", "Ready", seconds=20)

    run(story)


@pytest.mark.kuberay("KR-27")
def test_network_policies_close_neither_names_nor_the_operator_out() -> None:
    policies = network_policy.of(built(group("a"), networkPolicy={}))
    assert len(policies) == 2
    # Whom pods may ask, such as DNS, is not limited.
    assert {kind for each in policies for kind in each["spec"]["policyTypes"]} == {"Ingress"}
    server = policies[0]["spec"]["ingress"]
    peers = [peer for rule in server for peer in rule["from"]]
    assert {"app.kubernetes.io/name": "marie-operator"} in [
        peer.get("podSelector", {}).get("matchLabels") for peer in peers
    ]
