"""Server-side apply: who owns what, and what happens when two disagree."""

import re
from typing import Any

import pytest

from tests.conformance.samples import GROUP, config_map, deployment, service, widget
from tests.conformance.wire import MERGE_PATCH, SOMETHING, Client, Namespace, assert_includes

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def managers(obj: dict[str, Any]) -> dict[tuple[str, str, str], Any]:
    """The fields by manager, operation and subresource."""
    found = obj["metadata"].get("managedFields", [])
    return {(each["manager"], each["operation"], each.get("subresource", "")): each["fieldsV1"] for each in found}


class TestCreate:
    async def test_what_is_not_there_is_created(self, api: Client, ns: Namespace, widgets: str) -> None:
        for resource, body in (("configmaps", config_map("a")), (widgets, widget("a"))):
            made = (await api.apply(ns(resource, "a"), body)).ok(201)
            assert (await api.get(ns(resource, "a"))).ok() == made

    async def test_managed_fields(self, api: Client, ns: Namespace) -> None:
        made = (await api.apply(ns("configmaps", "a"), config_map("a", data={"x": "1", "y": "2"}))).ok(201)
        expected = {
            "manager": "one",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": SOMETHING,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:x": {}, "f:y": {}}},
            "subresource": None,
        }
        assert_includes(made["metadata"]["managedFields"], [expected])

    async def test_with_a_name_alone(self, api: Client, ns: Namespace) -> None:
        made = (await api.apply(ns("configmaps", "a"), config_map("a"))).ok(201)
        assert managers(made) == {}

    async def test_with_a_version_that_nothing_has_it_creates_and_changes_nothing(
        self, api: Client, ns: Namespace, widgets: str
    ) -> None:
        for resource, body in (("configmaps", config_map("a")), (widgets, widget("a")), ("services", service("a"))):
            never = {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}
            made = (await api.apply(ns(resource, "a"), never)).ok(201)
            assert made["metadata"]["resourceVersion"] != "1"
            (await api.apply(ns(resource, "a"), never, manager="two")).refused(
                409, "Conflict", re.compile(f".*: {MODIFIED}")
            )
            assert (await api.get(ns(resource, "a"))).ok() == made

    async def test_yaml(self, api: Client, ns: Namespace) -> None:
        body = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: 'v'\n"
        assert (await api.apply(ns("configmaps", "a"), body)).ok(201)["data"] == {"k": "v"}

    async def test_the_namespace_must_be_there(self, api: Client) -> None:
        reply = await api.apply(Namespace("nowhere")("configmaps", "a"), config_map("a"))
        reply.refused(404, "NotFound", 'namespaces "nowhere" not found')

    async def test_it_must_be_valid(self, api: Client, ns: Namespace, widgets: str) -> None:
        reply = await api.apply(ns(widgets, "a"), widget("a", size=900))
        why = "spec.size: Invalid value: 900: spec.size in body should be less than or equal to 100"
        reply.refused(422, "Invalid", f'Widget.conformance.example "a" is invalid: {why}')

    async def test_a_status_alone_creates_nothing(self, api: Client, ns: Namespace, widgets: str) -> None:
        reply = await api.apply(ns(widgets, "x", "status"), widget("x") | {"status": {"a": "b"}})
        reply.refused(404, "NotFound", 'widgets.conformance.example "x" not found')

    async def test_a_dry_run(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a"), dryRun="All")).ok(201)
        assert (await api.get(ns("configmaps", "a"))).status == 404

    async def test_a_null_that_may_not_be_is_refused(self, api: Client, ns: Namespace, widgets: str) -> None:
        # A create without apply would leave it out.
        body = widget("a") | {"spec": None}
        reply = await api.apply(ns(widgets, "a"), body)
        details = reply.refused(422, "Invalid", re.compile(".*spec in body must be of type object.*"))
        assert "spec" in [each["field"] for each in details["causes"]]
        (await api.post(ns(widgets), body)).ok(201)


class TestMerge:
    async def test_the_same_again_changes_nothing(self, api: Client, ns: Namespace, widgets: str) -> None:
        for resource, body in (("configmaps", config_map("a", data={"k": "v"})), (widgets, widget("a", size=2))):
            made = (await api.apply(ns(resource, "a"), body)).ok(201)
            assert (await api.apply(ns(resource, "a"), body)).ok() == made

    async def test_own_values_change(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}))).ok(201)
        updated = (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "w", "l": "x"}))).ok()
        assert updated["data"] == {"k": "w", "l": "x"}

    async def test_others_fields_stay(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}), "one")).ok(201)
        updated = (await api.apply(ns("configmaps", "a"), config_map("a", data={"l": "w"}), "two")).ok()
        assert updated["data"] == {"k": "v", "l": "w"}
        assert managers(updated) == {
            ("one", "Apply", ""): {"f:data": {"f:k": {}}},
            ("two", "Apply", ""): {"f:data": {"f:l": {}}},
        }

    async def test_agreeing_is_sharing(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}), "one")).ok(201)
        updated = (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}), "two")).ok()
        fields: dict[str, Any] = {"f:data": {"f:k": {}}}
        assert managers(updated) == {("one", "Apply", ""): fields, ("two", "Apply", ""): fields}

    async def test_a_dry_run(self, api: Client, ns: Namespace) -> None:
        made = (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}))).ok(201)
        body = config_map("a", data={"k": "w"})
        assert (await api.apply(ns("configmaps", "a"), body, dryRun="All")).ok()["data"] == {"k": "w"}
        assert (await api.get(ns("configmaps", "a"))).ok() == made

    async def test_metadata(self, api: Client, ns: Namespace) -> None:
        def body(**labels: str) -> dict[str, Any]:
            return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": labels}}

        (await api.apply(ns("configmaps", "a"), body(x="1", y="2"), "one")).ok(201)
        (await api.apply(ns("configmaps", "a"), body(z="3"), "two")).ok()
        updated = (await api.apply(ns("configmaps", "a"), body(x="4"), "one")).ok()
        assert updated["metadata"]["labels"] == {"x": "4", "z": "3"}
        assert managers(updated)["one", "Apply", ""] == {"f:metadata": {"f:labels": {"f:x": {}}}}


