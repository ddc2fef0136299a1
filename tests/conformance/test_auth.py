"""Who may do what, and how those who may not are told."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.conformance.conftest import Server
from tests.conformance.samples import config_map, deployment
from tests.conformance.wire import SOMETHING, Client, Namespace, Reply, assert_includes

RBAC = "rbac.authorization.k8s.io"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def rule(groups: str, resources: str, verbs: str, **rest: Any) -> dict[str, Any]:
    return {"apiGroups": groups.split(","), "resources": resources.split(","), "verbs": verbs.split(","), **rest}


async def grant(api: Client, ns: Namespace, server: Server, *rules: dict[str, Any]) -> None:
    """Give the robot a role in the namespace."""
    name = {"metadata": {"name": "robot"}}
    (await api.post(ns(f"{RBAC}/v1/roles"), name | {"rules": list(rules)})).ok(201)
    subject = {"kind": "User", "name": server.robot, "apiGroup": RBAC}
    reference = {"kind": "Role", "name": "robot", "apiGroup": RBAC}
    body = name | {"subjects": [subject], "roleRef": reference}
    (await api.post(ns(f"{RBAC}/v1/rolebindings"), body)).ok(201)


async def allowed(call: Callable[[], Awaitable[Reply]]) -> Reply:
    """What a call gives once roles are known; a real server learns of them after a moment."""
    async with asyncio.timeout(120):
        while (reply := await call()).status == 403:
            await asyncio.sleep(0.01)
    return reply


async def ended(call: Callable[[], Awaitable[Reply]]) -> None:
    """Wait until what was allowed is so no more, of which a real server learns after a moment too."""
    async with asyncio.timeout(120):
        while (await call()).status != 403:
            await asyncio.sleep(0.01)


async def grant_everywhere(
    api: Client, server: Server, name: str, rules: list[dict[str, Any]], cleanup: AsyncExitStack
) -> None:
    """Give the robot a role in the whole cluster, until the case is over."""
    subject = {"kind": "User", "name": server.robot, "apiGroup": RBAC}
    reference = {"kind": "ClusterRole", "name": name, "apiGroup": RBAC}
    for kind, rest in (
        ("clusterroles", {"rules": rules}),
        ("clusterrolebindings", {"subjects": [subject], "roleRef": reference}),
    ):
        (await api.post(f"/apis/{RBAC}/v1/{kind}", {"metadata": {"name": name}, **rest})).ok(201)
        cleanup.push_async_callback(api.delete, f"/apis/{RBAC}/v1/{kind}/{name}")


def denied(server: Server, verb: str, resource: str, group: str, scope: str) -> str:
    return f'User "{server.robot}" cannot {verb} resource "{resource}" in API group "{group}" {scope}'


class TestWho:
    async def test_a_wrong_token(self, server: Server, ns: Namespace) -> None:
        async with server.client("wrong") as stranger:
            for path in (ns("configmaps"), "/version", "/healthz", "/nope"):
                body = (await stranger.get(path)).refused(401, "Unauthorized", "Unauthorized")
                assert body == {}

    async def test_no_token(self, server: Server, ns: Namespace) -> None:
        async with server.client(None) as nobody:
            reply = await nobody.get(ns("configmaps"))
            where = f'in the namespace "{ns.name}"'
            why = f'User "system:anonymous" cannot list resource "configmaps" in API group "" {where}'
            reply.refused(403, "Forbidden", f"configmaps is forbidden: {why}")
            message = 'forbidden: User "system:anonymous" cannot get path "/api"'
            (await nobody.get("/api")).refused(403, "Forbidden", message)
            assert (await nobody.get("/version")).status == 200
            assert (await nobody.get("/healthz")).text == "ok"

    async def test_oneself(self, robot: Client, server: Server) -> None:
        made = (await robot.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {})).ok(201)
        assert made["status"]["userInfo"]["username"] == server.robot
        assert "system:authenticated" in made["status"]["userInfo"]["groups"]


class TestImpersonation:
    async def told(self, client: Client, **headers: str) -> Any:
        """Who somebody is taken for."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        named = {f"Impersonate-{name}": value for name, value in headers.items()}
        user = (await client.request("POST", path, review, headers=named)).ok(201)["status"]["userInfo"]
        return user["username"], sorted(user["groups"])

    async def test_a_user(self, api: Client) -> None:
        assert await self.told(api, User="jane") == ("jane", ["system:authenticated"])

    async def test_groups(self, api: Client) -> None:
        assert await self.told(api, User="jane", Group="dev") == ("jane", ["dev", "system:authenticated"])

    async def test_a_service_account(self, api: Client) -> None:
        name = "system:serviceaccount:there:robot"
        groups = ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:there"]
        assert await self.told(api, User=name) == (name, groups)

    async def test_nobody(self, api: Client, ns: Namespace) -> None:
        named = {"Impersonate-User": "system:anonymous", "Impersonate-Group": "dev"}
        reply = await api.request("GET", ns("configmaps"), headers=named)
        why = f'User "system:anonymous" cannot list resource "configmaps" in API group "" in the namespace "{ns.name}"'
        reply.refused(403, "Forbidden", f"configmaps is forbidden: {why}")

    async def test_its_rights(self, api: Client, ns: Namespace) -> None:
        reply = await api.request("GET", ns("configmaps"), headers={"Impersonate-User": "jane"})
        why = f'User "jane" cannot list resource "configmaps" in API group "" in the namespace "{ns.name}"'
        reply.refused(403, "Forbidden", f"configmaps is forbidden: {why}")

    async def test_a_group_alone(self, api: Client, ns: Namespace) -> None:
        assert (await api.request("GET", ns("configmaps"), headers={"Impersonate-Group": "dev"})).status == 400

    @pytest.mark.parametrize("name", ["jane", "system:serviceaccount:there:r2"])
    async def test_not_allowed(self, robot: Client, name: str) -> None:
        reply = await robot.request("GET", "/api", headers={"Impersonate-User": name})
        # A real server may name a verb of constrained impersonation instead.
        reply.refused(403, "Forbidden", re.compile(".*cannot impersonate.*"))

    async def test_allowed(
        self, api: Client, robot: Client, server: Server, ns: Namespace, cleanup: AsyncExitStack
    ) -> None:
        jane, tom = {"Impersonate-User": "jane"}, {"Impersonate-User": "tom"}
        cleanup.push_async_callback(ended, lambda: robot.request("GET", "/api", headers=jane))
        await grant_everywhere(
            api, server, ns.name, [rule("", "users", "impersonate", resourceNames=["jane"])], cleanup
        )
        (await allowed(lambda: robot.request("GET", "/api", headers=jane))).ok()
        assert (await robot.request("GET", "/api", headers=tom)).status == 403
        assert (await robot.request("GET", "/api", headers={**jane, "Impersonate-Group": "dev"})).status == 403


