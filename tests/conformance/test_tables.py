"""Objects in other forms than their own: tables, as kubectl prints them, and metadata alone."""

import re
from typing import Any

import pytest

from tests.conformance.samples import config_map, deployment, job, pod, service, widget
from tests.conformance.wire import PARTIAL, PARTIAL_LIST, TABLE, Client, Namespace, assert_includes

AGE = re.compile(r"\d+s")


def columns(table: dict[str, Any]) -> list[tuple[str, str, str, int]]:
    return [(each["name"], each["type"], each["format"], each["priority"]) for each in table["columnDefinitions"]]


NAME = ("Name", "string", "name", 0)


class TestTables:
    KINDS: tuple[tuple[str, dict[str, Any], list[tuple[str, int]], list[Any]], ...] = (
        (
            "pods",
            pod("a", nodeName="n"),
            [
                ("Ready", 0),
                ("Status", 0),
                ("Restarts", 0),
                ("Age", 0),
                ("IP", 1),
                ("Node", 1),
                ("Nominated Node", 1),
                ("Readiness Gates", 1),
            ],
            ["a", "0/1", "Pending", "0", AGE, "<none>", "n", "<none>", "<none>"],
        ),
        (
            "apps/v1/deployments",
            deployment("a"),
            [
                ("Ready", 0),
                ("Up-to-date", 0),
                ("Available", 0),
                ("Age", 0),
                ("Containers", 1),
                ("Images", 1),
                ("Selector", 1),
            ],
            ["a", "0/1", 0, 0, AGE, "main", "example/main:1", "app=a"],
        ),
        (
            "configmaps",
            config_map("a", data={"k": "v", "l": "w"}, binaryData={"b": "AA=="}),
            [("Data", 0), ("Age", 0)],
            ["a", 3, AGE],
        ),
        (
            "secrets",
            {"metadata": {"name": "a"}, "stringData": {"k": "v"}},
            [("Type", 0), ("Data", 0), ("Age", 0)],
            ["a", "Opaque", 1, AGE],
        ),
        (
            "services",
            service("a", clusterIP="None"),
            [("Type", 0), ("Cluster-IP", 0), ("External-IP", 0), ("Port(s)", 0), ("Age", 0), ("Selector", 1)],
            ["a", "ClusterIP", "None", "<none>", "80/TCP", AGE, "app=a"],
        ),
        (
            "batch/v1/jobs",
            job("a", completions=3),
            [
                ("Status", 0),
                ("Completions", 0),
                ("Duration", 0),
                ("Age", 0),
                ("Containers", 1),
                ("Images", 1),
                ("Selector", 1),
            ],
            ["a", "Running", "0/3", "", AGE, "main", "x", re.compile("batch.kubernetes.io/controller-uid=.*")],
        ),
        ("serviceaccounts", {"metadata": {"name": "a"}}, [("Age", 0)], ["a", AGE]),
    )

    @pytest.mark.parametrize(("resource", "body", "headings", "cells"), KINDS, ids=[case[0] for case in KINDS])
    async def test_of_built_in_kinds(
        self,
        api: Client,
        ns: Namespace,
        resource: str,
        body: dict[str, Any],
        headings: list[tuple[str, int]],
        cells: list[Any],
    ) -> None:
        (await api.post(ns(resource), body)).ok(201)
        table = (await api.get(ns(resource), accept=TABLE, fieldSelector="metadata.name=a")).ok()
        assert_includes(table, {"kind": "Table", "apiVersion": "meta.k8s.io/v1"})
        assert columns(table) == [NAME, *((name, "string", "", priority) for name, priority in headings)]
        assert_includes([row["cells"] for row in table["rows"]], [cells])

    async def test_of_namespaces(self, api: Client, ns: Namespace) -> None:
        table = (await api.get(f"/api/v1/namespaces/{ns.name}", accept=TABLE)).ok()
        assert [name for name, *_ in columns(table)] == ["Name", "Status", "Age"]
        assert_includes(table["rows"][0]["cells"], [ns.name, "Active", AGE])

    @pytest.mark.parametrize(
        ("resource", "headings"),
        [
            ("events", "Last Seen,Type,Reason,Object,Subobject,Source,Message,First Seen,Count,Name"),
            ("rbac.authorization.k8s.io/v1/roles", "Name,Created At"),
            ("coordination.k8s.io/v1/leases", "Name,Holder,Age"),
            ("apps/v1/replicasets", "Name,Desired,Current,Ready,Age,Containers,Images,Selector"),
        ],
    )
    async def test_headings_of_empty_lists(self, api: Client, ns: Namespace, resource: str, headings: str) -> None:
        table = (await api.get(ns(resource), accept=TABLE)).ok()
        assert [name for name, *_ in columns(table)] == headings.split(",")
        assert not table["rows"]

    async def test_of_custom_objects(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a", size=3, color="red"))).ok(201)
        table = (await api.get(ns(widgets), accept=TABLE)).ok()
        assert columns(table) == [
            NAME,
            ("Size", "integer", "", 0),
            ("Color", "string", "", 0),
            ("Note", "string", "", 1),
            ("Age", "date", "", 0),
        ]
        assert table["columnDefinitions"][2]["description"] == "What it looks like."
        described = "Custom resource definition column (in JSONPath format): .spec.size"
        assert table["columnDefinitions"][1]["description"] == described
        cells = table["rows"][0]["cells"]
        assert cells[:4] == ["a", 3, "red", None]
        assert AGE.fullmatch(cells[4])

    @pytest.mark.parametrize("path", ["configmaps", "widgets"])
    async def test_rows_hold_metadata(self, api: Client, ns: Namespace, widgets: str, path: str) -> None:
        resource, body = {"configmaps": ("configmaps", config_map("a")), "widgets": (widgets, widget("a"))}[path]
        made = (await api.post(ns(resource), body)).ok(201)
        table = (await api.get(ns(resource, "a"), accept=TABLE)).ok()
        expected = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": made["metadata"],
        }
        assert [row["object"] for row in table["rows"]] == [expected]
        assert table["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]

    async def test_rows_hold_what_is_asked_for(self, api: Client, ns: Namespace, widgets: str) -> None:
        made = (await api.post(ns(widgets), widget("a", size=3))).ok(201)
        table = (await api.get(ns(widgets), accept=TABLE, includeObject="Object")).ok()
        assert [row["object"] for row in table["rows"]] == [made]
        table = (await api.get(ns(widgets), accept=TABLE, includeObject="None")).ok()
        assert [row["object"] for row in table["rows"]] == [None]
        reply = await api.get(ns(widgets), accept=TABLE, includeObject="Nope")
        why = "includeObject: Invalid value: \"Nope\": must be 'Metadata', 'Object', 'None', or empty"
        reply.refused(400, "BadRequest", f"Unable to convert to Table as requested: {why}")

    async def test_pages(self, api: Client, ns: Namespace) -> None:
        for name in "abc":
            (await api.post(ns("configmaps"), config_map(name))).ok(201)
        table = (await api.get(ns("configmaps"), accept=TABLE, limit=2)).ok()
        assert [row["cells"][0] for row in table["rows"]] == ["a", "b"]
        assert table["metadata"]["remainingItemCount"] == 1
        rest = (await api.get(ns("configmaps"), accept=TABLE, **{"continue": table["metadata"]["continue"]})).ok()
        assert [row["cells"][0] for row in rest["rows"]] == ["c"]

    async def test_what_a_write_gives(self, api: Client, ns: Namespace) -> None:
        headers = {"Accept": TABLE}
        table = (await api.request("POST", ns("configmaps"), config_map("a"), headers=headers)).ok(201)
        assert table["rows"][0]["cells"][:2] == ["a", 0]

    async def test_the_first_that_is_known_counts(self, api: Client, ns: Namespace) -> None:
        assert (await api.get(ns("configmaps"), accept=f"{TABLE},application/json")).ok()["kind"] == "Table"
        assert (await api.get(ns("configmaps"), accept=f"application/json,{TABLE}")).ok()["kind"] == "ConfigMapList"

    @pytest.mark.parametrize("form", ["as=Nope;v=v1;g=meta.k8s.io", "as=Table;v=v9;g=meta.k8s.io"])
    async def test_unknown_forms(self, api: Client, ns: Namespace, form: str) -> None:
        reply = await api.get(ns("configmaps"), accept=f"application/json;{form}")
        message = (
            "only the following media types are accepted: application/json, application/yaml, "
            "application/vnd.kubernetes.protobuf"
        )
        reply.refused(406, "NotAcceptable", message)

    async def test_refusals_keep_their_form(self, api: Client, ns: Namespace) -> None:
        reply = await api.get(ns("configmaps", "x"), accept=TABLE)
        reply.refused(404, "NotFound", 'configmaps "x" not found')

    async def test_pods_that_do_not_just_run(self, api: Client, ns: Namespace) -> None:
        waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
        running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        states: dict[str, tuple[dict[str, Any], list[str]]] = {
            "crashing": (
                {"phase": "Running", "containerStatuses": [_container(waiting, ready=False, restarts=4)]},
                ["0/1", "CrashLoopBackOff", "4"],
            ),
            "running": (
                {"phase": "Running", "containerStatuses": [_container(running, ready=True)]},
                ["1/1", "Running", "0"],
            ),
            "done": (
                {
                    "phase": "Succeeded",
                    "containerStatuses": [
                        _container({"terminated": {"reason": "Completed", "exitCode": 0}}, ready=False)
                    ],
                },
                ["0/1", "Completed", "0"],
            ),
            "evicted": ({"phase": "Failed", "reason": "Evicted"}, ["0/1", "Evicted", "0"]),
        }
        for name, (status, _) in states.items():
            (await api.post(ns("pods"), pod(name, nodeName="n"))).ok(201)
            (await api.patch(ns("pods", name, "status"), {"status": status})).ok()
        table = (await api.get(ns("pods"), accept=TABLE)).ok()
        found = {row["cells"][0]: row["cells"][1:4] for row in table["rows"]}
        assert found == {name: cells for name, (_, cells) in states.items()}
        (await api.delete(ns("pods", "running"))).ok()
        table = (await api.get(ns("pods", "running"), accept=TABLE)).ok()
        assert table["rows"][0]["cells"][2] == "Terminating"


class TestMetadata:
    @pytest.mark.parametrize("path", ["configmaps", "widgets"])
    async def test_of_one(self, api: Client, ns: Namespace, widgets: str, path: str) -> None:
        resource, body = {"configmaps": ("configmaps", config_map("a")), "widgets": (widgets, widget("a"))}[path]
        made = (await api.post(ns(resource), body)).ok(201)
        assert (await api.get(ns(resource, "a"), accept=PARTIAL)).ok() == {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": made["metadata"],
        }

    @pytest.mark.parametrize("path", ["configmaps", "widgets"])
    async def test_of_many(self, api: Client, ns: Namespace, widgets: str, path: str) -> None:
        resource, body = {"configmaps": ("configmaps", config_map("a")), "widgets": (widgets, widget("a"))}[path]
        made = (await api.post(ns(resource), body)).ok(201)
        listed = (await api.get(ns(resource), accept=PARTIAL_LIST)).ok()
        assert_includes(listed, {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"})
        assert [item["metadata"] for item in listed["items"]] == [made["metadata"]]
        assert set(listed["items"][0]) == {"kind", "apiVersion", "metadata"}

    async def test_of_many_where_one_is(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.get(ns("configmaps"), accept=PARTIAL)
        why = "the requested object is a list (*core.ConfigMapList)"
        reply.refused(406, "NotAcceptable", f"you requested PartialObjectMetadata, but {why}")
        reply = await api.get(ns("configmaps", "a"), accept=PARTIAL_LIST)
        why = "the requested object is not a list (*core.ConfigMap)"
        reply.refused(406, "NotAcceptable", f"you requested PartialObjectMetadataList, but {why}")


def _container(state: dict[str, Any], *, ready: bool, restarts: int = 0) -> dict[str, Any]:
    return {
        "name": "main",
        "state": state,
        "ready": ready,
        "restartCount": restarts,
        "image": "example/main:1",
        "imageID": "",
    }
