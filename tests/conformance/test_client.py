"""The client of kubernetes-asyncio, which most Python operators use."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from kubernetes_asyncio import client, watch
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.config import load_kube_config

from tests.conformance.conftest import Server
from tests.conformance.samples import GROUP, config_map, deployment, job, pod, service, widget
from tests.conformance.wire import Namespace

WIDGETS = {"group": GROUP, "version": "v1", "plural": "widgets"}


@pytest_asyncio.fixture(loop_scope="session")
async def connection(server: Server) -> AsyncIterator[Any]:
    configuration = client.Configuration()
    await load_kube_config(config_file=str(server.kubeconfigs["admin"]), client_configuration=configuration)
    async with client.ApiClient(configuration) as opened:
        yield opened


class TestCore:
    async def test_life_of_a_config_map(self, connection: Any, ns: Namespace) -> None:
        core: Any = client.CoreV1Api(connection)
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="a", labels={"x": "y"}), data={"k": "v"})
        made = await core.create_namespaced_config_map(ns.name, body)
        assert (made.metadata.name, made.data) == ("a", {"k": "v"})
        assert made.metadata.creation_timestamp is not None
        made.data["k"] = "w"
        replaced = await core.replace_namespaced_config_map("a", ns.name, made)
        assert replaced.data == {"k": "w"}
        patched = await core.patch_namespaced_config_map("a", ns.name, {"data": {"k": None, "l": "x"}})
        assert patched.data == {"l": "x"}
        listed = await core.list_namespaced_config_map(ns.name, label_selector="x=y")
        assert [item.metadata.name for item in listed.items] == ["a"]
        gone = await core.delete_namespaced_config_map("a", ns.name)
        assert gone.status == "Success"
        with pytest.raises(ApiException) as caught:
            await core.read_namespaced_config_map("a", ns.name)
        assert (caught.value.status, caught.value.reason) == (404, "Not Found")

    async def test_a_conflict(self, connection: Any, ns: Namespace) -> None:
        core: Any = client.CoreV1Api(connection)
        made = await core.create_namespaced_config_map(ns.name, config_map("a"))
        await core.patch_namespaced_config_map("a", ns.name, {"data": {"k": "v"}})
        with pytest.raises(ApiException) as caught:
            await core.replace_namespaced_config_map("a", ns.name, made)
        assert caught.value.status == 409
        assert '"reason":"Conflict"' in str(caught.value)

    async def test_pods(self, connection: Any, ns: Namespace) -> None:
        core: Any = client.CoreV1Api(connection)
        made = await core.create_namespaced_pod(ns.name, pod("a"))
        assert (made.spec.restart_policy, made.status.phase) == ("Always", "Pending")
        await core.patch_namespaced_pod_status("a", ns.name, {"status": {"phase": "Running"}})
        assert (await core.read_namespaced_pod("a", ns.name)).status.phase == "Running"
        listed = await core.list_namespaced_pod(ns.name, field_selector="status.phase=Running")
        assert len(listed.items) == 1
        deleted = await core.delete_namespaced_pod("a", ns.name, grace_period_seconds=0)
        assert deleted.metadata.name == "a"

    async def test_services_and_secrets(self, connection: Any, ns: Namespace) -> None:
        core: Any = client.CoreV1Api(connection)
        assert (await core.create_namespaced_service(ns.name, service("a"))).spec.cluster_ip.startswith("10.0.")
        secret = client.V1Secret(metadata=client.V1ObjectMeta(name="a"), string_data={"k": "v"})
        assert (await core.create_namespaced_secret(ns.name, secret)).data == {"k": "dg=="}

    async def test_deployments_and_jobs(self, connection: Any, ns: Namespace) -> None:
        apps: Any = client.AppsV1Api(connection)
        batch: Any = client.BatchV1Api(connection)
        made = await apps.create_namespaced_deployment(ns.name, deployment("a"))
        assert made.spec.strategy.rolling_update.max_surge == "25%"
        await apps.patch_namespaced_deployment_scale("a", ns.name, {"spec": {"replicas": 3}})
        scale = await apps.read_namespaced_deployment_scale("a", ns.name)
        assert (scale.spec.replicas, scale.status.selector) == (3, "app=a")
        assert (await batch.create_namespaced_job(ns.name, job("a"))).spec.backoff_limit == 6

    async def test_pages(self, connection: Any, ns: Namespace) -> None:
        core: Any = client.CoreV1Api(connection)
        for name in "abc":
            await core.create_namespaced_config_map(ns.name, config_map(name))
        first = await core.list_namespaced_config_map(ns.name, limit=2)
        assert first.metadata.remaining_item_count == 1
        rest = await core.list_namespaced_config_map(ns.name, _continue=first.metadata._continue)
        assert [item.metadata.name for item in rest.items] == ["c"]

    async def test_discovery(self, connection: Any, widgets: str) -> None:
        apis: Any = client.ApisApi(connection)
        groups = await apis.get_api_versions()
        assert {"apps", GROUP} <= {each.name for each in groups.groups}
        versions: Any = client.VersionApi(connection)
        version = await versions.get_code()
        assert version.major == "1"

    async def test_rights(self, connection: Any, ns: Namespace) -> None:
        attributes = client.V1ResourceAttributes(namespace=ns.name, verb="get", resource="pods")
        spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
        body = client.V1SelfSubjectAccessReview(spec=spec)
        access: Any = client.AuthorizationV1Api(connection)
        made = await access.create_self_subject_access_review(body)
        assert made.status.allowed is True


class TestCustomObjects:
    async def test_life(self, connection: Any, ns: Namespace, widgets: str) -> None:
        custom: Any = client.CustomObjectsApi(connection)
        where = {**WIDGETS, "namespace": ns.name}
        made = await custom.create_namespaced_custom_object(body=widget("a", size=3), **where)
        assert made["spec"] == {"size": 3}
        patched = await custom.patch_namespaced_custom_object(
            name="a", body={"spec": {"size": 4}}, _content_type="application/merge-patch+json", **where
        )
        assert patched["metadata"]["generation"] == 2
        patched["spec"]["color"] = "red"
        replaced = await custom.replace_namespaced_custom_object(name="a", body=patched, **where)
        assert replaced["spec"] == {"size": 4, "color": "red"}
        replaced["status"] = {"phase": "x"}
        await custom.replace_namespaced_custom_object_status(name="a", body=replaced, **where)
        found = await custom.get_namespaced_custom_object(name="a", **where)
        assert found["status"] == {"phase": "x"}
        listed = await custom.list_namespaced_custom_object(**where)
        assert [item["metadata"]["name"] for item in listed["items"]] == ["a"]
        everywhere = await custom.list_cluster_custom_object(**WIDGETS)
        assert ns.name in {item["metadata"]["namespace"] for item in everywhere["items"]}
        await custom.delete_namespaced_custom_object(name="a", **where)
        with pytest.raises(ApiException) as caught:
            await custom.get_namespaced_custom_object(name="a", **where)
        assert caught.value.status == 404

    async def test_an_invalid_one(self, connection: Any, ns: Namespace, widgets: str) -> None:
        custom: Any = client.CustomObjectsApi(connection)
        with pytest.raises(ApiException) as caught:
            await custom.create_namespaced_custom_object(body=widget("a", size=900), namespace=ns.name, **WIDGETS)
        assert (caught.value.status, "should be less than or equal to 100" in str(caught.value)) == (422, True)

    async def test_server_side_apply(self, connection: Any, ns: Namespace, widgets: str) -> None:
        custom: Any = client.CustomObjectsApi(connection)
        await custom.patch_namespaced_custom_object(
            name="a",
            body=widget("a", size=3),
            namespace=ns.name,
            field_manager="me",
            _content_type="application/apply-patch+yaml",
            **WIDGETS,
        )
        found = await custom.get_namespaced_custom_object(name="a", namespace=ns.name, **WIDGETS)
        assert [each["operation"] for each in found["metadata"]["managedFields"]] == ["Apply"]


class TestWatch:
    async def test_config_maps(self, connection: Any, ns: Namespace) -> None:
        core: Any = client.CoreV1Api(connection)
        for name in "ab":
            await core.create_namespaced_config_map(ns.name, config_map(name))
        seen = []
        async with watch.Watch() as watching:
            async for event in watching.stream(core.list_namespaced_config_map, ns.name):
                seen.append((event["type"], event["object"].metadata.name))
                if len(seen) == 2:
                    await core.delete_namespaced_config_map("a", ns.name)
                if event["type"] == "DELETED":
                    break
        assert seen == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]

    async def test_custom_objects(self, connection: Any, ns: Namespace, widgets: str) -> None:
        custom: Any = client.CustomObjectsApi(connection)
        where = {**WIDGETS, "namespace": ns.name}
        version = (await custom.list_namespaced_custom_object(**where))["metadata"]["resourceVersion"]
        await custom.create_namespaced_custom_object(body=widget("a"), **where)
        await custom.delete_namespaced_custom_object(name="a", **where)
        seen = []
        async with watch.Watch() as watching:
            stream = watching.stream(
                custom.list_namespaced_custom_object, resource_version=version, timeout_seconds=120, **where
            )
            async for event in stream:
                seen.append((event["type"], event["object"]["metadata"]["name"]))
                if event["type"] == "DELETED":
                    break
        assert seen == [("ADDED", "a"), ("DELETED", "a")]
