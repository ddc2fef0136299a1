"""What a server makes of a new object, and how it gives it back."""

import re
from typing import Any, ClassVar

import pytest

from tests.conformance.samples import config_map, deployment, pod, served, service, widget
from tests.conformance.wire import SOMETHING, Client, Namespace, Reply, assert_includes, without

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


async def test_a_new_object_gets_its_metadata(api: Client, ns: Namespace) -> None:
    made = (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}))).ok(201)
    assert_includes(
        made,
        {
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {
                "name": "a",
                "namespace": ns.name,
                "uid": UUID,
                "creationTimestamp": TIME,
                "resourceVersion": re.compile(r"[1-9]\d*"),
                "generation": None,
                "managedFields": SOMETHING,
                "selfLink": None,
            },
            "data": {"k": "v"},
        },
    )


async def test_a_get_gives_what_the_create_gave(api: Client, ns: Namespace) -> None:
    made = (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}, binaryData={"b": "AAEC"}))).ok(201)
    assert (await api.get(ns("configmaps", "a"))).ok() == made


async def test_a_get_of_a_custom_object_gives_what_the_create_gave(api: Client, ns: Namespace, widgets: str) -> None:
    made = (await api.post(ns(widgets), widget("a", size=3))).ok(201)
    assert (await api.get(ns(widgets, "a"))).ok() == made


async def test_managed_fields_tell_who_created(api: Client, ns: Namespace) -> None:
    body = config_map("a", data={"k": "v"})
    made = (await api.post(ns("configmaps"), body, fieldManager="me")).ok(201)
    assert made["metadata"]["managedFields"] == [
        {
            "manager": "me",
            "operation": "Update",
            "apiVersion": "v1",
            "time": made["metadata"]["creationTimestamp"],
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {".": {}, "f:k": {}}},
        }
    ]


async def test_the_manager_is_the_user_agent_by_default(api: Client, ns: Namespace) -> None:
    agent = {"User-Agent": "robot/v1 (linux)"}
    made = (await api.request("POST", ns("configmaps"), config_map("a", data={"k": "v"}), headers=agent)).ok(201)
    assert [each["manager"] for each in made["metadata"]["managedFields"]] == ["robot"]


async def test_an_object_with_nothing_but_a_name_has_no_managed_fields(api: Client, ns: Namespace) -> None:
    made = (await api.post(ns("configmaps"), config_map("a"))).ok(201)
    assert "managedFields" not in made["metadata"]


async def test_resource_versions_grow_over_all_kinds(api: Client, ns: Namespace, widgets: str) -> None:
    bodies = [
        ("configmaps", config_map("a")),
        ("secrets", {"metadata": {"name": "a"}}),
        (widgets, widget("a")),
        ("apps/v1/deployments", deployment("a")),
    ]
    made = [(await api.post(ns(resource), body)).ok(201) for resource, body in bodies]
    versions = [int(each["metadata"]["resourceVersion"]) for each in made]
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("kind", ["ConfigMap", "Deployment", "Widget", "Pod", "Service"])
async def test_generation_starts_with_one_where_it_is_kept(api: Client, ns: Namespace, widgets: str, kind: str) -> None:
    resource, body, generation = {
        "ConfigMap": ("configmaps", config_map("a"), None),
        "Deployment": ("apps/v1/deployments", deployment("a"), 1),
        "Widget": (widgets, widget("a"), 1),
        "Pod": ("pods", pod("a"), 1),
        "Service": ("services", service("a"), None),
    }[kind]
    made = (await api.post(ns(resource), body)).ok(201)
    assert made["metadata"].get("generation") == generation


async def test_kind_and_version_may_be_left_out_of_a_built_in_object(api: Client, ns: Namespace) -> None:
    made = (await api.post(ns("configmaps"), {"metadata": {"name": "a"}})).ok(201)
    assert (made["kind"], made["apiVersion"]) == ("ConfigMap", "v1")


