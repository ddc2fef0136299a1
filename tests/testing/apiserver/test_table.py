"""Tables: the rows that kubectl prints."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing.apiserver import jsonpath, table
from marie_operator.testing.apiserver.builtin import builtin
from marie_operator.testing.apiserver.discovery import Kind
from marie_operator.testing.apiserver.errors import Refusal
from marie_operator.testing.apiserver.printers import PRINTERS
from marie_operator.testing.apiserver.printers.age import human
from tests.testing.apiserver.custom import Custom

# What kube-apiserver 1.36.2 answered for these objects at these times.
RECORDED = json.loads((Path(__file__).parent / "tables.json").read_text())
TEE = Custom(
    group="t.example.com",
    plural="tees",
    kind="Tee",
    columns=tuple({"jsonPath": each.get("jsonPath"), **each} for each in RECORDED["columns"]),
)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def kind_of(obj: Any) -> Kind:
    group, _, version = obj["apiVersion"].rpartition("/")
    wanted = (group, version, obj["kind"])
    return next((each for each in builtin() if (each.group, each.version, each.kind) == wanted), TEE)


@pytest.mark.parametrize(
    "row", RECORDED["rows"], ids=lambda row: f"{row['object']['kind']}-{row['object']['metadata']['name']}"
)
def test_a_row_is_as_the_api_server_printed_it(row: Any) -> None:
    obj, now = row["object"], datetime.fromisoformat(row["now"])
    made = table.table(kind_of(obj), [obj], now=now)["rows"]
    assert made == [
        {
            "cells": row["cells"],
            **({"conditions": row["conditions"]} if "conditions" in row else {}),
            "object": {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": obj["metadata"],
            },
        }
    ]


def test_every_kind_with_columns_of_its_own_has_a_recorded_row() -> None:
    told = {(row["object"]["apiVersion"].rpartition("/")[0], row["object"]["kind"]) for row in RECORDED["rows"]}
    assert (
        PRINTERS.keys() - told
        == {
            ("autoscaling", "Scale"),  # is no resource by itself
            ("rbac.authorization.k8s.io", "ClusterRoleBinding"),  # as RoleBinding
        }
        - told
    )


@pytest.mark.parametrize("kind", builtin(), ids=lambda kind: f"{kind.kind}.{kind.group}")
def test_an_object_without_anything_has_a_row(kind: Kind) -> None:
    found = table.table(kind, [{"metadata": {"name": "x"}}], now=NOW)
    extra = kind.kind == "IPAddress"
    assert len(found["rows"][0]["cells"]) == len(found["columnDefinitions"]) + extra


def test_columns_say_what_they_are() -> None:
    pods = next(each for each in builtin() if each.kind == "Pod")
    columns = table.table(pods, [], now=NOW)["columnDefinitions"]
    assert columns[0] == {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}
    assert [each["name"] for each in columns if each["priority"]] == ["IP", "Node", "Nominated Node", "Readiness Gates"]
    roles = next(each for each in builtin() if each.kind == "Role")
    plain = table.table(roles, [], now=NOW)["columnDefinitions"]
    assert [(each["name"], each["type"]) for each in plain] == [("Name", "string"), ("Created At", "date")]


def test_a_crd_without_columns_shows_ages() -> None:
    obj = {"metadata": {"name": "x", "creationTimestamp": "2026-01-01T23:00:00Z"}}
    found = table.table(Custom(), [obj], now=NOW)
    assert [(each["name"], each["type"]) for each in found["columnDefinitions"]] == [
        ("Name", "string"),
        ("Age", "date"),
    ]
    assert found["rows"][0]["cells"] == ["x", "60m"]


def test_a_crds_columns_have_its_sentences_and_priorities() -> None:
    columns = (
        {"name": "L", "type": "integer", "jsonPath": ".l", "priority": 1, "format": "int32", "description": "D"},
    )
    found = table.table(Custom(columns=columns), [], now=NOW)["columnDefinitions"]
    assert found[1] == {"name": "L", "type": "integer", "format": "int32", "description": "D", "priority": 1}


@pytest.mark.parametrize(
    ("include", "carried"),
    [
        ("", {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "x"}}),
        ("Object", {"kind": "Kettle", "metadata": {"name": "x"}, "spec": 1}),
        ("None", None),
    ],
)
def test_a_row_carries_what_is_asked_for(include: str, carried: Any) -> None:
    obj = {"kind": "Kettle", "metadata": {"name": "x"}, "spec": 1}
    assert table.table(Custom(), [obj], now=NOW, include=include)["rows"][0]["object"] == carried


def test_a_row_cannot_carry_anything_else() -> None:
    with pytest.raises(Refusal, match='includeObject: Invalid value: "All"'):
        table.table(Custom(), [], now=NOW, include="All")


MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-2, "<invalid>"),
        (-1.5, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (2 * MINUTE, "2m"),
        (2 * MINUTE + 1, "2m1s"),
        (9 * MINUTE + 59, "9m59s"),
        (10 * MINUTE + 59, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (7 * HOUR + 59 * MINUTE, "7h59m"),
        (8 * HOUR + 59 * MINUTE, "8h"),
        (47 * HOUR, "47h"),
        (48 * HOUR, "2d"),
        (7 * DAY + 23 * HOUR, "7d23h"),
        (8 * DAY + 23 * HOUR, "8d"),
        (729 * DAY, "729d"),
        (730 * DAY, "2y"),
        (731 * DAY, "2y1d"),
        (8 * 365 * DAY + 30 * DAY, "8y"),
    ],
)
def test_durations_are_told_in_two_or_three_figures(seconds: float, told: str) -> None:
    assert human(seconds) == told


@given(st.floats(min_value=0, max_value=1e9))
def test_a_duration_never_claims_more_than_has_passed(seconds: float) -> None:
    units = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY, "y": 365 * DAY}
    total, number = timedelta(), ""
    for letter in human(seconds):
        if letter.isdigit():
            number += letter
        else:
            total, number = total + int(number) * timedelta(seconds=units[letter]), ""
    assert 0 <= seconds - total.total_seconds() <= max(1, seconds / 8)


@given(st.dictionaries(st.text(min_size=1), st.integers(), min_size=1))
def test_any_field_can_be_named_when_it_is_escaped(value: dict[str, int]) -> None:
    for name, wanted in value.items():
        path = "." + "".join(f"\\{letter}" for letter in name)
        assert jsonpath.find(path, value) == [wanted]


@pytest.mark.parametrize("path", [".a[", ".a b", ".a[?(@.b=)]", ".a[x]"])
def test_what_is_no_path_leads_nowhere(path: str) -> None:
    with pytest.raises(ValueError, match="unrecognized path"):
        jsonpath.find(path, {})
    assert jsonpath.first(path, {}) is jsonpath.MISSING
