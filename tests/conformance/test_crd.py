"""CustomResourceDefinitions, and what they make of objects."""

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.conformance.samples import CRDS, definition, established, holds, served
from tests.conformance.wire import MERGE_PATCH, SOMETHING, TABLE, Client, Namespace, assert_includes, names

_groups = itertools.count(1)

NOT_CHECKED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the "
    "existing errors to complete validation"
)
# One of everything that a schema may ask for.
SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["key"],
    "properties": {
        "key": {
            "type": "string",
            "maxLength": 5,
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "key is immutable"}],
        },
        "count": {
            "type": "integer",
            "x-kubernetes-validations": [
                {"rule": "self >= oldSelf", "messageExpression": "self < 0 ? 'is negative' : 'has shrunk'"},
                {"rule": "self < 10", "reason": "FieldValueForbidden"},
            ],
        },
        "list": {
            "type": "array",
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {"x": {"type": "string"}, "y": {"type": "string"}},
                "x-kubernetes-validations": [{"rule": "has(self.x) || has(self.y)"}],
            },
        },
        "map": {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "integer"}},
        "either": {"x-kubernetes-int-or-string": True},
        "time": {"type": "string", "format": "date-time"},
        "letters": {"type": "string", "pattern": "^a+$", "minLength": 2},
        "ratio": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1},
        "flag": {"type": "boolean"},
        "maybe": {"type": "string", "nullable": True},
        "color": {"type": "string", "enum": ["red", "green"]},
        "object": {
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "x-kubernetes-preserve-unknown-fields": True,
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "deep": {"type": "object", "default": {}, "properties": {"inner": {"type": "string", "default": "value"}}},
        "shallow": {"type": "object", "properties": {"inner": {"type": "string", "default": "value"}}},
    },
    "x-kubernetes-validations": [
        {
            "rule": "!has(self.map) || size(self.map) > 0",
            "message": "map must not be empty",
            "fieldPath": ".map",
            "reason": "FieldValueRequired",
        },
        {"rule": "!has(oldSelf.color) || has(self.color)", "message": "color may not be removed"},
    ],
}


def group() -> str:
    """A group of the case's own."""
    return f"group-{next(_groups)}.example"


def thing(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "checked.example/v1", "kind": "Thing", "metadata": {"name": name}, "spec": spec}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def things(api: Client) -> str:
    """A custom resource with every kind of rule."""
    await established(api, definition("things", "Thing", SPEC, group="checked.example"))
    return "checked.example/v1/things"