async def test_what_the_server_sets_cannot_be_given(api: Client, ns: Namespace) -> None:
    past = "2001-01-01T00:00:00Z"
    given = {
        "name": "a",
        "uid": "mine",
        "creationTimestamp": past,
        "deletionTimestamp": past,
        "deletionGracePeriodSeconds": 3,
        "generation": 9,
        "selfLink": "/x",
    }
    made = (await api.post(ns("apps/v1/deployments"), deployment("a") | {"metadata": given})).ok(201)
    expected = {"uid": UUID, "deletionTimestamp": None, "deletionGracePeriodSeconds": None, "generation": 1}
    assert_includes(made["metadata"], expected)
    assert made["metadata"]["creationTimestamp"] > past


async def test_a_given_resource_version_is_refused(api: Client, ns: Namespace) -> None:
    reply = await api.post(ns("configmaps"), {"metadata": {"name": "a", "resourceVersion": "1"}})
    reply.refused(500, "", "resourceVersion should not be set on objects to be created")


async def test_status_of_a_new_object_is_dropped(api: Client, ns: Namespace, widgets: str) -> None:
    made = (await api.post(ns("apps/v1/deployments"), deployment("a") | {"status": {"replicas": 3}})).ok(201)
    assert made["status"] == {}
    made = (await api.post(ns(widgets), widget("a") | {"status": {"phase": "Done"}})).ok(201)
    assert "status" not in made


async def test_the_same_name_again(api: Client, ns: Namespace, widgets: str) -> None:
    (await api.post(ns("configmaps"), config_map("a"))).ok(201)
    details = (await api.post(ns("configmaps"), config_map("a"))).refused(
        409, "AlreadyExists", 'configmaps "a" already exists'
    )
    assert details == {"name": "a", "kind": "configmaps"}
    (await api.post(ns(widgets), widget("a"))).ok(201)
    details = (await api.post(ns(widgets), widget("a"))).refused(
        409, "AlreadyExists", 'widgets.conformance.example "a" already exists'
    )
    assert details == {"name": "a", "group": "conformance.example", "kind": "widgets"}


async def test_the_same_name_in_another_namespace_or_kind(api: Client, ns: Namespace) -> None:
    (await api.post(ns("configmaps"), config_map("a"))).ok(201)
    (await api.post(ns("secrets"), {"metadata": {"name": "a"}})).ok(201)
    (await api.post("/api/v1/namespaces/default/configmaps", config_map(ns.name))).ok(201)
    (await api.get(ns("configmaps", ns.name))).refused(404, "NotFound", f'configmaps "{ns.name}" not found')


async def test_a_create_of_a_whole_cluster_kind(api: Client, ns: Namespace) -> None:
    body = {"metadata": {"name": f"{ns.name}-n"}, "spec": {"podCIDR": "10.1.0.0/24"}}
    made = (await api.post("/api/v1/nodes", body)).ok(201)
    assert_includes(made["metadata"], {"name": f"{ns.name}-n", "namespace": None})
    (await api.delete(f"/api/v1/nodes/{ns.name}-n")).ok()


