"""PATCH in three of its four kinds; server-side apply has a file of its own."""

import re
from typing import Any

import pytest

from tests.conformance.samples import config_map, deployment, pod, service, widget
from tests.conformance.wire import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Client, Namespace, Reply, assert_includes

REJECTED = "the server rejected our request due to an error in our request"
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class TestJsonPatch:
    @pytest.mark.parametrize(
        ("operations", "data"),
        [
            ([{"op": "add", "path": "/data/n", "value": "1"}], {"k": "v", "l": "w", "n": "1"}),
            ([{"op": "add", "path": "/data/k", "value": "1"}], {"k": "1", "l": "w"}),
            ([{"op": "replace", "path": "/data/k", "value": "1"}], {"k": "1", "l": "w"}),
            ([{"op": "replace", "path": "/data/n", "value": "1"}], {"k": "v", "l": "w", "n": "1"}),
            ([{"op": "remove", "path": "/data/k"}], {"l": "w"}),
            ([{"op": "copy", "from": "/data/k", "path": "/data/n"}], {"k": "v", "l": "w", "n": "v"}),
            ([{"op": "move", "from": "/data/k", "path": "/data/n"}], {"l": "w", "n": "v"}),
            (
                [{"op": "test", "path": "/data/k", "value": "v"}, {"op": "replace", "path": "/data/k", "value": "1"}],
                {"k": "1", "l": "w"},
            ),
            ([{"op": "replace", "path": "/data", "value": {"z": "1"}}], {"z": "1"}),
            ([], {"k": "v", "l": "w"}),
        ],
    )
    async def test_operations(
        self, api: Client, ns: Namespace, operations: list[dict[str, Any]], data: dict[str, str]
    ) -> None:
        (await api.post(ns("configmaps"), config_map("a", data={"k": "v", "l": "w"}))).ok(201)
        assert (await api.patch(ns("configmaps", "a"), operations, JSON_PATCH)).ok()["data"] == data
        assert (await api.get(ns("configmaps", "a"))).ok()["data"] == data

    async def test_escaped_paths(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), {"metadata": {"name": "a", "labels": {"x/y": "1", "z": "2"}}})).ok(201)
        operations = [{"op": "remove", "path": "/metadata/labels/x~1y"}]
        updated = (await api.patch(ns("configmaps", "a"), operations, JSON_PATCH)).ok()
        assert updated["metadata"]["labels"] == {"z": "2"}

    async def test_lists(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a", plain=["x", "y"]))).ok(201)
        operations = [
            {"op": "add", "path": "/spec/plain/-", "value": "end"},
            {"op": "add", "path": "/spec/plain/0", "value": "start"},
            {"op": "replace", "path": "/spec/plain/1", "value": "X"},
            {"op": "remove", "path": "/spec/plain/2"},
        ]
        updated = (await api.patch(ns(widgets, "a"), operations, JSON_PATCH)).ok()
        assert updated["spec"]["plain"] == ["start", "X", "end"]

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "test", "path": "/data/k", "value": "other"},
            {"op": "test", "path": "/metadata/resourceVersion", "value": "1"},
            {"op": "add", "path": "/metadata/annotations/x", "value": "y"},
            {"op": "remove", "path": "/data/x"},
            {"op": "nope", "path": "/data/k"},
            {"op": "move", "from": "/data/x", "path": "/data/y"},
        ],
        ids=["test", "version", "no parent", "remove", "unknown", "move"],
    )
    async def test_an_operation_fails(self, api: Client, ns: Namespace, operation: dict[str, Any]) -> None:
        made = (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}))).ok(201)
        operations = [{"op": "replace", "path": "/data/k", "value": "lost"}, operation]
        details = (await api.patch(ns("configmaps", "a"), operations, JSON_PATCH)).refused(422, "Invalid", REJECTED)
        assert details == {}
        assert (await api.get(ns("configmaps", "a"))).ok() == made

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ({"a": "b"}, "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
            ("[{", "unexpected end of JSON input"),
        ],
    )
    async def test_it_is_no_patch(self, api: Client, ns: Namespace, body: Any, why: str) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.patch(ns("configmaps", "a"), body, JSON_PATCH)
        reply.refused(400, "BadRequest", f"error decoding patch: {why}")


