"""Where the embedded server is known to differ: what both do, so that a difference that ends is noticed."""

import re
from contextlib import AsyncExitStack

from tests.conformance.conftest import Server
from tests.conformance.samples import admitted, config_map, job, pod
from tests.conformance.test_auth import RBAC, allowed, grant, rule
from tests.conformance.wire import Client, Namespace, names

PROTOBUF = "application/vnd.kubernetes.protobuf"
MISSING = {
    f"{group}.k8s.io"
    for group in (
        "admissionregistration",
        "apiregistration",
        "certificates",
        "flowcontrol.apiserver",
        "node",
        "resource",
    )
}


async def test_protobuf(server: Server, api: Client, ns: Namespace) -> None:
    (await api.post(ns("configmaps"), config_map("a"))).ok(201)
    both = await api.get(ns("configmaps", "a"), accept=f"{PROTOBUF};q=0.5, application/json")
    assert both.ok()["kind"] == "ConfigMap"
    async with api.raw("GET", ns("configmaps", "a"), headers={"Accept": PROTOBUF}) as reply:
        assert reply.status == (200 if server.real else 406)


async def test_groups(server: Server, api: Client) -> None:
    served = {each["name"] for each in (await api.get("/apis")).ok()["groups"]}
    assert served & MISSING == (MISSING if server.real else set())
    storage = [each["name"] for each in (await api.get("/apis/storage.k8s.io/v1")).ok()["resources"]]
    assert (storage == ["storageclasses"]) is not server.real


async def test_admission(server: Server, api: Client, ns: Namespace) -> None:
    def enforcing(level: str) -> dict[str, object]:
        return {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}}

    (await api.patch(f"/api/v1/namespaces/{ns.name}", enforcing("restricted"))).ok()
    await admitted(api, ns, lambda reply: reply.status == (403 if server.real else 201))
    (await api.patch(f"/api/v1/namespaces/{ns.name}", enforcing("privileged"))).ok()
    await admitted(api, ns, lambda reply: reply.status == 201)
    limits = [{"type": "Container", "default": {"cpu": "1"}}]
    (await api.post(ns("limitranges"), {"metadata": {"name": "a"}, "spec": {"limits": limits}})).ok(201)
    limited = {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}} if server.real else {}
    await admitted(api, ns, lambda reply: reply.ok(201)["spec"]["containers"][0]["resources"] == limited)
    (await api.post(ns("pods"), pod("b"))).ok(201)
    budget = {"selector": {"matchLabels": {"app": "b"}}, "minAvailable": 1}
    (await api.post(ns("policy/v1/poddisruptionbudgets"), {"metadata": {"name": "a"}, "spec": budget})).ok(201)
    (await api.patch(ns("pods", "b", "status"), {"status": {"phase": "Running"}})).ok()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "b"}}
    assert (await api.post(ns("pods", "b", "eviction"), eviction)).status == (429 if server.real else 201)


async def test_roles(server: Server, api: Client) -> None:
    reply = await api.get(f"/apis/{RBAC}/v1/clusterroles/cluster-admin")
    assert reply.status == (200 if server.real else 404)
    listed = names((await api.get(f"/apis/{RBAC}/v1/clusterroles")).ok())
    assert ("system:discovery" in listed) is server.real


async def test_escalation(server: Server, api: Client, robot: Client, ns: Namespace) -> None:
    await grant(api, ns, server, rule(RBAC, "roles", "create,list"))
    (await allowed(lambda: robot.get(ns(f"{RBAC}/v1/roles")))).ok()
    mighty = {"metadata": {"name": "mighty"}, "rules": [rule("", "secrets", "get")]}
    assert (await robot.post(ns(f"{RBAC}/v1/roles"), mighty)).status == (403 if server.real else 201)


async def test_connections(server: Server, api: Client, ns: Namespace, cleanup: AsyncExitStack) -> None:
    (await api.post(ns("pods"), pod("a"))).ok(201)
    for part in ("log", "exec"):
        # So far as the server alone answers, both answer the same.
        reply = await api.get(ns("pods", "none", part))
        reply.refused(404, "NotFound", 'pods "none" not found')
    assert (await api.get(ns("pods", "a", "log"))).status == 204
    reply = await api.get(ns("pods", "a", "exec"))
    reply.refused(400, "BadRequest", "pod a does not have a host assigned")
    (await api.post("/api/v1/nodes", {"metadata": {"name": ns.name}})).ok(201)
    cleanup.push_async_callback(api.delete, f"/api/v1/nodes/{ns.name}")
    (await api.post(ns("pods"), pod("b", nodeName=ns.name))).ok(201)
    reply = await api.get(ns("pods", "b", "log"))
    # A real server does not know where this node is.
    assert reply.status == (500 if server.real else 503)
    assert reply.json["kind"] == "Status"
    for part in ("ephemeralcontainers", "resize"):
        assert (await api.get(ns("pods", "a", part))).status == (200 if server.real else 405)


async def test_quotes(server: Server, api: Client, ns: Namespace) -> None:
    made = (await api.post(ns("batch/v1/jobs"), job("a"))).ok(201)
    made["spec"]["template"]["spec"]["containers"][0]["image"] = "y"
    reply = await api.put(ns("batch/v1/jobs", "a"), made)
    message = reply.refused(422, "Invalid", re.compile(".*: field is immutable"))["causes"][0]["message"]
    assert ('"Spec":' in message) is server.real
    assert ('"spec":' in message) is not server.real


async def test_rules(server: Server, api: Client, cleanup: AsyncExitStack) -> None:
    node = {"type": "string", "maxLength": 40, "x-kubernetes-validations": [{"rule": "isURL(self)"}]}
    names_ = {"plural": "addresses", "singular": "address", "kind": "Address", "listKind": "AddressList"}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": node}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "differences.example", "scope": "Namespaced", "names": names_, "versions": [version]}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    reply = await api.post(path, {"metadata": {"name": "addresses.differences.example"}, "spec": spec})
    cleanup.push_async_callback(api.delete, f"{path}/addresses.differences.example")
    assert reply.status == (201 if server.real else 422)
    assert server.real or "isURL" in reply.json["message"]


async def test_pages(server: Server, api: Client) -> None:
    for path in ("/", "/metrics", "/healthz/ping", "/readyz/ping"):
        assert (await api.get(path)).status == (200 if server.real else 404)
    for path in ("/healthz", "/livez", "/readyz"):
        assert (await api.get(path)).text == "ok"
