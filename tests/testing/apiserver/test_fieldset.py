"""Sets of fields against what they stand for: sets of paths."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marie_operator.testing.apiserver import fieldset
from marie_operator.testing.apiserver.fieldset import FieldSet, Path

ELEMENTS = ["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"']
path_sets = st.sets(st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=3).map(tuple), max_size=6)


def built(members: set[Path]) -> FieldSet:
    result: FieldSet = {}
    for member in members:
        node: FieldSet = {member[-1]: {}}
        for step in reversed(member[:-1]):
            node = {step: node}
        result = fieldset.union(result, node)
    return result


def told(fields: FieldSet) -> set[Path]:
    found = list(fieldset.paths(fields))
    assert len(found) == len(set(found))
    assert_normal(fields)
    return set(found)


def assert_normal(fields: FieldSet) -> None:
    for element, node in fields.items():
        assert set(node) != {"."}, "a field without children is an empty node"
        if element != ".":
            assert_normal(node)


@given(path_sets)
def test_a_set_holds_what_was_put_in(members: set[Path]) -> None:
    fields = built(members)
    assert told(fields) == members
    assert all(fieldset.has(fields, member) for member in members)
    assert not fieldset.has(fields, ("f:z",))
    assert not fieldset.has(fields, ())
    assert fieldset.parsed(json.loads(json.dumps(fields))) == fields


@given(path_sets, path_sets)
def test_sets_are_joined_crossed_and_subtracted_as_sets_of_paths_are(left: set[Path], right: set[Path]) -> None:
    one, two = built(left), built(right)
    before = json.dumps([one, two])
    assert told(fieldset.union(one, two)) == left | right
    assert told(fieldset.intersection(one, two)) == left & right
    assert told(fieldset.difference(one, two)) == left - right
    below = {member for member in left if any(member[: len(prefix)] == prefix for prefix in right)}
    assert told(fieldset.without(one, two)) == left - below
    assert json.dumps([one, two]) == before


@settings(max_examples=50)
@given(st.sets(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple), max_size=5))
def test_a_set_of_named_fields(members: set[tuple[str, ...]]) -> None:
    expected = {tuple(f"f:{name}" for name in member) for member in members}
    assert told(fieldset.from_paths(members)) == expected


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:spec", "f:replicas"), ".spec.replicas"),
        (("f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name"), '.ports[port=80,protocol="TCP"].name'),
        (("f:finalizers", 'v:"a/b"'), '.finalizers[="a/b"]'),
        (("f:list", "v:1"), ".list[=1]"),
    ],
)
def test_paths_are_shown_to_people(path: Path, text: str) -> None:
    assert fieldset.display(path) == text


def test_paths_come_level_by_level_and_in_order() -> None:
    fields: FieldSet = {
        "f:b": {".": {}, "f:x": {}},
        'k:{"port":9}': {},
        'k:{"port":80}': {},
        "v:true": {},
        'v:"a"': {},
        "v:2": {},
        "f:a": {"f:y": {}},
    }
    assert [fieldset.display(path) for path in fieldset.paths(fields)] == [
        ".b", "[port=9]", "[port=80]", "[=2]", '[="a"]', "[=true]", ".a.y", ".b.x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'),
        ('"<&>', '"\\"\\u003c\\u0026\\u003e"'),
        ("é", '"é"'),
        (1, "1"),
        (1.0, "1"),
        (1.5, "1.5"),
        (True, "true"),
    ],
)
def test_values_are_written_as_the_server_writes_them(value: Any, text: str) -> None:
    assert fieldset.encoded(value) == text


def test_a_set_that_was_sent_is_written_as_ours_are() -> None:
    sent = {'k:{ "b": 1, "a": "x" }': {".": {}}, "x:later": {}, ".": {}, 'v: "y"': {"f:z": {".": {}}}}
    assert fieldset.parsed(sent) == {".": {}, 'k:{"a":"x","b":1}': {}, 'v:"y"': {"f:z": {}}}


@pytest.mark.parametrize("sent", [[], {"a": {}}, {"spec": {}}, {"k:x": {}}, {"k:[1]": {}}, {"f:a": None}])
def test_what_is_no_set_is_refused(sent: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        fieldset.parsed(sent)
