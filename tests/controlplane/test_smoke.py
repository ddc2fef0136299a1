"""The stage the other tests stand on: a real control plane whose pods run."""

from collections import Counter
from typing import Any

import pytest

from marie_operator.testing.controlplane import OPERATOR, OPERATOR_USER
from marie_operator.testing.processes import ProcessError
from tests.controlplane.processes import ServedStage
from tests.controlplane.waiting import until

pytestmark = pytest.mark.real

CONTAINERS = [{"name": "main", "image": "busybox"}]


def deployment(name: str, replicas: int) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": CONTAINERS}}
    return {
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


async def test_it_is_a_real_server_of_the_pinned_version(stage: ServedStage) -> None:
    assert (await stage.api.get("/version"))["gitVersion"].startswith("v1.36.")
    assert await stage.api.get("/readyz") == "ok"
    stage.plane.check()


async def test_the_audit_log_counts_exactly(stage: ServedStage, namespace: str) -> None:
    mark = stage.plane.audit.mark()
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    async with stage.plane.api(OPERATOR) as operator:
        for number in range(7):
            await operator.create(path, {"metadata": {"name": f"c-{number}"}})
        await operator.get(f"{path}/c-0")

    audit = stage.plane.audit
    requests = [each for each in audit.requests(user=OPERATOR_USER, since=mark) if each.namespace == namespace]
    assert Counter((each.verb, each.code) for each in requests) == Counter({("create", 201): 7, ("get", 200): 1})
    written = [each for each in audit.writes(OPERATOR_USER, since=mark) if each.namespace == namespace]
    assert [each.name for each in written] == [f"c-{number}" for number in range(7)]


async def test_a_deployment_becomes_available_and_goes_with_its_pods(stage: ServedStage, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    pods = f"/api/v1/namespaces/{namespace}/pods"
    await stage.api.create(path, deployment("web", 3))

    async def available() -> bool:
        return bool((await stage.api.get(f"{path}/web"))["status"].get("availableReplicas") == 3)

    await until("three replicas", available)
    running = (await stage.api.get(pods))["items"]
    assert {each["status"]["phase"] for each in running} == {"Running"}
    assert len({each["status"]["podIP"] for each in running}) == 3
    assert {each["spec"]["nodeName"] for each in running} <= {"node-1", "node-2"}

    await stage.api.delete(f"{path}/web")

    async def collected() -> bool:
        return not (await stage.api.get(pods))["items"]

    await until("the pods are collected", collected)


async def test_kubectl_prints_or_raises_what_it_says(stage: ServedStage, namespace: str) -> None:
    assert "serviceaccount" in await stage.plane.kubectl("-n", namespace, "get", "serviceaccounts", "-o", "name")
    with pytest.raises(ProcessError, match='pods "none" not found'):
        await stage.plane.kubectl("-n", namespace, "get", "pod", "none")


async def test_pods_start_after_a_crash_of_the_server(stage: ServedStage, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    await stage.api.create(path, deployment("before", 1))
    await stage.crash_apiserver()
    await stage.start_apiserver()
    await stage.api.create(path, deployment("after", 1))

    async def available() -> bool:
        items = (await stage.api.get(path))["items"]
        return [each["status"].get("availableReplicas") for each in items] == [1, 1]

    await until("both deployments are available", available)
