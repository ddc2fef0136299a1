"""DELETE: at once, after finalizers, after a grace period, and of many objects."""

import re
from typing import Any

import pytest

from tests.conformance.conftest import namespace
from tests.conformance.samples import config_map, deployment, job, pod, widget
from tests.conformance.wire import SOMETHING, Client, Namespace, assert_includes, names

UNCHANGED = "The object might have been deleted and then recreated"


def held(body: dict[str, Any], *finalizers: str) -> dict[str, Any]:
    """With finalizers."""
    return body | {"metadata": body["metadata"] | {"finalizers": list(finalizers)}}


async def test_what_is_gone_is_told_by_a_status(api: Client, ns: Namespace, widgets: str) -> None:
    uid = (await api.post(ns("configmaps"), config_map("a"))).ok(201)["metadata"]["uid"]
    assert (await api.delete(ns("configmaps", "a"))).ok() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "a", "kind": "configmaps", "uid": uid},
    }
    uid = (await api.post(ns(widgets), widget("a"))).ok(201)["metadata"]["uid"]
    details = {"name": "a", "group": "conformance.example", "kind": "widgets", "uid": uid}
    assert_includes((await api.delete(ns(widgets, "a"))).ok(), {"status": "Success", "details": details})


@pytest.mark.parametrize("resource", ["configmaps", "widgets"])
async def test_what_is_gone_is_gone(api: Client, ns: Namespace, widgets: str, resource: str) -> None:
    path, body, qualified = {
        "configmaps": ("configmaps", config_map("a"), "configmaps"),
        "widgets": (widgets, widget("a"), "widgets.conformance.example"),
    }[resource]
    message = f'{qualified} "a" not found'
    (await api.delete(ns(path, "a"))).refused(404, "NotFound", message)
    (await api.post(ns(path), body)).ok(201)
    (await api.delete(ns(path, "a"))).ok()
    (await api.get(ns(path, "a"))).refused(404, "NotFound", message)
    (await api.delete(ns(path, "a"))).refused(404, "NotFound", message)


async def test_the_name_is_free_again(api: Client, ns: Namespace) -> None:
    first = (await api.post(ns("configmaps"), config_map("a"))).ok(201)
    (await api.delete(ns("configmaps", "a"))).ok()
    second = (await api.post(ns("configmaps"), config_map("a"))).ok(201)
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


