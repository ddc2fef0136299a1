"""Requests that no server should get, and the ``Status`` that each is answered with."""

import json
import re
from typing import Any

import pytest

from tests.conformance.samples import config_map, job, widget
from tests.conformance.wire import Client, Namespace

NOT_FOUND = "the server could not find the requested resource"
NOT_ALLOWED = "the server does not allow this method on the requested resource"
INTO = (
    'Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; '
    'Kind string "json:\\"kind,omitempty\\"" }'
)
YAML = {"Content-Type": "application/yaml"}
BODIES: tuple[tuple[str, str, str], ...] = (
    ("half", "{", "couldn't get version/kind; json parse error: unexpected end of JSON input ({)"),
    ("empty", "", "couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"),
    ("array", "[]", f"couldn't get version/kind; json parse error: json: cannot unmarshal array into {INTO} (5b5d)"),
    (
        "string",
        '"x"',
        f"couldn't get version/kind; json parse error: json: cannot unmarshal string into {INTO} (227822)",
    ),
    ("number", "1", f"couldn't get version/kind; json parse error: json: cannot unmarshal number into {INTO} (31)"),
    (
        "trailing",
        '{"metadata":{"name":"t"}} x',
        "couldn't get version/kind; json parse error: invalid character 'x' after top-level value "
        '({"metadata":{"name":"t"}} x)',
    ),
)