class TestGivingUp:
    async def test_a_field_left_out_is_removed(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v", "l": "w"}))).ok(201)
        updated = (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}))).ok()
        assert updated["data"] == {"k": "v"}
        assert managers(updated) == {("one", "Apply", ""): {"f:data": {"f:k": {}}}}

    async def test_a_shared_field_stays(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}), "one")).ok(201)
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}), "two")).ok()
        updated = (await api.apply(ns("configmaps", "a"), config_map("a"), "one")).ok()
        assert updated["data"] == {"k": "v"}
        assert managers(updated) == {("two", "Apply", ""): {"f:data": {"f:k": {}}}}

    async def test_a_field_that_an_update_took_stays(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}), "one")).ok(201)
        (await api.patch(ns("configmaps", "a"), {"data": {"k": "w"}}, MERGE_PATCH, fieldManager="two")).ok()
        updated = (await api.apply(ns("configmaps", "a"), config_map("a"), "one")).ok()
        assert updated["data"] == {"k": "w"}
        assert managers(updated) == {("two", "Update", ""): {"f:data": {"f:k": {}}}}

    async def test_a_default_comes_back(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.apply(ns(widgets, "a"), widget("a", size=7))).ok(201)
        assert (await api.apply(ns(widgets, "a"), widget("a"))).ok()["spec"] == {"size": 1}

    async def test_all_of_them(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}))).ok(201)
        updated = (await api.apply(ns("configmaps", "a"), config_map("a"))).ok()
        assert "data" not in updated
        assert managers(updated) == {}