async def test_a_new_namespace(api: Client, ns: Namespace) -> None:
    assert_includes(
        (await api.get(f"/api/v1/namespaces/{ns.name}")).ok(),
        {
            "kind": "Namespace",
            "metadata": {"namespace": None, "labels": {"kubernetes.io/metadata.name": ns.name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        },
    )


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public", "kube-node-lease"])
async def test_namespaces_of_every_cluster(api: Client, name: str) -> None:
    # A real server makes them soon after it is ready.
    await served(api, f"/api/v1/namespaces/{name}")
    assert (await api.get(f"/api/v1/namespaces/{name}")).ok()["status"] == {"phase": "Active"}


class TestNames:
    BAD: ClassVar[list[tuple[Any, str]]] = [
        ("A_b", f'Invalid value: "A_b": {SUBDOMAIN}'),
        ("a/b", f'Invalid value: "a/b": {SUBDOMAIN}'),
        ("-a", f'Invalid value: "-a": {SUBDOMAIN}'),
        ("a..b", f'Invalid value: "a..b": {SUBDOMAIN}'),
        ("ä", f'Invalid value: "ä": {SUBDOMAIN}'),
        ("a" * 254, f'Invalid value: "{"a" * 254}": must be no more than 253 characters'),
    ]

    @pytest.mark.parametrize(("name", "why"), BAD, ids=[name[:5] for name, _ in BAD])
    async def test_bad_names(self, api: Client, ns: Namespace, name: str, why: str) -> None:
        message = f'ConfigMap "{name}" is invalid: metadata.name: {why}'
        details = (await api.post(ns("configmaps"), config_map(name))).refused(422, "Invalid", message)
        cause = {"reason": "FieldValueInvalid", "message": why, "field": "metadata.name"}
        assert details == {"name": name, "kind": "ConfigMap", "causes": [cause]}

    @pytest.mark.parametrize("name", ["a", "0", "a.b-c", "1.2.3", "a" * 253, "x" * 64])
    async def test_good_names(self, api: Client, ns: Namespace, name: str) -> None:
        assert (await api.post(ns("configmaps"), config_map(name))).ok(201)["metadata"]["name"] == name
        assert (await api.get(ns("configmaps", name))).ok()["metadata"]["name"] == name

    async def test_no_name(self, api: Client, ns: Namespace) -> None:
        why = "metadata.name: Required value: name or generateName is required"
        for metadata in ({}, {"name": ""}):
            reply = await api.post(ns("configmaps"), {"metadata": metadata})
            reply.refused(422, "Invalid", f'ConfigMap "" is invalid: {why}')

    async def test_bad_name_of_a_custom_object(self, api: Client, ns: Namespace, widgets: str) -> None:
        reply = await api.post(ns(widgets), widget("A"))
        why = f'metadata.name: Invalid value: "A": {SUBDOMAIN}'
        reply.refused(422, "Invalid", f'Widget.conformance.example "A" is invalid: {why}')

    @pytest.mark.parametrize(("name", "why"), [("x.y", "must not contain dots"), ("X", LABEL)])
    async def test_names_of_namespaces_are_labels(self, api: Client, name: str, why: str) -> None:
        reply = await api.post("/api/v1/namespaces", {"metadata": {"name": name}})
        told = f'metadata.name: Invalid value: "{name}": {why}'
        reply.refused(422, "Invalid", f'Namespace "{name}" is invalid: {told}')

    async def test_a_generated_name(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), {"metadata": {"generateName": "g-"}})).ok(201)
        expected = {"name": re.compile("g-[bcdfghjklmnpqrstvwxz2456789]{5}"), "generateName": "g-"}
        assert_includes(made["metadata"], expected)

    async def test_generated_names_differ(self, api: Client, ns: Namespace, widgets: str) -> None:
        body = widget("") | {"metadata": {"generateName": "g-"}}
        made = {(await api.post(ns(widgets), body)).ok(201)["metadata"]["name"] for _ in range(5)}
        assert len(made) == 5

    async def test_a_long_prefix_is_cut(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), {"metadata": {"generateName": "g" * 80}})).ok(201)
        assert re.fullmatch("g{58}[bcdfghjklmnpqrstvwxz2456789]{5}", made["metadata"]["name"])

    async def test_a_name_wins_over_a_prefix(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), {"metadata": {"generateName": "g-", "name": "n"}})).ok(201)
        assert_includes(made["metadata"], {"name": "n", "generateName": "g-"})

    async def test_a_bad_prefix_is_named_too(self, api: Client, ns: Namespace) -> None:
        reply = await api.post(ns("configmaps"), {"metadata": {"generateName": "G_"}})
        message = re.compile(
            r'ConfigMap "G_\w{5}" is invalid: \[metadata.generateName: Invalid value: "G_": a lowercase .*, '
            r'metadata.name: Invalid value: "G_\w{5}": a lowercase .*\]'
        )
        reply.refused(422, "Invalid", message)