class TestDefinition:
    async def test_it_is_established(self, api: Client) -> None:
        own = group()
        made = (await api.post(CRDS, definition("gears", "Gear", {}, group=own))).ok(201)
        assert_includes(made["spec"], {"conversion": {"strategy": "None"}, "preserveUnknownFields": None})
        assert made["status"]["storedVersions"] == ["v1"]
        current = made
        async with api.watch(CRDS, fieldSelector=f"metadata.name=gears.{own}") as events:
            while not holds(current, "Established"):
                _, current = await events.next()
        conditions = {each["type"]: each for each in current["status"]["conditions"]}
        assert_includes(
            conditions,
            {
                "NamesAccepted": {
                    "status": "True",
                    "reason": "NoConflicts",
                    "message": "no conflicts found",
                    "lastTransitionTime": SOMETHING,
                },
                "Established": {
                    "status": "True",
                    "reason": "InitialNamesAccepted",
                    "message": "the initial names have been accepted",
                    "lastTransitionTime": SOMETHING,
                },
            },
        )
        expected = {"plural": "gears", "singular": "gear", "kind": "Gear", "listKind": "GearList"}
        assert current["status"]["acceptedNames"] == expected

    async def test_names_have_defaults(self, api: Client) -> None:
        body = definition("gears", "Gear", {}, group=group())
        body["spec"]["names"] = {"plural": "gears", "kind": "Gear"}
        made = (await api.post(CRDS, body)).ok(201)
        assert_includes(made["spec"]["names"], {"singular": "gear", "listKind": "GearList"})

    async def test_a_kind_of_the_whole_cluster(self, api: Client) -> None:
        own = group()
        body = definition("gears", "Gear", {}, group=own)
        body["spec"]["scope"] = "Cluster"
        await established(api, body)
        path = f"/apis/{own}/v1/gears"
        gear = {"apiVersion": f"{own}/v1", "kind": "Gear", "metadata": {"name": "a"}}
        made = (await api.post(path, gear)).ok(201)
        assert_includes(made["metadata"], {"name": "a", "namespace": None})
        assert names((await api.get(path)).ok()) == ["a"]
        assert (await api.get(f"/apis/{own}/v1/namespaces/default/gears")).status == 404

    async def test_versions(self, api: Client, ns: Namespace) -> None:
        own = group()
        body = definition("gears", "Gear", {"x": {"type": "string"}}, group=own)
        first = body["spec"]["versions"][0]
        body["spec"]["versions"] += [
            first | {"name": "v2beta1", "storage": False},
            first | {"name": "v3", "storage": False, "served": False},
        ]
        await established(api, body, listed=True)
        gear = {"apiVersion": f"{own}/v1", "kind": "Gear", "metadata": {"name": "a"}, "spec": {"x": "y"}}
        made = (await api.post(ns(f"{own}/v1/gears"), gear)).ok(201)
        read = (await api.get(ns(f"{own}/v2beta1/gears", "a"))).ok()
        assert read["apiVersion"] == f"{own}/v2beta1"
        assert (read["metadata"]["uid"], read["spec"]) == (made["metadata"]["uid"], made["spec"])
        assert (await api.get(ns(f"{own}/v3/gears"))).status == 404
        found = (await api.get(f"/apis/{own}")).ok()
        assert [each["version"] for each in found["versions"]] == ["v1", "v2beta1"]
        assert found["preferredVersion"]["version"] == "v1"

    async def test_a_deprecated_version_warns(self, api: Client, ns: Namespace) -> None:
        own = group()
        await established(api, definition("gears", "Gear", {}, group=own, deprecated=True))
        reply = await api.get(ns(f"{own}/v1/gears"))
        assert reply.warnings == (f'299 - "{own}/v1 Gear is deprecated"',)

    async def test_conflicting_names_are_not_accepted(self, api: Client) -> None:
        own = group()
        await established(api, definition("gears", "Gear", {}, group=own))
        body = definition("wheels", "Gear", {}, group=own)
        current = (await api.post(CRDS, body)).ok(201)
        async with api.watch(CRDS, fieldSelector=f"metadata.name=wheels.{own}") as events:
            while not current.get("status", {}).get("conditions"):
                _, current = await events.next()
        conditions = {each["type"]: (each["status"], each["reason"]) for each in current["status"]["conditions"]}
        assert conditions["NamesAccepted"] == ("False", "ListKindConflict")
        assert conditions["Established"] == ("False", "NotAccepted")
        assert (await api.get(f"/apis/{own}/v1/wheels")).status == 404

    async def test_an_update_of_the_schema(self, api: Client, ns: Namespace) -> None:
        own = group()
        await established(api, definition("gears", "Gear", {"x": {"type": "string"}}, group=own))
        gear = {"apiVersion": f"{own}/v1", "kind": "Gear", "metadata": {"name": "a"}, "spec": {"x": "y", "n": 1}}
        path = ns(f"{own}/v1/gears")
        assert (await api.post(path, gear)).ok(201)["spec"] == {"x": "y"}
        operations = {"spec": {"versions": definition("gears", "Gear", {"n": {"type": "integer"}})["spec"]["versions"]}}
        updated = (await api.patch(f"{CRDS}/gears.{own}", operations)).ok()
        assert updated["metadata"]["generation"] == 2
        metadata = {"generateName": "a-"}
        while True:
            # A real server takes a moment.
            made = (await api.post(path, gear | {"metadata": metadata})).ok(201)
            if made["spec"] == {"n": 1}:
                break
        # What is no longer known is not shown, and what was pruned does not return.
        assert (await api.get(f"{path}/a")).ok()["spec"] == {}

    async def test_a_deletion_takes_its_objects(self, api: Client, ns: Namespace) -> None:
        own = group()
        body = definition("gears", "Gear", {}, group=own)
        await established(api, body)
        gear = {"apiVersion": f"{own}/v1", "kind": "Gear", "metadata": {"name": "a"}}
        (await api.post(ns(f"{own}/v1/gears"), gear)).ok(201)
        deleted = (await api.delete(f"{CRDS}/gears.{own}")).ok()
        if deleted["kind"] == "CustomResourceDefinition":
            finalizers = ["customresourcecleanup.apiextensions.k8s.io"]
            assert_includes(deleted["metadata"], {"deletionTimestamp": SOMETHING, "finalizers": finalizers})
        await served(api, f"{CRDS}/gears.{own}", 404)
        await served(api, f"/apis/{own}/v1/gears", 404)
        # Under the same name again, nothing is left.
        await established(api, body)
        assert names((await api.get(ns(f"{own}/v1/gears"))).ok()) == []