class TestBodies:
    @pytest.mark.parametrize(("body", "why"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
    @pytest.mark.parametrize("kind", ["ConfigMap", "Widget"])
    async def test_no_object(self, api: Client, ns: Namespace, widgets: str, kind: str, body: str, why: str) -> None:
        resource = {"ConfigMap": "configmaps", "Widget": widgets}[kind]
        message = f"the object provided is unrecognized (must be of type {kind}): {why}"
        (await api.post(ns(resource), body)).refused(400, "BadRequest", message)

    @pytest.mark.parametrize(("body", "why"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
    async def test_no_object_in_an_update(self, api: Client, ns: Namespace, body: str, why: str) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        message = f"the object provided is unrecognized (must be of type ConfigMap): {why}"
        (await api.put(ns("configmaps", "a"), body)).refused(400, "BadRequest", message)

    async def test_no_body(self, api: Client, ns: Namespace) -> None:
        why = "couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"
        message = f"the object provided is unrecognized (must be of type ConfigMap): {why}"
        (await api.request("POST", ns("configmaps"))).refused(400, "BadRequest", message)

    async def test_a_custom_object_without_a_kind(self, api: Client, ns: Namespace, widgets: str) -> None:
        reply = await api.post(ns(widgets), '{"metadata": {}}')
        why = """Object 'Kind' is missing in '{"metadata": {}}' ({"metadata": {}})"""
        message = f"the object provided is unrecognized (must be of type Widget): {why}"
        reply.refused(400, "BadRequest", message)

    async def test_a_custom_object_of_another_version(self, api: Client, ns: Namespace, widgets: str) -> None:
        for given in ("conformance.example/v2", "other/v1", "v1"):
            reply = await api.post(ns(widgets), widget("a") | {"apiVersion": given})
            message = (
                f"the API version in the data ({given}) does not match the expected API version "
                "(conformance.example/v1)"
            )
            reply.refused(400, "BadRequest", message)

    async def test_a_custom_object_of_another_kind(self, api: Client, ns: Namespace, widgets: str) -> None:
        reply = await api.post(ns(widgets), widget("a") | {"kind": "Gadget"})
        why = 'kind: Invalid value: "Gadget": must be Widget'
        reply.refused(422, "Invalid", f'Gadget.conformance.example "a" is invalid: {why}')

    async def test_metadata_of_a_wrong_type(self, api: Client, ns: Namespace, widgets: str) -> None:
        reply = await api.post(ns(widgets), widget("a") | {"metadata": {"name": "a", "labels": {"x": 1}}})
        why = "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
        reply.refused(400, "BadRequest", f'Widget in version "v1" cannot be handled as a Widget: {why}')

    async def test_a_huge_body(self, api: Client, ns: Namespace, widgets: str) -> None:
        huge = "x" * (3 * 1024 * 1024 + 100)
        for resource, body in (("configmaps", config_map("a", data={"k": huge})), (widgets, widget("a", note=huge))):
            message = "Request entity too large: limit is 3145728"
            (await api.post(ns(resource), body)).refused(413, "RequestEntityTooLarge", message)

    async def test_too_much_data(self, api: Client, ns: Namespace) -> None:
        large = "x" * (1024 * 1024 + 1)
        why = "[]: Too long: may not be more than 1048576 bytes"
        reply = await api.post(ns("configmaps"), config_map("a", data={"k": large}))
        reply.refused(422, "Invalid", f'ConfigMap "a" is invalid: {why}')
        why = "data: Too long: may not be more than 1048576 bytes"
        reply = await api.post(ns("secrets"), {"metadata": {"name": "a"}, "stringData": {"k": large}})
        reply.refused(422, "Invalid", f'Secret "a" is invalid: {why}')

    async def test_deep_nesting(self, api: Client, ns: Namespace, widgets: str) -> None:
        body = json.dumps(widget("a", free="DEEP")).replace('"DEEP"', '{"a":' * 20000 + "1" + "}" * 20000)
        reply = await api.post(ns(widgets), body)
        why = r"couldn't get version/kind; json parse error: invalid character '\{' exceeded max depth \(.* \.\.\.\)"
        message = re.compile(rf"the object provided is unrecognized \(must be of type Widget\): {why}")
        reply.refused(400, "BadRequest", message)

    async def test_bytes_that_are_no_utf8_are_replaced(self, api: Client, ns: Namespace, widgets: str) -> None:
        body = b'{"metadata":{"name":"a"},"data":{"k":"\xff\xfe"}}'
        assert (await api.post(ns("configmaps"), body)).ok(201)["data"] == {"k": "\ufffd\ufffd"}
        body = json.dumps(widget("a", note="NOTE")).encode().replace(b"NOTE", b"\xff\xfe")
        assert (await api.post(ns(widgets), body)).ok(201)["spec"]["note"] == "\ufffd\ufffd"


class TestMediaTypes:
    @pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/merge-patch+json"])
    async def test_unknown(self, api: Client, ns: Namespace, widgets: str, content_type: str) -> None:
        message = (
            "the body of the request was in an unknown format - accepted media types include: application/json, "
            "application/yaml, application/vnd.kubernetes.protobuf"
        )
        for resource in ("configmaps", widgets):
            reply = await api.request("POST", ns(resource), "{}", headers={"Content-Type": content_type})
            reply.refused(415, "UnsupportedMediaType", message)

    @pytest.mark.parametrize("content_type", ["", "application/json; charset=utf-8"])
    async def test_json(self, api: Client, ns: Namespace, content_type: str) -> None:
        headers = {"Content-Type": content_type}
        (await api.request("POST", ns("configmaps"), json.dumps(config_map("a")), headers=headers)).ok(201)

    async def test_yaml(self, api: Client, ns: Namespace, widgets: str) -> None:
        body = "metadata:\n  name: a\ndata: {k: v}\n"
        assert (await api.request("POST", ns("configmaps"), body, headers=YAML)).ok(201)["data"] == {"k": "v"}
        body = body.replace("k: v", "k: w")
        assert (await api.request("PUT", ns("configmaps", "a"), body, headers=YAML)).ok()["data"] == {"k": "w"}
        body = "apiVersion: conformance.example/v1\nkind: Widget\nmetadata:\n  name: a\nspec: {size: 3}\n"
        assert (await api.request("POST", ns(widgets), body, headers=YAML)).ok(201)["spec"] == {"size": 3}

    async def test_broken_yaml(self, api: Client, ns: Namespace) -> None:
        reply = await api.request("POST", ns("configmaps"), "a: [", headers=YAML)
        why = "yaml: line 1: did not find expected node content (613a205b)"
        message = f"the object provided is unrecognized (must be of type ConfigMap): {why}"
        reply.refused(400, "BadRequest", message)

    async def test_yaml_in_reply(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}))).ok(201)
        reply = await api.get(ns("configmaps", "a"), accept="application/yaml")
        assert reply.headers["Content-Type"] == "application/yaml"
        assert reply.text.startswith("apiVersion: v1\ndata:\n  k: v\nkind: ConfigMap\nmetadata:\n")

    @pytest.mark.parametrize("accept", ["*/*", "text/plain, application/json", "application/json;q=0.9"])
    async def test_json_in_reply(self, api: Client, ns: Namespace, accept: str) -> None:
        reply = await api.get(ns("configmaps"), accept=accept)
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.ok()["kind"] == "ConfigMapList"

    async def test_nothing_that_is_known(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.get(ns("configmaps", "a"), accept="text/html")
        known = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
        message = f"406: Not Acceptable\n\nAvailable representations: {known}"
        reply.refused(406, "NotAcceptable", message)


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        ["/nope", "/apis/nope", "/apis/nope/v1", "/apis/nope/v1/things", "/apis/nope/v1/namespaces/default/things/x"],
    )
    async def test_unknown_groups(self, api: Client, path: str) -> None:
        for method in ("GET", "POST"):
            reply = await api.request(method, path)
            assert (reply.status, reply.text) == (404, "404 page not found\n")
            assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"

    @pytest.mark.parametrize(
        "path",
        [
            "/api/v2",
            "/apis/apps/v9",
            "/apis/apps/v9/namespaces/default/deployments",
            "/api/v1/nope",
            "/api/v1/namespaces/default/nope",
            "/api/v1/namespaces/default/nope/x",
            "/api/v1/namespaces/default/configmaps/a/b",
            "/api/v1/namespaces/default/configmaps/a/b/c",
            "/api/v1/configmaps/a",
            "/apis/apps/v1/nope",
        ],
    )
    async def test_unknown_resources(self, api: Client, path: str) -> None:
        assert (await api.get(path)).refused(404, "NotFound", NOT_FOUND) == {}

    async def test_a_trailing_slash(self, api: Client, ns: Namespace) -> None:
        assert (await api.get(ns("configmaps") + "/")).ok()["kind"] == "ConfigMapList"

    async def test_a_name_that_cannot_be(self, api: Client, ns: Namespace) -> None:
        reply = await api.get(ns("configmaps", "%25zz"))
        reply.refused(400, "BadRequest", """Name parameter invalid: "%zz": may not contain '%'""")


class TestMethods:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("PUT", "/api/v1/namespaces/default/configmaps"),
            ("PATCH", "/api/v1/namespaces/default/configmaps"),
            ("PROPFIND", "/api/v1/namespaces/default/configmaps"),
            ("OPTIONS", "/api/v1/namespaces/default/configmaps"),
            ("POST", "/api/v1/namespaces/default/configmaps/a"),
            ("POST", "/api/v1/configmaps"),
            ("DELETE", "/api/v1/namespaces"),
            ("POST", "/api/v1"),
            ("DELETE", "/api"),
            ("POST", "/version"),
            ("POST", "/apis/apps/v1/namespaces/default/deployments/a/scale"),
            ("DELETE", "/api/v1/namespaces/default/pods/a/status"),
            ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
            ("GET", "/api/v1/namespaces/default/pods/a/binding"),
        ],
    )
    async def test_not_allowed(self, api: Client, method: str, path: str) -> None:
        body: Any = "{}" if method in {"POST", "PUT", "PATCH"} else None
        assert (await api.request(method, path, body)).refused(405, "MethodNotAllowed", NOT_ALLOWED) == {}

    async def test_not_allowed_on_a_custom_resource(self, api: Client, ns: Namespace, widgets: str) -> None:
        reply = await api.request("PROPFIND", ns(widgets))
        message = ' is not supported on resources of kind "widgets.conformance.example"'
        reply.refused(405, "MethodNotAllowed", message)

    async def test_a_put_of_no_custom_object(self, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.put(ns(widgets), {})).refused(400, "BadRequest", "name must be provided")


async def test_a_job_without_a_name(api: Client, ns: Namespace) -> None:
    body = job("a") | {"metadata": {}}
    reply = await api.post(ns("batch/v1/jobs"), body)
    reply.refused(422, "Invalid", re.compile('Job.batch "" is invalid: .*name or generateName is required.*'))
