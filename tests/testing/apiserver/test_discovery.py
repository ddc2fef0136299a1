"""Discovery: what clients are told about kinds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing.apiserver import discovery
from marie_operator.testing.apiserver.builtin import builtin
from tests.testing.apiserver.custom import Custom

ALL = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
PART = ["get", "patch", "update"]
KUBECTL = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


def answer(path: str, accept: str = "application/json", kinds: tuple[discovery.Kind, ...] = builtin()) -> Any:
    found = discovery.document(kinds, path, accept)
    assert found is not None
    return json.loads(found.body)


def test_resources_of_a_group_are_told_as_the_api_server_tells_them() -> None:
    # What kube-apiserver 1.36.2 answers, but for storageVersionHash.
    assert answer("/apis/policy/v1") == {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "policy/v1",
        "resources": [
            {
                "name": "poddisruptionbudgets",
                "singularName": "poddisruptionbudget",
                "namespaced": True,
                "kind": "PodDisruptionBudget",
                "verbs": ALL,
                "shortNames": ["pdb"],
            },
            {
                "name": "poddisruptionbudgets/status",
                "singularName": "",
                "namespaced": True,
                "kind": "PodDisruptionBudget",
                "verbs": PART,
            },
        ],
    }


def test_a_subresource_of_another_group_names_it() -> None:
    parts = {each["name"]: each for each in answer("/apis/apps/v1")["resources"]}
    assert parts["deployments/scale"] == {
        "name": "deployments/scale",
        "singularName": "",
        "namespaced": True,
        "group": "autoscaling",
        "version": "v1",
        "kind": "Scale",
        "verbs": PART,
    }


def test_groups_are_listed_in_the_order_of_the_api_server_and_the_newest_version_is_preferred() -> None:
    groups = answer("/apis", kinds=(*builtin(), Custom(), Custom(version="v1beta1"), Custom(group="a.example.com")))
    names = [each["name"] for each in groups["groups"]]
    assert names[:5] == ["apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling"]
    assert names[-2:] == ["a.example.com", "kitchen.example.com"]
    assert groups["groups"][-1]["preferredVersion"] == {"groupVersion": "kitchen.example.com/v1", "version": "v1"}
    autoscaling = answer("/apis/autoscaling")
    assert [each["version"] for each in autoscaling["versions"]] == ["v2", "v1"]
    assert answer("/api")["versions"] == ["v1"]


def test_aggregated_discovery_tells_all_at_once() -> None:
    found = answer("/apis", KUBECTL, (*builtin(), Custom()))
    assert (found["kind"], found["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    kitchen = found["items"][-1]
    identity = {"group": "kitchen.example.com", "version": "v1", "kind": "Kettle"}
    assert kitchen == {
        "metadata": {"name": "kitchen.example.com"},
        "versions": [
            {
                "version": "v1",
                "resources": [
                    {
                        "resource": "kettles",
                        "responseKind": identity,
                        "scope": "Namespaced",
                        "singularResource": "kettle",
                        "verbs": ALL,
                        "shortNames": ["kt"],
                        "categories": ["all"],
                        "subresources": [
                            {"subresource": "status", "responseKind": identity, "verbs": PART},
                            {
                                "subresource": "scale",
                                "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
                                "verbs": PART,
                            },
                        ],
                    }
                ],
                "freshness": "Current",
            }
        ],
    }
    assert "" not in [each["metadata"].get("name", "") for each in found["items"]]
    core = answer("/api", KUBECTL)["items"]
    assert [each["metadata"] for each in core] == [{}]
    pods = next(each for each in core[0]["versions"][0]["resources"] if each["resource"] == "pods")
    assert pods["responseKind"] == {"group": "", "version": "", "kind": "Pod"}


@pytest.mark.parametrize(
    ("accept", "aggregated"),
    [
        (KUBECTL, True),
        ("application/json; as=APIGroupDiscoveryList; v=v2; g=apidiscovery.k8s.io", True),
        ("application/json,application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", False),
        ("application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList", False),
        ("application/vnd.kubernetes.protobuf,application/json", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_only_who_asks_for_aggregated_discovery_gets_it(accept: str, aggregated: bool) -> None:
    found = discovery.document(builtin(), "/apis", accept)
    assert found is not None
    assert (found.content_type == discovery.AGGREGATED) == aggregated
    assert bool(found.etag) == aggregated


def test_the_version_is_that_of_the_facts() -> None:
    version = answer("/version")
    assert (version["gitVersion"], version["major"], version["minor"]) == ("v1.36.2", "1", "36")


@pytest.mark.parametrize("path", ["/apis/nothing", "/apis/apps/v7", "/api/v2", "/healthz", "/apis/apps/v1/deployments"])
def test_there_is_no_document_elsewhere(path: str) -> None:
    assert discovery.document(builtin(), path, KUBECTL) is None


def test_versions_are_sorted_as_kubernetes_does() -> None:
    # The example of the documentation of CustomResourceDefinition.
    ordered = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]
    assert sorted(set(ordered), key=discovery.preference) == ordered


@given(st.permutations(builtin()))
def test_the_order_of_the_kinds_does_not_matter(kinds: list[discovery.Kind]) -> None:
    assert discovery.aggregated(kinds, core=False) == discovery.aggregated(builtin(), core=False)