class TestRefusedDefinitions:
    SCHEMA = "spec.validation.openAPIV3Schema.properties[spec].properties"
    Change = Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], Any]
    CASES: tuple[tuple[str, Change, str], ...] = (
        (
            "no schema",
            lambda crd, version, fields: version.pop("schema"),
            "spec.versions[0].schema.openAPIV3Schema: Required value",
        ),
        (
            "no type",
            lambda crd, version, fields: fields["a"].pop("type"),
            f"{SCHEMA}[a].type: Required value: must not be empty for specified object fields",
        ),
        (
            "unknown type",
            lambda crd, version, fields: fields["a"].update(type="nope"),
            f'{SCHEMA}[a].type: Unsupported value: "nope": supported values: "array", "boolean", "integer", "number", '
            '"object", "string"',
        ),
        (
            "wrong default",
            lambda crd, version, fields: fields["a"].update(default=5),
            f'{SCHEMA}[a].default: Invalid value: "integer":  in body must be of type string: "integer"',
        ),
        (
            "unknown fields",
            lambda crd, version, fields: crd["spec"].update(preserveUnknownFields=True),
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set "
            "x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ),
        (
            "no items",
            lambda crd, version, fields: fields["a"].update(type="array"),
            f"{SCHEMA}[a].items: Required value: must be specified",
        ),
        (
            "no keys",
            lambda crd, version, fields: fields.update(
                b={
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "items": {"type": "object", "properties": {"n": {"type": "string"}}},
                }
            ),
            f"{SCHEMA}[b].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is "
            "map",
        ),
        (
            "optional keys",
            lambda crd, version, fields: fields.update(
                b={
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["n"],
                    "items": {"type": "object", "properties": {"n": {"type": "string"}}},
                }
            ),
            f"{SCHEMA}[b].items.properties[n].default: Required value: this property is in x-kubernetes-list-map-keys, "
            "so it must have a default or be a required property",
        ),
        (
            "two kinds of properties",
            lambda crd, version, fields: fields.update(
                b={
                    "type": "object",
                    "properties": {"x": {"type": "string"}},
                    "additionalProperties": {"type": "string"},
                }
            ),
            f"{SCHEMA}[b].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ),
        (
            "pattern",
            lambda crd, version, fields: fields["a"].update(pattern="("),
            f'{SCHEMA}[a].pattern: Invalid value: "(": must be a valid regular expression, but isn\'t: error parsing '
            "regexp: missing closing ): `(`",
        ),
        (
            "empty rule",
            lambda crd, version, fields: fields["a"].update({"x-kubernetes-validations": [{"rule": ""}]}),
            f"{SCHEMA}[a].x-kubernetes-validations[0].rule: Required value: rule is not specified",
        ),
        (
            "scope",
            lambda crd, version, fields: crd["spec"].update(scope="Nope"),
            'spec.scope: Unsupported value: "Nope": supported values: "Cluster", "Namespaced"',
        ),
        (
            "column type",
            lambda crd, version, fields: version.update(
                additionalPrinterColumns=[{"name": "x", "type": "nope", "jsonPath": ".spec.a"}]
            ),
            'spec.additionalPrinterColumns[0].type: Invalid value: "nope": must be one of '
            "boolean,date,integer,number,string",
        ),
        (
            "column path",
            lambda crd, version, fields: version.update(
                additionalPrinterColumns=[{"name": "x", "type": "string", "jsonPath": "spec.a"}]
            ),
            'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec.a": must be a simple json path starting '
            "with .",
        ),
        (
            "scale path",
            lambda crd, version, fields: version.update(
                subresources={"scale": {"specReplicasPath": "spec.x", "statusReplicasPath": ".status.y"}}
            ),
            'spec.subresources.scale.specReplicasPath: Invalid value: "spec.x": must be a simple json path starting '
            "with .",
        ),
        (
            "metadata",
            lambda crd, version, fields: version["schema"]["openAPIV3Schema"]["properties"].update(
                metadata={"type": "object", "properties": {"labels": {"type": "object"}}}
            ),
            "spec.validation.openAPIV3Schema.properties[metadata]: Forbidden: must not specify anything other than "
            "name and generateName, but metadata is implicitly specified",
        ),
    )

    @pytest.mark.parametrize(("change", "why"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
    async def test_schemas(self, api: Client, change: Change, why: str) -> None:
        own = group()
        body = definition("gears", "Gear", {"a": {"type": "string"}}, group=own)
        version = body["spec"]["versions"][0]
        change(body, version, version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])
        reply = await api.post(CRDS, body)
        message = f'CustomResourceDefinition.apiextensions.k8s.io "gears.{own}" is invalid: {why}'
        reply.refused(422, "Invalid", message)

    async def test_the_name(self, api: Client) -> None:
        own = group()
        body = definition("gears", "Gear", {}, group=own)
        body["metadata"]["name"] = f"other.{own}"
        why = f'metadata.name: Invalid value: "other.{own}": must be spec.names.plural+"."+spec.group'
        message = f'CustomResourceDefinition.apiextensions.k8s.io "other.{own}" is invalid: {why}'
        (await api.post(CRDS, body)).refused(422, "Invalid", message)

    @pytest.mark.parametrize("count", [0, 2])
    async def test_one_version_is_stored(self, api: Client, count: int) -> None:
        body = definition("gears", "Gear", {}, group=group())
        first = body["spec"]["versions"][0]
        body["spec"]["versions"] = [first, first | {"name": "v2"}] if count else [first | {"storage": False}]
        reply = await api.post(CRDS, body)
        assert reply.status == 422
        assert "must have exactly one version marked as storage version" in reply.json["message"]

    async def test_protected_groups(self, api: Client) -> None:
        body = definition("gears", "Gear", {}, group="gears.k8s.io")
        why = (
            "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval "
            'annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111'
        )
        message = f'CustomResourceDefinition.apiextensions.k8s.io "gears.gears.k8s.io" is invalid: {why}'
        (await api.post(CRDS, body)).refused(422, "Invalid", message)

    @pytest.mark.parametrize(
        ("rule", "why"),
        [
            ("self.foo", "compilation failed: .*type 'string' does not support field selection.*"),
            ("self ==", "compilation failed: .*Syntax error.*"),
            ("nope(self)", "compilation failed: .*undeclared reference to 'nope'.*"),
            ("self + 'x'", "cel expression must evaluate to a bool"),
        ],
    )
    async def test_rules_that_do_not_compile(self, api: Client, rule: str, why: str) -> None:
        own = group()
        field = {"type": "string", "maxLength": 9, "x-kubernetes-validations": [{"rule": rule}]}
        reply = await api.post(CRDS, definition("gears", "Gear", {"a": field}, group=own))
        assert (reply.status, reply.json["reason"]) == (422, "Invalid")
        where = re.escape(f"{self.SCHEMA}[a].x-kubernetes-validations[0].rule: Invalid value: ")
        assert re.search(f"{where}.*: {why}", reply.json["message"], re.DOTALL)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"scope": "Cluster"}, 'spec.scope: Invalid value: "Cluster": field is immutable'),
            (
                {"names": {"kind": "Wheel", "listKind": "WheelList"}},
                'spec.names.kind: Invalid value: "Wheel": field is immutable',
            ),
            ({"group": "z.example"}, 'spec.group: Invalid value: "z.example": field is immutable'),
        ],
        ids=["scope", "kind", "group"],
    )
    async def test_immutable(self, api: Client, change: dict[str, Any], why: str) -> None:
        own = group()
        await established(api, definition("gears", "Gear", {}, group=own))
        reply = await api.patch(f"{CRDS}/gears.{own}", {"spec": change})
        assert (reply.status, reply.json["reason"]) == (422, "Invalid")
        assert why in reply.json["message"]