class TestPreconditions:
    async def test_uid(self, api: Client, ns: Namespace) -> None:
        uid = (await api.post(ns("configmaps"), config_map("a"))).ok(201)["metadata"]["uid"]
        why = f"the UID in the precondition (x) does not match the UID in record ({uid}). {UNCHANGED}"
        reply = await api.delete(ns("configmaps", "a"), {"preconditions": {"uid": "x"}})
        reply.refused(409, "Conflict", f'Operation cannot be fulfilled on ConfigMap "a": {why}')
        (await api.delete(ns("configmaps", "a"), {"preconditions": {"uid": uid}})).ok()

    async def test_resource_version(self, api: Client, ns: Namespace) -> None:
        version = (await api.post(ns("configmaps"), config_map("a"))).ok(201)["metadata"]["resourceVersion"]
        why = (
            f"the ResourceVersion in the precondition (1) does not match the ResourceVersion in record ({version}). "
            "The object might have been modified"
        )
        reply = await api.delete(ns("configmaps", "a"), {"preconditions": {"resourceVersion": "1"}})
        details = reply.refused(409, "Conflict", f'Operation cannot be fulfilled on ConfigMap "a": {why}')
        assert details == {"name": "a", "kind": "ConfigMap"}
        (await api.delete(ns("configmaps", "a"), {"preconditions": {"resourceVersion": version}})).ok()

    async def test_of_a_custom_object(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        reply = await api.delete(ns(widgets, "a"), {"preconditions": {"uid": "x"}})
        assert (reply.status, reply.json["reason"]) == (409, "Conflict")
        assert re.search(r"the UID in the precondition \(x\) does not match", reply.json["message"])

    async def test_of_an_unknown_object(self, api: Client, ns: Namespace) -> None:
        reply = await api.delete(ns("configmaps", "x"), {"preconditions": {"uid": "x"}})
        reply.refused(404, "NotFound", 'configmaps "x" not found')


class TestFinalizers:
    @pytest.mark.parametrize("resource", ["configmaps", "widgets"])
    async def test_the_object_stays_until_the_last_is_removed(
        self, api: Client, ns: Namespace, widgets: str, resource: str
    ) -> None:
        path, body = {"configmaps": ("configmaps", config_map("a")), "widgets": (widgets, widget("a"))}[resource]
        (await api.post(ns(path), held(body, "x.y/one", "x.y/two"))).ok(201)
        deleted = (await api.delete(ns(path, "a"))).ok()
        expected = {
            "deletionTimestamp": SOMETHING,
            "deletionGracePeriodSeconds": 0,
            "finalizers": ["x.y/one", "x.y/two"],
        }
        assert_includes(deleted["metadata"], expected)
        assert (await api.get(ns(path, "a"))).ok() == deleted
        left = (await api.patch(ns(path, "a"), {"metadata": {"finalizers": ["x.y/two"]}})).ok()
        assert left["metadata"]["finalizers"] == ["x.y/two"]
        last = (await api.patch(ns(path, "a"), {"metadata": {"finalizers": None}})).ok()
        assert_includes(last["metadata"], {"finalizers": None, "deletionTimestamp": SOMETHING})
        assert (await api.get(ns(path, "a"))).status == 404

    async def test_a_put_may_remove_the_last(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), held(config_map("a"), "x.y/one"))).ok(201)
        deleted = (await api.delete(ns("configmaps", "a"))).ok()
        deleted["metadata"].pop("finalizers")
        (await api.put(ns("configmaps", "a"), deleted)).ok()
        assert (await api.get(ns("configmaps", "a"))).status == 404

    async def test_a_second_deletion_changes_nothing(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), held(config_map("a"), "x.y/one"))).ok(201)
        deleted = (await api.delete(ns("configmaps", "a"))).ok()
        assert (await api.delete(ns("configmaps", "a"))).ok() == deleted

    async def test_it_moves_the_generation_of_a_custom_object(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), held(widget("a"), "x.y/one"))).ok(201)
        assert (await api.delete(ns(widgets, "a"))).ok()["metadata"]["generation"] == 2

    async def test_the_name_is_taken_meanwhile(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), held(config_map("a"), "x.y/one"))).ok(201)
        (await api.delete(ns("configmaps", "a"))).ok()
        reply = await api.post(ns("configmaps"), config_map("a"))
        reply.refused(409, "AlreadyExists", 'object is being deleted: configmaps "a" already exists')

    async def test_none_can_be_added_meanwhile(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), held(widget("a"), "x.y/one"))).ok(201)
        (await api.delete(ns(widgets, "a"))).ok()
        reply = await api.patch(ns(widgets, "a"), {"metadata": {"finalizers": ["x.y/one", "x.y/new"]}})
        why = (
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new "
            'finalizers []string{"x.y/new"}'
        )
        reply.refused(422, "Invalid", f'Widget.conformance.example "a" is invalid: {why}')

    async def test_the_rest_may_change_meanwhile(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), held(config_map("a"), "x.y/one"))).ok(201)
        (await api.delete(ns("configmaps", "a"))).ok()
        assert (await api.patch(ns("configmaps", "a"), {"data": {"k": "v"}})).ok()["data"] == {"k": "v"}

    async def test_there_is_no_way_back(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), held(config_map("a"), "x.y/one"))).ok(201)
        deleted = (await api.delete(ns("configmaps", "a"))).ok()
        assert (await api.patch(ns("configmaps", "a"), {"metadata": {"deletionTimestamp": None}})).ok() == deleted


class TestPropagation:
    POLICIES = (
        ({"propagationPolicy": "Foreground"}, ["foregroundDeletion"]),
        ({"propagationPolicy": "Orphan"}, ["orphan"]),
        ({"orphanDependents": True}, ["orphan"]),
    )

    @pytest.mark.parametrize(("options", "finalizers"), POLICIES, ids=["Foreground", "Orphan", "orphanDependents"])
    @pytest.mark.parametrize("resource", ["configmaps", "deployments", "widgets"])
    async def test_it_adds_a_finalizer(
        self, api: Client, ns: Namespace, widgets: str, resource: str, options: dict[str, Any], finalizers: list[str]
    ) -> None:
        path, body = {
            "configmaps": ("configmaps", config_map("a")),
            "deployments": ("apps/v1/deployments", deployment("a")),
            "widgets": (widgets, widget("a")),
        }[resource]
        (await api.post(ns(path), body)).ok(201)
        deleted = (await api.delete(ns(path, "a"), options)).ok()
        assert_includes(deleted["metadata"], {"finalizers": finalizers, "deletionTimestamp": SOMETHING})
        assert (await api.get(ns(path, "a"))).ok() == deleted

    @pytest.mark.parametrize("options", [{"propagationPolicy": "Background"}, {"orphanDependents": False}, {}])
    async def test_background_adds_none(self, api: Client, ns: Namespace, options: dict[str, Any]) -> None:
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        assert (await api.delete(ns("apps/v1/deployments", "a"), options)).ok()["status"] == "Success"
        assert (await api.get(ns("apps/v1/deployments", "a"))).status == 404

    async def test_in_the_query(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        deleted = (await api.delete(ns("configmaps", "a"), propagationPolicy="Foreground")).ok()
        assert deleted["metadata"]["finalizers"] == ["foregroundDeletion"]

    async def test_a_later_policy_wins(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        (await api.delete(ns("configmaps", "a"), {"propagationPolicy": "Foreground"})).ok()
        deleted = (await api.delete(ns("configmaps", "a"), {"propagationPolicy": "Orphan"})).ok()
        assert deleted["metadata"]["finalizers"] == ["orphan"]
        deleted = (await api.delete(ns("configmaps", "a"), {"propagationPolicy": "Background"})).ok()
        assert deleted["status"] == "Success"

    async def test_other_finalizers_stay(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), held(config_map("a"), "x.y/one"))).ok(201)
        deleted = (await api.delete(ns("configmaps", "a"), {"propagationPolicy": "Foreground"})).ok()
        assert sorted(deleted["metadata"]["finalizers"]) == ["foregroundDeletion", "x.y/one"]

    async def test_a_job_orphans_by_default_and_warns(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("batch/v1/jobs"), job("a"))).ok(201)
        reply = await api.delete(ns("batch/v1/jobs", "a"))
        assert reply.ok()["metadata"]["finalizers"] == ["orphan"]
        assert reply.warnings == (
            '299 - "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to '
            'remove them or set propagationPolicy=Orphan to suppress this warning"',
        )


class TestGrace:
    async def test_a_pod_without_a_node_goes_at_once(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("pods"), pod("a"))).ok(201)
        deleted = (await api.delete(ns("pods", "a"))).ok()
        assert_includes(deleted, {"kind": "Pod", "metadata": {"deletionGracePeriodSeconds": 0}})
        assert (await api.get(ns("pods", "a"))).status == 404

    @pytest.mark.parametrize(
        ("spec", "options", "grace"),
        [
            ({}, {}, 30),
            ({"terminationGracePeriodSeconds": 7}, {}, 7),
            ({}, {"gracePeriodSeconds": 5}, 5),
            ({}, {"gracePeriodSeconds": -5}, 1),
        ],
        ids=["default", "own", "asked", "negative"],
    )
    async def test_a_pod_on_a_node_waits(
        self, api: Client, ns: Namespace, spec: dict[str, Any], options: dict[str, Any], grace: int
    ) -> None:
        (await api.post(ns("pods"), pod("a", nodeName="n", **spec))).ok(201)
        deleted = (await api.delete(ns("pods", "a"), options)).ok()
        expected = {"deletionGracePeriodSeconds": grace, "deletionTimestamp": SOMETHING, "generation": 2}
        assert_includes(deleted["metadata"], expected)
        assert (await api.get(ns("pods", "a"))).ok() == deleted

    async def test_it_may_be_shortened_but_not_lengthened(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("pods"), pod("a", nodeName="n"))).ok(201)
        graces = []
        for seconds in (20, 5, 50, 5):
            deleted = (await api.delete(ns("pods", "a"), {"gracePeriodSeconds": seconds})).ok()
            graces.append(deleted["metadata"]["deletionGracePeriodSeconds"])
        assert graces == [20, 5, 5, 5]

    async def test_none_is_at_once(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("pods"), pod("a", nodeName="n"))).ok(201)
        (await api.delete(ns("pods", "a"))).ok()
        (await api.delete(ns("pods", "a"), gracePeriodSeconds=0)).ok()
        assert (await api.get(ns("pods", "a"))).status == 404

    @pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
    async def test_a_pod_that_has_ended_goes_at_once(self, api: Client, ns: Namespace, phase: str) -> None:
        (await api.post(ns("pods"), pod("a", nodeName="n"))).ok(201)
        (await api.patch(ns("pods", "a", "status"), {"status": {"phase": phase}})).ok()
        (await api.delete(ns("pods", "a"))).ok()
        assert (await api.get(ns("pods", "a"))).status == 404

    async def test_finalizers_wait_longer(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("pods"), held(pod("a", nodeName="n"), "x.y/one"))).ok(201)
        (await api.delete(ns("pods", "a"), gracePeriodSeconds=0)).ok()
        left = (await api.get(ns("pods", "a"))).ok()
        assert_includes(left["metadata"], {"deletionGracePeriodSeconds": 0, "finalizers": ["x.y/one"]})

    async def test_others_have_none(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        assert (await api.delete(ns("configmaps", "a"), {"gracePeriodSeconds": 30})).ok()["status"] == "Success"


class TestOptions:
    @pytest.mark.parametrize("resource", ["configmaps", "widgets"])
    async def test_a_dry_run_deletes_nothing(self, api: Client, ns: Namespace, widgets: str, resource: str) -> None:
        path, body = {"configmaps": ("configmaps", config_map("a")), "widgets": (widgets, widget("a"))}[resource]
        made = (await api.post(ns(path), body)).ok(201)
        assert (await api.delete(ns(path, "a"), dryRun="All")).ok()["status"] == "Success"
        assert (await api.delete(ns(path, "a"), {"dryRun": ["All"]})).ok()["status"] == "Success"
        assert (await api.get(ns(path, "a"))).ok() == made

    BAD = (
        ({"dryRun": ["Some"]}, 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
        (
            {"propagationPolicy": "Nope"},
            'propagationPolicy: Unsupported value: "Nope": supported values: "Foreground", "Background", '
            '"Orphan", "nil"',
        ),
        (
            {"propagationPolicy": "Orphan", "orphanDependents": True},
            'propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set',
        ),
    )

    @pytest.mark.parametrize(("options", "why"), BAD, ids=["dryRun", "policy", "both"])
    async def test_bad(self, api: Client, ns: Namespace, options: dict[str, Any], why: str) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.delete(ns("configmaps", "a"), options)
        reply.refused(422, "Invalid", f'DeleteOptions.meta.k8s.io "" is invalid: {why}')
        assert (await api.get(ns("configmaps", "a"))).status == 200

    async def test_a_bad_query(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("pods"), pod("a"))).ok(201)
        reply = await api.delete(ns("pods", "a"), gracePeriodSeconds="x")
        reply.refused(400, "BadRequest", 'strconv.ParseInt: parsing "x": invalid syntax')

    async def test_a_body_of_another_kind(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.delete(ns("configmaps", "a"), {"kind": "Nope", "apiVersion": "v1"})
        message = re.compile('no kind "Nope" is registered for version "v1" in scheme .*')
        reply.refused(400, "BadRequest", message)

    async def test_a_named_kind(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        (await api.delete(ns("configmaps", "a"), {"kind": "DeleteOptions", "apiVersion": "v1"})).ok()
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        (await api.delete(ns("configmaps", "a"), {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"})).ok()

    async def test_a_broken_body(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.delete(ns("configmaps", "a"), "{")
        message = "couldn't get version/kind; json parse error: unexpected end of JSON input"
        reply.refused(400, "BadRequest", message)


class TestCollection:
    async def filled(self, api: Client, ns: Namespace) -> None:
        for name in "abc":
            (await api.post(ns("configmaps"), {"metadata": {"name": name, "labels": {"k": name}}})).ok(201)

    async def test_everything(self, api: Client, ns: Namespace) -> None:
        await self.filled(api, ns)
        deleted = (await api.delete(ns("configmaps"))).ok()
        assert deleted["kind"] == "ConfigMapList"
        assert names(deleted) == ["a", "b", "c"]
        assert names((await api.get(ns("configmaps"))).ok()) == []

    @pytest.mark.parametrize(
        ("query", "left"),
        [
            ({"labelSelector": "k in (a,b)"}, ["c"]),
            ({"labelSelector": "k!=a"}, ["a"]),
            ({"fieldSelector": "metadata.name=b"}, ["a", "c"]),
            ({"fieldSelector": "metadata.name!=b", "labelSelector": "k=a"}, ["b", "c"]),
            ({"labelSelector": "x"}, ["a", "b", "c"]),
        ],
    )
    async def test_selected(self, api: Client, ns: Namespace, query: dict[str, str], left: list[str]) -> None:
        await self.filled(api, ns)
        deleted = names((await api.delete(ns("configmaps"), **query)).ok())
        assert sorted(deleted + left) == ["a", "b", "c"]
        assert names((await api.get(ns("configmaps"))).ok()) == left

    async def test_other_namespaces_stay(self, api: Client, ns: Namespace) -> None:
        other = await namespace(api)
        await self.filled(api, other)
        await self.filled(api, ns)
        (await api.delete(ns("configmaps"))).ok()
        assert names((await api.get(other("configmaps"))).ok()) == ["a", "b", "c"]

    async def test_custom_objects(self, api: Client, ns: Namespace, widgets: str) -> None:
        for name in "ab":
            (await api.post(ns(widgets), widget(name))).ok(201)
        deleted = (await api.delete(ns(widgets))).ok()
        assert deleted["kind"] == "WidgetList"
        assert names(deleted) == ["a", "b"]
        assert names((await api.get(ns(widgets))).ok()) == []

    async def test_finalizers_hold(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), held(config_map("a"), "x.y/one"))).ok(201)
        (await api.post(ns("configmaps"), config_map("b"))).ok(201)
        (await api.delete(ns("configmaps"))).ok()
        left = (await api.get(ns("configmaps"))).ok()
        assert names(left) == ["a"]
        assert_includes(left["items"][0]["metadata"], {"deletionTimestamp": SOMETHING})

    async def test_a_dry_run(self, api: Client, ns: Namespace) -> None:
        await self.filled(api, ns)
        (await api.delete(ns("configmaps"), dryRun="All")).ok()
        assert names((await api.get(ns("configmaps"))).ok()) == ["a", "b", "c"]

    async def test_a_bad_selector(self, api: Client, ns: Namespace) -> None:
        reply = await api.delete(ns("configmaps"), labelSelector="k in")
        reply.refused(400, "BadRequest", "unable to parse requirement: found '' expected: '('")

    @pytest.mark.parametrize("path", ["/api/v1/namespaces", "/api/v1/configmaps"])
    async def test_where_it_is_not_allowed(self, api: Client, path: str) -> None:
        message = "the server does not allow this method on the requested resource"
        (await api.delete(path)).refused(405, "MethodNotAllowed", message)


class TestNamespaces:
    async def test_it_terminates_until_it_is_finalized(self, api: Client) -> None:
        ns = await namespace(api)
        path = f"/api/v1/namespaces/{ns.name}"
        deleted = (await api.delete(path)).ok()
        expected = {
            "metadata": {"deletionTimestamp": SOMETHING, "finalizers": None},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Terminating"},
        }
        assert_includes(deleted, expected)
        assert (await api.delete(path)).ok() == deleted
        # Finalizers of the spec are for the subresource only.
        body = deleted | {"spec": {"finalizers": []}}
        assert (await api.put(path, body)).ok()["spec"] == {"finalizers": ["kubernetes"]}
        body = (await api.get(path)).ok() | {"spec": {"finalizers": []}}
        (await api.put(f"{path}/finalize", body)).ok()
        (await api.get(path)).refused(404, "NotFound", f'namespaces "{ns.name}" not found')

    @pytest.mark.parametrize("resource", ["configmaps", "widgets"])
    async def test_nothing_new_meanwhile(self, api: Client, widgets: str, resource: str) -> None:
        ns = await namespace(api)
        (await api.delete(f"/api/v1/namespaces/{ns.name}")).ok()
        path, body, qualified = {
            "configmaps": ("configmaps", config_map("a"), "configmaps"),
            "widgets": (widgets, widget("a"), "widgets.conformance.example"),
        }[resource]
        why = f"unable to create new content in namespace {ns.name} because it is being terminated"
        details = (await api.post(ns(path), body)).refused(403, "Forbidden", f'{qualified} "a" is forbidden: {why}')
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {ns.name} is being terminated",
            "field": "metadata.namespace",
        }
        assert details["causes"] == [cause]

    async def test_what_is_there_may_change_meanwhile(self, api: Client) -> None:
        ns = await namespace(api)
        (await api.post(ns("configmaps"), held(config_map("a"), "x.y/one"))).ok(201)
        (await api.delete(f"/api/v1/namespaces/{ns.name}")).ok()
        assert (await api.patch(ns("configmaps", "a"), {"data": {"k": "v"}})).ok()["data"] == {"k": "v"}

    @pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
    async def test_some_cannot_be_deleted(self, api: Client, name: str) -> None:
        reply = await api.delete(f"/api/v1/namespaces/{name}")
        message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
        reply.refused(403, "Forbidden", message)