class TestConflicts:
    async def test_with_one_field(self, api: Client, ns: Namespace) -> None:
        made = (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}), "one")).ok(201)
        reply = await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "w"}), "two")
        details = reply.refused(409, "Conflict", 'Apply failed with 1 conflict: conflict with "one": .data.k')
        cause = {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.k"}
        assert details == {"causes": [cause]}
        assert (await api.get(ns("configmaps", "a"))).ok() == made

    async def test_with_several_fields(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v", "l": "v"}), "one")).ok(201)
        reply = await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "w", "l": "w"}), "two")
        message = 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.k\n- .data.l'
        reply.refused(409, "Conflict", message)

    async def test_with_several_managers(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}), "one")).ok(201)
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"l": "v"}), "two")).ok()
        reply = await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "w", "l": "w"}), "three")
        message = 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.k\nconflicts with "two":\n- .data.l'
        reply.refused(409, "Conflict", message)

    async def test_with_an_update(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}), fieldManager="other")).ok(201)
        reply = await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "w"}))
        message = 'Apply failed with 1 conflict: conflict with "other" using v1: .data.k'
        reply.refused(409, "Conflict", message)

    async def test_own_updates_conflict_too(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}), fieldManager="one")).ok(201)
        reply = await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "w"}), "one")
        message = 'Apply failed with 1 conflict: conflict with "one" using v1: .data.k'
        reply.refused(409, "Conflict", message)

    async def test_with_updates_before_the_first_apply(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a", size=2))).ok(201)
        # Nobody is known to own anything any more.
        (await api.patch(ns(widgets, "a"), {"metadata": {"managedFields": [{}]}})).ok()
        reply = await api.apply(ns(widgets, "a"), widget("a", size=3))
        who = f'"before-first-apply" using {GROUP}/v1'
        reply.refused(409, "Conflict", f"Apply failed with 1 conflict: conflict with {who}: .spec.size")

    async def test_force_takes_over(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v", "l": "v"}), "one")).ok(201)
        updated = (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "w"}), "two", force=True)).ok()
        assert updated["data"] == {"k": "w", "l": "v"}
        assert managers(updated) == {
            ("one", "Apply", ""): {"f:data": {"f:l": {}}},
            ("two", "Apply", ""): {"f:data": {"f:k": {}}},
        }

    async def test_an_update_takes_over(self, api: Client, ns: Namespace) -> None:
        made = (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v", "l": "v"}), "one")).ok(201)
        changed = made | {"data": {"k": "w", "l": "v"}}
        updated = (await api.put(ns("configmaps", "a"), changed, fieldManager="two")).ok()
        assert managers(updated) == {
            ("one", "Apply", ""): {"f:data": {"f:l": {}}},
            ("two", "Update", ""): {"f:data": {"f:k": {}}},
        }

    async def test_a_container_of_a_deployment(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("apps/v1/deployments", "a"), deployment("a"), "one")).ok(201)
        body = deployment("a")
        body["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
        reply = await api.apply(ns("apps/v1/deployments", "a"), body, "two")
        path = '.spec.template.spec.containers[name="main"].image'
        reply.refused(409, "Conflict", f'Apply failed with 1 conflict: conflict with "one": {path}')


class TestLists:
    async def test_a_map_is_merged_by_its_key(self, api: Client, ns: Namespace, widgets: str) -> None:
        parts = [{"name": "a", "count": 1}, {"name": "b", "count": 2}]
        (await api.apply(ns(widgets, "w"), widget("w", parts=parts), "one")).ok(201)
        parts = [{"name": "b", "mode": "fancy"}, {"name": "c"}]
        updated = (await api.apply(ns(widgets, "w"), widget("w", parts=parts), "two")).ok()
        assert updated["spec"]["parts"] == [
            {"name": "a", "count": 1, "mode": "plain"},
            {"name": "b", "count": 2, "mode": "fancy"},
            {"name": "c", "mode": "plain"},
        ]
        assert managers(updated)["two", "Apply", ""] == {
            "f:spec": {
                "f:parts": {
                    'k:{"name":"b"}': {".": {}, "f:mode": {}, "f:name": {}},
                    'k:{"name":"c"}': {".": {}, "f:name": {}},
                }
            }
        }

    async def test_a_map_loses_what_nobody_wants(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.apply(ns(widgets, "w"), widget("w", parts=[{"name": "a"}, {"name": "b"}]), "one")).ok(201)
        (await api.apply(ns(widgets, "w"), widget("w", parts=[{"name": "b"}]), "two")).ok()
        updated = (await api.apply(ns(widgets, "w"), widget("w"), "one")).ok()
        assert [each["name"] for each in updated["spec"]["parts"]] == ["b"]

    async def test_a_set_is_united(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.apply(ns(widgets, "w"), widget("w", tags=["x", "y"]), "one")).ok(201)
        (await api.apply(ns(widgets, "w"), widget("w", tags=["y", "z"]), "two")).ok()
        updated = (await api.apply(ns(widgets, "w"), widget("w", tags=["x"]), "one")).ok()
        assert updated["spec"]["tags"] == ["x", "y", "z"]
        assert managers(updated)["one", "Apply", ""] == {"f:spec": {"f:tags": {'v:"x"': {}}}}
        updated = (await api.apply(ns(widgets, "w"), widget("w"), "two")).ok()
        assert updated["spec"]["tags"] == ["x"]

    @pytest.mark.parametrize(
        ("first", "second", "path"),
        [
            ({"plain": ["p"]}, {"plain": ["q"]}, ".spec.plain"),
            ({"exact": {"a": "1"}}, {"exact": {"b": "2"}}, ".spec.exact"),
            ({"settings": {"k": "v"}}, {"settings": {"k": "w"}}, ".spec.settings.k"),
            (
                {"parts": [{"name": "a", "count": 1}]},
                {"parts": [{"name": "a", "count": 2}]},
                '.spec.parts[name="a"].count',
            ),
            ({"free": {"x": {"y": 1}}}, {"free": {"x": {"y": 2}}}, ".spec.free.x.y"),
        ],
        ids=["atomic list", "atomic map", "map", "list map", "unknown"],
    )
    async def test_conflicts(
        self, api: Client, ns: Namespace, widgets: str, first: dict[str, Any], second: dict[str, Any], path: str
    ) -> None:
        (await api.apply(ns(widgets, "w"), widget("w", **first), "one")).ok(201)
        reply = await api.apply(ns(widgets, "w"), widget("w", **second), "two")
        reply.refused(409, "Conflict", f'Apply failed with 1 conflict: conflict with "one": {path}')

    async def test_atomic_ones_are_owned_whole(self, api: Client, ns: Namespace, widgets: str) -> None:
        body = widget("w", plain=["p", "q"], exact={"a": "1"})
        made = (await api.apply(ns(widgets, "w"), body)).ok(201)
        assert managers(made) == {("one", "Apply", ""): {"f:spec": {"f:exact": {}, "f:plain": {}}}}

    async def test_ports_of_a_service(self, api: Client, ns: Namespace) -> None:
        made = (await api.apply(ns("services", "a"), service("a"))).ok(201)
        ports: dict[str, Any] = {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}}
        assert managers(made) == {("one", "Apply", ""): {"f:spec": {"f:ports": ports, "f:selector": {}}}}

    async def test_environment_of_a_container(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("apps/v1/deployments", "a"), deployment("a"), "one")).ok(201)
        container = {"name": "main", "env": [{"name": "A", "value": "b"}]}
        body = deployment("a") | {"spec": {"template": {"spec": {"containers": [container]}}}}
        updated = (await api.apply(ns("apps/v1/deployments", "a"), body, "two")).ok()
        assert_includes(
            updated["spec"]["template"]["spec"]["containers"],
            [{"name": "main", "image": "example/main:1", "env": [{"name": "A", "value": "b"}]}],
        )
        env: dict[str, Any] = {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}}
        containers = {'k:{"name":"main"}': {".": {}, "f:env": env, "f:name": {}}}
        expected = {"f:spec": {"f:template": {"f:spec": {"f:containers": containers}}}}
        assert managers(updated)["two", "Apply", ""] == expected