class TestPruningAndDefaults:
    async def test_unknown_fields_are_pruned(self, api: Client, ns: Namespace, things: str) -> None:
        body = thing("a", key="k", nope=1, list=[{"x": "1", "nope": 1}]) | {"top": 1}
        made = (await api.post(ns(things), body)).ok(201)
        assert_includes(made, {"top": None, "spec": {"nope": None, "list": [{"x": "1"}]}})

    async def test_free_fields_stay(self, api: Client, ns: Namespace, things: str) -> None:
        free = {"a": [1, {"b": None}], "c": {"d": 1.5}}
        embedded = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "any": {"thing": 1}}
        made = (await api.post(ns(things), thing("a", key="k", free=free, object=embedded))).ok(201)
        assert (made["spec"]["free"], made["spec"]["object"]) == (free, embedded)

    async def test_defaults(self, api: Client, ns: Namespace, things: str) -> None:
        made = (await api.post(ns(things), thing("a", key="k", shallow={}))).ok(201)
        expected = {"key": "k", "deep": {"inner": "value"}, "shallow": {"inner": "value"}}
        assert made["spec"] == expected

    async def test_defaults_yield(self, api: Client, ns: Namespace, things: str) -> None:
        made = (await api.post(ns(things), thing("a", key="k", deep={"inner": ""}))).ok(201)
        assert made["spec"] == {"key": "k", "deep": {"inner": ""}}

    async def test_null(self, api: Client, ns: Namespace, things: str) -> None:
        spec = {"key": "k", "maybe": None, "letters": None, "list": None, "deep": None}
        made = (await api.post(ns(things), thing("a", **spec))).ok(201)
        # Null stays where it is allowed, and counts as absent elsewhere.
        assert made["spec"] == {"key": "k", "maybe": None, "deep": {"inner": "value"}}


