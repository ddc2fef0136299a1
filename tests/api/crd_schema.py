"""Reads a CRD as the API server does, as far as the tests need: defaults, and CEL rules where they are attached."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import cel

Schema = dict[str, Any]


def is_pod_template(schema: Schema) -> bool:
    return "containers" in schema.get("properties", {}).get("spec", {}).get("properties", {})


def fields(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every field with its path; a pod template is one field."""
    yield path, schema
    if is_pod_template(schema):
        return
    for name, part in schema.get("properties", {}).items():
        yield from fields(part, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from fields(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from fields(schema["additionalProperties"], f"{path}{{}}")


def defaulted(schema: Schema, value: Any) -> Any:
    """The value as the API server stores it: absent fields that have a default get it."""
    if isinstance(value, dict):
        value = dict(value)
        for name, part in schema.get("properties", {}).items():
            if name not in value and "default" in part:
                value[name] = deepcopy(part["default"])
        return {name: defaulted(_part(schema, name), entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [defaulted(schema["items"], entry) for entry in value]
    return value


def broken_rules(schema: Schema, value: Any) -> Iterator[str]:
    """The messages of the CEL rules that do not hold for a defaulted value that was just created."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" in rule["rule"]:
            continue
        if not cel.evaluate(rule["rule"], {"self": value}):
            yield rule["message"]
    if isinstance(value, dict) and not is_pod_template(schema):
        for name, entry in value.items():
            yield from broken_rules(_part(schema, name), entry)
    if isinstance(value, list):
        for entry in value:
            yield from broken_rules(schema["items"], entry)


def _part(schema: Schema, name: str) -> Schema:
    part: Schema = schema.get("properties", {}).get(name) or schema.get("additionalProperties") or {}
    return part
