"""The facts of the built-in kinds."""

from collections.abc import Iterator
from typing import Any

import pytest

from marie_operator.testing.apiserver.builtin import BuiltinKind, Subresource, builtin, definitions, find_builtin

READ_AND_WRITTEN = ("get", "patch", "update")


def references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from references(each)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from references(each)


def known(group: str, version: str, plural: str) -> BuiltinKind:
    found = find_builtin(group, version, plural)
    assert found is not None
    return found


def test_every_reference_leads_to_a_definition_and_every_definition_is_referred_to() -> None:
    named = set(references(dict(definitions())))
    assert named <= definitions().keys()
    roots = {each.definition for each in builtin()} | {
        name for name, node in definitions().items() if "x-kubernetes-group-version-kind" in node
    }
    common = {"DeleteOptions", "ListMeta", "Patch", "Status", "WatchEvent"}
    assert {name.rpartition(".")[2] for name in definitions().keys() - named - roots} <= common


def test_sentences_are_left_out_but_a_field_called_description_is_kept() -> None:
    schema = definitions()["io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"]
    assert schema["properties"]["description"] == {"type": "string"}
    assert schema["properties"]["$ref"] == {"type": "string"}
    assert not any(isinstance(each.get("description"), str) for each in definitions().values())


def test_a_kind_has_its_names_verbs_and_subresources() -> None:
    deployment = known("apps", "v1", "deployments")
    assert (deployment.kind, deployment.list_kind, deployment.singular) == (
        "Deployment",
        "DeploymentList",
        "deployment",
    )
    assert (deployment.short_names, deployment.categories, deployment.namespaced) == (("deploy",), ("all",), True)
    assert set(deployment.verbs) == {
        *("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"),
    }
    assert dict(deployment.parts) == {
        "scale": Subresource("scale", "Scale", "autoscaling", "v1", READ_AND_WRITTEN),
        "status": Subresource("status", "Deployment", "apps", "v1", READ_AND_WRITTEN),
    }


def test_subresources_of_other_kinds_name_them() -> None:
    pod, account = known("", "v1", "pods"), known("", "v1", "serviceaccounts")
    assert pod.parts["eviction"] == Subresource("eviction", "Eviction", "policy", "v1", ("create",))
    assert account.parts["token"].group == "authentication.k8s.io"


def test_schemas_are_compiled_through_references_and_circles() -> None:
    spec = known("", "v1", "pods").schema.fields["spec"]
    containers = spec.fields["containers"]
    assert (containers.list_type, containers.list_keys, containers.merge_key) == ("map", ("name",), "name")
    port = containers.items.fields["ports"] if containers.items else None
    assert port is not None
    assert port.list_keys == ("containerPort", "protocol")
    assert port.items is not None
    assert port.items.fields["protocol"].default == "TCP"
    props = known("apiextensions.k8s.io", "v1", "customresourcedefinitions").schema
    version = props.fields["spec"].fields["versions"].items
    assert version is not None
    schema = version.fields["schema"].fields["openAPIV3Schema"]
    assert schema.fields["not"].fields["not"].fields["type"].type == "string"


@pytest.mark.parametrize(
    ("group", "version", "plural"),
    [("", "v1", "nothing"), ("apps", "v2", "deployments"), ("app", "v1", "deployments")],
)
def test_what_is_not_built_in_is_not_found(group: str, version: str, plural: str) -> None:
    assert find_builtin(group, version, plural) is None
