"""The pytest plug-in, as another project's tests would use it."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from marie_operator.testing.api import RETRY_PERIOD, ApiStatus
from marie_operator.testing.apiserver.faults import Fault, cut, drop, lose_reply, refuse
from marie_operator.testing.kube import Kube

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
CONFIG = Path(__file__).parents[3] / "config"


async def test_a_server_is_there(kube: Kube) -> None:
    made = await kube.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    assert await kube.api.get(f"{CONFIG_MAPS}/a") == made
    assert [str(each) for each in kube.audit.writes("kubernetes-admin") if each.resource == "configmaps"] == [
        "create configmaps default/ -> 201"
    ]
    assert kube.kubeconfig.exists()


async def test_kinds_are_served_once_they_are_applied(kube: Kube) -> None:
    await kube.apply(CONFIG / "crd", CONFIG / "samples" / "seed")
    cluster = await kube.api.get("/apis/marie.ai/v1alpha1/namespaces/default/marieclusters/my-cluster")
    assert cluster["metadata"]["generation"] == 1


async def test_a_deployment_has_its_replica_set(kube: Kube) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    await kube.api.create("/apis/apps/v1/namespaces/default/deployments", {"metadata": {"name": "d"}, "spec": spec})
    async with asyncio.timeout(120):
        async for kind, pod in kube.api.watch("/api/v1/namespaces/default/pods"):
            if kind == "ADDED" and pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet":
                break


async def test_faults_have_their_way(kube: Kube) -> None:
    faults = kube.faults
    faults.append(Fault(refuse(429, retry_after=1), verbs={"create"}, resources={"configmaps"}, times=1))
    with pytest.raises(ApiStatus) as caught:
        await kube.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}})
    assert caught.value.code == 429
    faults[:] = [Fault(drop(), resources={"configmaps"}, times=1)]
    with pytest.raises(ConnectionError):
        await kube.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}})
    assert not await kube.api.exists(f"{CONFIG_MAPS}/a")
    faults[:] = [Fault(lose_reply(), verbs={"create"}, resources={"configmaps"}, times=1)]
    with pytest.raises(ConnectionError):
        await kube.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}})
    assert await kube.api.exists(f"{CONFIG_MAPS}/a")


async def test_a_watch_that_is_cut_goes_on(kube: Kube) -> None:
    kube.faults.append(Fault(cut(after=1), verbs={"watch"}, resources={"configmaps"}))
    seen = []
    async with asyncio.timeout(120):
        watch = kube.api.watch(CONFIG_MAPS)
        for number in range(4):
            await kube.api.create(CONFIG_MAPS, {"metadata": {"name": f"c-{number}"}})
            while True:
                kind, found = await anext(watch)
                if kind == "ADDED" and found["metadata"]["name"].startswith("c-"):
                    seen.append(found["metadata"]["name"])
                    break
        await watch.aclose()  # type: ignore[attr-defined]
    assert seen == [f"c-{number}" for number in range(4)]


async def test_a_restart_keeps_what_is_stored(kube: Kube) -> None:
    await kube.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}})
    await kube.plane.stop_apiserver()
    with pytest.raises(ConnectionError):
        await kube.api.get(f"{CONFIG_MAPS}/a")
    await kube.plane.start_apiserver()
    assert await kube.api.exists(f"{CONFIG_MAPS}/a")


async def test_controllers_rest_while_the_server_is_stopped(kube: Kube) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    await kube.plane.stop_apiserver()
    mark = kube.audit.mark()
    async with kube.plane.apiserver.direct() as beside:
        await beside.create("/apis/apps/v1/namespaces/default/deployments", {"metadata": {"name": "d"}, "spec": spec})
    await asyncio.sleep(3 * RETRY_PERIOD)
    assert {each.user for each in kube.audit.requests(since=mark)} == {"kubernetes-admin"}
    await kube.plane.start_apiserver()
    async with asyncio.timeout(120):
        async for kind, _ in kube.api.watch("/api/v1/namespaces/default/pods"):
            if kind == "ADDED":
                break


PROJECT = """
async def test_one(kube):
    await kube.api.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "a"}})
    assert kube.kubeconfig.exists()


async def test_another(kube):
    assert not await kube.api.exists("/api/v1/namespaces/default/configmaps/a")
"""


def test_the_tests_of_another_project_need_a_setting_and_no_import(tmp_path: Path) -> None:
    (tmp_path / "test_project.py").write_text(PROJECT, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout
