"""Watches: from where they start, what they show, and how they end."""

import re
from typing import Any

import pytest

from tests.conformance.conftest import namespace
from tests.conformance.samples import config_map, deployment, pod, widget
from tests.conformance.wire import MERGE_PATCH, PARTIAL, SOMETHING, TABLE, Client, Namespace, assert_includes

INITIAL: dict[str, Any] = {
    "sendInitialEvents": True,
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": True,
}
LIST_OPTIONS = 'ListOptions.meta.k8s.io "" is invalid: '


async def version(api: Client, path: str) -> str:
    """The version of a list now."""
    return str((await api.get(path)).ok()["metadata"]["resourceVersion"])


async def change(api: Client, ns: Namespace) -> None:
    """One change of each kind."""
    (await api.post(ns("configmaps"), config_map("a"))).ok(201)
    (await api.patch(ns("configmaps", "a"), {"data": {"k": "v"}})).ok()
    (await api.delete(ns("configmaps", "a"))).ok()


CHANGES = [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


class TestStart:
    async def test_from_a_version_on(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("before"))).ok(201)
        since = await version(api, ns("configmaps"))
        await change(api, ns)
        async with api.watch(ns("configmaps"), resourceVersion=since) as events:
            assert await events.take(3) == CHANGES

    async def test_from_the_version_of_an_object_on(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), config_map("before"))).ok(201)
        (await api.post(ns("configmaps"), config_map("after"))).ok(201)
        async with api.watch(ns("configmaps"), resourceVersion=made["metadata"]["resourceVersion"]) as events:
            assert await events.take(1) == [("ADDED", "after")]

    @pytest.mark.parametrize("query", [{}, {"resourceVersion": ""}, {"resourceVersion": "0"}], ids=["no", "empty", "0"])
    async def test_with_what_is_there(self, api: Client, ns: Namespace, query: dict[str, str]) -> None:
        for name in ("b", "a"):
            (await api.post(ns("configmaps"), config_map(name))).ok(201)
        async with api.watch(ns("configmaps"), **query) as events:
            assert sorted(await events.take(2)) == [("ADDED", "a"), ("ADDED", "b")]
            (await api.post(ns("configmaps"), config_map("c"))).ok(201)
            assert await events.take(1) == [("ADDED", "c")]

    async def test_what_happens_later(self, api: Client, ns: Namespace, widgets: str) -> None:
        for resource, body in (("configmaps", config_map("a")), (widgets, widget("a"))):
            async with api.watch(ns(resource), resourceVersion=await version(api, ns(resource))) as events:
                made = (await api.post(ns(resource), body)).ok(201)
                assert await events.next() == ("ADDED", made)
                changed = (await api.patch(ns(resource, "a"), {"metadata": {"labels": {"x": "y"}}})).ok()
                assert await events.next() == ("MODIFIED", changed)

    async def test_every_change_is_told(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        since = await version(api, ns("configmaps"))
        values = [str(number) for number in range(20)]
        for value in values:
            (await api.patch(ns("configmaps", "a"), {"data": {"k": value}})).ok()
        async with api.watch(ns("configmaps"), resourceVersion=since) as events:
            seen = [await events.next() for _ in values]
        assert [obj["data"]["k"] for _, obj in seen] == values
        versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in seen]
        assert versions == sorted(set(versions))

    async def test_what_changes_nothing_is_not_told(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}))).ok(201)
        since = await version(api, ns("configmaps"))
        (await api.patch(ns("configmaps", "a"), {"data": {"k": "v"}})).ok()
        (await api.patch(ns("configmaps", "a"), {"data": {"k": "x"}}, MERGE_PATCH, dryRun="All")).ok()
        (await api.post(ns("configmaps"), config_map("b"))).ok(201)
        async with api.watch(ns("configmaps"), resourceVersion=since) as events:
            assert await events.take(1) == [("ADDED", "b")]

    async def test_a_version_that_is_too_old(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        async with api.watch(ns(widgets), resourceVersion="1") as events:
            kind, status = await events.next()
            assert kind == "ERROR"
            expected = {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "reason": "Expired",
                "code": 410,
                "message": re.compile(r"too old resource version: 1 \(\d+\)"),
            }
            assert_includes(status, expected)
            assert await events.next_or_end() is None

    async def test_what_comes_before_a_version_that_is_yet_to_come_is_not_told(
        self, api: Client, ns: Namespace
    ) -> None:
        made = (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        since = at = int(made["metadata"]["resourceVersion"]) + 50
        query: dict[str, Any] = {"resourceVersion": str(since), "allowWatchBookmarks": True, "timeoutSeconds": 20}
        async with api.watch(ns("configmaps"), **query) as events:
            value = 0
            while at <= since:
                value += 1
                changed = (await api.patch(ns("configmaps", "a"), {"data": {"k": str(value)}})).ok()
                at = int(changed["metadata"]["resourceVersion"])
            kind, told = await events.next()
        assert (kind, told["metadata"]["resourceVersion"]) == ("MODIFIED", str(at))

    async def test_nothing_is_told_up_to_a_version_that_is_not_reached(self, api: Client, ns: Namespace) -> None:
        ahead = str(int(await version(api, ns("configmaps"))) + 1_000_000)
        query: dict[str, Any] = {"resourceVersion": ahead, "allowWatchBookmarks": True, "timeoutSeconds": 5}
        async with api.watch(ns("configmaps"), **query) as events:
            await change(api, ns)
            assert await events.rest() == []

    async def test_no_version(self, api: Client, ns: Namespace) -> None:
        reply = await api.get(ns("configmaps"), watch=True, resourceVersion="abc")
        why = 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'
        reply.refused(500, "", why)


class TestScope:
    async def test_one_namespace(self, api: Client, ns: Namespace) -> None:
        other = await namespace(api)
        since = await version(api, ns("configmaps"))
        (await api.post(other("configmaps"), config_map("theirs"))).ok(201)
        (await api.post(ns("configmaps"), config_map("mine"))).ok(201)
        async with api.watch(ns("configmaps"), resourceVersion=since) as events:
            assert await events.take(1) == [("ADDED", "mine")]

    async def test_all_namespaces(self, api: Client, ns: Namespace) -> None:
        other = await namespace(api)
        since = await version(api, "/api/v1/configmaps")
        (await api.post(other("configmaps"), config_map("theirs"))).ok(201)
        (await api.post(ns("configmaps"), config_map("mine"))).ok(201)
        async with api.watch("/api/v1/configmaps", resourceVersion=since) as events:
            assert await events.take(2) == [("ADDED", "theirs"), ("ADDED", "mine")]

    async def test_one_object(self, api: Client, ns: Namespace, widgets: str) -> None:
        for resource, make in (("configmaps", config_map), (widgets, widget)):
            since = await version(api, ns(resource))
            for name in ("a", "b"):
                (await api.post(ns(resource), make(name))).ok(201)
            (await api.delete(ns(resource, "b"))).ok()
            query = {"resourceVersion": since, "fieldSelector": "metadata.name=b"}
            async with api.watch(ns(resource), **query) as events:
                assert await events.take(2) == [("ADDED", "b"), ("DELETED", "b")]

    async def test_a_whole_cluster_kind(self, api: Client, ns: Namespace) -> None:
        path = f"/api/v1/namespaces?fieldSelector=metadata.name%3D{ns.name}"
        async with api.watch("/api/v1/namespaces", fieldSelector=f"metadata.name={ns.name}") as events:
            assert await events.take(1) == [("ADDED", ns.name)]
        assert (await api.get(path)).status == 200

    async def test_the_old_address(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        async with api.watch(f"/api/v1/watch/namespaces/{ns.name}/configmaps") as events:
            assert await events.take(1) == [("ADDED", "a")]


class TestSelectors:
    async def test_labels_come_and_go(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a", data={"k": "1"}))).ok(201)
        since = await version(api, ns("configmaps"))
        for body in (
            {"metadata": {"labels": {"x": "y"}}},
            {"data": {"k": "2"}},
            {"metadata": {"labels": {"x": "z"}}},
            {"data": {"k": "3"}},
            {"metadata": {"labels": {"x": "y"}}},
        ):
            (await api.patch(ns("configmaps", "a"), body)).ok()
        (await api.delete(ns("configmaps", "a"))).ok()
        async with api.watch(ns("configmaps"), resourceVersion=since, labelSelector="x=y") as events:
            seen = [await events.next() for _ in range(5)]
        assert [(kind, obj["data"]["k"], obj["metadata"]["labels"]["x"]) for kind, obj in seen] == [
            ("ADDED", "1", "y"),
            ("MODIFIED", "2", "y"),
            # As it was when it was last selected.
            ("DELETED", "2", "y"),
            ("ADDED", "3", "y"),
            ("DELETED", "3", "y"),
        ]
        versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in seen]
        assert versions == sorted(set(versions))

    async def test_labels_of_custom_objects(self, api: Client, ns: Namespace, widgets: str) -> None:
        since = await version(api, ns(widgets))
        (await api.post(ns(widgets), widget("a"))).ok(201)
        for value in ("y", "z"):
            (await api.patch(ns(widgets, "a"), {"metadata": {"labels": {"x": value}}})).ok()
        async with api.watch(ns(widgets), resourceVersion=since, labelSelector="x=y") as events:
            assert await events.take(2) == [("ADDED", "a"), ("DELETED", "a")]

    async def test_fields_come_and_go(self, api: Client, ns: Namespace) -> None:
        since = await version(api, ns("pods"))
        (await api.post(ns("pods"), pod("a"))).ok(201)
        binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n"}}
        (await api.post(ns("pods", "a", "binding"), binding)).ok(201)
        (await api.patch(ns("pods", "a", "status"), {"status": {"phase": "Running"}})).ok()
        async with api.watch(ns("pods"), resourceVersion=since, fieldSelector="spec.nodeName=n") as events:
            assert await events.take(2) == [("ADDED", "a"), ("MODIFIED", "a")]
        query = {"resourceVersion": since, "fieldSelector": "status.phase=Pending"}
        async with api.watch(ns("pods"), **query) as events:
            assert await events.take(3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ({"labelSelector": "a in"}, "unable to parse requirement: found '' expected: '('"),
            (
                {"fieldSelector": "data.x=y"},
                '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
            ),
            ({"timeoutSeconds": "x"}, 'strconv.ParseInt: parsing "x": invalid syntax'),
        ],
    )
    async def test_bad(self, api: Client, ns: Namespace, query: dict[str, str], message: str) -> None:
        (await api.get(ns("configmaps"), watch=True, **query)).refused(400, "BadRequest", message)


class TestDeletion:
    async def test_the_last_state_with_the_version_of_the_deletion(
        self, api: Client, ns: Namespace, widgets: str
    ) -> None:
        for resource, body in (("configmaps", config_map("a", data={"k": "v"})), (widgets, widget("a", size=3))):
            made = (await api.post(ns(resource), body)).ok(201)
            before = made["metadata"].pop("resourceVersion")
            (await api.delete(ns(resource, "a"))).ok()
            async with api.watch(ns(resource), resourceVersion=before) as events:
                kind, obj = await events.next()
            assert kind == "DELETED"
            assert int(obj["metadata"].pop("resourceVersion")) > int(before)
            assert obj == made

    async def test_with_finalizers(self, api: Client, ns: Namespace, widgets: str) -> None:
        since = await version(api, ns(widgets))
        body = widget("a") | {"metadata": {"name": "a", "finalizers": ["x.y/z"]}}
        (await api.post(ns(widgets), body)).ok(201)
        (await api.delete(ns(widgets, "a"))).ok()
        (await api.patch(ns(widgets, "a"), {"metadata": {"finalizers": None}})).ok()
        async with api.watch(ns(widgets), resourceVersion=since) as events:
            seen = [await events.next() for _ in range(3)]
        assert [kind for kind, _ in seen] == ["ADDED", "MODIFIED", "DELETED"]
        assert "deletionTimestamp" not in seen[0][1]["metadata"]
        assert_includes(seen[1][1]["metadata"], {"deletionTimestamp": SOMETHING, "finalizers": ["x.y/z"]})
        assert_includes(seen[2][1]["metadata"], {"deletionTimestamp": SOMETHING})

    async def test_of_a_pod_with_a_grace_period(self, api: Client, ns: Namespace) -> None:
        since = await version(api, ns("pods"))
        (await api.post(ns("pods"), pod("a", nodeName="n"))).ok(201)
        (await api.delete(ns("pods", "a"))).ok()
        (await api.delete(ns("pods", "a"), gracePeriodSeconds=0)).ok()
        async with api.watch(ns("pods"), resourceVersion=since) as events:
            first = await events.take(2)
            assert first == [("ADDED", "a"), ("MODIFIED", "a")]
            while (event := (await events.next()))[0] != "DELETED":
                assert event[0] == "MODIFIED"
            assert_includes(event[1]["metadata"], {"deletionTimestamp": SOMETHING})

    async def test_of_a_collection(self, api: Client, ns: Namespace) -> None:
        for name in "abc":
            (await api.post(ns("configmaps"), config_map(name))).ok(201)
        since = await version(api, ns("configmaps"))
        (await api.delete(ns("configmaps"))).ok()
        async with api.watch(ns("configmaps"), resourceVersion=since) as events:
            assert sorted(await events.take(3)) == [("DELETED", "a"), ("DELETED", "b"), ("DELETED", "c")]


class TestEnd:
    async def test_after_its_time(self, api: Client, ns: Namespace) -> None:
        since = await version(api, ns("configmaps"))
        await change(api, ns)
        async with api.watch(ns("configmaps"), resourceVersion=since, timeoutSeconds=5) as events:
            seen = [(kind, obj["metadata"]["name"]) for kind, obj in await events.rest()]
        assert seen == CHANGES

    @pytest.mark.parametrize("bookmarks", [True, False])
    async def test_a_bookmark_comes_before_its_time_is_up(self, api: Client, ns: Namespace, bookmarks: bool) -> None:
        since = await version(api, ns("configmaps"))
        # The bookmark comes two seconds before the end: long after the change.
        query: dict[str, Any] = {"allowWatchBookmarks": bookmarks, "timeoutSeconds": 10 if bookmarks else 4}
        async with api.watch(ns("configmaps"), resourceVersion=since, **query) as events:
            # It is told of what others have changed, as far as it could have been its own.
            changed = (await api.post("/api/v1/namespaces/default/configmaps", {"metadata": {"name": ns.name}})).ok(201)
            seen = await events.rest()
        assert {kind for kind, _ in seen} == ({"BOOKMARK"} if bookmarks else set())
        for _, bookmark in seen[-1:]:
            assert_includes(bookmark, {"kind": "ConfigMap", "metadata": {"name": None, "annotations": None}})
            assert int(bookmark["metadata"]["resourceVersion"]) >= int(changed["metadata"]["resourceVersion"])

    async def test_the_next_goes_on(self, api: Client, ns: Namespace) -> None:
        since = await version(api, ns("configmaps"))
        await change(api, ns)
        seen = []
        for _ in range(3):
            async with api.watch(ns("configmaps"), resourceVersion=since) as events:
                kind, obj = await events.next()
                seen.append((kind, obj["metadata"]["name"]))
                since = obj["metadata"]["resourceVersion"]
        assert seen == CHANGES


class TestInitialEvents:
    @pytest.mark.parametrize("resource", ["configmaps", "widgets"])
    async def test_what_is_there_and_then_a_bookmark(
        self, api: Client, ns: Namespace, widgets: str, resource: str
    ) -> None:
        path, make, kind = {
            "configmaps": ("configmaps", config_map, "ConfigMap"),
            "widgets": (widgets, widget, "Widget"),
        }[resource]
        (await api.post(ns(path), make("a"))).ok(201)
        last = (await api.post(ns(path), make("b"))).ok(201)
        async with api.watch(ns(path), **INITIAL) as events:
            assert sorted(await events.take(2)) == [("ADDED", "a"), ("ADDED", "b")]
            event, bookmark = await events.next()
            assert event == "BOOKMARK"
            annotations = {"k8s.io/initial-events-end": "true"}
            assert_includes(bookmark, {"kind": kind, "metadata": {"annotations": annotations, "name": None}})
            assert int(bookmark["metadata"]["resourceVersion"]) >= int(last["metadata"]["resourceVersion"])
            (await api.post(ns(path), make("c"))).ok(201)
            assert await events.take(1) == [("ADDED", "c")]

    async def test_when_nothing_is_there(self, api: Client, ns: Namespace) -> None:
        async with api.watch(ns("secrets"), **INITIAL) as events:
            kind, bookmark = await events.next()
        assert kind == "BOOKMARK"
        assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}

    async def test_of_any_version(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        # A real server's cache may be behind until it is asked for a version.
        (await api.get(ns("configmaps"), resourceVersion=made["metadata"]["resourceVersion"])).ok()
        async with api.watch(ns("configmaps"), resourceVersion="0", **INITIAL) as events:
            assert [(await events.next())[0] for _ in range(2)] == ["ADDED", "BOOKMARK"]

    async def test_of_a_version_that_is_yet_to_come(self, api: Client, ns: Namespace) -> None:
        ahead = int(await version(api, ns("configmaps"))) + 1_000_000
        async with api.watch(ns("configmaps"), resourceVersion=str(ahead), **INITIAL) as events:
            kind, status = await events.next()
            assert await events.next_or_end() is None
        assert kind == "ERROR"
        expected = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": "Timeout",
            "code": 504,
            "message": re.compile(rf"Timeout: Too large resource version: {ahead}, current: \d+"),
            "details": {
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                "retryAfterSeconds": 1,
            },
        }
        assert_includes(status, expected)

    async def test_of_no_version(self, api: Client, ns: Namespace) -> None:
        reply = await api.get(ns("configmaps"), watch=True, resourceVersion="abc", **INITIAL)
        why = 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'
        reply.refused(500, "", why)

    async def test_selected(self, api: Client, ns: Namespace) -> None:
        for name in ("a", "b"):
            (await api.post(ns("configmaps"), config_map(name))).ok(201)
        async with api.watch(ns("configmaps"), fieldSelector="metadata.name=b", **INITIAL) as events:
            assert await events.take(2) == [("ADDED", "b"), ("BOOKMARK", "")]

    async def test_not_wanted(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        query = INITIAL | {"sendInitialEvents": False}
        async with api.watch(ns("configmaps"), resourceVersion=await version(api, ns("configmaps")), **query) as events:
            (await api.post(ns("configmaps"), config_map("b"))).ok(201)
            assert await events.take(1) == [("ADDED", "b")]

    BAD: tuple[tuple[dict[str, Any], str], ...] = (
        (
            {"sendInitialEvents": True, "allowWatchBookmarks": True},
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            {"resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"},
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is "
            "provided",
        ),
        (
            {"sendInitialEvents": True, "resourceVersionMatch": "Exact", "resourceVersion": "1"},
            "[resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
            'NotOlderThan, resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"]',
        ),
    )

    @pytest.mark.parametrize(("query", "why"), BAD, ids=["no match", "match alone", "exact"])
    async def test_rules(self, api: Client, ns: Namespace, query: dict[str, Any], why: str) -> None:
        reply = await api.get(ns("configmaps"), watch=True, **query)
        reply.refused(422, "Invalid", LIST_OPTIONS + why)


class TestForms:
    async def test_tables(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        async with api.watch(ns("apps/v1/deployments"), accept=TABLE) as events:
            kind, table = await events.next()
            assert kind == "ADDED"
            assert table["columnDefinitions"][0]["name"] == "Name"
            assert table["rows"][0]["cells"][:2] == ["a", "0/1"]
            (await api.patch(ns("apps/v1/deployments", "a"), {"spec": {"replicas": 2}})).ok()
            kind, table = await events.next()
            assert (kind, table["rows"][0]["cells"][:2]) == ("MODIFIED", ["a", "0/2"])
            # The heading is told once.
            assert not table.get("columnDefinitions")

    async def test_metadata_alone(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}))).ok(201)
        async with api.watch(ns("configmaps"), accept=PARTIAL) as events:
            expected = {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": made["metadata"],
            }
            assert await events.next() == ("ADDED", expected)