class TestMergePatch:
    async def test_null_removes_and_the_rest_stays(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a", data={"k": "v", "l": "w"}))).ok(201)
        updated = (await api.patch(ns("configmaps", "a"), {"data": {"k": None, "m": "n", "x": None}})).ok()
        assert updated["data"] == {"l": "w", "m": "n"}

    async def test_lists_are_replaced(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a", parts=[{"name": "x", "count": 1}, {"name": "y"}]))).ok(201)
        updated = (await api.patch(ns(widgets, "a"), {"spec": {"parts": [{"name": "x"}]}})).ok()
        assert updated["spec"]["parts"] == [{"name": "x", "mode": "plain"}]

    async def test_a_removed_field_is_defaulted(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a", size=5))).ok(201)
        assert (await api.patch(ns(widgets, "a"), {"spec": {"size": None}})).ok()["spec"] == {"size": 1}

    async def test_nothing_changes_nothing(self, api: Client, ns: Namespace, widgets: str) -> None:
        for resource, body in (("configmaps", config_map("a", data={"k": "v"})), (widgets, widget("a"))):
            made = (await api.post(ns(resource), body)).ok(201)
            assert (await api.patch(ns(resource, "a"), {})).ok() == made
            assert (await api.patch(ns(resource, "a"), {"metadata": {"labels": {"x": None}}})).ok() == made

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ("[1]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
            ('"x"', "json: cannot unmarshal string into Go value of type map[string]interface {}"),
            ("{", "unexpected end of JSON input"),
            ("", "unexpected end of JSON input"),
        ],
        ids=["array", "string", "half", "empty"],
    )
    async def test_it_is_no_patch(self, api: Client, ns: Namespace, body: str, why: str) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.patch(ns("configmaps", "a"), body)
        reply.refused(400, "BadRequest", f"error decoding patch: {why}")

    @pytest.mark.parametrize(
        ("spec", "why"),
        [
            ({"size": -1}, "spec.size: Invalid value: -1: spec.size in body should be greater than or equal to 0"),
            (
                {"size": "x"},
                'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"',
            ),
            ({"color": "pink"}, 'spec.color: Unsupported value: "pink": supported values: "red", "green", "blue"'),
        ],
        ids=["minimum", "type", "enum"],
    )
    async def test_the_result_must_be_valid(
        self, api: Client, ns: Namespace, widgets: str, spec: dict[str, Any], why: str
    ) -> None:
        made = (await api.post(ns(widgets), widget("a"))).ok(201)
        reply = await api.patch(ns(widgets, "a"), {"spec": spec})
        reply.refused(422, "Invalid", f'Widget.conformance.example "a" is invalid: {why}')
        assert (await api.get(ns(widgets, "a"))).ok() == made

    async def test_the_kind_cannot_change(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        reply = await api.patch(ns(widgets, "a"), {"kind": "Gadget"})
        why = 'kind: Invalid value: "Gadget": must be Widget'
        reply.refused(422, "Invalid", f'Gadget.conformance.example "a" is invalid: {why}')

    async def test_the_status_alone(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        body = {"spec": {"size": 9}, "status": {"phase": "x"}, "metadata": {"labels": {"x": "y"}}}
        updated = (await api.patch(ns(widgets, "a", "status"), body)).ok()
        assert_includes(updated, {"spec": {"size": 1}, "status": {"phase": "x"}, "metadata": {"labels": None}})
        updated = (await api.patch(ns(widgets, "a"), body)).ok()
        assert_includes(updated, {"spec": {"size": 9}, "status": {"phase": "x"}, "metadata": {"labels": {"x": "y"}}})


class TestStrategicPatch:
    async def test_containers_are_merged_by_name(self, api: Client, ns: Namespace) -> None:
        updated = await _containers(api, ns, [{"name": "a", "image": "a:2"}])
        assert [(each["name"], each["image"]) for each in updated] == [("a", "a:2"), ("b", "b:1")]
        assert updated[0]["args"] == ["1", "2"]

    @pytest.mark.parametrize(
        ("env", "result"),
        [
            ([{"name": "Y", "value": "3"}], {"X": "1", "Y": "3"}),
            ([{"name": "Z", "value": "4"}], {"X": "1", "Y": "2", "Z": "4"}),
            ([{"name": "X", "$patch": "delete"}], {"Y": "2"}),
            ([{"name": "N", "value": "3"}, {"$patch": "replace"}], {"N": "3"}),
            ([], {"X": "1", "Y": "2"}),
            (None, {}),
        ],
        ids=["change", "add", "delete", "replace", "nothing", "null"],
    )
    async def test_environment(self, api: Client, ns: Namespace, env: Any, result: dict[str, str]) -> None:
        first = (await _containers(api, ns, [{"name": "a", "env": env}]))[0]
        assert {each["name"]: each["value"] for each in first.get("env", [])} == result

    async def test_a_plain_list_is_replaced(self, api: Client, ns: Namespace) -> None:
        assert (await _containers(api, ns, [{"name": "a", "args": ["9"]}]))[0]["args"] == ["9"]

    async def test_new_ones_come_first(self, api: Client, ns: Namespace) -> None:
        updated = await _containers(api, ns, [{"name": "c", "image": "c"}])
        assert [each["name"] for each in updated] == ["c", "a", "b"]

    async def test_one_is_deleted(self, api: Client, ns: Namespace) -> None:
        assert [each["name"] for each in await _containers(api, ns, [{"name": "a", "$patch": "delete"}])] == ["b"]

    async def test_order_is_set(self, api: Client, ns: Namespace) -> None:
        await _deployed(api, ns)
        inner = {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": []}
        reply = await _patched(api, ns, {"template": {"spec": inner}})
        assert [each["name"] for each in reply.ok()["spec"]["template"]["spec"]["containers"]] == ["b", "a"]

    async def test_ports_are_merged_by_port(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("services"), service("a"))).ok(201)

        async def ports(change: list[dict[str, Any]]) -> list[tuple[str, int]]:
            reply = await api.patch(ns("services", "a"), {"spec": {"ports": change}}, STRATEGIC_PATCH)
            return [(each["name"], each["port"]) for each in reply.ok()["spec"]["ports"]]

        assert await ports([{"port": 81, "name": "x"}]) == [("x", 81), ("http", 80)]
        assert await ports([{"port": 80, "name": "web"}]) == [("x", 81), ("web", 80)]
        assert await ports([{"port": 81, "$patch": "delete"}]) == [("web", 80)]

    async def test_an_element_without_its_key(self, api: Client, ns: Namespace) -> None:
        await _deployed(api, ns)
        reply = await _patched(api, ns, {"template": {"spec": {"containers": [{"image": "c"}]}}})
        reply.refused(500, "", "map: map[image:c] does not contain declared merge key: name")

    async def test_an_unknown_directive(self, api: Client, ns: Namespace) -> None:
        await _deployed(api, ns)
        reply = await _patched(api, ns, {"template": {"spec": {"containers": [{"name": "a", "$patch": "nope"}]}}})
        reply.refused(500, "", "unknown patch type: nope in map: map[$patch:nope name:a]")

    async def test_a_map_is_replaced(self, api: Client, ns: Namespace) -> None:
        await _deployed(api, ns)
        updated = (await _patched(api, ns, {"strategy": {"$patch": "replace", "type": "Recreate"}})).ok()
        assert updated["spec"]["strategy"] == {"type": "Recreate"}

    async def test_a_map_keeps_some_keys(self, api: Client, ns: Namespace) -> None:
        await _deployed(api, ns)
        updated = (await _patched(api, ns, {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}})).ok()
        assert updated["spec"]["strategy"] == {"type": "Recreate"}

    async def test_a_map_is_deleted(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}))).ok(201)
        updated = (await api.patch(ns("configmaps", "a"), {"data": {"$patch": "delete"}}, STRATEGIC_PATCH)).ok()
        assert "data" not in updated

    async def test_null_is_defaulted(self, api: Client, ns: Namespace) -> None:
        await _deployed(api, ns)
        (await _patched(api, ns, {"replicas": 3})).ok()
        assert (await _patched(api, ns, {"replicas": None})).ok()["spec"]["replicas"] == 1

    async def test_finalizers_are_a_set(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), {"metadata": {"name": "a", "finalizers": ["x.y/b"]}})).ok(201)

        async def finalizers(change: dict[str, Any]) -> list[str]:
            reply = await api.patch(ns("configmaps", "a"), {"metadata": change}, STRATEGIC_PATCH)
            return sorted(reply.ok()["metadata"]["finalizers"])

        assert await finalizers({"finalizers": ["x.y/c"]}) == ["x.y/b", "x.y/c"]
        assert await finalizers({"finalizers": ["x.y/c"]}) == ["x.y/b", "x.y/c"]
        assert await finalizers({"$deleteFromPrimitiveList/finalizers": ["x.y/b"]}) == ["x.y/c"]

    async def test_conditions_are_merged_by_type(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("pods"), pod("a"))).ok(201)
        for kind in ("Ready", "Initialized"):
            body = {"status": {"conditions": [{"type": kind, "status": "True"}]}}
            (await api.patch(ns("pods", "a", "status"), body, STRATEGIC_PATCH)).ok()
        conditions = (await api.get(ns("pods", "a"))).ok()["status"]["conditions"]
        assert sorted(each["type"] for each in conditions) == ["Initialized", "Ready"]

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ("{", "unexpected end of JSON input"),
            ("[]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        ],
    )
    async def test_it_is_no_patch(self, api: Client, ns: Namespace, body: str, why: str) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        (await api.patch(ns("configmaps", "a"), body, STRATEGIC_PATCH)).refused(400, "BadRequest", why)

    async def test_custom_objects_know_none(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        message = (
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        )
        reply = await api.patch(ns(widgets, "a"), {}, STRATEGIC_PATCH)
        reply.refused(415, "UnsupportedMediaType", message)


class TestAnyPatch:
    @pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
    async def test_wrong_content_types(self, api: Client, ns: Namespace, content_type: str) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.patch(ns("configmaps", "a"), {}, content_type)
        reply.refused(415, "UnsupportedMediaType", "415: Unsupported Media Type")

    @pytest.mark.parametrize(("content_type", "body"), [(JSON_PATCH, []), (MERGE_PATCH, {}), (STRATEGIC_PATCH, {})])
    async def test_of_an_unknown_object(self, api: Client, ns: Namespace, content_type: str, body: Any) -> None:
        reply = await api.patch(ns("configmaps", "x"), body, content_type)
        reply.refused(404, "NotFound", 'configmaps "x" not found')

    @pytest.mark.parametrize("content_type", [MERGE_PATCH, STRATEGIC_PATCH])
    async def test_with_an_old_version(self, api: Client, ns: Namespace, content_type: str) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        body = {"metadata": {"resourceVersion": "1"}, "data": {"k": "v"}}
        reply = await api.patch(ns("configmaps", "a"), body, content_type)
        reply.refused(409, "Conflict", f'Operation cannot be fulfilled on configmaps "a": {MODIFIED}')

    async def test_the_name_must_stay(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.patch(ns("configmaps", "a"), {"metadata": {"name": "b"}})
        reply.refused(400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)")

    async def test_a_dry_run_stores_nothing(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        updated = (await api.patch(ns("configmaps", "a"), {"data": {"k": "v"}}, MERGE_PATCH, dryRun="All")).ok()
        assert updated["data"] == {"k": "v"}
        assert (await api.get(ns("configmaps", "a"))).ok() == made

    async def test_force_is_for_apply(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.patch(ns("configmaps", "a"), {}, MERGE_PATCH, force=True)
        why = "force: Forbidden: may not be specified for non-apply patch"
        reply.refused(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {why}')

    @pytest.mark.parametrize("resource", ["configmaps", "widgets"])
    async def test_unknown_fields(self, api: Client, ns: Namespace, widgets: str, resource: str) -> None:
        path, body, change, field = {
            "configmaps": ("configmaps", config_map("a"), {"foo": 1}, "foo"),
            "widgets": (widgets, widget("a"), {"spec": {"foo": 1}}, "spec.foo"),
        }[resource]
        made = (await api.post(ns(path), body)).ok(201)
        reply = await api.patch(ns(path, "a"), change)
        assert reply.ok() == made
        assert reply.warnings == (rf'299 - "unknown field \"{field}\""',)
        reply = await api.patch(ns(path, "a"), change, MERGE_PATCH, fieldValidation="Ignore")
        assert (reply.ok(), reply.warnings) == (made, ())
        reply = await api.patch(ns(path, "a"), change, MERGE_PATCH, fieldValidation="Strict")
        assert (reply.status, reply.json["reason"]) == (422, "Invalid")
        assert reply.json["message"].endswith(f'strict decoding error: unknown field "{field}"')

    async def test_managers(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a", data={"k": "v", "l": "w"}), fieldManager="one")).ok(201)
        change = {"data": {"k": "x", "n": "1"}}
        updated = (await api.patch(ns("configmaps", "a"), change, MERGE_PATCH, fieldManager="two")).ok()
        found = {each["manager"]: each["fieldsV1"] for each in updated["metadata"]["managedFields"]}
        assert found == {
            "one": {"f:data": {".": {}, "f:l": {}}},
            "two": {"f:data": {"f:k": {}, "f:n": {}}},
        }


async def _deployed(api: Client, ns: Namespace) -> None:
    """A deployment with two containers."""
    body = deployment("d")
    env = [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]
    body["spec"]["template"]["spec"]["containers"] = [
        {"name": "a", "image": "a:1", "env": env, "args": ["1", "2"]},
        {"name": "b", "image": "b:1"},
    ]
    (await api.post(ns("apps/v1/deployments"), body)).ok(201)


async def _patched(api: Client, ns: Namespace, spec: dict[str, Any]) -> Reply:
    return await api.patch(ns("apps/v1/deployments", "d"), {"spec": spec}, STRATEGIC_PATCH)


async def _containers(api: Client, ns: Namespace, containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a patch makes of the containers."""
    await _deployed(api, ns)
    reply = await _patched(api, ns, {"template": {"spec": {"containers": containers}}})
    result: list[dict[str, Any]] = reply.ok()["spec"]["template"]["spec"]["containers"]
    return result


class TestNamed:
    """A patch may not make a custom object another kind's, or another version's."""

    CASES: tuple[tuple[dict[str, Any], str, list[str]], ...] = (
        ({"apiVersion": "v9"}, "Widget", ["apiVersion"]),
        ({"apiVersion": "conformance.example/v9"}, "Widget.conformance.example", ["apiVersion"]),
        ({"apiVersion": "other.example/v1"}, "Widget.other.example", ["apiVersion"]),
        ({"kind": "Odd"}, "Odd.conformance.example", ["kind"]),
        ({"apiVersion": "v9", "kind": "Odd"}, "Odd", ["kind", "apiVersion"]),
    )

    @pytest.mark.parametrize(("patch", "named", "fields"), CASES)
    async def test_otherwise(
        self, api: Client, ns: Namespace, widgets: str, patch: dict[str, Any], named: str, fields: list[str]
    ) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        reply = await api.patch(ns(widgets, "a"), patch)
        message = re.compile(re.escape(f'{named} "a" is invalid: ') + ".*")
        details = reply.refused(422, "Invalid", message)
        assert [each["field"] for each in details["causes"]] == fields

    @pytest.mark.parametrize("version", ["", None])
    async def test_of_no_version(self, api: Client, ns: Namespace, widgets: str, version: str | None) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        reply = await api.patch(ns(widgets, "a"), {"apiVersion": version})
        why = "Object 'apiVersion' is missing in 'object has no apiVersion field'"
        reply.refused(500, "InternalError", f"Internal error occurred: {why}")

    @pytest.mark.parametrize("version", ["a/b/c", 5])
    async def test_of_what_is_no_version(self, api: Client, ns: Namespace, widgets: str, version: Any) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        reply = await api.patch(ns(widgets, "a"), {"apiVersion": version})
        reply.refused(422, "Invalid", re.compile(' "" is invalid: patch: Invalid value: .*'))

    @pytest.mark.parametrize("validation", ["Warn", "Ignore", "Strict"])
    async def test_of_no_version_though_built_in(self, api: Client, ns: Namespace, validation: str) -> None:
        (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}))).ok(201)
        patch = [{"op": "remove", "path": "/apiVersion"}]
        reply = await api.patch(ns("configmaps", "a"), patch, JSON_PATCH, fieldValidation=validation)
        unknown = [f'unknown field "{each}"' for each in ("data", "metadata")]
        if validation == "Strict":
            reply.refused(422, "Invalid", re.compile(f".*strict decoding error: {', '.join(unknown)}"))
            return
        reply.refused(400, "BadRequest", re.compile("the name of the object .* was undeterminable: .*"))
        assert len(reply.warnings) == (2 if validation == "Warn" else 0)