class TestDenied:
    NAMED: tuple[tuple[str, str, str, str, str, tuple[str, ...]], ...] = (
        ("GET", "get", "", "configmaps", "configmaps", ()),
        ("PUT", "update", "", "configmaps", "configmaps", ()),
        ("PATCH", "patch", "", "configmaps", "configmaps", ()),
        ("DELETE", "delete", "", "configmaps", "configmaps", ()),
        ("GET", "get", "apps", "deployments", "deployments", ()),
        ("GET", "get", "apps", "deployments", "deployments/scale", ("scale",)),
        ("PATCH", "patch", "apps", "deployments", "deployments/status", ("status",)),
        ("GET", "get", "", "pods", "pods/log", ("log",)),
        ("GET", "get", "conformance.example", "widgets", "widgets", ()),
        ("PUT", "update", "conformance.example", "widgets", "widgets/status", ("status",)),
        ("GET", "get", "nope.example", "things", "things", ()),
    )

    @pytest.mark.parametrize("case", NAMED, ids=[f"{case[1]} {case[4]}" for case in NAMED])
    async def test_one_object(
        self, robot: Client, server: Server, ns: Namespace, case: tuple[str, str, str, str, str, tuple[str, ...]]
    ) -> None:
        method, verb, group, plural, resource, rest = case
        path = ns(f"{group}/v1/{plural}" if group else plural, "x", *rest)
        reply = await robot.request(method, path, "{}" if method in {"PUT", "PATCH"} else None)
        qualified = f"{plural}.{group}" if group else plural
        why = denied(server, verb, resource, group, f'in the namespace "{ns.name}"')
        details = reply.refused(403, "Forbidden", f'{qualified} "x" is forbidden: {why}')
        assert details == {"name": "x", "kind": plural} | ({"group": group} if group else {})

    COLLECTIONS: tuple[tuple[str, str, str, str, dict[str, str]], ...] = (
        ("GET", "list", "", "configmaps", {}),
        ("GET", "watch", "", "configmaps", {"watch": "true"}),
        ("POST", "create", "", "configmaps", {}),
        ("DELETE", "deletecollection", "", "configmaps", {}),
        ("GET", "list", "apps", "deployments", {}),
        ("POST", "create", "conformance.example", "widgets", {}),
    )

    @pytest.mark.parametrize("case", COLLECTIONS, ids=[f"{case[1]} {case[3]}" for case in COLLECTIONS])
    async def test_a_collection(
        self, robot: Client, server: Server, ns: Namespace, case: tuple[str, str, str, str, dict[str, str]]
    ) -> None:
        method, verb, group, plural, query = case
        path = ns(f"{group}/v1/{plural}" if group else plural)
        reply = await robot.request(method, path, "{}" if method == "POST" else None, query=query)
        qualified = f"{plural}.{group}" if group else plural
        why = denied(server, verb, plural, group, f'in the namespace "{ns.name}"')
        details = reply.refused(403, "Forbidden", f"{qualified} is forbidden: {why}")
        assert details == {"kind": plural} | ({"group": group} if group else {})

    @pytest.mark.parametrize(
        ("path", "resource", "group"),
        [
            ("/api/v1/nodes", "nodes", ""),
            ("/api/v1/pods", "pods", ""),
            ("/api/v1/namespaces", "namespaces", ""),
            ("/apis/apps/v1/deployments", "deployments", "apps"),
        ],
    )
    async def test_the_whole_cluster(self, robot: Client, server: Server, path: str, resource: str, group: str) -> None:
        why = denied(server, "list", resource, group, "at the cluster scope")
        qualified = f"{resource}.{group}" if group else resource
        (await robot.get(path)).refused(403, "Forbidden", f"{qualified} is forbidden: {why}")

    async def test_a_namespace(self, robot: Client, server: Server, ns: Namespace) -> None:
        # One namespace is in itself.
        why = denied(server, "get", "namespaces", "", f'in the namespace "{ns.name}"')
        reply = await robot.get(f"/api/v1/namespaces/{ns.name}")
        reply.refused(403, "Forbidden", f'namespaces "{ns.name}" is forbidden: {why}')

    @pytest.mark.parametrize("path", ["/metrics", "/nope", "/logs"])
    async def test_paths(self, robot: Client, server: Server, path: str) -> None:
        message = f'forbidden: User "{server.robot}" cannot get path "{path}"'
        assert (await robot.get(path)).refused(403, "Forbidden", message) == {}

    @pytest.mark.parametrize(
        "path", ["/api", "/apis", "/api/v1", "/apis/apps/v1", "/version", "/healthz", "/openapi/v3"]
    )
    async def test_what_everybody_may(self, robot: Client, path: str) -> None:
        assert (await robot.get(path)).status == 200

    async def test_access_comes_before_existence(self, robot: Client, server: Server) -> None:
        nowhere = Namespace("nowhere")
        why = denied(server, "create", "configmaps", "", 'in the namespace "nowhere"')
        reply = await robot.post(nowhere("configmaps"), config_map("a"))
        reply.refused(403, "Forbidden", f"configmaps is forbidden: {why}")


