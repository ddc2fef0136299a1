"""Backing services, end to end: what users write, what they are told, and what becomes of it."""

import asyncio
import base64
from typing import Any

import pytest

from marie_operator.testing.apiserver.faults import Fault, refuse
from marie_operator.testing.kubelet import Behaviour
from tests.controllers.mariecluster.plane import Plane, run

pytestmark = pytest.mark.embedded

MANAGED: dict[str, Any] = {"etcd": {"managed": {}}, "postgres": {"managed": {}}}
OWN: dict[str, Any] = {
    "etcd": {"host": "etcd.infra"},
    "postgres": {"host": "db.infra", "credentialsSecretRef": {"name": "database"}},
}


def cluster(name: str = "c", *, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "marie", "image": "marieai/marie:4.0.0"}]}}
    return {
        "apiVersion": "marie.ai/v1alpha1",
        "kind": "MarieCluster",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {
            "serverSpec": {"template": template},
            "executorGroupSpecs": [{"groupName": "extract", "executorType": "extract", "template": template}],
            **spec,
        },
    }


def job(name: str = "j", cluster: str = "c") -> dict[str, Any]:
    return {
        "apiVersion": "marie.ai/v1alpha1",
        "kind": "MarieJob",
        "metadata": {"name": name},
        "spec": {"clusterRef": cluster, "jobType": "extract", "input": {"uri": "s3://bucket/one.pdf"}},
    }


def secret(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


async def contents(plane: Plane, name: str) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in (await plane.get("secrets", name))["data"].items()}


async def succeeded(plane: Plane, name: str = "j") -> bool:
    return bool((await plane.get("mariejobs", name)).get("status", {}).get("phase") == "Succeeded")


def test_images_alone_become_a_marie_whose_jobs_succeed() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED), job())
        await plane.condition("c", "Ready")
        await plane.until(lambda: succeeded(plane))

        assert await plane.names("statefulsets") == {"c-etcd", "c-postgres"}
        assert await plane.names("persistentvolumeclaims") == {"c-etcd", "c-postgres"}
        assert {"c-api-key", "c-config", "c-postgres"} <= await plane.names("secrets")
        key, config = (await contents(plane, "c-api-key"))["apiKey"], await contents(plane, "c-config")
        assert len(key) == 58
        assert key.startswith("mas_")
        assert f"api_key: {key}\n" in config["gateway.yml"]
        password = (await contents(plane, "c-postgres"))["password"]
        assert f"password: {password}\n" in config["executor-extract.yml"]
        for condition in ("EtcdReady", "PostgresReady"):
            assert (await plane.condition("c", condition))["reason"] == "ServiceReady"
        owners = [
            (await plane.get(kind, name))["metadata"]["ownerReferences"][0]["name"]
            for kind, name in (("secrets", "c-config"), ("secrets", "c-api-key"), ("persistentvolumeclaims", "c-etcd"))
        ]
        assert owners == ["c"] * 3

        await asyncio.sleep(30)
        since = plane.server.audit.mark()
        await asyncio.sleep(1500)
        assert plane.writes(since) == []

    run(story)


def test_a_missing_secret_is_named_and_marie_starts_once_it_is_there() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=OWN))
        found = await plane.condition("c", "PostgresReady", "False", reason="SecretMissing")
        assert found["message"] == (
            "There is no Secret database in namespace default, which "
            "spec.backingServices.postgres.credentialsSecretRef names: create it with the keys username and password, "
            "or correct the field."
        )
        assert (await plane.condition("c", "Ready", "False"))["message"] == found["message"]
        assert await plane.names("deployments") == set()

        await plane.apply(secret("database", username="marie"))
        found = await plane.condition("c", "PostgresReady", "False", reason="SecretKeyMissing")
        assert "has no password" in found["message"]
        await plane.apply(secret("database", username="marie", password="1e5"))
        found = await plane.condition("c", "PostgresReady", "False", reason="SecretUnusable")
        assert "would misread password" in found["message"]
        await plane.apply(secret("database", username="marie", password="s3cret"))
        await plane.condition("c", "Ready")
        assert (await plane.condition("c", "EtcdReady"))["reason"] == "ServiceReachable"

    run(story)