class TestMetadata:
    LONG = "x" * 64
    BAD: ClassVar[list[tuple[dict[str, Any], str]]] = [
        ({"labels": {"a b": "c"}}, f'metadata.labels: Invalid value: "a b": {NAME_PART}'),
        ({"labels": {"a": "c d"}}, f'metadata.labels: Invalid value: "c d": {LABEL_VALUE}'),
        ({"labels": {"a": LONG}}, f'metadata.labels: Invalid value: "{LONG}": must be no more than 63 bytes'),
        ({"annotations": {"a b": "c"}}, f'metadata.annotations: Invalid value: "a b": {NAME_PART}'),
        ({"annotations": {"a": "x" * 262150}}, "metadata.annotations: Too long: may not be more than 262144 bytes"),
        (
            {"finalizers": ["nope"]},
            'metadata.finalizers[0]: Invalid value: "nope": name is neither a standard finalizer name nor is it fully '
            "qualified",
        ),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x"}]},
            'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
        ),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "uid": "x"}]},
            'metadata.ownerReferences.name: Invalid value: "": must not be empty',
        ),
        (
            {"ownerReferences": [{"apiVersion": "v1", "uid": "x", "name": "x"}]},
            'metadata.ownerReferences.kind: Invalid value: "": must not be empty',
        ),
    ]

    @pytest.mark.parametrize(("metadata", "why"), BAD, ids=[why.split(":", maxsplit=1)[0] for _, why in BAD])
    async def test_bad(self, api: Client, ns: Namespace, metadata: dict[str, Any], why: str) -> None:
        reply = await api.post(ns("configmaps"), {"metadata": {"name": "a", **metadata}})
        reply.refused(422, "Invalid", f'ConfigMap "a" is invalid: {why}')

    async def test_only_one_owner_may_be_the_controller(self, api: Client, ns: Namespace) -> None:
        owner = {"apiVersion": "v1", "kind": "Pod", "controller": True}
        owners = [owner | {"name": "x", "uid": "1"}, owner | {"name": "y", "uid": "2"}]
        reply = await api.post(ns("configmaps"), {"metadata": {"name": "a", "ownerReferences": owners}})
        message = re.compile(
            r'ConfigMap "a" is invalid: metadata.ownerReferences: Invalid value: \[.*\]: Only one reference can have '
            r'Controller set to true. Found "true" in references for Pod/x and Pod/y'
        )
        reply.refused(422, "Invalid", message)

    async def test_good(self, api: Client, ns: Namespace, widgets: str) -> None:
        metadata = {
            "name": "a",
            "labels": {"a": "", "x.y/z": "1.2_3", "k8s.io/x": "Y"},
            "annotations": {"a/b": "any text: äöü\n"},
            "finalizers": ["example.com/wait", "orphan"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "u", "controller": True}],
        }
        for resource, body in (("configmaps", config_map("a")), (widgets, widget("a"))):
            made = (await api.post(ns(resource), body | {"metadata": metadata})).ok(201)
            assert_includes(made["metadata"], metadata)


