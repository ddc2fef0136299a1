"""OpenAPI documents: what kubectl reads before it sends."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from marie_operator.testing.apiserver import openapi
from marie_operator.testing.apiserver.builtin import builtin
from marie_operator.testing.apiserver.discovery import Kind
from marie_operator.testing.apiserver.errors import Refusal
from tests.testing.apiserver.custom import NODE, Custom

KINDS: tuple[Kind, ...] = (*builtin(), Custom())
GVK = "x-kubernetes-group-version-kind"
PATHS = sorted({f"apis/{each.group}/{each.version}" if each.group else "api/v1" for each in KINDS})


def answer(path: str) -> Any:
    found = openapi.document(KINDS, path, "application/json")
    assert found is not None
    return json.loads(found.body)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from references(each)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from references(each)


@pytest.mark.parametrize("path", PATHS)
def test_a_document_is_whole(path: str) -> None:
    document = answer(f"/openapi/v3/{path}")
    schemas = document["components"]["schemas"]
    assert {each.removeprefix("#/components/schemas/") for each in references(document)} <= schemas.keys()
    operations = [each for item in document["paths"].values() for each in item.values() if isinstance(each, dict)]
    names = [each["operationId"] for each in operations]
    assert len(names) == len(set(names))
    for place, item in document["paths"].items():
        assert {each["name"] for each in item["parameters"] if each["in"] == "path"} == set(
            re.findall(r"{(\w+)}", place)
        )


def test_the_document_of_version_2_is_whole() -> None:
    document = answer("/openapi/v2")
    assert {each.removeprefix("#/definitions/") for each in references(document)} <= document["definitions"].keys()
    assert len(document["paths"]) == sum(len(answer(f"/openapi/v3/{path}")["paths"]) for path in PATHS)
    spec = document["definitions"]["com.example.kitchen.v1.Kettle"]["properties"]["spec"]["properties"]
    assert spec["litres"] == {"type": "integer", "description": "How much."}
    assert spec["at"] == {"x-kubernetes-int-or-string": True}
    assert spec["mode"] == {"enum": ["Fast", "Slow"]}


def test_the_index_leads_to_each_document_and_changes_with_it() -> None:
    paths = answer("/openapi/v3")["paths"]
    assert sorted(paths) == PATHS
    found = openapi.document(KINDS, "/openapi/v3/apis/apps/v1", "")
    assert found is not None
    assert paths["apis/apps/v1"] == {"serverRelativeURL": f"/openapi/v3/apis/apps/v1?hash={found.etag}"}
    changed = openapi.document((*builtin(), Custom(short_names=(), subresources=frozenset())), "/openapi/v3", "")
    assert changed is not None
    other = json.loads(changed.body)["paths"]
    assert {path for path in PATHS if other[path] != paths[path]} == {"apis/kitchen.example.com/v1"}


def test_paths_and_operations_are_those_of_the_api_server() -> None:
    paths = answer("/openapi/v3/apis/policy/v1")["paths"]
    told = {
        path: {method: each["operationId"] for method, each in item.items() if method != "parameters"}
        for path, item in paths.items()
    }
    item = "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/{name}"
    assert told == {
        "/apis/policy/v1/poddisruptionbudgets": {"get": "listPolicyV1PodDisruptionBudgetForAllNamespaces"},
        "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets": {
            "get": "listPolicyV1NamespacedPodDisruptionBudget",
            "post": "createPolicyV1NamespacedPodDisruptionBudget",
            "delete": "deletePolicyV1CollectionNamespacedPodDisruptionBudget",
        },
        item: {
            "get": "readPolicyV1NamespacedPodDisruptionBudget",
            "put": "replacePolicyV1NamespacedPodDisruptionBudget",
            "patch": "patchPolicyV1NamespacedPodDisruptionBudget",
            "delete": "deletePolicyV1NamespacedPodDisruptionBudget",
        },
        f"{item}/status": {
            "get": "readPolicyV1NamespacedPodDisruptionBudgetStatus",
            "put": "replacePolicyV1NamespacedPodDisruptionBudgetStatus",
            "patch": "patchPolicyV1NamespacedPodDisruptionBudgetStatus",
        },
    }


@pytest.mark.parametrize(
    ("path", "identity", "strategic"),
    [
        ("apis/apps/v1/namespaces/{namespace}/deployments", ("apps", "v1", "Deployment"), True),
        ("api/v1/namespaces", ("", "v1", "Namespace"), True),
        ("apis/kitchen.example.com/v1/namespaces/{namespace}/kettles", ("kitchen.example.com", "v1", "Kettle"), False),
    ],
)
def test_patches_take_what_kubectl_looks_for(path: str, identity: tuple[str, str, str], strategic: bool) -> None:
    root = "/".join(path.split("/")[: 3 if path.startswith("apis") else 2])
    patch = answer(f"/openapi/v3/{root}")["paths"][f"/{path}/{{name}}"]["patch"]
    group, version, kind = identity
    assert patch[GVK] == {"group": group, "version": version, "kind": kind}
    assert patch["x-kubernetes-action"] == "patch"
    named = {each["name"] for each in patch["parameters"]}
    assert named == {"dryRun", "fieldManager", "fieldValidation", "force"}
    content = patch["requestBody"]["content"]
    assert ("application/strategic-merge-patch+json" in content) == strategic
    assert "application/apply-patch+yaml" in content


def test_a_kind_from_a_crd_keeps_its_schema_and_sentences() -> None:
    schemas = answer("/openapi/v3/apis/kitchen.example.com/v1")["components"]["schemas"]
    kettle = schemas["com.example.kitchen.v1.Kettle"]
    assert kettle["description"] == NODE["description"]
    assert kettle["properties"]["spec"] == NODE["properties"]["spec"]
    assert kettle["properties"]["metadata"] == {
        "$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    }
    assert kettle[GVK] == [{"group": "kitchen.example.com", "version": "v1", "kind": "Kettle"}]
    assert schemas["com.example.kitchen.v1.KettleList"][GVK][0]["kind"] == "KettleList"


PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        (PROTOBUF, PROTOBUF.replace("@", ".")),
        (f"{PROTOBUF},application/json", PROTOBUF.replace("@", ".")),
        (f"{PROTOBUF};q=0.5,application/json", "application/json"),
    ],
)
def test_version_2_is_told_in_json_and_protobuf(accept: str, media: str) -> None:
    found = openapi.document(KINDS, "/openapi/v2", accept)
    assert found is not None
    assert found.content_type == media


def test_version_2_is_told_in_no_other_form() -> None:
    with pytest.raises(Refusal, match="application/json") as refused:
        openapi.document(KINDS, "/openapi/v2", "application/yaml")
    assert refused.value.code == 406


def read(message: bytes) -> dict[int, list[Any]]:
    """The fields of a message in protobuf, by number."""
    found: dict[int, list[Any]] = {}
    rest = iter(message)

    def varint() -> int:
        value = shift = 0
        for byte in rest:
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise EOFError

    while True:
        try:
            key = varint()
        except EOFError:
            return found
        value = bytes(next(rest) for _ in range(varint())) if key & 7 == 2 else varint()
        found.setdefault(key >> 3, []).append(value)


def test_version_2_says_the_same_in_both_forms() -> None:
    told = answer("/openapi/v2")
    found = openapi.document(KINDS, "/openapi/v2", PROTOBUF)
    assert found is not None
    document = read(found.body)
    assert document[1] == [b"2.0"]
    paths = [read(each) for each in read(document[8][0])[2]]
    assert [each[1][0].decode() for each in paths] == list(told["paths"])
    definitions = {read(each)[1][0].decode(): read(read(each)[2][0]) for each in read(document[9][0])[1]}
    assert definitions.keys() == told["definitions"].keys()
    for name, each in definitions.items():
        fields = (
            {read(field)[1][0].decode(): read(read(field)[2][0]) for field in read(each[25][0])[1]}
            if 25 in each
            else {}
        )
        expected = told["definitions"][name].get("properties") or {}
        assert fields.keys() == expected.keys()
        for field, schema in fields.items():
            assert schema.get(1, [b""]) == [expected[field].get("$ref", "").encode()]
            kind = [read(schema[22][0])[1][0].decode()] if 22 in schema else []
            assert kind == [expected[field]["type"]] if "type" in expected[field] else not kind


@pytest.mark.parametrize("path", ["/openapi/v3/apis/nothing/v1", "/openapi/v4", "/openapi", "/apis"])
def test_there_is_no_document_elsewhere(path: str) -> None:
    assert openapi.document(KINDS, path, "") is None