def test_a_service_that_does_not_answer_is_named_while_the_server_waits() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(secret("database", username="marie", password="s3cret"))
        with plane.kubelet.behaving(Behaviour(waiting="PodInitializing")):
            await plane.apply(cluster(backingServices=OWN))
            await plane.condition("c", "EtcdReady", "Unknown", reason="ServiceUnchecked")
            (pod,) = [
                each
                for each in (await plane.api.get(plane.path("pods")))["items"]
                if each["metadata"]["labels"]["marie.ai/node-type"] == "server"
            ]
            name = pod["metadata"]["name"]
            waits = [
                _init("wait-etcd", {"terminated": {"exitCode": 0, "reason": "Completed"}}),
                _init("wait-postgres", {"running": {"startedAt": "2026-01-01T00:00:00Z"}}),
            ]
            status = {"status": {"phase": "Pending", "initContainerStatuses": waits}}
            await plane.api.patch(f"{plane.path('pods', name)}/status", status)
            await plane.condition("c", "EtcdReady", reason="ServiceReachable")
            found = await plane.condition("c", "PostgresReady", "False", reason="ServiceUnreachable")
            assert found["message"] == (
                "postgres at db.infra:5432 does not answer the server's pod, which waits for it: check the address, "
                f"the service and NetworkPolicies (kubectl logs {name} -c wait-postgres says what it got)."
            )

    run(story)


def test_a_volume_that_cannot_be_changed_is_told_in_one_sentence() -> None:
    async def story(plane: Plane) -> None:
        def with_class(name: str) -> dict[str, Any]:
            return {"etcd": {"managed": {"storage": {"storageClassName": name}}}}

        await plane.apply(cluster(backingServices={**MANAGED, **with_class("first")}))
        await plane.condition("c", "Ready")
        await plane.patch("marieclusters", "c", {"spec": {"backingServices": with_class("other")}})
        found = await plane.condition("c", "Ready", "False", reason="ChildRefused")
        assert found["message"] == (
            'The API server refuses PersistentVolumeClaim c-etcd: PersistentVolumeClaim "c-etcd" is invalid: spec: '
            "Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName "
            "for bound claims."
        )

    run(story)


def _init(name: str, state: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state}


def test_the_younger_of_two_clusters_on_one_database_is_refused() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(secret("database", username="marie", password="s3cret"))
        await plane.apply(cluster("older", backingServices=OWN))
        await plane.condition("older", "Ready")
        other = {**OWN, "etcd": {"managed": {}}, "postgres": {**OWN["postgres"], "host": "DB.infra.svc.cluster.local"}}
        await plane.apply(cluster("younger", backingServices=other))
        found = await plane.condition("younger", "PostgresReady", "False", reason="ServiceShared")
        assert found["message"] == (
            "MarieCluster default/older uses the database postgres://db.infra:5432/postgres already, and two clusters "
            "on one corrupt each other's jobs: give younger one of its own in spec.backingServices.postgres."
        )
        assert not await plane.find("deployments", "younger-server")
        assert (await plane.condition("older", "Ready"))["reason"] == "Ready"

        await plane.api.delete(plane.path("marieclusters", "older"))
        await plane.condition("younger", "Ready")

    run(story)


def test_a_changed_config_map_rolls_the_pods_that_mount_it_and_no_other() -> None:
    async def story(plane: Plane) -> None:
        def mounting(kind: dict[str, Any]) -> dict[str, Any]:
            container = {"name": "marie", "image": "m", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
            return {"spec": {"containers": [container], "volumes": [{"name": "v", **kind}]}}

        bare = {"spec": {"containers": [{"name": "marie", "image": "m"}]}}
        one, two = (mounting({"configMap": {"name": name}}) for name in ("one", "two"))
        frozen = {**one, "metadata": {"annotations": {"marie.ai/reload": "disabled"}}}
        groups = {"a": one, "b": two, "c": bare, "d": frozen}
        await plane.apply(*(_config_map(name, "before") for name in ("one", "two")))
        own = cluster(executorGroupSpecs=[{"groupName": name, "template": each} for name, each in groups.items()])
        await plane.apply(own)
        await plane.condition("c", "Ready")
        before = await _templates(plane)

        await plane.apply(_config_map("one", "after"))
        await asyncio.sleep(120)
        assert {name for name, each in (await _templates(plane)).items() if each != before[name]} == {"c-executor-a"}
        await plane.condition("c", "Ready")

        await plane.apply(secret("irrelevant", key="value"))
        since = plane.server.audit.mark()
        await asyncio.sleep(1500)
        assert plane.writes(since) == []

        await plane.patch("marieclusters", "c", {"metadata": {"annotations": {"marie.ai/reload": "disabled"}}})
        await plane.apply(_config_map("two", "after"))
        await asyncio.sleep(120)
        assert plane.writes(since) == []

    run(story)


def _config_map(name: str, value: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}}


