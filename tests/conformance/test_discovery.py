"""What a server tells about itself: groups, kinds and schemas."""

import asyncio
from typing import Any

import pytest

from tests.conformance.samples import GROUP
from tests.conformance.wire import SOMETHING, Client, assert_includes

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
GROUPS = (
    "apps",
    "batch",
    "autoscaling",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "coordination.k8s.io",
    "events.k8s.io",
    "discovery.k8s.io",
    "apiextensions.k8s.io",
    "authorization.k8s.io",
    "authentication.k8s.io",
    "storage.k8s.io",
    "scheduling.k8s.io",
)
# Version, plural, singular, kind, in namespaces, short names, categories.
KINDS: tuple[tuple[str, str, str, str, bool, list[str], list[str]], ...] = (
    ("/api/v1", "pods", "pod", "Pod", True, ["po"], ["all"]),
    ("/api/v1", "configmaps", "configmap", "ConfigMap", True, ["cm"], []),
    ("/api/v1", "secrets", "secret", "Secret", True, [], []),
    ("/api/v1", "services", "service", "Service", True, ["svc"], ["all"]),
    ("/api/v1", "serviceaccounts", "serviceaccount", "ServiceAccount", True, ["sa"], []),
    ("/api/v1", "events", "event", "Event", True, ["ev"], []),
    ("/api/v1", "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim", True, ["pvc"], []),
    ("/api/v1", "nodes", "node", "Node", False, ["no"], []),
    ("/apis/apps/v1", "deployments", "deployment", "Deployment", True, ["deploy"], ["all"]),
    ("/apis/apps/v1", "replicasets", "replicaset", "ReplicaSet", True, ["rs"], ["all"]),
    ("/apis/apps/v1", "statefulsets", "statefulset", "StatefulSet", True, ["sts"], ["all"]),
    ("/apis/batch/v1", "jobs", "job", "Job", True, [], ["all"]),
    ("/apis/batch/v1", "cronjobs", "cronjob", "CronJob", True, ["cj"], ["all"]),
    (
        "/apis/autoscaling/v2",
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
        "HorizontalPodAutoscaler",
        True,
        ["hpa"],
        ["all"],
    ),
    ("/apis/policy/v1", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget", True, ["pdb"], []),
    ("/apis/networking.k8s.io/v1", "ingresses", "ingress", "Ingress", True, ["ing"], []),
    ("/apis/coordination.k8s.io/v1", "leases", "lease", "Lease", True, [], []),
    ("/apis/rbac.authorization.k8s.io/v1", "roles", "role", "Role", True, [], []),
    ("/apis/rbac.authorization.k8s.io/v1", "clusterroles", "clusterrole", "ClusterRole", False, [], []),
    (
        "/apis/apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        "customresourcedefinition",
        "CustomResourceDefinition",
        False,
        ["crd", "crds"],
        ["api-extensions"],
    ),
    (f"/apis/{GROUP}/v1", "widgets", "widget", "Widget", True, ["wd"], ["conforming"]),
)


async def test_core_versions(api: Client) -> None:
    assert_includes((await api.get("/api")).ok(), {"kind": "APIVersions", "versions": ["v1"]})


@pytest.mark.parametrize("group", GROUPS)
async def test_groups(api: Client, group: str) -> None:
    listed = (await api.get("/apis")).ok()
    assert_includes(listed, {"kind": "APIGroupList", "apiVersion": "v1"})
    (found,) = [each for each in listed["groups"] if each["name"] == group]
    preferred = found["preferredVersion"]
    assert preferred in found["versions"]
    assert preferred["groupVersion"] == f"{group}/{preferred['version']}"
    own = (await api.get(f"/apis/{group}")).ok()
    assert own == {"kind": "APIGroup", "apiVersion": "v1", **found}


async def test_the_group_of_a_custom_resource(api: Client, widgets: str) -> None:
    version = {"groupVersion": f"{GROUP}/v1", "version": "v1"}
    group = {"name": GROUP, "versions": [version], "preferredVersion": version}
    assert (await api.get(f"/apis/{GROUP}")).ok() == {"kind": "APIGroup", "apiVersion": "v1", **group}
    assert group in (await api.get("/apis")).ok()["groups"]


@pytest.mark.parametrize("kind", KINDS, ids=[case[1] for case in KINDS])
async def test_kinds(api: Client, widgets: str, kind: tuple[str, str, str, str, bool, list[str], list[str]]) -> None:
    path, plural, singular, name, namespaced, short, categories = kind
    listed = (await api.get(path)).ok()
    version = path.removeprefix("/apis/").removeprefix("/api/")
    assert_includes(listed, {"kind": "APIResourceList", "groupVersion": version})
    (found,) = [each for each in listed["resources"] if each["name"] == plural]
    assert_includes(found, {"singularName": singular, "kind": name, "namespaced": namespaced})
    assert sorted(found["verbs"]) == VERBS
    assert found.get("shortNames", []) == short
    assert found.get("categories", []) == categories


@pytest.mark.parametrize("kind", KINDS, ids=[case[1] for case in KINDS])
async def test_kinds_at_a_glance(
    api: Client, widgets: str, kind: tuple[str, str, str, str, bool, list[str], list[str]]
) -> None:
    path, plural, singular, name, namespaced, short, categories = kind
    _, root, *rest = path.split("/")
    group, version = ("", rest[0]) if root == "api" else rest
    reply = await api.get(f"/{root}", accept=AGGREGATED)
    assert reply.headers["Content-Type"] == AGGREGATED
    listed = reply.ok()
    assert_includes(listed, {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2"})
    (found,) = [each for each in listed["items"] if each["metadata"].get("name", "") == group]
    (of_version,) = [each for each in found["versions"] if each["version"] == version]
    (resource,) = [each for each in of_version["resources"] if each["resource"] == plural]
    expected = {
        "responseKind": {"kind": name},
        "scope": "Namespaced" if namespaced else "Cluster",
        "singularResource": singular,
    }
    assert_includes(resource, expected)
    assert sorted(resource["verbs"]) == VERBS
    assert resource.get("shortNames", []) == short
    assert resource.get("categories", []) == categories


SUBRESOURCES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("/api/v1", "pods/status", {"kind": "Pod", "verbs": ["get", "patch", "update"]}),
    ("/api/v1", "pods/binding", {"kind": "Binding", "verbs": ["create"]}),
    ("/api/v1", "pods/eviction", {"kind": "Eviction", "group": "policy", "version": "v1", "verbs": ["create"]}),
    ("/api/v1", "namespaces/finalize", {"kind": "Namespace", "verbs": ["update"], "namespaced": False}),
    (
        "/apis/apps/v1",
        "deployments/scale",
        {"kind": "Scale", "group": "autoscaling", "version": "v1", "verbs": ["get", "patch", "update"]},
    ),
    ("/apis/apps/v1", "deployments/status", {"kind": "Deployment", "verbs": ["get", "patch", "update"]}),
    (f"/apis/{GROUP}/v1", "widgets/status", {"kind": "Widget", "verbs": ["get", "patch", "update"]}),
    (
        f"/apis/{GROUP}/v1",
        "widgets/scale",
        {"kind": "Scale", "group": "autoscaling", "version": "v1", "verbs": ["get", "patch", "update"]},
    ),
)


@pytest.mark.parametrize(("path", "name", "expected"), SUBRESOURCES, ids=[case[1] for case in SUBRESOURCES])
async def test_subresources(api: Client, widgets: str, path: str, name: str, expected: dict[str, Any]) -> None:
    (found,) = [each for each in (await api.get(path)).ok()["resources"] if each["name"] == name]
    assert_includes(found, {"singularName": "", **expected})


async def test_namespaces_cannot_be_deleted_together(api: Client) -> None:
    (found,) = [each for each in (await api.get("/api/v1")).ok()["resources"] if each["name"] == "namespaces"]
    assert sorted(found["verbs"]) == [verb for verb in VERBS if verb != "deletecollection"]


@pytest.mark.parametrize("path", ["/apis/apps/v9", "/api/v2"])
async def test_unknown_versions(api: Client, path: str) -> None:
    (await api.get(path)).refused(404, "NotFound", "the server could not find the requested resource")


async def test_the_version(api: Client) -> None:
    found = (await api.get("/version")).ok()
    assert_includes(found, {"major": "1", "minor": "36", "gitVersion": SOMETHING, "platform": SOMETHING})
    assert found["gitVersion"].startswith("v1.36.")


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_health(api: Client, path: str) -> None:
    reply = await api.get(path)
    assert (reply.status, reply.text) == (200, "ok")


class TestOpenApi:
    async def test_v3_lists_its_parts(self, api: Client, widgets: str) -> None:
        paths = (await api.get("/openapi/v3")).ok()["paths"]
        for part in ("api/v1", "apis/apps/v1", "apis/batch/v1", f"apis/{GROUP}/v1"):
            address = paths[part]["serverRelativeURL"]
            assert address.startswith(f"/openapi/v3/{part}")

    @pytest.mark.parametrize(
        ("part", "group", "version", "kind"),
        [
            ("api/v1", "", "v1", "Pod"),
            ("api/v1", "", "v1", "ConfigMap"),
            ("apis/apps/v1", "apps", "v1", "Deployment"),
            ("apis/batch/v1", "batch", "v1", "Job"),
            (f"apis/{GROUP}/v1", GROUP, "v1", "Widget"),
        ],
    )
    async def test_v3_has_schemas(
        self, api: Client, widgets: str, part: str, group: str, version: str, kind: str
    ) -> None:
        address = (await api.get("/openapi/v3")).ok()["paths"][part]["serverRelativeURL"]
        # The query of the address is a hash; whoever asks without it gets the same.
        document = (await api.get(address.split("?")[0])).ok()
        assert document["openapi"].startswith("3.0")
        named = {"group": group, "version": version, "kind": kind}
        (schema,) = [
            each
            for each in document["components"]["schemas"].values()
            if named in each.get("x-kubernetes-group-version-kind", []) and "metadata" in each.get("properties", {})
        ]
        assert {"apiVersion", "kind", "metadata"} <= set(schema["properties"])

    async def test_v3_has_the_schema_of_a_custom_resource(self, api: Client, widgets: str) -> None:
        document = (await api.get(f"/openapi/v3/apis/{GROUP}/v1")).ok()
        spec = document["components"]["schemas"]["example.conformance.v1.Widget"]["properties"]["spec"]
        expected = {"type": "integer", "default": 1, "minimum": 0, "maximum": 100}
        assert_includes(spec["properties"]["size"], expected)
        assert_includes(spec["properties"]["parts"], {"x-kubernetes-list-type": "map"})

    async def test_v3_tells_what_may_be_asked(self, api: Client, widgets: str) -> None:
        for part, plural in (("apis/apps/v1", "deployments"), (f"apis/{GROUP}/v1", "widgets")):
            paths = (await api.get(f"/openapi/v3/{part}")).ok()["paths"]
            one = paths[f"/{part}/namespaces/{{namespace}}/{plural}/{{name}}"]
            assert {"get", "put", "patch", "delete"} <= set(one)
            parameters = {each.get("name") for each in one["patch"]["parameters"]}
            assert {"dryRun", "fieldManager", "fieldValidation", "force"} <= parameters

    async def test_v2(self, api: Client, widgets: str) -> None:
        # A real server adds to this document by a look once a second.
        name = "example.conformance.v1.Widget"
        async with asyncio.timeout(120):
            while name not in (document := (await api.get("/openapi/v2")).ok())["definitions"]:
                await asyncio.sleep(0.1)
        assert document["swagger"] == "2.0"
        definitions = document["definitions"]
        spec = definitions["io.k8s.api.apps.v1.DeploymentSpec"]
        assert spec["required"] == ["selector", "template"]
        assert spec["properties"]["template"]["$ref"] == "#/definitions/io.k8s.api.core.v1.PodTemplateSpec"
        containers = definitions["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
        assert_includes(containers, {"x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge"})
        widget = definitions[name]
        named = {"group": GROUP, "version": "v1", "kind": "Widget"}
        assert widget["x-kubernetes-group-version-kind"] == [named]
