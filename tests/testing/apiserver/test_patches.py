"""Patches: by the RFCs, by the answers that a real API server gives, and by round trips."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marie_operator.testing.apiserver.errors import Refusal
from marie_operator.testing.apiserver.patches import json_patch, merge_patch, strategic_merge_patch
from marie_operator.testing.apiserver.schema import Schema

UNFIT = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "the server rejected our request due to an error in our request",
    "reason": "Invalid",
    "details": {},
    "code": 422,
}

# JSON patch.


@pytest.mark.parametrize(
    ("document", "operations", "expected"),
    [
        ({}, [], {}),
        ({"a": 1}, None, {"a": 1}),
        ({"a": {"b": 1}}, [{"op": "add", "path": "/a/c", "value": 2}], {"a": {"b": 1, "c": 2}}),
        ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a": [1, 2]}, [{"op": "add", "path": "/a/-1", "value": 3}], {"a": [1, 2, 3]}),
        ({"a": [1, 2]}, [{"op": "add", "path": "/a/2", "value": 3}], {"a": [1, 2, 3]}),
        ({}, [{"op": "add", "path": "/a~1b~0", "value": 1}], {"a/b~": 1}),
        ({}, [{"op": "add", "path": "/a"}], {"a": None}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/-1"}], {"a": [1]}),
        ({"a": [{"b": 1}]}, [{"op": "replace", "path": "/a/0/b", "value": 2}], {"a": [{"b": 2}]}),
        ({"a": {}}, [{"op": "replace", "path": "/a/b", "value": 2}], {"a": {"b": 2}}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 1}}], {"b": 1}),
        ({"a": 1}, [{"op": "move", "from": "/a", "path": "/b"}], {"b": 1}),
        ({"a": [1, 2, 3]}, [{"op": "move", "from": "/a/0", "path": "/a/2"}], {"a": [2, 3, 1]}),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
        ({}, [{"op": "copy", "from": "/a", "path": "/b"}], {"b": None}),
        ({"a": {"b": 1}}, [{"op": "test", "path": "/a", "value": {"b": 1}}], {"a": {"b": 1}}),
        ({}, [{"op": "test", "path": "/a", "value": None}], {}),
        ({"a": 1}, [{"op": "test", "path": "", "value": {"a": 1}}], {"a": 1}),
    ],
)
def test_json_patches(document: Any, operations: Any, expected: Any) -> None:
    before = copy.deepcopy(document)
    assert json_patch(document, operations) == expected
    assert document == before


@pytest.mark.parametrize(
    "operation",
    [
        None,
        {"path": "/a"},
        {"op": "foo", "path": "/a"},
        {"op": "add", "value": 1},
        {"op": "add", "path": "", "value": 1},
        {"op": "add", "path": "/x/y", "value": 1},
        {"op": "add", "path": "/a/b/c", "value": 1},
        {"op": "add", "path": "/l/3", "value": 1},
        {"op": "add", "path": "/l/-4", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "add", "path": "/l/1_0", "value": 1},
        {"op": "remove", "path": "/x"},
        {"op": "remove", "path": "/l/2"},
        {"op": "replace", "path": "/x/y", "value": 1},
        {"op": "replace", "path": "/l/2", "value": 1},
        {"op": "replace", "path": "", "value": "x"},
        {"op": "move", "from": "/x", "path": "/y"},
        {"op": "move", "path": "/y"},
        {"op": "copy", "from": "/x/y", "path": "/z"},
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/x", "value": 1},
        {"op": "test", "path": "/x/y", "value": None},
    ],
)
def test_json_patches_that_do_not_fit(operation: Any) -> None:
    with pytest.raises(Refusal) as refused:
        json_patch({"a": 1, "l": [1, 2]}, [operation])
    assert refused.value.status() == UNFIT


@pytest.mark.parametrize(
    ("operations", "code", "message"),
    [
        ({}, 400, "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        ([1], 400, "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
        (
            [{"op": "add", "path": True}],
            400,
            "error decoding patch: json: cannot unmarshal bool into Go struct field jsonPatchOp.path of type string",
        ),
        (
            [{}] * 10001,
            413,
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
        ),
    ],
)
def test_what_is_no_json_patch(operations: Any, code: int, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        json_patch({}, operations)
    assert (refused.value.code, refused.value.message) == (code, message)


# Merge patch.


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        # The examples of the RFC that are about objects.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        # Nulls within lists.
        ({}, {"a": [{"b": None}, None]}, {"a": [{}, None]}),
        ({"a": {}}, {"a": [{"b": None}]}, {"a": [{"b": None}]}),
    ],
)
def test_merge_patches(document: Any, patch: Any, expected: Any) -> None:
    before = copy.deepcopy(document)
    assert merge_patch(document, patch) == expected
    assert document == before


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (None, "Invalid JSON Patch"),
        ([], "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),
        ("x", "error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}"),
    ],
)
def test_what_is_no_merge_patch(patch: Any, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        merge_patch({}, patch)
    assert (refused.value.code, refused.value.message) == (400, message)


scalars = st.integers(0, 3) | st.sampled_from(["x", "y"]) | st.booleans()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def same(left: Any, right: Any) -> bool:
    """Equal, where a number is no truth value."""
    return repr(left) == repr(right) if not isinstance(left, dict | list) else (
        type(left) is type(right) and len(left) == len(right) and (
            all(name in right and same(each, right[name]) for name, each in left.items())
            if isinstance(left, dict) else all(map(same, left, right))
        )
    )  # fmt: skip


def merge_patch_between(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = dict.fromkeys(left.keys() - right.keys())
    for name, value in right.items():
        if name in left and isinstance(left[name], dict) and isinstance(value, dict):
            patch[name] = merge_patch_between(left[name], value)
        elif name not in left or not same(left[name], value):
            patch[name] = value
    return patch


@settings(max_examples=50)
@given(documents, documents)
def test_a_merge_patch_leads_from_one_document_to_the_other(left: Any, right: Any) -> None:
    assert same(merge_patch(left, merge_patch_between(left, right)), right)


@settings(max_examples=50)
@given(documents, documents)
def test_a_json_patch_leads_from_one_document_to_the_other(left: Any, right: Any) -> None:
    operations = [
        *({"op": "test", "path": f"/{name}", "value": value} for name, value in left.items()),
        *({"op": "remove", "path": f"/{name}"} for name in left if name not in right),
        *({"op": "add", "path": f"/{name}", "value": value} for name, value in right.items()),
    ]
    assert same(json_patch(left, operations), right)


# Strategic merge patch.

KEYED = {"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name"}
SCHEMA = Schema(
    {
        "type": "object",
        "properties": {
            "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-patch-strategy": "merge"},
            "plain": {"type": "array", "items": {"type": "string"}},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "replaced": {"type": "object", "x-kubernetes-patch-strategy": "replace"},
            "strategy": {"type": "object", "x-kubernetes-patch-strategy": "retainKeys"},
            "unkeyed": {"type": "array", "items": {"type": "object"}, "x-kubernetes-patch-strategy": "merge"},
            "containers": {
                "type": "array",
                **KEYED,
                "items": {
                    "type": "object",
                    "properties": {"env": {"type": "array", **KEYED, "items": {"type": "object"}}},
                },
            },
        },
    }
)
AB = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        ({"map": {"a": "b"}}, {"map": {"a": None, "c": "d"}}, {"map": {"c": "d"}}),
        ({"replaced": {"a": 1}}, {"replaced": {"b": 2}}, {"replaced": {"b": 2}}),
        ({"plain": ["a"]}, {"plain": ["b"]}, {"plain": ["b"]}),
        ({}, {"map": {"a": None, "b": "c"}}, {"map": {"b": "c"}}),
        ({}, {"map": {"$patch": "delete"}, "plain": [{"$patch": "delete"}]}, {"plain": []}),
        ({"map": {"a": "b"}}, {"map": {"$patch": "replace", "c": "d"}}, {"map": {"c": "d"}}),
        ({"map": {"a": "b"}}, {"map": {"$patch": "delete"}}, {"map": {}}),
        ({"map": {"a": "b"}}, {"map": None}, {}),
        ({"finalizers": ["a", "b"]}, {"finalizers": ["c"]}, {"finalizers": ["c", "a", "b"]}),
        ({"finalizers": ["a", "b"]}, {"finalizers": ["b", "c"]}, {"finalizers": ["a", "b", "c"]}),
        ({"finalizers": ["a", "b"]}, {"$deleteFromPrimitiveList/finalizers": ["a", "z"]}, {"finalizers": ["b"]}),
        (
            {"finalizers": ["a", "b"]},
            {
                "$deleteFromPrimitiveList/finalizers": ["a"],
                "$setElementOrder/finalizers": ["c", "b"],
                "finalizers": ["c"],
            },
            {"finalizers": ["c", "b"]},
        ),
        (
            AB,
            {"containers": [{"name": "b", "image": "3"}, {"name": "c"}]},
            {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "3"}, {"name": "c"}]},
        ),
        (AB, {"containers": [{"name": "a", "$patch": "delete"}]}, {"containers": [{"name": "b", "image": "2"}]}),
        (AB, {"containers": [{"$patch": "replace"}, {"name": "c"}]}, {"containers": [{"name": "c"}]}),
        (
            AB,
            {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]},
            {"containers": [{"name": "b", "image": "2"}, {"name": "a", "image": "1"}]},
        ),
        (
            AB,
            {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "n"}],
                "containers": [{"name": "n"}, {"name": "a", "$patch": "delete"}],
            },
            {"containers": [{"name": "b", "image": "2"}, {"name": "n"}]},
        ),
        (
            {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}]},
            {"containers": [{"name": "a", "env": [{"name": "Y", "value": None}, {"name": "X", "$patch": "delete"}]}]},
            {"containers": [{"name": "a", "env": [{"name": "Y"}]}]},
        ),
        (
            {"strategy": {"type": "A", "a": {"x": 1}}},
            {"strategy": {"$retainKeys": ["type", "b"], "type": "B", "b": {"y": 2}}},
            {"strategy": {"type": "B", "b": {"y": 2}}},
        ),
    ],
)
def test_strategic_merge_patches(document: Any, patch: Any, expected: Any) -> None:
    before = copy.deepcopy((document, patch))
    assert strategic_merge_patch(document, patch, SCHEMA) == expected
    assert (document, patch) == before


@pytest.mark.parametrize(
    ("patch", "code", "message"),
    [
        ({"map": {"$patch": "foo"}}, 500, "unknown patch type: foo in map: map[$patch:foo]"),
        (
            {"containers": [{"$patch": "foo", "name": "a"}]},
            500,
            "unknown patch type: foo in map: map[$patch:foo name:a]",
        ),
        ({"containers": [{"$patch": "merge"}]}, 500, "merging lists cannot yet be specified in the patch"),
        ({"containers": [{"image": "z"}]}, 500, "map: map[image:z] does not contain declared merge key: name"),
        ({"containers": [{"$patch": "delete"}]}, 500, "map: map[$patch:delete] does not contain declared merge key: "
         "name"),
        ({"unkeyed": [{"a": 1}]}, 500, "cannot merge lists without merge key for struct"),
        ({"finalizers": [1]}, 500, "list element types are not identical: [[a] [1]]"),
        ({"$setElementOrder/containers": "x"}, 500, "expected a []interface {}, but received a string"),
        ({"$setElementOrder": []}, 400, "invalid patch format of setElementOrder list"),
        ({"$deleteFromPrimitiveList": ["a"]}, 400, "invalid patch format of primitive list"),
        ({"strategy": {"$retainKeys": "x"}}, 400, "invalid patch format of retainKeys"),
        ({"strategy": {"$retainKeys": ["a"], "b": 1}}, 400, "invalid patch format of retainKeys"),
        (
            {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "n"}]},
            500,
            "The order in patch list:\n[map[name:n]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n",
        ),
    ],
)  # fmt: skip
def test_strategic_merge_patches_that_do_not_fit(patch: Any, code: int, message: str) -> None:
    document = AB | {"finalizers": ["a"], "map": {"a": "b"}, "strategy": {"a": 1}, "unkeyed": [{"b": 1}]}
    with pytest.raises(Refusal) as refused:
        strategic_merge_patch(document, patch, SCHEMA)
    assert (refused.value.code, refused.value.message) == (code, message)


def test_what_is_no_strategic_merge_patch() -> None:
    with pytest.raises(Refusal) as refused:
        strategic_merge_patch({}, "x", SCHEMA)
    message = "json: cannot unmarshal string into Go value of type map[string]interface {}"
    assert (refused.value.code, refused.value.message) == (400, message)
    assert strategic_merge_patch({"plain": []}, None, SCHEMA) == {"plain": []}


def test_lists_of_lists_are_not_merged() -> None:
    with pytest.raises(Refusal) as refused:
        strategic_merge_patch({"finalizers": []}, {"finalizers": [["a"]]}, SCHEMA)
    assert refused.value.status() == UNFIT


containers = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abcd"), "image": st.sampled_from("xy")}),
    max_size=4,
    unique_by=lambda container: container["name"],
)


@settings(max_examples=50)
@given(containers, containers)
def test_a_strategic_merge_patch_leads_from_one_list_to_the_other(left: list[Any], right: list[Any]) -> None:
    kept = {container["name"] for container in right}
    patch = {
        "$setElementOrder/containers": [{"name": container["name"]} for container in right],
        "containers": [
            *right,
            *({"name": each["name"], "$patch": "delete"} for each in left if each["name"] not in kept),
        ],
    }
    if left or right:
        assert strategic_merge_patch({"containers": left}, patch, SCHEMA) == {"containers": right}