async def _templates(plane: Plane) -> dict[str, Any]:
    items = (await plane.api.get(plane.path("deployments")))["items"]
    return {each["metadata"]["name"]: each["spec"]["template"] for each in items}


def test_a_new_password_rolls_server_and_executors() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(secret("database", username="marie", password="s3cret"))
        await plane.apply(cluster(backingServices=OWN))
        await plane.condition("c", "Ready")
        before = await _templates(plane)
        await plane.apply(secret("database", username="marie", password="n3w"))
        await asyncio.sleep(120)
        after = await _templates(plane)
        assert all(before[name] != after[name] for name in ("c-server", "c-executor-extract"))
        assert "password: n3w\n" in (await contents(plane, "c-config"))["gateway.yml"]

    run(story)


def test_the_api_key_is_rotated_once_for_each_request_and_jobs_go_on() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        first = await contents(plane, "c-api-key")
        await plane.patch("marieclusters", "c", {"metadata": {"annotations": {"marie.ai/rotate-api-key": "1"}}})
        await asyncio.sleep(120)
        second = await contents(plane, "c-api-key")
        assert second != first
        assert second["apiKey"] in (await contents(plane, "c-config"))["gateway.yml"]
        await plane.condition("c", "Ready")
        await plane.apply(job())
        await plane.until(lambda: succeeded(plane))
        await asyncio.sleep(1500)
        assert await contents(plane, "c-api-key") == second

    run(story)


def test_what_users_made_is_used_and_never_written_over() -> None:
    async def story(plane: Plane) -> None:
        key = "mau_" + "k" * 54
        await plane.apply(secret("c-api-key", apiKey=key), secret("c-postgres", username="me", password="mine"))
        names = ("c-api-key", "c-postgres")
        before = [await contents(plane, name) for name in names]
        await plane.apply(cluster(backingServices=MANAGED, annotations={"marie.ai/rotate-api-key": "1"}))
        await plane.condition("c", "Ready")
        # Only the file is added that the database's pod mounts.
        after = [await contents(plane, name) for name in names]
        assert "CREATE EXTENSION" in after[1].pop("postgres-init.sql")
        assert after == before
        config = await contents(plane, "c-config")
        assert f"api_key: {key}\n" in config["gateway.yml"]
        assert "password: mine\n" in config["gateway.yml"]

    run(story)


def test_a_lost_password_is_not_made_anew_while_its_data_is_there() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        before = await contents(plane, "c-postgres")
        await plane.api.delete(plane.path("secrets", "c-postgres"))
        found = await plane.condition("c", "PostgresReady", "False", reason="SecretMissing")
        assert "restore it with the keys username and password" in found["message"]
        assert not await plane.find("secrets", "c-postgres")
        await plane.apply(secret("c-postgres", **{key: before[key] for key in ("username", "password")}))
        await plane.condition("c", "Ready")
        restored = await contents(plane, "c-postgres")
        assert restored == {key: before[key] for key in restored}
        assert "postgres-init.sql" in restored
        await plane.api.delete(plane.path("secrets", "c-api-key"))
        await plane.until(lambda: plane.find("secrets", "c-api-key"))

    run(story)