class TestRoles:
    async def test_verbs(self, api: Client, robot: Client, server: Server, ns: Namespace) -> None:
        await grant(api, ns, server, rule("", "configmaps", "get,list"))
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        (await allowed(lambda: robot.get(ns("configmaps", "a")))).ok()
        (await robot.get(ns("configmaps"))).ok()
        assert (await robot.get(ns("configmaps"), watch=True)).status == 403
        assert (await robot.post(ns("configmaps"), config_map("b"))).status == 403
        assert (await robot.delete(ns("configmaps", "a"))).status == 403
        assert (await robot.get(ns("secrets"))).status == 403
        assert (await robot.get("/api/v1/configmaps")).status == 403

    async def test_other_namespaces(self, api: Client, robot: Client, server: Server, ns: Namespace) -> None:
        await grant(api, ns, server, rule("", "configmaps", "*"))
        (await allowed(lambda: robot.get(ns("configmaps")))).ok()
        assert (await robot.get("/api/v1/namespaces/default/configmaps")).status == 403

    async def test_resource_names(self, api: Client, robot: Client, server: Server, ns: Namespace) -> None:
        await grant(api, ns, server, rule("", "configmaps", "get,list,watch,delete,create", resourceNames=["a"]))
        for name in "ab":
            (await api.post(ns("configmaps"), config_map(name))).ok(201)
        (await allowed(lambda: robot.get(ns("configmaps", "a")))).ok()
        assert (await robot.get(ns("configmaps", "b"))).status == 403
        assert (await robot.get(ns("configmaps"))).status == 403
        # A list of one name is that name's.
        (await robot.get(ns("configmaps"), fieldSelector="metadata.name=a")).ok()
        assert (await robot.get(ns("configmaps"), fieldSelector="metadata.name=b")).status == 403
        # The name of a new object is not known when access is decided.
        assert (await robot.post(ns("configmaps"), config_map("a"))).status == 403

    async def test_subresources(self, api: Client, robot: Client, server: Server, ns: Namespace) -> None:
        await grant(api, ns, server, rule("apps", "deployments/scale", "get,patch"))
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        (await allowed(lambda: robot.get(ns("apps/v1/deployments", "a", "scale")))).ok()
        (await robot.patch(ns("apps/v1/deployments", "a", "scale"), {"spec": {"replicas": 2}})).ok()
        assert (await robot.get(ns("apps/v1/deployments", "a"))).status == 403
        assert (await robot.get(ns("apps/v1/deployments", "a", "status"))).status == 403

    async def test_a_resource_is_not_its_subresources(
        self, api: Client, robot: Client, server: Server, ns: Namespace
    ) -> None:
        await grant(api, ns, server, rule("apps", "deployments", "*"))
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        (await allowed(lambda: robot.get(ns("apps/v1/deployments", "a")))).ok()
        assert (await robot.get(ns("apps/v1/deployments", "a", "scale"))).status == 403

    @pytest.mark.parametrize(
        ("rules", "status"),
        [
            (rule("*", "*", "*"), 200),
            (rule("apps", "*", "*"), 200),
            (rule("apps", "*/status", "*"), 200),
            (rule("", "*", "*"), 403),
            (rule("apps", "deployments", "*"), 403),
        ],
        ids=["everything", "group", "status of all", "core", "deployments"],
    )
    async def test_wildcards(
        self, api: Client, robot: Client, server: Server, ns: Namespace, rules: dict[str, Any], status: int
    ) -> None:
        # The config map tells when the role is known.
        await grant(api, ns, server, rules, rule("", "configmaps", "list"))
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        await allowed(lambda: robot.get(ns("configmaps")))
        assert (await robot.get(ns("apps/v1/deployments", "a", "status"))).status == status

    async def test_rights_end_with_their_binding(
        self, api: Client, robot: Client, server: Server, ns: Namespace
    ) -> None:
        await grant(api, ns, server, rule("", "configmaps", "list"))
        (await allowed(lambda: robot.get(ns("configmaps")))).ok()
        (await api.delete(ns(f"{RBAC}/v1/rolebindings", "robot"))).ok()
        await ended(lambda: robot.get(ns("configmaps")))

    async def test_groups(self, api: Client, robot: Client, ns: Namespace) -> None:
        name = {"metadata": {"name": "all"}}
        (await api.post(ns(f"{RBAC}/v1/roles"), name | {"rules": [rule("", "configmaps", "list")]})).ok(201)
        reference = {"kind": "Role", "name": "all", "apiGroup": RBAC}
        subject = {"kind": "Group", "name": "system:authenticated", "apiGroup": RBAC}
        body = name | {"subjects": [subject], "roleRef": reference}
        (await api.post(ns(f"{RBAC}/v1/rolebindings"), body)).ok(201)
        (await allowed(lambda: robot.get(ns("configmaps")))).ok()

    async def test_service_accounts(self, api: Client, robot: Client, server: Server, ns: Namespace) -> None:
        _, _, home, account = server.robot.split(":")
        name = {"metadata": {"name": "all"}}
        (await api.post(ns(f"{RBAC}/v1/roles"), name | {"rules": [rule("", "configmaps", "list")]})).ok(201)
        reference = {"kind": "Role", "name": "all", "apiGroup": RBAC}
        body = name | {
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
            "roleRef": reference,
        }
        (await api.post(ns(f"{RBAC}/v1/rolebindings"), body)).ok(201)
        (await allowed(lambda: robot.get(ns("configmaps")))).ok()

    async def test_a_cluster_role_in_one_namespace(
        self, api: Client, robot: Client, server: Server, ns: Namespace, cleanup: AsyncExitStack
    ) -> None:
        role = f"/apis/{RBAC}/v1/clusterroles"
        body = {"metadata": {"name": ns.name}, "rules": [rule("", "configmaps", "list")]}
        (await api.post(role, body)).ok(201)
        cleanup.push_async_callback(api.delete, f"{role}/{ns.name}")
        subject = {"kind": "User", "name": server.robot, "apiGroup": RBAC}
        reference = {"kind": "ClusterRole", "name": ns.name, "apiGroup": RBAC}
        body = {"metadata": {"name": "robot"}, "subjects": [subject], "roleRef": reference}
        (await api.post(ns(f"{RBAC}/v1/rolebindings"), body)).ok(201)
        (await allowed(lambda: robot.get(ns("configmaps")))).ok()
        assert (await robot.get("/api/v1/configmaps")).status == 403

    async def test_a_cluster_role_everywhere(
        self, api: Client, robot: Client, server: Server, ns: Namespace, cleanup: AsyncExitStack
    ) -> None:
        rules = [rule("", "nodes,configmaps", "list"), {"nonResourceURLs": ["/nope/*"], "verbs": ["get"]}]
        cleanup.push_async_callback(ended, lambda: robot.get("/api/v1/nodes"))
        await grant_everywhere(api, server, ns.name, rules, cleanup)
        (await allowed(lambda: robot.get("/api/v1/nodes"))).ok()
        (await robot.get("/api/v1/configmaps")).ok()
        (await robot.get(ns("configmaps"))).ok()
        assert (await robot.get("/nope/x")).status == 404
        assert (await robot.get("/nope")).status == 403

    BAD = (
        (
            rule("", "pods", "get") | {"verbs": []},
            "rules[0].verbs: Required value: verbs must contain at least one value",
        ),
        (
            {"nonResourceURLs": ["/x"], "verbs": ["get"]},
            'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
        ),
    )

    @pytest.mark.parametrize(("rules", "why"), BAD, ids=["verbs", "paths"])
    async def test_bad(self, api: Client, ns: Namespace, rules: dict[str, Any], why: str) -> None:
        reply = await api.post(ns(f"{RBAC}/v1/roles"), {"metadata": {"name": "a"}, "rules": [rules]})
        reply.refused(422, "Invalid", f'Role.{RBAC} "a" is invalid: {why}')


