"""PUT: who wins, what it may not change, and what moves the generation."""

import re
from typing import Any

import pytest

from tests.conformance.samples import config_map, deployment, job, pod, service, template, widget
from tests.conformance.wire import STRATEGIC_PATCH, Client, Namespace, assert_includes, without

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class TestConcurrency:
    async def test_with_the_current_version(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}))).ok(201)
        updated = (await api.put(ns("configmaps", "a"), made | {"data": {"k": "w"}})).ok()
        assert updated["data"] == {"k": "w"}
        assert int(updated["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
        assert (await api.get(ns("configmaps", "a"))).ok() == updated

    async def test_with_an_old_version(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        (await api.put(ns("configmaps", "a"), made | {"data": {"k": "w"}})).ok()
        details = (await api.put(ns("configmaps", "a"), made | {"data": {"k": "x"}})).refused(
            409, "Conflict", f'Operation cannot be fulfilled on configmaps "a": {MODIFIED}'
        )
        assert details == {"name": "a", "kind": "configmaps"}

    async def test_of_a_custom_object_with_an_old_version(self, api: Client, ns: Namespace, widgets: str) -> None:
        made = (await api.post(ns(widgets), widget("a"))).ok(201)
        (await api.put(ns(widgets, "a"), made | {"spec": {"size": 2}})).ok()
        details = (await api.put(ns(widgets, "a"), made | {"spec": {"size": 3}})).refused(
            409, "Conflict", f'Operation cannot be fulfilled on widgets.conformance.example "a": {MODIFIED}'
        )
        assert details == {"name": "a", "group": "conformance.example", "kind": "widgets"}

    async def test_with_an_old_version_even_if_nothing_changes(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        updated = (await api.put(ns("configmaps", "a"), made | {"data": {"k": "w"}})).ok()
        updated["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
        assert (await api.put(ns("configmaps", "a"), updated)).status == 409

    async def test_with_a_version_to_come(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.put(ns("configmaps", "a"), {"metadata": {"name": "a", "resourceVersion": "999999999"}})
        reply.refused(409, "Conflict", f'Operation cannot be fulfilled on configmaps "a": {MODIFIED}')

    @pytest.mark.parametrize("version", [None, "", "0"])
    async def test_without_a_version_it_is_unconditional(self, api: Client, ns: Namespace, version: str | None) -> None:
        (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}))).ok(201)
        metadata = {"name": "a"} | ({} if version is None else {"resourceVersion": version})
        updated = (await api.put(ns("configmaps", "a"), {"metadata": metadata, "data": {"l": "w"}})).ok()
        assert updated["data"] == {"l": "w"}

    @pytest.mark.parametrize("subresource", [(), ("status",)])
    async def test_a_custom_object_needs_a_version(
        self, api: Client, ns: Namespace, widgets: str, subresource: tuple[str, ...]
    ) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        reply = await api.put(ns(widgets, "a", *subresource), widget("a", size=2))
        why = "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
        reply.refused(422, "Invalid", f'widgets.conformance.example "a" is invalid: {why}')

    async def test_nothing_changed_keeps_the_version(self, api: Client, ns: Namespace, widgets: str) -> None:
        for resource, body in (("configmaps", config_map("a")), (widgets, widget("a"))):
            made = (await api.post(ns(resource), body)).ok(201)
            assert (await api.put(ns(resource, "a"), made)).ok() == made

    async def test_with_the_uid_of_another(self, api: Client, ns: Namespace) -> None:
        uid = (await api.post(ns("configmaps"), config_map("a"))).ok(201)["metadata"]["uid"]
        reply = await api.put(ns("configmaps", "a"), {"metadata": {"name": "a", "uid": "other"}})
        why = f"Precondition failed: UID in precondition: other, UID in object meta: {uid}"
        message = re.compile(f'Operation cannot be fulfilled on configmaps "a": StorageError: .*{why}')
        reply.refused(409, "Conflict", message)

    async def test_of_an_unknown_object(self, api: Client, ns: Namespace, widgets: str) -> None:
        for metadata in ({"name": "x"}, {"name": "x", "resourceVersion": "1"}, {"name": "x", "uid": "u"}):
            reply = await api.put(ns("configmaps", "x"), {"metadata": metadata})
            reply.refused(404, "NotFound", 'configmaps "x" not found')
        metadata = {"name": "x", "resourceVersion": "1"}
        reply = await api.put(ns(widgets, "x"), widget("x") | {"metadata": metadata})
        reply.refused(404, "NotFound", 'widgets.conformance.example "x" not found')


class TestAddress:
    @pytest.mark.parametrize(
        ("metadata", "message"),
        [
            ({"name": "b"}, "the name of the object (b) does not match the name on the URL (a)"),
            ({}, "the name of the object (a based on URL) was undeterminable: name must be provided"),
            (
                {"name": "a", "namespace": "other"},
                "the namespace of the provided object does not match the namespace sent on the request",
            ),
        ],
        ids=["name", "no name", "namespace"],
    )
    async def test_it_must_be_the_object(
        self, api: Client, ns: Namespace, widgets: str, metadata: dict[str, str], message: str
    ) -> None:
        for resource, body in (("configmaps", config_map("a")), (widgets, widget("a"))):
            (await api.post(ns(resource), body)).ok(201)
            (await api.put(ns(resource, "a"), body | {"metadata": metadata})).refused(400, "BadRequest", message)

    async def test_the_namespace_may_be_left_out(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        assert (await api.put(ns("configmaps", "a"), config_map("a"))).ok()["metadata"]["namespace"] == ns.name


class TestMetadata:
    async def test_what_the_server_sets_stays(self, api: Client, ns: Namespace, widgets: str) -> None:
        made = (await api.post(ns(widgets), widget("a"))).ok(201)
        kept = ("uid", "creationTimestamp", "generation")
        metadata = {"name": "a", "resourceVersion": made["metadata"]["resourceVersion"]}
        updated = (await api.put(ns(widgets, "a"), widget("a") | {"metadata": metadata})).ok()
        assert {each: updated["metadata"][each] for each in kept} == {each: made["metadata"][each] for each in kept}

    async def test_labels_left_out_are_removed(self, api: Client, ns: Namespace) -> None:
        body = {"metadata": {"name": "a", "labels": {"x": "y"}, "annotations": {"x": "y"}}}
        (await api.post(ns("configmaps"), body)).ok(201)
        updated = (await api.put(ns("configmaps", "a"), config_map("a"))).ok()
        assert_includes(updated["metadata"], {"labels": None, "annotations": None})

    @pytest.mark.parametrize(
        ("field", "value"), [("uid", "other"), ("deletionTimestamp", "2001-01-01T00:00:00Z")], ids=["uid", "deletion"]
    )
    async def test_immutable(self, api: Client, ns: Namespace, widgets: str, field: str, value: str) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        reply = await api.patch(ns(widgets, "a"), {"metadata": {field: value}})
        why = f'metadata.{field}: Invalid value: "{value}": field is immutable'
        reply.refused(422, "Invalid", f'Widget.conformance.example "a" is invalid: {why}')

    @pytest.mark.parametrize(("field", "value"), [("generation", 99), ("creationTimestamp", "2001-01-01T00:00:00Z")])
    async def test_ignored(self, api: Client, ns: Namespace, widgets: str, field: str, value: Any) -> None:
        made = (await api.post(ns(widgets), widget("a"))).ok(201)
        assert (await api.patch(ns(widgets, "a"), {"metadata": {field: value}})).ok() == made


class TestGeneration:
    async def test_of_a_custom_object(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        generations = []
        for path, change in (
            ((), {"metadata": {"labels": {"x": "y"}}}),
            ((), {"metadata": {"annotations": {"x": "y"}}}),
            ((), {"spec": {"size": 2}}),
            ((), {"spec": {"size": 2}}),
            (("status",), {"status": {"phase": "x"}}),
            (("scale",), {"spec": {"replicas": 2}}),
            ((), {"spec": {"size": 3}, "metadata": {"labels": {"x": "z"}}}),
        ):
            (await api.patch(ns(widgets, "a", *path), change)).ok()
            generations.append((await api.get(ns(widgets, "a"))).ok()["metadata"]["generation"])
        assert generations == [1, 1, 2, 2, 2, 3, 4]

    async def test_of_a_deployment(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        generations = []
        for path, change in (
            ((), {"metadata": {"labels": {"x": "y"}}}),
            ((), {"metadata": {"annotations": {"x": "y"}}}),
            ((), {"spec": {"replicas": 2}}),
            (("status",), {"status": {"replicas": 2}}),
            (("scale",), {"spec": {"replicas": 3}}),
            ((), {"spec": {"paused": True}}),
        ):
            (await api.patch(ns("apps/v1/deployments", "a", *path), change)).ok()
            generations.append((await api.get(ns("apps/v1/deployments", "a"))).ok()["metadata"]["generation"])
        # Annotations of a Deployment count, since those of its last rollout are among them.
        assert generations == [1, 2, 3, 3, 4, 5]


class TestStatus:
    async def test_a_put_of_a_custom_object_ignores_it(self, api: Client, ns: Namespace, widgets: str) -> None:
        made = (await api.post(ns(widgets), widget("a"))).ok(201)
        updated = (await api.put(ns(widgets, "a"), made | {"spec": {"size": 2}, "status": {"phase": "x"}})).ok()
        assert_includes(updated, {"spec": {"size": 2}, "status": None})

    async def test_a_put_of_a_custom_object_keeps_it(self, api: Client, ns: Namespace, widgets: str) -> None:
        made = (await api.post(ns(widgets), widget("a"))).ok(201)
        made = (await api.put(ns(widgets, "a", "status"), made | {"status": {"phase": "x"}})).ok()
        updated = (await api.put(ns(widgets, "a"), without(made, "status") | {"spec": {"size": 2}})).ok()
        assert_includes(updated, {"spec": {"size": 2}, "status": {"phase": "x"}})

    async def test_a_put_of_a_custom_status_ignores_the_rest(self, api: Client, ns: Namespace, widgets: str) -> None:
        made = (await api.post(ns(widgets), widget("a", size=1))).ok(201)
        metadata = made["metadata"] | {"labels": {"x": "y"}, "annotations": {"x": "y"}, "finalizers": ["x.y/z"]}
        body = made | {"spec": {"size": 9}, "status": {"phase": "x"}, "metadata": metadata}
        updated = (await api.put(ns(widgets, "a", "status"), body)).ok()
        assert_includes(updated, {"spec": {"size": 1}, "status": {"phase": "x"}})
        assert_includes(updated["metadata"], {"labels": None, "annotations": None, "finalizers": None})

    async def test_a_custom_status_is_read_as_the_whole_object(self, api: Client, ns: Namespace, widgets: str) -> None:
        made = (await api.post(ns(widgets), widget("a", size=1))).ok(201)
        assert (await api.get(ns(widgets, "a", "status"))).ok() == made

    async def test_a_put_of_a_deployment_ignores_it(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        body = deployment("a", replicas=2) | {"status": {"replicas": 2}}
        updated = (await api.put(ns("apps/v1/deployments", "a"), body)).ok()
        assert_includes(updated, {"spec": {"replicas": 2}, "status": {"replicas": None}})

    async def test_a_put_of_a_deployments_status_ignores_the_rest(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        made["spec"]["replicas"] = 9
        updated = (await api.put(ns("apps/v1/deployments", "a", "status"), made | {"status": {"replicas": 2}})).ok()
        assert_includes(updated, {"spec": {"replicas": 1}, "status": {"replicas": 2}})

    async def test_a_put_of_a_pods_status(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("pods"), pod("a"))).ok(201)
        assert_includes(made["status"], {"phase": "Pending", "qosClass": "BestEffort"})
        condition = {"type": "Ready", "status": "True"}
        body = made | {"status": {"phase": "Running", "conditions": [condition], "podIP": "10.1.2.3"}}
        updated = (await api.put(ns("pods", "a", "status"), body)).ok()
        expected = {"phase": "Running", "podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}], "qosClass": "BestEffort"}
        assert_includes(updated["status"], expected)
        assert_includes(updated["status"]["conditions"], [condition])

    async def test_managed_fields_tell_the_status_apart(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a", size=1), fieldManager="me")).ok(201)
        status = {"status": {"phase": "x"}}
        updated = (await api.patch(ns(widgets, "a", "status"), status, fieldManager="me")).ok()
        found = [
            (each["manager"], each.get("subresource"), each["fieldsV1"])
            for each in updated["metadata"]["managedFields"]
        ]
        assert found == [
            ("me", None, {"f:spec": {".": {}, "f:size": {}}}),
            ("me", "status", {"f:status": {".": {}, "f:phase": {}}}),
        ]


class TestScale:
    async def test_of_a_deployment(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("apps/v1/deployments"), deployment("a", replicas=2))).ok(201)
        assert_includes(
            (await api.get(ns("apps/v1/deployments", "a", "scale"))).ok(),
            {
                "kind": "Scale",
                "apiVersion": "autoscaling/v1",
                "metadata": {
                    "name": "a",
                    "namespace": ns.name,
                    "uid": made["metadata"]["uid"],
                    "resourceVersion": made["metadata"]["resourceVersion"],
                    "creationTimestamp": made["metadata"]["creationTimestamp"],
                },
                "spec": {"replicas": 2},
                "status": {"replicas": 0, "selector": "app=a"},
            },
        )

    async def test_a_put_sets_replicas(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        body = {"metadata": {"name": "a"}, "spec": {"replicas": 5}}
        assert (await api.put(ns("apps/v1/deployments", "a", "scale"), body)).ok()["spec"] == {"replicas": 5}
        assert (await api.get(ns("apps/v1/deployments", "a"))).ok()["spec"]["replicas"] == 5

    async def test_a_put_with_an_old_version(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        (await api.patch(ns("apps/v1/deployments", "a", "scale"), {"spec": {"replicas": 2}})).ok()
        metadata = {"name": "a", "resourceVersion": made["metadata"]["resourceVersion"]}
        body = {"metadata": metadata, "spec": {"replicas": 5}}
        reply = await api.put(ns("apps/v1/deployments", "a", "scale"), body)
        reply.refused(409, "Conflict", f'Operation cannot be fulfilled on deployments.apps "a": {MODIFIED}')

    async def test_negative_replicas(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        reply = await api.patch(ns("apps/v1/deployments", "a", "scale"), {"spec": {"replicas": -5}})
        why = "spec.replicas: Invalid value: -5: must be greater than or equal to 0"
        reply.refused(422, "Invalid", f'Scale.autoscaling "a" is invalid: {why}')

    async def test_the_name_must_match(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        body = {"metadata": {"name": "b"}, "spec": {"replicas": 5}}
        reply = await api.put(ns("apps/v1/deployments", "a", "scale"), body)
        message = "the name of the object (b) does not match the name on the URL (a)"
        reply.refused(400, "BadRequest", message)

    async def test_of_an_unknown_object(self, api: Client, ns: Namespace) -> None:
        message = 'deployments.apps "x" not found'
        (await api.get(ns("apps/v1/deployments", "x", "scale"))).refused(404, "NotFound", message)


class TestImmutable:
    async def test_selector_of_a_deployment(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        changed = deployment("a", selector={"matchLabels": {"app": "x"}}, template=template("x"))
        why = 'Invalid value: {"matchLabels":{"app":"x"}}: field is immutable'
        details = (await api.put(ns("apps/v1/deployments", "a"), changed)).refused(
            422, "Invalid", f'Deployment.apps "a" is invalid: spec.selector: {why}'
        )
        cause = {"reason": "FieldValueInvalid", "message": why, "field": "spec.selector"}
        assert details == {"name": "a", "group": "apps", "kind": "Deployment", "causes": [cause]}

    @pytest.mark.parametrize(
        "change",
        [
            {"spec": {"nodeName": "x"}},
            {"spec": {"restartPolicy": "Never"}},
            {"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "1"}}}]}},
            {"spec": {"containers": [{"name": "main", "env": [{"name": "X", "value": "y"}]}]}},
        ],
        ids=["nodeName", "restartPolicy", "resources", "env"],
    )
    async def test_of_a_pod(self, api: Client, ns: Namespace, change: dict[str, Any]) -> None:
        (await api.post(ns("pods"), pod("a"))).ok(201)
        reply = await api.patch(ns("pods", "a"), change, STRATEGIC_PATCH)
        why = (
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
            "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if "
            "it was previously negative)"
        )
        # What follows is the difference between the two as Go prints it.
        message = re.compile(re.escape(f'Pod "a" is invalid: {why}') + r"\n.*", re.DOTALL)
        details = reply.refused(422, "Invalid", message)
        assert_includes(details["causes"], [{"reason": "FieldValueForbidden", "field": "spec"}])

    async def test_containers_of_a_pod(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("pods"), pod("a"))).ok(201)
        change = {"spec": {"containers": [{"name": "other", "image": "x"}]}}
        reply = await api.patch(ns("pods", "a"), change, STRATEGIC_PATCH)
        why = "spec.containers: Forbidden: pod updates may not add or remove containers"
        reply.refused(422, "Invalid", f'Pod "a" is invalid: {why}')

    async def test_image_of_a_pod_may_change(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("pods"), pod("a"))).ok(201)
        change = {"spec": {"containers": [{"name": "main", "image": "x"}]}}
        updated = (await api.patch(ns("pods", "a"), change, STRATEGIC_PATCH)).ok()
        assert_includes(updated, {"metadata": {"generation": 2}, "spec": {"containers": [{"image": "x"}]}})

    async def test_address_of_a_service(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("services"), service("a"))).ok(201)
        reply = await api.patch(ns("services", "a"), {"spec": {"clusterIP": "10.0.99.99"}})
        why = 'spec.clusterIPs[0]: Invalid value: ["10.0.99.99"]: may not change once set'
        reply.refused(422, "Invalid", f'Service "a" is invalid: {why}')
        # A PUT that leaves it out keeps it.
        assert (await api.put(ns("services", "a"), service("a"))).ok() == made

    async def test_type_of_a_secret(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("secrets"), {"metadata": {"name": "a"}, "type": "x.y/z"})).ok(201)
        reply = await api.patch(ns("secrets", "a"), {"type": "x.y/w"})
        why = 'type: Invalid value: "x.y/w": field is immutable'
        reply.refused(422, "Invalid", f'Secret "a" is invalid: {why}')

    @pytest.mark.parametrize("resource", ["configmaps", "secrets"])
    @pytest.mark.parametrize(
        ("change", "field"),
        [({"data": {"k": "eA=="}}, "data"), ({"immutable": False}, "immutable"), ({"immutable": None}, "immutable")],
        ids=["data", "false", "gone"],
    )
    async def test_immutable_data(
        self, api: Client, ns: Namespace, resource: str, change: dict[str, Any], field: str
    ) -> None:
        body = {"metadata": {"name": "a"}, "data": {"k": "eQ=="}, "immutable": True}
        kind = (await api.post(ns(resource), body)).ok(201)["kind"]
        reply = await api.patch(ns(resource, "a"), change)
        why = f"{field}: Forbidden: field is immutable when `immutable` is set"
        reply.refused(422, "Invalid", f'{kind} "a" is invalid: {why}')

    async def test_metadata_beside_immutable_data(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a", immutable=True))).ok(201)
        updated = (await api.patch(ns("configmaps", "a"), {"metadata": {"labels": {"x": "y"}}})).ok()
        assert updated["metadata"]["labels"] == {"x": "y"}

    async def test_completions_of_a_job(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("batch/v1/jobs"), job("a"))).ok(201)
        reply = await api.patch(ns("batch/v1/jobs", "a"), {"spec": {"completions": 4}})
        why = "spec.completions: Invalid value: 4: field is immutable"
        reply.refused(422, "Invalid", f'Job.batch "a" is invalid: {why}')

    async def test_template_of_a_job(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("batch/v1/jobs"), job("a"))).ok(201)
        change = {"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}}
        reply = await api.patch(ns("batch/v1/jobs", "a"), change)
        start = re.escape('Job.batch "a" is invalid: spec.template: Invalid value: ')
        reply.refused(422, "Invalid", re.compile(start + ".*: field is immutable", re.DOTALL))

    @pytest.mark.parametrize("change", [{"parallelism": 4}, {"suspend": True}, {"activeDeadlineSeconds": 3}])
    async def test_what_may_change_of_a_job(self, api: Client, ns: Namespace, change: dict[str, Any]) -> None:
        (await api.post(ns("batch/v1/jobs"), job("a"))).ok(201)
        assert_includes((await api.patch(ns("batch/v1/jobs", "a"), {"spec": change})).ok(), {"spec": change})


class TestBinding:
    async def test_a_pod_is_bound_once(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("pods"), pod("a"))).ok(201)
        body = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}}
        bound = (await api.post(ns("pods", "a", "binding"), body)).ok(201)
        assert_includes(bound, {"kind": "Status", "status": "Success", "code": 201})
        stored = (await api.get(ns("pods", "a"))).ok()
        assert stored["spec"]["nodeName"] == "n1"
        assert_includes(stored["status"]["conditions"], [{"type": "PodScheduled", "status": "True"}])
        again = body | {"target": {"kind": "Node", "name": "n2"}}
        why = 'pod a is already assigned to node "n1"'
        reply = await api.post(ns("pods", "a", "binding"), again)
        reply.refused(409, "Conflict", f'Operation cannot be fulfilled on pods/binding "a": {why}')


class TestOptions:
    async def test_a_dry_run_stores_nothing(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        updated = (await api.put(ns("configmaps", "a"), config_map("a", data={"k": "v"}), dryRun="All")).ok()
        assert updated["data"] == {"k": "v"}
        assert (await api.get(ns("configmaps", "a"))).ok() == made

    async def test_bad_options(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.put(ns("configmaps", "a"), config_map("a"), dryRun="Some")
        why = 'dryRun: Unsupported value: ["Some"]: supported values: "All"'
        reply.refused(422, "Invalid", f'UpdateOptions.meta.k8s.io "" is invalid: {why}')

    @pytest.mark.parametrize("validation", ["Warn", "Strict", "Ignore"])
    async def test_unknown_fields(self, api: Client, ns: Namespace, validation: str) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.put(ns("configmaps", "a"), config_map("a", foo=1), fieldValidation=validation)
        if validation == "Strict":
            why = 'strict decoding error: unknown field "foo"'
            reply.refused(400, "BadRequest", f'ConfigMap in version "v1" cannot be handled as a ConfigMap: {why}')
        else:
            assert "foo" not in reply.ok()
            assert reply.warnings == ((r'299 - "unknown field \"foo\""',) if validation == "Warn" else ())