@pytest.mark.parametrize("late", ["secrets", "persistentvolumeclaims"])
def test_a_cluster_that_is_made_again_under_its_name_gets_a_database_of_its_own(late: str) -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        before = await contents(plane, "c-postgres")
        # Garbage collection takes the objects of before in any order, and one of them late.
        slow = {"metadata": {"finalizers": ["example.com/slow"]}}
        await plane.patch(late, "c-postgres", slow)
        await plane.api.delete(plane.path("marieclusters", "c"))
        await plane.apply(cluster(backingServices=MANAGED))
        told = await plane.condition("c", "Ready", "False", reason="NameTaken")
        assert ("it goes by itself" if late == "secrets" else "it is waited for") in told["message"]
        await asyncio.sleep(60)
        await plane.patch(late, "c-postgres", {"metadata": {"finalizers": None}})
        await plane.condition("c", "Ready")
        assert (await contents(plane, "c-postgres"))["password"] != before["password"]
        assert (await contents(plane, "c-postgres"))["password"] in (await contents(plane, "c-config"))["gateway.yml"]

    run(story)


def test_a_cluster_is_made_again_at_once() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        await plane.api.delete(plane.path("marieclusters", "c"))
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        await plane.apply(job())
        await plane.until(lambda: succeeded(plane))

    run(story)


def test_a_database_s_password_may_be_made_late() -> None:
    async def story(plane: Plane) -> None:
        no = Fault(refuse(403, "exceeded quota: q"), verbs={"create"}, resources={"secrets"})
        plane.server.server.faults.append(no)
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "PostgresReady", "False", reason="ChildRefused")
        await asyncio.sleep(30)
        plane.server.server.faults.remove(no)
        await plane.condition("c", "Ready")

    run(story)


def test_services_that_are_no_longer_managed_go_and_their_data_stays() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(secret("database", username="marie", password="s3cret"))
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        spec = {"etcd": {"managed": None, **OWN["etcd"]}, "postgres": {"managed": None, **OWN["postgres"]}}
        await plane.patch("marieclusters", "c", {"spec": {"backingServices": spec}})
        await plane.condition("c", "EtcdReady", reason="ServiceReachable")
        assert await plane.names("statefulsets") == set()
        assert await plane.names("persistentvolumeclaims") == {"c-etcd", "c-postgres"}
        await plane.patch("marieclusters", "c", {"spec": {"backingServices": None}})

        async def untold() -> bool:
            conditions = (await plane.get("marieclusters", "c"))["status"]["conditions"]
            return not {"EtcdReady", "PostgresReady"} & {each["type"] for each in conditions}

        await plane.until(untold)

        async def left() -> bool:
            return await plane.names("secrets") == {"database", "c-api-key", "c-postgres"}

        # The rendered configuration has nobody left who reads it; what was generated is the users' as well.
        await plane.until(left)

    run(story)


def test_a_configuration_that_users_bring_themselves_leaves_none_behind() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        own = {"serverSpec": {"configFile": "/own/marie.yml"}}
        group = cluster()["spec"]["executorGroupSpecs"][0]
        await plane.patch(
            "marieclusters", "c", {"spec": {**own, "executorGroupSpecs": [{**group, "configFile": "/own/flow.yml"}]}}
        )

        async def gone() -> bool:
            return "c-config" not in await plane.names("secrets")

        await plane.until(gone)
        await plane.condition("c", "Ready")
        await asyncio.sleep(30)
        since = plane.server.audit.mark()
        await asyncio.sleep(180)
        assert plane.writes(since) == []

    run(story)


def test_a_suspended_cluster_keeps_its_data_and_no_pod() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        await plane.patch("marieclusters", "c", {"spec": {"suspend": True}})
        await plane.condition("c", "Suspended")
        assert await plane.names("pods") == set()
        assert (await plane.condition("c", "EtcdReady", "Unknown"))["reason"] == "Suspended"
        await plane.patch("marieclusters", "c", {"spec": {"suspend": False}})
        await plane.condition("c", "Ready")

    run(story)


def test_a_class_that_is_not_known_is_asked_for() -> None:
    async def story(plane: Plane) -> None:
        own = cluster(backingServices=MANAGED)
        own["spec"]["executorGroupSpecs"][0]["executorType"] = "ner"
        await plane.apply(own)
        found = await plane.condition("c", "Ready", "False", reason="InvalidSpec")
        assert "which class executors named ner_t run is not known" in found["message"]

    run(story)


def test_a_secret_of_the_configurations_name_that_is_not_ours_is_left_alone() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(secret("c-config", mine="yes"))
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready", "False", reason="NameTaken")
        assert await contents(plane, "c-config") == {"mine": "yes"}

    run(story)