class TestReviews:
    async def test_what_one_may(self, api: Client, robot: Client, server: Server, ns: Namespace) -> None:
        await grant(api, ns, server, rule("", "configmaps", "get", resourceNames=["a"]), rule("apps", "*/scale", "*"))
        questions: list[tuple[dict[str, str], bool]] = [
            ({"verb": "get", "resource": "configmaps", "name": "a"}, True),
            ({"verb": "get", "resource": "configmaps", "name": "b"}, False),
            ({"verb": "get", "resource": "configmaps"}, False),
            ({"verb": "list", "resource": "configmaps"}, False),
            ({"verb": "patch", "group": "apps", "resource": "deployments", "subresource": "scale"}, True),
            ({"verb": "patch", "group": "apps", "resource": "deployments"}, False),
        ]

        async def answer(attributes: dict[str, str]) -> bool:
            body = {"spec": {"resourceAttributes": {"namespace": ns.name, **attributes}}}
            made = (await robot.post(REVIEWS, body)).ok(201)
            assert_includes(made, {"kind": "SelfSubjectAccessReview", "status": {"allowed": made["status"]["allowed"]}})
            return bool(made["status"]["allowed"])

        async with asyncio.timeout(120):
            while not await answer(questions[0][0]):
                await asyncio.sleep(0.01)
        assert [await answer(attributes) for attributes, _ in questions] == [expected for _, expected in questions]

    async def test_an_administrator_may_everything(self, api: Client, ns: Namespace) -> None:
        body = {"spec": {"resourceAttributes": {"namespace": ns.name, "verb": "get", "resource": "anything"}}}
        assert (await api.post(REVIEWS, body)).ok(201)["status"]["allowed"] is True

    @pytest.mark.parametrize(("path", "expected"), [("/version", True), ("/metrics", False)])
    async def test_paths(self, robot: Client, path: str, expected: bool) -> None:
        body = {"spec": {"nonResourceAttributes": {"path": path, "verb": "get"}}}
        assert (await robot.post(REVIEWS, body)).ok(201)["status"]["allowed"] is expected

    async def test_no_question(self, robot: Client) -> None:
        reply = await robot.post(REVIEWS, {"spec": {}})
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        assert reply.status == 422
        assert reply.json["message"].endswith(f"spec.resourceAttributes: Invalid value: null: {why}")

    async def test_of_others(self, api: Client, robot: Client, server: Server, ns: Namespace) -> None:
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        attributes = {"namespace": ns.name, "verb": "list", "resource": "configmaps"}
        body = {"spec": {"user": server.robot, "resourceAttributes": attributes}}
        assert (await api.post(path, body)).ok(201)["status"]["allowed"] is False
        assert (await robot.post(path, body)).status == 403

    async def test_rules(self, robot: Client, ns: Namespace) -> None:
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        made = (await robot.post(path, {"spec": {"namespace": ns.name}})).ok(201)
        assert_includes(made["status"], {"resourceRules": SOMETHING, "nonResourceRules": SOMETHING})