class TestRefused:
    BODIES = (
        ("no apiVersion", {"kind": "ConfigMap", "metadata": {"name": "a"}}, "invalid object type: /, Kind=ConfigMap"),
        ("no kind", {"apiVersion": "v1", "metadata": {"name": "a"}}, "invalid object type: /v1, Kind="),
        ("kind", config_map("a") | {"kind": "Secret"}, "invalid object type: /v1, Kind=Secret"),
        ("version", config_map("a") | {"apiVersion": "v2"}, "invalid object type: /v2, Kind=ConfigMap"),
        ("name", config_map("b"), "the name of the object (b) does not match the name on the URL (a)"),
        (
            "managed fields",
            config_map("a") | {"metadata": {"name": "a", "managedFields": []}},
            "metadata.managedFields must be nil",
        ),
        (
            "yaml",
            "a: [",
            "error decoding YAML: error converting YAML to JSON: yaml: line 1: did not find expected node content",
        ),
        (
            "scalar",
            "hello",
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go "
            "value of type map[string]interface {}",
        ),
    )

    @pytest.mark.parametrize(("body", "message"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
    async def test_bodies(self, api: Client, ns: Namespace, body: Any, message: str) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        (await api.apply(ns("configmaps", "a"), body)).refused(400, "BadRequest", message)

    async def test_no_name(self, api: Client, ns: Namespace) -> None:
        reply = await api.apply(ns("configmaps", "a"), config_map("a") | {"metadata": {}})
        message = "the name of the object (a based on URL) was undeterminable: name must be provided"
        reply.refused(400, "BadRequest", message)

    async def test_no_name_of_what_is_there(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        assert (await api.apply(ns("configmaps", "a"), config_map("a") | {"metadata": {}})).ok() == made

    async def test_no_manager(self, api: Client, ns: Namespace) -> None:
        reply = await api.apply(ns("configmaps", "a"), config_map("a"), None)
        why = "fieldManager: Required value: is required for apply patch"
        reply.refused(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {why}')

    FIELDS = (
        ({"nope": "x"}, ".spec.nope: field not declared in schema"),
        ({"parts": "x"}, ".spec.parts: expected list, got &{x}"),
        ({"parts": [{"name": "b"}, {"name": "b"}]}, '.spec.parts: duplicate entries for key [name="b"]'),
        ({"tags": ["x", "x"]}, '.spec.tags: duplicate entries for key [="x"]'),
        (
            {"parts": [{"count": 2}]},
            ".spec.parts: element 0: associative list with keys has an element that omits all key fields "
            '["name"] (and doesn\'t have default values for any key fields)',
        ),
    )

    @pytest.mark.parametrize(("spec", "why"), FIELDS, ids=["unknown", "type", "twice", "set", "no key"])
    async def test_fields(self, api: Client, ns: Namespace, widgets: str, spec: dict[str, Any], why: str) -> None:
        reply = await api.apply(ns(widgets, "w"), widget("w", **spec))
        message = f"failed to create typed patch object (/w; {GROUP}/v1, Kind=Widget): {why}"
        reply.refused(500, "", message)

    @pytest.mark.parametrize("validation", ["Warn", "Ignore", "Strict"])
    async def test_unknown_fields_whatever_validation_says(self, api: Client, ns: Namespace, validation: str) -> None:
        reply = await api.apply(ns("configmaps", "a"), config_map("a", foo=1), fieldValidation=validation)
        why = ".foo: field not declared in schema"
        reply.refused(500, "", f"failed to create typed patch object (/a; /v1, Kind=ConfigMap): {why}")

    async def test_an_old_version(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        body = config_map("a") | {"metadata": {"name": "a", "resourceVersion": "1"}}
        reply = await api.apply(ns("configmaps", "a"), body)
        reply.refused(409, "Conflict", f'Operation cannot be fulfilled on configmaps "a": {MODIFIED}')


class TestSubresources:
    def status(self, **fields: Any) -> dict[str, Any]:
        return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": "w"}, "status": fields}

    async def test_the_status_is_owned_apart(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.apply(ns(widgets, "w"), widget("w", size=2), "one")).ok(201)
        updated = (await api.apply(ns(widgets, "w", "status"), self.status(phase="x"), "one")).ok()
        assert updated["status"] == {"phase": "x"}
        assert managers(updated) == {
            ("one", "Apply", ""): {"f:spec": {"f:size": {}}},
            ("one", "Apply", "status"): {"f:status": {"f:phase": {}}},
        }

    async def test_the_status_changes_nothing_else(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.apply(ns(widgets, "w"), widget("w", size=2), "one")).ok(201)
        body = self.status(phase="x") | {"spec": {"size": 9}}
        updated = (await api.apply(ns(widgets, "w", "status"), body, "two")).ok()
        assert_includes(updated, {"spec": {"size": 2}, "status": {"phase": "x"}})
        assert managers(updated)["two", "Apply", "status"] == {"f:status": {"f:phase": {}}}

    async def test_an_apply_of_the_rest_ignores_the_status(self, api: Client, ns: Namespace, widgets: str) -> None:
        made = (await api.apply(ns(widgets, "w"), self.status(phase="x") | {"spec": {"size": 2}}, "one")).ok(201)
        assert "status" not in made
        assert managers(made) == {("one", "Apply", ""): {"f:spec": {"f:size": {}}}}

    async def test_the_status_is_given_up(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.apply(ns(widgets, "w"), widget("w"), "one")).ok(201)
        (await api.apply(ns(widgets, "w", "status"), self.status(phase="x", count=1), "two")).ok()
        updated = (await api.apply(ns(widgets, "w", "status"), self.status(count=1), "two")).ok()
        assert updated["status"] == {"count": 1}

    async def test_scaling_moves_the_generation(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("apps/v1/deployments", "a"), deployment("a"))).ok(201)
        (await api.patch(ns("apps/v1/deployments", "a", "scale"), {"spec": {"replicas": 4}})).ok()
        # Whoever applies no replicas keeps what scaling has set.
        updated = (await api.apply(ns("apps/v1/deployments", "a"), deployment("a"))).ok()
        assert_includes(updated, {"spec": {"replicas": 4}, "metadata": {"generation": 2}})


class TestManagedFields:
    async def test_they_can_be_thrown_away(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}))).ok(201)
        updated = (await api.patch(ns("configmaps", "a"), {"metadata": {"managedFields": [{}]}})).ok()
        assert managers(updated) == {}

    async def test_an_update_cannot_forge_them(self, api: Client, ns: Namespace) -> None:
        made = (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}))).ok(201)
        forged = {"manager": "x", "operation": "Nope", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}}
        updated = (await api.patch(ns("configmaps", "a"), {"metadata": {"managedFields": [forged]}})).ok()
        assert updated == made

    async def test_an_update_without_them_keeps_them(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v"}))).ok(201)
        updated = (await api.put(ns("configmaps", "a"), config_map("a", data={"k": "v"}))).ok()
        assert managers(updated) == {("one", "Apply", ""): {"f:data": {"f:k": {}}}}

    async def test_updates_of_one_manager_are_one_entry(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}), fieldManager="one")).ok(201)
        updated = (await api.patch(ns("configmaps", "a"), {"data": {"l": "w"}}, MERGE_PATCH, fieldManager="one")).ok()
        assert managers(updated) == {("one", "Update", ""): {"f:data": {".": {}, "f:k": {}, "f:l": {}}}}

    async def test_a_removed_field_has_no_owner(self, api: Client, ns: Namespace) -> None:
        (await api.apply(ns("configmaps", "a"), config_map("a", data={"k": "v", "l": "w"}))).ok(201)
        updated = (await api.patch(ns("configmaps", "a"), {"data": {"k": None}}, MERGE_PATCH, fieldManager="two")).ok()
        assert managers(updated) == {("one", "Apply", ""): {"f:data": {"f:l": {}}}}