class TestFieldValidation:
    BODY = thing("a", key="k", nope=1, list=[{"x": "1", "nope": 1}]) | {"top": 1}
    FIELDS = ("spec.list[0].nope", "spec.nope", "top")

    @pytest.mark.parametrize("query", [{}, {"fieldValidation": "Warn"}], ids=["default", "Warn"])
    async def test_warnings(self, api: Client, ns: Namespace, things: str, query: dict[str, str]) -> None:
        reply = await api.post(ns(things), self.BODY, **query)
        reply.ok(201)
        assert reply.warnings == tuple(rf'299 - "unknown field \"{field}\""' for field in self.FIELDS)

    async def test_ignore(self, api: Client, ns: Namespace, things: str) -> None:
        reply = await api.post(ns(things), self.BODY, fieldValidation="Ignore")
        reply.ok(201)
        assert reply.warnings == ()

    async def test_strict(self, api: Client, ns: Namespace, things: str) -> None:
        told = ", ".join(f'unknown field "{field}"' for field in self.FIELDS)
        message = f'Thing in version "v1" cannot be handled as a Thing: strict decoding error: {told}'
        reply = await api.post(ns(things), self.BODY, fieldValidation="Strict")
        reply.refused(400, "BadRequest", message)

    async def test_strict_in_metadata(self, api: Client, ns: Namespace, things: str) -> None:
        body = thing("a", key="k") | {"metadata": {"name": "a", "nope": 1}}
        reply = await api.post(ns(things), body, fieldValidation="Strict")
        why = 'strict decoding error: unknown field "metadata.nope"'
        reply.refused(400, "BadRequest", f'Thing in version "v1" cannot be handled as a Thing: {why}')

    DUPLICATE = """{"apiVersion": "checked.example/v1", "kind": "Thing", "metadata": {"name": "a"},
        "spec": {"key": "1", "key": "2"}}"""

    async def test_a_field_twice(self, api: Client, ns: Namespace, things: str) -> None:
        reply = await api.post(ns(things), self.DUPLICATE)
        assert reply.ok(201)["spec"]["key"] == "2"
        assert reply.warnings == (r'299 - "duplicate field \"spec.key\""',)
        reply = await api.post(ns(things), self.DUPLICATE, fieldValidation="Strict")
        why = 'strict decoding error: duplicate field "spec.key"'
        reply.refused(400, "BadRequest", f'Thing in version "v1" cannot be handled as a Thing: {why}')


