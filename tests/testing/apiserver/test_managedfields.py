"""Who owns which fields: by the answers that a real API server gives, and by what must hold for any objects."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marie_operator.testing.apiserver import fieldset, managedfields
from marie_operator.testing.apiserver.errors import Refusal
from marie_operator.testing.apiserver.managers import settled
from marie_operator.testing.apiserver.merging import appearing, compare
from marie_operator.testing.apiserver.schema import Schema

Object = dict[str, Any]

PORT = {
    "type": "object",
    "required": ["port"],
    "properties": {
        "port": {"type": "integer"},
        "protocol": {"type": "string", "default": "TCP"},
        "name": {"type": "string"},
    },
}
SPEC = {
    "type": "object",
    "properties": {
        "replicas": {"type": "integer"},
        "paused": {"type": "boolean"},
        "name": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "whole": {
            "type": "object",
            "x-kubernetes-map-type": "atomic",
            "additionalProperties": {"type": "integer"},
        },
        "list": {"type": "array", "items": {"type": "integer"}},
        "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "ports": {
            "type": "array",
            "items": PORT,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
        },
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
SCHEMA = Schema({"type": "object", "properties": {"spec": SPEC, "status": {"type": "object", "properties": {
    "phase": {"type": "string"}}}}})  # fmt: skip
DEFINITIONS: Object = {
    "Spec": {
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {"type": "array", "items": {"$ref": "Item", "default": {}},
                      "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name"},
            "pointer": {"$ref": "Inner"},
            "value": {"allOf": [{"$ref": "Inner"}], "default": {}},
            "count": {"type": "integer", "default": 0},
        },
    },
    "Item": {"type": "object", "properties": {"name": {"type": "string", "default": ""}}},
    "Inner": {"type": "object", "properties": {"x": {"type": "string"}}},
}  # fmt: skip
ROOT = {"type": "object", "properties": {"spec": {"allOf": [{"$ref": "Spec"}], "default": {}}}}
BUILT_IN = Schema(ROOT, DEFINITIONS.__getitem__)
V1 = "test.io/v1"
THEN, NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"


def thing(spec: Object | None = None, **meta: Any) -> Object:
    base: Object = {"apiVersion": V1, "kind": "Thing", "metadata": {"name": "t", "namespace": "d", **meta}}
    return base if spec is None else base | {"spec": spec}


def apply(live: Object | None, applied: Object, manager: str = "a", **options: Any) -> Object:
    base: Object = {"force": False, "api_version": V1, "subresource": "", "now": NOW, "ignored": (("status",),)}
    return managedfields.apply(live, applied, schema=SCHEMA, manager=manager, **(base | options))


def update(live: Object | None, new: Object, manager: str = "u", **options: Any) -> Object:
    given_options: Object = {"api_version": V1, "subresource": "", "now": NOW, "ignored": (("status",),)}
    return managedfields.update(live, new, schema=SCHEMA, manager=manager, **(given_options | options))


def entry(shown: Object, manager: str, operation: str = "Apply", subresource: str = "") -> Object:
    found: list[Object] = [
        each
        for each in shown["metadata"].get("managedFields", [])
        if (each["manager"], each["operation"], each.get("subresource", "")) == (manager, operation, subresource)
    ]
    assert len(found) == 1, f"{manager} has {len(found)} entries"
    return found[0]


def owned(shown: Object, manager: str, operation: str = "Apply", subresource: str = "") -> Object:
    fields: Object = entry(shown, manager, operation, subresource)["fieldsV1"]
    return fields


def managers(shown: Object) -> list[str]:
    return [each["manager"] for each in shown["metadata"].get("managedFields", [])]


# Apply.


def test_apply_of_what_is_not_there_owns_what_it_names() -> None:
    applied = thing(
        {"replicas": 1, "labels": {"x": "y"}, "set": ["a"], "ports": [{"port": 80}], "whole": {"n": 1}, "list": [1]},
        labels={"app": "t"},
        finalizers=["test.io/f"],
    )
    shown = apply(None, applied)
    assert entry(shown, "a") == {
        "manager": "a",
        "operation": "Apply",
        "apiVersion": V1,
        "time": NOW,
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:finalizers": {'v:"test.io/f"': {}}, "f:labels": {"f:app": {}}},
            "f:spec": {
                "f:labels": {"f:x": {}},
                "f:list": {},
                "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}},
                "f:replicas": {},
                "f:set": {'v:"a"': {}},
                "f:whole": {},
            },
        },
    }
    assert shown["spec"] == applied["spec"]


def test_the_same_again_changes_nothing() -> None:
    live = apply(None, thing({"replicas": 1}))
    assert apply(live, thing({"replicas": 1}), now=LATER) is live


def test_what_a_manager_gives_up_goes_when_nobody_else_owns_it() -> None:
    live = apply(None, thing({"replicas": 1, "name": "n", "labels": {"x": "1", "y": "2"}, "set": ["a", "b"]}))
    live = apply(live, thing({"labels": {"y": "2"}, "set": ["b"]}), "b")
    shown = apply(live, thing({"replicas": 1}), now=LATER)
    assert shown["spec"] == {"replicas": 1, "labels": {"y": "2"}, "set": ["b"]}
    assert owned(shown, "a") == {"f:spec": {"f:replicas": {}}}
    assert entry(shown, "a")["time"] == LATER
    assert "time" not in entry(shown, "b"), "it has changed nothing yet"


def test_what_a_manager_never_owned_stays() -> None:
    live = apply(None, thing({"replicas": 1, "ports": [{"port": 80}]}))
    live = update(live, live | {"spec": live["spec"] | {"paused": True}})
    shown = apply(live, thing({"ports": [{"port": 81}]}))
    assert shown["spec"] == {"paused": True, "ports": [{"port": 81}]}


def test_a_keyed_item_goes_only_when_all_its_owners_let_go() -> None:
    live = apply(None, thing({"ports": [{"port": 80, "name": "web"}]}))
    live = apply(live, thing({"ports": [{"port": 80}, {"port": 81}]}), "b")
    shown = apply(live, thing({}))
    assert shown["spec"] == {"ports": [{"port": 80}, {"port": 81}]}
    assert managers(apply(shown, thing(), "b")) == ["a"]


def test_an_empty_list_does_not_keep_what_is_above_it() -> None:
    live = update(None, thing({}))
    live = apply(live, thing({"replicas": 1, "ports": []}))
    shown = apply(live, thing())
    assert "spec" not in shown
    assert managers(shown) == []


def test_same_values_are_shared_and_others_conflict() -> None:
    live = apply(None, thing({"replicas": 1}))
    assert managers(apply(live, thing({"replicas": 1}), "b")) == ["b", "a"]
    with pytest.raises(Refusal) as refused:
        apply(live, thing({"replicas": 2}), "b")
    assert refused.value.status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'Apply failed with 1 conflict: conflict with "a": .spec.replicas',
        "reason": "Conflict",
        "details": {
            "causes": [
                {"reason": "FieldManagerConflict", "message": 'conflict with "a"', "field": ".spec.replicas"},
            ]
        },
        "code": 409,
    }


def test_conflicts_are_listed_by_manager() -> None:
    live = update(None, thing({"name": "n", "ports": [{"port": 80, "name": "x"}]}))
    live = apply(live, thing({"replicas": 1}))
    live = update(live, live | {"status": {"phase": "x"}}, "s", subresource="status", ignored=(("spec",),))
    wanted = thing({"replicas": 2, "name": "m", "ports": [{"port": 80, "name": "y"}]})
    with pytest.raises(Refusal) as refused:
        apply(live, wanted, "b")
    assert refused.value.message == (
        'Apply failed with 3 conflicts: conflicts with "a":\n'
        "- .spec.replicas\n"
        f'conflicts with "u" using {V1}:\n'
        "- .spec.name\n"
        '- .spec.ports[port=80,protocol="TCP"].name'
    )
    with pytest.raises(Refusal) as refused:
        apply(live, thing() | {"status": {"phase": "y"}}, "b", subresource="status", ignored=(("spec",),))
    assert refused.value.message == (
        f'Apply failed with 1 conflict: conflict with "s" with subresource "status" using {V1}: .status.phase'
    )


def test_force_takes_ownership() -> None:
    live = apply(None, thing({"replicas": 1, "name": "n"}))
    shown = apply(live, thing({"replicas": 2}), "b", force=True, now=LATER)
    assert shown["spec"] == {"replicas": 2, "name": "n"}
    assert owned(shown, "a") == {"f:spec": {"f:name": {}}}
    assert owned(shown, "b") == {"f:spec": {"f:replicas": {}}}


def test_null_is_owned_and_empties_only_what_is_one_field() -> None:
    live = update(None, thing({"labels": {"x": "y"}, "name": "n"}))
    shown = apply(live, thing({"labels": None, "name": None}), "b", force=True)
    assert shown["spec"] == {"labels": {"x": "y"}, "name": None}
    assert owned(shown, "b") == {"f:spec": {"f:labels": {}, "f:name": {}}}


def test_items_take_the_order_of_who_applies_them() -> None:
    live = update(None, thing({"set": ["a", "b", "c", "d"]}))
    assert apply(live, thing({"set": ["e", "d", "a"]}), "b")["spec"]["set"] == ["b", "c", "e", "d", "a"]


def test_what_nobody_is_known_to_own_was_there_before_the_first_apply() -> None:
    live = thing({"replicas": 1}, uid="1")
    shown = apply(live, thing({"name": "n"}))
    assert owned(shown, "before-first-apply", "Update") == {"f:spec": {".": {}, "f:replicas": {}}}
    with pytest.raises(Refusal, match=r'conflict with "before-first-apply" using test\.io/v1: \.spec\.replicas'):
        apply(live, thing({"replicas": 2}))


def test_status_is_not_owned_through_the_object_nor_spec_through_its_status() -> None:
    both = thing({"replicas": 1}) | {"status": {"phase": "x"}}
    assert owned(apply(None, both), "a") == {"f:spec": {"f:replicas": {}}}
    live = apply(None, thing({"replicas": 1}))
    shown = apply(live, both, "b", subresource="status", ignored=(("spec",),))
    assert owned(shown, "b", subresource="status") == {"f:status": {"f:phase": {}}}


@pytest.mark.parametrize(
    ("applied", "code", "message"),
    [
        (thing(managedFields=[]), 400, "metadata.managedFields must be nil"),
        (thing() | {"apiVersion": "v1"}, 400, "invalid object type: /v1, Kind=Thing"),
        (thing() | {"kind": ""}, 400, "invalid object type: test.io/v1, Kind="),
        ({"kind": "Thing", "metadata": {}}, 400, "invalid object type: /, Kind=Thing"),
        (thing({"nope": 1}), 500, ".spec.nope: field not declared in schema"),
        (thing({"replicas": "x"}), 500, ".spec.replicas: expected numeric (int or float), got string"),
        (thing({"replicas": True}), 500, ".spec.replicas: expected numeric (int or float), got bool"),
        (thing({"name": 5}), 500, ".spec.name: expected string, got &value.valueUnstructured{Value:5}"),
        (
            thing({"name": {"a": ["b"]}}),
            500,
            '.spec.name: expected string, got &value.valueUnstructured{Value:map[string]interface {}{"a":'
            '[]interface {}{"b"}}}',
        ),
        (thing({"paused": "x"}), 500, ".spec.paused: expected boolean, got &{x}"),
        (thing({"labels": ["x"]}), 500, ".spec.labels: expected map, got &{[x]}"),
        (thing({"ports": {"b": 1, "a": None}}), 500, ".spec.ports: expected list, got &{map[a:<nil> b:1]}"),
        (thing({"set": ["a", "a"]}), 500, '.spec.set: duplicate entries for key [="a"]'),
        (thing({"set": [None]}), 500, ".spec.set: element 0: associative list without keys has an element that's an "
         "explicit null"),
        (
            thing({"ports": [{"port": 80}, {"port": 80, "protocol": "TCP"}]}),
            500,
            '.spec.ports: duplicate entries for key [port=80,protocol="TCP"]',
        ),
        (thing({"ports": ["x"]}), 500, ".spec.ports: element 0: associative list with keys may not have non-map "
         "elements"),
        (
            thing({"replicas": "x", "name": 1}),
            500,
            "errors:\n  .spec.replicas: expected numeric (int or float), got string\n"
            "  .spec.name: expected string, got &value.valueUnstructured{Value:1}",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_applied(applied: Object, code: int, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        apply(None, applied, kind="Thing")
    prefix = "failed to create typed patch object (d/t; test.io/v1, Kind=Thing): " if code == 500 else ""
    assert (refused.value.code, refused.value.message) == (code, prefix + message)
    assert refused.value.reason == ("BadRequest" if code == 400 else "")


def test_what_kubectl_applied_on_its_own_side_it_may_apply_on_the_servers() -> None:
    note = '{"apiVersion":"test.io/v1","kind":"Thing","metadata":{"name":"t"},"spec":{"replicas":1}}'
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": note}
    live = update(None, thing({"replicas": 1, "name": "n"}, annotations=annotations), "kubectl-client-side-apply")
    shown = apply(live, thing({"replicas": 2}), "kubectl")
    assert shown["spec"] == {"replicas": 2, "name": "n"}
    assert shown["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] == (
        '{"apiVersion":"test.io/v1","kind":"Thing","metadata":{"name":"t","namespace":"d"},"spec":{"replicas":2}}\n'
    )
    with pytest.raises(Refusal, match=r"1 conflict: .*: \.spec\.name"):
        apply(live, thing({"replicas": 2, "name": "m"}), "kubectl")
    with pytest.raises(Refusal, match=r"1 conflict: .*: \.spec\.replicas"):
        apply(live, thing({"replicas": 2}), "somebody")


# Update.


def test_a_creator_owns_everything_but_who_and_what_it_is() -> None:
    shown = update(None, thing({"replicas": 1, "labels": {}, "ports": [{"port": 80}]}, labels={"x": "y"}, uid="1"))
    assert entry(shown, "u", "Update") == {
        "manager": "u",
        "operation": "Update",
        "apiVersion": V1,
        "time": NOW,
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:labels": {".": {}, "f:x": {}}},
            "f:spec": {
                ".": {},
                "f:labels": {},
                "f:ports": {".": {}, 'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}},
                "f:replicas": {},
            },
        },
    }


def test_changed_fields_change_hands_and_removed_ones_have_no_owner() -> None:
    live = update(None, thing({"replicas": 1, "name": "n", "set": ["a", "b"]}), "v")
    shown = update(live, thing({"replicas": 2, "set": ["b"]}), now=LATER)
    assert owned(shown, "v", "Update") == {"f:spec": {".": {}, "f:set": {".": {}, 'v:"b"': {}}}}
    assert owned(shown, "u", "Update") == {"f:spec": {"f:replicas": {}}}
    assert (entry(shown, "u", "Update")["time"], entry(shown, "v", "Update")["time"]) == (LATER, NOW)


def test_an_entry_without_fields_vanishes() -> None:
    live = apply(None, thing({"replicas": 1}))
    assert managers(update(live, thing({"replicas": 2}))) == ["u"]
    assert managers(update(live, thing())) == []


def test_an_update_that_changes_nothing_moves_no_time() -> None:
    live = update(None, thing({"replicas": 1}, resourceVersion="1"))
    for new in (live, thing({"replicas": 1}, resourceVersion="2"), live | {"status": {"phase": "x"}}):
        shown = update(live, new, now=LATER)
        assert shown["metadata"]["managedFields"] == live["metadata"]["managedFields"]


@pytest.mark.parametrize("sent", [[{}], []])
def test_managed_fields_can_be_reset_and_are_not_tracked_then(sent: list[Object]) -> None:
    live = update(None, thing({"replicas": 1}))
    shown = update(live, thing({"replicas": 2}, managedFields=sent))
    assert "managedFields" not in shown["metadata"]
    assert "managedFields" not in update(shown, thing({"replicas": 3}))["metadata"]


def test_managed_fields_that_make_no_sense_do_no_harm() -> None:
    live = update(None, thing({"replicas": 1}))
    for sent in (
        [{"manager": "x"}],
        [{"operation": "Update", "apiVersion": V1, "fieldsType": "FieldsV1", "fieldsV1": {"spec": {}}}],
        [{"operation": "Update", "apiVersion": V1, "fieldsType": "FieldsV1", "fieldsV1": {"k:{": {}}}],
        [{"operation": "Update", "apiVersion": V1, "fieldsType": "FieldsV1", "fieldsV1": []}],
        [None, None],
    ):
        assert managers(update(live, thing({"replicas": 1}, managedFields=sent))) == ["u"]


def test_managed_fields_can_be_written() -> None:
    live = update(None, thing({"replicas": 1, "ports": [{"port": 80}]}))
    key = 'k:{ "protocol": "TCP", "port": 80 }'
    sent = [entry(live, "u", "Update") | {"manager": "x", "fieldsV1": {"f:spec": {"f:ports": {key: {".": {}}}}}}]
    shown = update(live, live | {"metadata": live["metadata"] | {"managedFields": sent}})
    assert owned(shown, "x", "Update") == {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {}}}}
    status = update(live, live | {"metadata": live["metadata"] | {"managedFields": sent}}, subresource="status")
    assert managers(status) == ["u"]


def test_the_oldest_updaters_are_put_together() -> None:
    live = update(None, thing({"labels": {}}, uid="1"), "m00", now=THEN)
    for number in range(1, 12):
        labels = {f"l{each}": "x" for each in range(number)}
        live = update(live, thing({"labels": labels}, uid="1"), f"m{number:02}", now=f"2026-01-01T00:{number:02}:00Z")
    assert managers(live) == ["ancient-changes", *(f"m{number:02}" for number in range(3, 12))]
    assert owned(live, "ancient-changes", "Update")["f:spec"]["f:labels"] == {".": {}, "f:l0": {}, "f:l1": {}}


def test_repeated_items_are_one_field() -> None:
    live = update(None, thing({"set": ["a", "a", "b"]}))
    assert owned(live, "u", "Update")["f:spec"]["f:set"] == {".": {}, 'v:"a"': {}, 'v:"b"': {}}
    shown = update(live, thing({"set": ["a", "b"]}), "v")
    assert owned(shown, "v", "Update")["f:spec"]["f:set"] == {'v:"a"': {}}


def test_fields_of_a_built_in_kind_that_are_no_pointers_were_always_there() -> None:
    spec = {"items": [{"name": "a"}], "pointer": {"x": "y"}, "value": {"x": "y"}, "count": 0}
    shown = managedfields.update(
        None, thing(spec), schema=BUILT_IN, manager="u", api_version=V1, subresource="", now=NOW
    )
    assert owned(shown, "u", "Update") == {
        "f:spec": {
            "f:items": {'k:{"name":"a"}': {".": {}, "f:name": {}}},
            "f:pointer": {".": {}, "f:x": {}},
            "f:value": {"f:x": {}},
        }
    }
    without: Object = {"items": None, "value": {}}
    cleared = managedfields.update(
        shown, thing(without), schema=BUILT_IN, manager="v", api_version=V1, subresource="", now=NOW
    )
    assert managers(cleared) == []


def test_what_has_become_one_field_is_owned_as_one() -> None:
    live = apply(None, thing({"set": ["a", "b"], "labels": {"x": "y"}}))
    node = copy.deepcopy(dict(SCHEMA.node))
    node["properties"]["spec"]["properties"]["set"]["x-kubernetes-list-type"] = "atomic"
    node["properties"]["spec"]["properties"]["labels"]["x-kubernetes-map-type"] = "atomic"
    options: Object = {"schema": Schema(node), "api_version": V1, "subresource": "", "now": LATER}
    wanted = thing({"set": ["c"], "labels": {"x": "z"}})
    with pytest.raises(Refusal) as refused:
        managedfields.apply(live, wanted, manager="b", force=False, **options)
    assert refused.value.message == ('Apply failed with 2 conflicts: conflicts with "a":\n- .spec.labels\n- .spec.set')
    changed = thing({"set": ["c"], "labels": {"x": "y", "z": "w"}})
    assert managers(managedfields.update(live, changed, manager="u", **options)) == ["u"]


# What holds for any objects.


def maps(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    return st.dictionaries(st.sampled_from("xyz"), values, max_size=3)


def sets(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, max_size=4, unique=True)


ports = st.lists(
    st.fixed_dictionaries(
        {"port": st.sampled_from([80, 81, 8080])},
        optional={"protocol": st.sampled_from(["TCP", "UDP"]), "name": st.sampled_from("ab")},
    ),
    max_size=4,
    unique_by=lambda port: (port["port"], port.get("protocol", "TCP")),
)
anything = st.recursive(
    st.sampled_from([1, "x", True]), lambda inner: maps(inner) | st.lists(inner, max_size=2), max_leaves=5
)
specs = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(1, 2),
        "name": st.sampled_from("ab"),
        "labels": maps(st.sampled_from("ab")),
        "whole": maps(st.integers(1, 2)),
        "list": st.lists(st.integers(1, 2), max_size=3),
        "set": sets(st.sampled_from("abcde")),
        "ports": ports,
        "any": maps(anything),
    },
)
things = st.builds(lambda spec, labels: thing(spec, labels=labels), specs, maps(st.sampled_from("ab")))


inner = st.none() | st.fixed_dictionaries({}, optional={"x": st.sampled_from(["", "y"])})
built_in_specs = st.fixed_dictionaries(
    {},
    optional={
        "items": st.none() | st.lists(st.fixed_dictionaries({}, optional={"name": st.sampled_from("ab")}), max_size=3),
        "pointer": inner,
        "value": inner,
        "count": st.none() | st.integers(0, 1),
        "unknown": anything,
    },
)


@given(st.tuples(things, st.just(SCHEMA)) | st.tuples(built_in_specs.map(thing), st.just(BUILT_IN)))
def test_what_appears_is_what_differs_from_nothing(case: tuple[Object, Schema]) -> None:
    new, schema = case
    found = compare({}, new, schema)
    assert appearing(new, schema) == fieldset.union(found.modified, found.added)


@settings(max_examples=50)
@given(things, things)
def test_applying_twice_is_applying_once(first: Object, second: Object) -> None:
    before = copy.deepcopy((first, second))
    live = update(None, first)
    once = apply(live, second, force=True)
    assert apply(once, second, now=LATER) is once
    assert (first, second) == before


@settings(max_examples=50)
@given(things)
def test_applying_what_is_there_changes_no_value(applied: Object) -> None:
    live = update(None, applied)
    shown = apply(live, applied)
    assert shown["spec"] == live["spec"]
    assert owned(shown, "u", "Update") == owned(live, "u", "Update") if managers(live) else True


@settings(max_examples=50)
@given(things, things, things)
def test_what_was_applied_is_there_and_is_gone_when_given_up(base: Object, first: Object, second: Object) -> None:
    live = update(None, base)
    with_first = apply(live, first, "one", force=True)
    both = apply(with_first, second, "two", force=True)
    for name, value in second["spec"].items():
        if name not in {"labels", "set", "ports", "any"}:
            assert both["spec"][name] == value
    # What only the second manager had goes with it; what it had taken over does not come back.
    left = apply(both, thing(), "two")
    assert "two" not in managers(left)
    kept = set(base["spec"]) | set(first["spec"])
    # The server takes the spec as well when what would be left of it are empty lists.
    assert set(left.get("spec", {})) <= kept | {name for name, value in second["spec"].items() if value in ([], {})}


@settings(max_examples=50)
@given(things, things)
def test_two_managers_together_have_the_union(first: Object, second: Object) -> None:
    one = apply(apply(None, first, "one"), second, "two", force=True)
    merged = dict.fromkeys([*first["spec"], *second["spec"]])
    assert set(one["spec"]) == set(merged)
    for name in ("labels", "any"):
        have = one["spec"].get(name) or {}
        assert set(have) == set(first["spec"].get(name) or {}) | set(second["spec"].get(name) or {})
    assert set(one["spec"].get("set") or ()) == {*(first["spec"].get("set") or ()), *(second["spec"].get("set") or ())}


@settings(max_examples=50)
@given(things, things)
def test_an_update_and_back_leaves_fields_with_one_owner_at_most(first: Object, second: Object) -> None:
    live = update(None, first, "one")
    there = update(live, second, "two", now=LATER)
    back = update(there, first, "three", now=LATER)
    assert settled(update(back, back, "four"), back)
    fields: dict[str, int] = {}
    for each in back["metadata"].get("managedFields", []):
        for name in each["fieldsV1"].get("f:spec", {}):
            if name in {"f:replicas", "f:name", "f:whole", "f:list"}:
                fields[name] = fields.get(name, 0) + 1
    assert set(fields.values()) <= {1}
    assert {name.removeprefix("f:") for name in fields} == first["spec"].keys() & {"replicas", "name", "whole", "list"}
