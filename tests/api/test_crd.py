import json
import re
from pathlib import Path
from typing import Any

import pytest

from marie_operator.api import crd
from marie_operator.api.cluster_rules import CLUSTER_RULES
from marie_operator.api.job_rules import JOB_RULES, JOB_TRANSITIONS
from marie_operator.api.rule import TRANSITIONS, Rule
from tests.api.crd_schema import Schema, fields, is_pod_template
from tests.builders.schemas import validate

ROOT = Path(__file__).parents[2]
UPSTREAM = json.loads((Path(__file__).parent / "upstream/fields.json").read_text())
DEFINITIONS = {definition["spec"]["names"]["plural"]: definition for definition in crd.definitions()}
# What the API server adds to every object, or that has one shape in all kinds.
NOT_OURS = {"", "metadata"}

OPEN = "x-kubernetes-preserve-unknown-fields"

RULES: tuple[Rule[Any], ...] = (*CLUSTER_RULES, *JOB_RULES)

plurals = pytest.mark.parametrize("plural", sorted(DEFINITIONS))


def schema_of(plural: str) -> Schema:
    schema: Schema = DEFINITIONS[plural]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Schema, outlines: bool = False) -> list[Schema]:
    """Every schema node, pod templates included; of those within a job's own cluster only where asked for."""
    if not outlines and OPEN in schema:
        return []
    parts = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return [schema, *(node for part in parts if part for node in nodes(part, outlines))]


@plurals
@pytest.mark.kuberay("KR-37")
def test_every_own_field_tells_the_user_what_to_write(plural: str) -> None:
    short = [
        path
        for path, schema in fields(schema_of(plural))
        if path not in NOT_OURS
        and not path.endswith("{}")
        and not (path.endswith("[]") and schema["type"] != "object")
        and not re.fullmatch(r"[A-Z].{18,}\.", schema.get("description", ""))
    ]
    assert short == []


@plurals
def test_descriptions_are_plain_text(plural: str) -> None:
    assert [path for path, schema in fields(schema_of(plural)) if "``" in schema.get("description", "")] == []


@plurals
def test_every_upstream_field_keeps_its_name_and_type(plural: str) -> None:
    ours = dict(fields(schema_of(plural)))
    for path, theirs in UPSTREAM[plural]["fields"].items():
        mine = ours[path]
        if theirs.get("type") == "PodTemplateSpec":
            assert is_pod_template(mine), path
            continue
        for key in ("type", "format", "enum", "x-kubernetes-int-or-string"):
            # A plain string may have become one of a few words.
            if key in theirs or key != "enum":
                assert mine.get(key) == theirs.get(key), f"{path}: {key}"


@plurals
def test_upstream_defaults_and_bounds_stay(plural: str) -> None:
    ours = dict(fields(schema_of(plural)))
    for path, theirs in UPSTREAM[plural]["fields"].items():
        for key in ("minimum", "maximum"):
            if key in theirs:
                assert ours[path][key] == theirs[key], f"{path}: {key}"
        if theirs.get("default", "") != "":
            assert ours[path]["default"] == theirs["default"], path


@plurals
def test_nothing_becomes_required_but_the_spec(plural: str) -> None:
    ours = dict(fields(schema_of(plural)))
    assert schema_of(plural)["required"] == ["spec"]
    for path, theirs in UPSTREAM[plural]["fields"].items():
        if theirs.get("type") == "object":
            assert sorted(ours[path].get("required", [])) == sorted(theirs.get("required", [])), path


@plurals
def test_upstream_columns_and_names_stay(plural: str) -> None:
    names = DEFINITIONS[plural]["spec"]["names"]
    columns = [column["name"] for column in DEFINITIONS[plural]["spec"]["versions"][0]["additionalPrinterColumns"]]
    assert set(UPSTREAM[plural]["columns"]) <= set(columns)
    assert set(UPSTREAM[plural]["shortNames"]) <= set(names["shortNames"])
    assert names["categories"] == ["marie"]


@plurals
def test_schemas_are_structural(plural: str) -> None:
    allowed_in_alternatives = {"type"}
    for node in nodes(schema_of(plural)):
        assert ("type" in node) != node.get("x-kubernetes-int-or-string", False)
        assert not {"$ref", "title", "allOf", "oneOf", "nullable"} & set(node)
        assert all(set(part) <= allowed_in_alternatives for part in node.get("anyOf", ()))
        if node.get("x-kubernetes-list-type") == "map":
            properties, required = node["items"]["properties"], node["items"].get("required", ())
            assert all(key in required or "default" in properties[key] for key in node["x-kubernetes-list-map-keys"])


def test_only_the_templates_of_a_jobs_own_cluster_are_open() -> None:
    """They are checked when the cluster is made; whole, they would take what kubectl apply has room for."""
    opened = {plural: [path for path, node in fields(schema_of(plural)) if OPEN in node] for plural in DEFINITIONS}
    own = "spec.clusterSpec"
    templates = (f"{own}.serverSpec.template", f"{own}.executorGroupSpecs[].template")
    assert opened["marieclusters"] == []
    assert {path for path in opened["mariejobs"] if path.startswith(templates)} == set(opened["mariejobs"])
    assert set(templates) <= set(opened["mariejobs"])


@pytest.mark.parametrize("version", ["1.25", "1.36"])
@plurals
def test_a_definition_is_valid_in_every_supported_version(plural: str, version: str) -> None:
    validate(DEFINITIONS[plural], version)


@plurals
@pytest.mark.kuberay("KR-37")
def test_files_and_client_side_apply_have_room_to_spare(plural: str) -> None:
    assert (ROOT / f"config/crd/marie.ai_{plural}.yaml").stat().st_size < 250_000
    # kubectl apply keeps the object in an annotation; annotations hold 262,144 bytes together.
    assert len(json.dumps(DEFINITIONS[plural], separators=(",", ":"))) < 200_000


def test_rules_use_only_what_kubernetes_1_25_has() -> None:
    newer = r"quantity\(|format\.|\.find|optional|\?\.|isURL|url\(|ip\(|cidr|oldSelf|sets\.|base64|\.lowerAscii"
    for rule in RULES:
        assert not re.search(newer, rule.cel), rule.cel
    attached: list[dict[str, Any]] = [
        rule
        for plural in DEFINITIONS
        for node in nodes(schema_of(plural))
        for rule in node.get("x-kubernetes-validations", ())
    ]
    assert len(attached) == len(RULES) + 2 * len(TRANSITIONS) + len(JOB_TRANSITIONS)
    assert all(set(rule) == {"rule", "message"} for rule in attached)


def test_messages_say_what_to_do() -> None:
    for rule in RULES:
        assert ": " in rule.message, rule.message
        assert "\n" not in rule.message
        assert len(rule.message) < 256