class TestStructure:
    CASES: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("required", {}, f"[spec.key: Required value, {NOT_CHECKED}]"),
        ("required null", {"key": None}, f"[spec.key: Required value, {NOT_CHECKED}]"),
        (
            "type",
            {"key": 1},
            f'[spec.key: Invalid value: "integer": spec.key in body must be of type string: "integer", {NOT_CHECKED}]',
        ),
        ("length", {"key": "123456"}, f"[spec.key: Too long: may not be more than 5 bytes, {NOT_CHECKED}]"),
        (
            "items",
            {"key": "k", "list": [{"x": "1"}] * 4},
            f"[spec.list: Too many: 4: must have at most 3 items, {NOT_CHECKED}]",
        ),
        (
            "properties",
            {"key": "k", "map": {"x": 1, "y": 2, "z": 3}},
            f"[spec.map: Too many: 3: must have at most 2 items, {NOT_CHECKED}]",
        ),
        (
            "value of a map",
            {"key": "k", "map": {"x": "y"}},
            '[spec.map.x: Invalid value: "string": spec.map.x in body must be of type integer: "string", '
            f"{NOT_CHECKED}]",
        ),
        (
            "integer or string",
            {"key": "k", "either": [1]},
            '[spec.either: Invalid value: "array": spec.either in body must be of type integer,string: "array", '
            f"{NOT_CHECKED}]",
        ),
        (
            "format",
            {"key": "k", "time": "nope"},
            f'[spec.time: Invalid value: "nope": spec.time in body must be of type date-time: "nope", {NOT_CHECKED}]',
        ),
        (
            "pattern",
            {"key": "k", "letters": "bb"},
            "spec.letters: Invalid value: \"bb\": spec.letters in body should match '^a+$'",
        ),
        (
            "short",
            {"key": "k", "letters": "a"},
            'spec.letters: Invalid value: "a": spec.letters in body should be at least 2 chars long',
        ),
        (
            "exclusive",
            {"key": "k", "ratio": 0},
            "spec.ratio: Invalid value: 0: spec.ratio in body should be greater than 0",
        ),
        (
            "maximum",
            {"key": "k", "ratio": 1.5},
            "spec.ratio: Invalid value: 1.5: spec.ratio in body should be less than or equal to 1",
        ),
        (
            "boolean",
            {"key": "k", "flag": "true"},
            f'[spec.flag: Invalid value: "string": spec.flag in body must be of type boolean: "string", {NOT_CHECKED}]',
        ),
        (
            "enumeration",
            {"key": "k", "color": "blue"},
            f'[spec.color: Unsupported value: "blue": supported values: "red", "green", {NOT_CHECKED}]',
        ),
        (
            "embedded",
            {"key": "k", "object": {"x": 1}},
            f"[spec.object.apiVersion: Required value, spec.object.kind: Required value, {NOT_CHECKED}]",
        ),
    )

    @pytest.mark.parametrize(("spec", "why"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
    async def test_refused(self, api: Client, ns: Namespace, things: str, spec: dict[str, Any], why: str) -> None:
        reply = await api.post(ns(things), thing("a", **spec))
        reply.refused(422, "Invalid", f'Thing.checked.example "a" is invalid: {why}')

    @pytest.mark.parametrize(
        "spec",
        [
            {"either": "x"},
            {"either": 7},
            {"time": "2026-01-01T00:00:00Z"},
            {"time": "2026-01-01T00:00:00.123+01:00"},
            {"letters": "aaa"},
            {"ratio": 0.5},
            {"ratio": 1},
            {"map": {"x": 1}},
            {"maybe": None},
            {"color": "red"},
            {"key": "äöüéè"},
        ],
        ids=str,
    )
    async def test_accepted(self, api: Client, ns: Namespace, things: str, spec: dict[str, Any]) -> None:
        made = (await api.post(ns(things), thing("a", **{"key": "k", **spec}))).ok(201)
        assert_includes({name: made["spec"][name] for name in spec}, {k: v for k, v in spec.items() if v is not None})

    async def test_a_list_for_an_object(self, api: Client, ns: Namespace, things: str) -> None:
        reply = await api.post(ns(things), thing("a") | {"spec": []})
        why = f'[spec: Invalid value: "array": spec in body must be of type object: "array", {NOT_CHECKED}]'
        reply.refused(422, "Invalid", f'Thing.checked.example "a" is invalid: {why}')

    async def test_keys_of_a_list_map_are_unique(self, api: Client, ns: Namespace, widgets: str) -> None:
        body = {
            "apiVersion": "conformance.example/v1",
            "kind": "Widget",
            "metadata": {"name": "a"},
            "spec": {"parts": [{"name": "x"}, {"name": "x"}]},
        }
        why = 'spec.parts[1]: Duplicate value: {"name":"x"}'
        reply = await api.post(ns(widgets), body)
        reply.refused(422, "Invalid", f'Widget.conformance.example "a" is invalid: {why}')

    async def test_an_item_without_keys_is_no_former_one(self, api: Client, ns: Namespace, widgets: str) -> None:
        """What was wrong before may stay; a null among items that are told apart by keys was not there before."""
        body: dict[str, Any] = {
            "apiVersion": "conformance.example/v1",
            "kind": "Widget",
            "metadata": {"name": "a"},
            "spec": {"parts": [{"name": "x"}]},
        }
        made = (await api.post(ns(widgets), body)).ok(201)
        changed = body | {"metadata": made["metadata"], "spec": {"parts": [None]}}
        reply = await api.put(ns(widgets, "a"), changed)
        why = re.compile(r'.*spec\.parts\[0\] in body must be of type object: "null"')
        reply.refused(422, "Invalid", why)

    async def test_items_of_a_set_are_unique(self, api: Client, ns: Namespace, widgets: str) -> None:
        body = {
            "apiVersion": "conformance.example/v1",
            "kind": "Widget",
            "metadata": {"name": "a"},
            "spec": {"tags": ["x", "y", "x"]},
        }
        why = 'spec.tags[2]: Duplicate value: "x"'
        reply = await api.post(ns(widgets), body)
        reply.refused(422, "Invalid", f'Widget.conformance.example "a" is invalid: {why}')


class TestRules:
    CASES: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("reason", {"key": "k", "count": 10}, "spec.count: Forbidden: failed rule: self < 10"),
        (
            "item",
            {"key": "k", "list": [{"x": "1"}, {}]},
            "spec.list[1]: Invalid value: failed rule: has(self.x) || has(self.y)",
        ),
        ("path", {"key": "k", "map": {}}, "spec.map: Required value: map must not be empty"),
    )

    @pytest.mark.parametrize(("spec", "why"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
    async def test_of_a_new_object(
        self, api: Client, ns: Namespace, things: str, spec: dict[str, Any], why: str
    ) -> None:
        reply = await api.post(ns(things), thing("a", **spec))
        reply.refused(422, "Invalid", f'Thing.checked.example "a" is invalid: {why}')

    async def test_immutable(self, api: Client, ns: Namespace, things: str) -> None:
        (await api.post(ns(things), thing("a", key="k"))).ok(201)
        reply = await api.patch(ns(things, "a"), {"spec": {"key": "l"}})
        details = reply.refused(
            422, "Invalid", 'Thing.checked.example "a" is invalid: spec.key: Invalid value: "l": key is immutable'
        )
        cause = {
            "reason": "FieldValueInvalid",
            "message": 'Invalid value: "l": key is immutable',
            "field": "spec.key",
        }
        assert details == {"name": "a", "group": "checked.example", "kind": "Thing", "causes": [cause]}

    async def test_of_a_change(self, api: Client, ns: Namespace, things: str) -> None:
        (await api.post(ns(things), thing("a", key="k", count=5))).ok(201)
        (await api.patch(ns(things, "a"), {"spec": {"count": 6}})).ok()
        reply = await api.patch(ns(things, "a"), {"spec": {"count": 4}})
        why = "spec.count: Invalid value: 4: has shrunk"
        reply.refused(422, "Invalid", f'Thing.checked.example "a" is invalid: {why}')
        # Without an old or a new value there is no change to judge.
        (await api.patch(ns(things, "a"), {"spec": {"count": None}})).ok()
        (await api.patch(ns(things, "a"), {"spec": {"count": 1}})).ok()

    async def test_of_a_field_that_goes(self, api: Client, ns: Namespace, things: str) -> None:
        (await api.post(ns(things), thing("a", key="k", color="red"))).ok(201)
        reply = await api.patch(ns(things, "a"), {"spec": {"color": None}})
        message = 'Thing.checked.example "a" is invalid: spec: Invalid value: color may not be removed'
        reply.refused(422, "Invalid", message)

    async def test_server_side_apply_is_judged_too(self, api: Client, ns: Namespace, things: str) -> None:
        (await api.apply(ns(things, "a"), thing("a", key="k"))).ok(201)
        reply = await api.apply(ns(things, "a"), thing("a", key="l"))
        why = 'spec.key: Invalid value: "l": key is immutable'
        reply.refused(422, "Invalid", f'Thing.checked.example "a" is invalid: {why}')


class TestSubresources:
    async def test_without_them(self, api: Client, ns: Namespace, things: str) -> None:
        (await api.post(ns(things), thing("a", key="k"))).ok(201)
        for path in ("status", "scale"):
            reply = await api.get(ns(things, "a", path))
            reply.refused(404, "NotFound", 'things.checked.example "a" not found')

    async def test_without_it_the_status_is_like_the_rest(self, api: Client, ns: Namespace, things: str) -> None:
        made = (await api.post(ns(things), thing("a", key="k") | {"status": {"x": 1}})).ok(201)
        assert made["status"] == {"x": 1}
        updated = (await api.patch(ns(things, "a"), {"status": {"x": 2}})).ok()
        assert_includes(updated, {"status": {"x": 2}, "metadata": {"generation": 2}})

    async def widget(self, api: Client, ns: Namespace, widgets: str, **spec: Any) -> dict[str, Any]:
        body = {"apiVersion": "conformance.example/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec}
        made: dict[str, Any] = (await api.post(ns(widgets), body)).ok(201)
        return made

    async def test_scale(self, api: Client, ns: Namespace, widgets: str) -> None:
        made = await self.widget(api, ns, widgets, replicas=3)
        (await api.patch(ns(widgets, "w", "status"), {"status": {"replicas": 2, "selector": "a=b"}})).ok()
        scale = (await api.get(ns(widgets, "w", "scale"))).ok()
        assert_includes(
            scale,
            {
                "kind": "Scale",
                "apiVersion": "autoscaling/v1",
                "metadata": {"name": "w", "namespace": ns.name, "uid": made["metadata"]["uid"]},
                "spec": {"replicas": 3},
                "status": {"replicas": 2, "selector": "a=b"},
            },
        )

    async def test_scaling(self, api: Client, ns: Namespace, widgets: str) -> None:
        await self.widget(api, ns, widgets, replicas=3)
        (await api.patch(ns(widgets, "w", "scale"), {"spec": {"replicas": 4}})).ok()
        body = {"metadata": {"name": "w"}, "spec": {"replicas": 5}}
        assert (await api.put(ns(widgets, "w", "scale"), body)).ok()["spec"] == {"replicas": 5}
        found = (await api.get(ns(widgets, "w"))).ok()
        assert_includes(found, {"spec": {"replicas": 5, "size": 1}, "metadata": {"generation": 3}})

    async def test_no_replicas_to_scale(self, api: Client, ns: Namespace, widgets: str) -> None:
        await self.widget(api, ns, widgets)
        reply = await api.get(ns(widgets, "w", "scale"))
        message = 'Internal error occurred: the spec replicas field ".spec.replicas" does not exist'
        reply.refused(500, "InternalError", message)

    async def test_negative_replicas(self, api: Client, ns: Namespace, widgets: str) -> None:
        await self.widget(api, ns, widgets, replicas=3)
        reply = await api.patch(ns(widgets, "w", "scale"), {"spec": {"replicas": -7}})
        assert (reply.status, reply.json["reason"]) == (422, "Invalid")

    async def test_an_invalid_status(self, api: Client, ns: Namespace, widgets: str) -> None:
        await self.widget(api, ns, widgets)
        reply = await api.patch(ns(widgets, "w", "status"), {"status": "x"}, MERGE_PATCH)
        assert (reply.status, reply.json["reason"]) == (422, "Invalid")


class TestColumns:
    async def test_types(self, api: Client, ns: Namespace) -> None:
        own = group()
        columns = [
            {"name": "Text", "type": "string", "jsonPath": ".spec.text"},
            {"name": "Number", "type": "integer", "jsonPath": ".spec.number"},
            {"name": "Flag", "type": "boolean", "jsonPath": ".spec.flag"},
            {"name": "First", "type": "string", "jsonPath": ".spec.list[0].x"},
            {"name": "Ready", "type": "string", "jsonPath": '.spec.list[?(@.x=="b")].y'},
            {"name": "When", "type": "date", "jsonPath": ".spec.when"},
        ]
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        await established(api, definition("gears", "Gear", schema, group=own, additionalPrinterColumns=columns))
        spec = {
            "text": "t",
            "number": 7,
            "flag": True,
            "list": [{"x": "a", "y": "1"}, {"x": "b", "y": "2"}],
            "when": "nonsense",
        }
        gear = {"apiVersion": f"{own}/v1", "kind": "Gear", "metadata": {"name": "a"}, "spec": spec}
        (await api.post(ns(f"{own}/v1/gears"), gear)).ok(201)
        (await api.post(ns(f"{own}/v1/gears"), gear | {"metadata": {"name": "b"}, "spec": {}})).ok(201)
        table = (await api.get(ns(f"{own}/v1/gears"), accept=TABLE)).ok()
        assert [row["cells"] for row in table["rows"]] == [
            ["a", "t", 7, True, "a", "2", "<invalid>"],
            ["b", None, None, None, None, None, None],
        ]

    async def test_without_any_there_is_the_age(self, api: Client, ns: Namespace, things: str) -> None:
        (await api.post(ns(things), thing("a", key="k"))).ok(201)
        table = (await api.get(ns(things), accept=TABLE)).ok()
        assert [each["name"] for each in table["columnDefinitions"]] == ["Name", "Age"]