class TestAddresses:
    async def test_a_namespace_in_the_body_must_be_the_address(self, api: Client, ns: Namespace, widgets: str) -> None:
        message = "the namespace of the provided object does not match the namespace sent on the request"
        for resource, body in (("configmaps", config_map("a")), (widgets, widget("a"))):
            metadata = {"name": "a", "namespace": "other"}
            (await api.post(ns(resource), body | {"metadata": metadata})).refused(400, "BadRequest", message)

    async def test_a_wrong_kind(self, api: Client, ns: Namespace) -> None:
        reply = await api.post(ns("configmaps"), config_map("a") | {"kind": "Secret"})
        why = "converting (v1.Secret) to (core.ConfigMap): unknown conversion"
        reply.refused(400, "BadRequest", f'Secret in version "v1" cannot be handled as a ConfigMap: {why}')

    async def test_a_wrong_version(self, api: Client, ns: Namespace) -> None:
        reply = await api.post(ns("configmaps"), config_map("a") | {"apiVersion": "v2"})
        why = 'no kind "ConfigMap" is registered for version "v2" in scheme '
        start = f'ConfigMap in version "v2" cannot be handled as a ConfigMap: {why}'
        reply.refused(400, "BadRequest", re.compile(re.escape(start) + ".*"))

    async def test_an_unknown_object(self, api: Client, ns: Namespace, widgets: str) -> None:
        details = (await api.get(ns("configmaps", "x"))).refused(404, "NotFound", 'configmaps "x" not found')
        assert details == {"name": "x", "kind": "configmaps"}
        details = (await api.get(ns("apps/v1/deployments", "x"))).refused(
            404, "NotFound", 'deployments.apps "x" not found'
        )
        assert details == {"name": "x", "group": "apps", "kind": "deployments"}
        message = 'widgets.conformance.example "x" not found'
        (await api.get(ns(widgets, "x"))).refused(404, "NotFound", message)

    @pytest.mark.parametrize("path", ["status", "scale"])
    async def test_a_subresource_of_an_unknown_object(
        self, api: Client, ns: Namespace, widgets: str, path: str
    ) -> None:
        message = 'widgets.conformance.example "x" not found'
        (await api.get(ns(widgets, "x", path))).refused(404, "NotFound", message)

    async def test_an_unknown_namespace(self, api: Client, widgets: str) -> None:
        nowhere = Namespace("nowhere")
        (await api.get(nowhere("configmaps", "x"))).refused(404, "NotFound", 'configmaps "x" not found')
        assert (await api.get(nowhere("configmaps"))).ok()["items"] == []
        for resource, body in (("configmaps", config_map("a")), (widgets, widget("a"))):
            details = (await api.post(nowhere(resource), body)).refused(
                404, "NotFound", 'namespaces "nowhere" not found'
            )
            assert details == {"name": "nowhere", "kind": "namespaces"}

    @pytest.mark.parametrize(
        "resource", ["gadgets", "apps/v1/gadgets", "apps/v9/deployments", "conformance.example/v1/gadgets"]
    )
    async def test_an_unknown_kind(self, api: Client, ns: Namespace, widgets: str, resource: str) -> None:
        reply = await api.get(ns(resource))
        if resource.startswith("conformance"):
            assert (reply.status, reply.text) == (404, "404 page not found\n")
        else:
            details = reply.refused(404, "NotFound", "the server could not find the requested resource")
            assert details == {}

    async def test_an_unknown_group(self, api: Client, ns: Namespace) -> None:
        reply = await api.get(ns("nowhere.example/v1/things"))
        assert (reply.status, reply.text) == (404, "404 page not found\n")

    async def test_an_unknown_subresource(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        message = "the server could not find the requested resource"
        (await api.get(ns("configmaps", "a", "status"))).refused(404, "NotFound", message)

    async def test_a_put_makes_no_object(self, api: Client, ns: Namespace) -> None:
        reply = await api.put(ns("configmaps", "a"), config_map("a"))
        reply.refused(404, "NotFound", 'configmaps "a" not found')

    async def test_a_put_makes_a_lease(self, api: Client, ns: Namespace) -> None:
        made = (await api.put(ns("coordination.k8s.io/v1/leases", "a"), {"metadata": {"name": "a"}})).ok(201)
        assert_includes(made, {"kind": "Lease", "metadata": {"uid": UUID}})


class TestOptions:
    async def test_a_dry_run_stores_nothing(self, api: Client, ns: Namespace, widgets: str) -> None:
        for resource, body in (("configmaps", config_map("a")), (widgets, widget("a"))):
            made = (await api.post(ns(resource), body, dryRun="All")).ok(201)
            assert_includes(made["metadata"], {"uid": UUID, "creationTimestamp": TIME, "resourceVersion": None})
            assert (await api.get(ns(resource, "a"))).status == 404

    async def test_a_dry_run_finds_what_is_wrong(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.post(ns("configmaps"), config_map("a"), dryRun="All")
        reply.refused(409, "AlreadyExists", 'configmaps "a" already exists')
        assert (await api.post(ns("configmaps"), config_map("A"), dryRun="All")).status == 422

    BAD: ClassVar[list[tuple[Any, str]]] = [
        ({"dryRun": "Some"}, 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
        ({"fieldManager": "x" * 129}, "fieldManager: Too long: may not be more than 128 bytes"),
        (
            {"fieldManager": "x\a"},
            r'fieldManager: Invalid value: "x\a": invalid character U+0007 (at position 1)',
        ),
        (
            {"fieldValidation": "Nope"},
            'fieldValidation: Unsupported value: "Nope": supported values: "", "Ignore", "Strict", "Warn"',
        ),
    ]

    @pytest.mark.parametrize(("query", "why"), BAD, ids=["dryRun", "long", "character", "fieldValidation"])
    async def test_bad_options(self, api: Client, ns: Namespace, query: dict[str, str], why: str) -> None:
        reply = await api.post(ns("configmaps"), config_map("a"), **query)
        details = reply.refused(422, "Invalid", f'CreateOptions.meta.k8s.io "" is invalid: {why}')
        assert_includes(details, {"group": "meta.k8s.io", "kind": "CreateOptions", "causes": [{"field": SOMETHING}]})


class TestFieldValidation:
    """Of built-in kinds; custom ones are in test_crd."""

    UNKNOWN: ClassVar[dict[str, Any]] = config_map("a", foo=1)
    DUPLICATE = '{"metadata": {"name": "a"}, "data": {"k": "1", "k": "2"}, "kind": "ConfigMap", "apiVersion": "v1"}'

    @pytest.mark.parametrize("query", [{}, {"fieldValidation": "Warn"}], ids=["default", "Warn"])
    async def test_warnings(self, api: Client, ns: Namespace, query: dict[str, str]) -> None:
        reply = await api.post(ns("configmaps"), self.UNKNOWN, **query)
        assert "foo" not in reply.ok(201)
        assert reply.warnings == (r'299 - "unknown field \"foo\""',)

    async def test_ignore(self, api: Client, ns: Namespace) -> None:
        reply = await api.post(ns("configmaps"), self.UNKNOWN, fieldValidation="Ignore")
        assert "foo" not in reply.ok(201)
        assert reply.warnings == ()

    async def test_strict(self, api: Client, ns: Namespace) -> None:
        reply = await api.post(ns("configmaps"), self.UNKNOWN, fieldValidation="Strict")
        why = 'strict decoding error: unknown field "foo"'
        reply.refused(400, "BadRequest", f'ConfigMap in version "v1" cannot be handled as a ConfigMap: {why}')

    async def test_strict_names_every_unknown_field(self, api: Client, ns: Namespace) -> None:
        body = deployment("a", bar=1)
        body["spec"]["template"]["spec"]["containers"][0]["foo"] = 1
        reply = await api.post(ns("apps/v1/deployments"), body, fieldValidation="Strict")
        why = 'strict decoding error: unknown field "spec.bar", unknown field "spec.template.spec.containers[0].foo"'
        message = f'Deployment in version "v1" cannot be handled as a Deployment: {why}'
        assert _sorted(reply) == (400, sorted(message.replace(",", "").split()))

    async def test_a_field_twice_is_told(self, api: Client, ns: Namespace) -> None:
        reply = await api.request("POST", ns("configmaps"), self.DUPLICATE)
        assert reply.ok(201)["data"] == {"k": "2"}
        assert reply.warnings == (r'299 - "duplicate field \"data.k\""',)

    async def test_a_field_twice_is_refused_when_strict(self, api: Client, ns: Namespace) -> None:
        reply = await api.request("POST", ns("configmaps"), self.DUPLICATE, query={"fieldValidation": "Strict"})
        why = 'strict decoding error: duplicate field "data.k"'
        reply.refused(400, "BadRequest", f'ConfigMap in version "v1" cannot be handled as a ConfigMap: {why}')

    TYPES: ClassVar[list[tuple[Any, str]]] = [
        ({"data": {"a": 1}}, "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        ({"data": ["a"]}, "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string"),
        ({"immutable": "x"}, "json: cannot unmarshal string into Go struct field ConfigMap.immutable of type bool"),
    ]

    @pytest.mark.parametrize(("fields", "why"), TYPES, ids=["number", "array", "string"])
    async def test_wrong_types(self, api: Client, ns: Namespace, fields: dict[str, Any], why: str) -> None:
        reply = await api.post(ns("configmaps"), config_map("a", **fields))
        reply.refused(400, "BadRequest", f'ConfigMap in version "v1" cannot be handled as a ConfigMap: {why}')

    async def test_null_is_nothing(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), config_map("a", data=None, immutable=None))).ok(201)
        assert without(made, "metadata") == {"kind": "ConfigMap", "apiVersion": "v1"}


def _sorted(reply: Reply) -> tuple[int, list[str]]:
    """The words of a message whose parts come in no fixed order."""
    return reply.status, sorted(reply.json["message"].replace(",", "").split())
