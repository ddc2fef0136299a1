"""Documents of OpenAPI version 3 as one of version 2, as far as version 2 can tell it."""

from collections.abc import Iterable, Mapping
from typing import Final

from marie_operator.testing.apiserver.builtin import KUBERNETES
from marie_operator.testing.apiserver.errors import Json, Object

_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
# What version 2 does not know, or is not told; ``allOf`` around a reference is handled by itself.
_UNKNOWN: Final = frozenset({"nullable", "anyOf", "oneOf", "allOf", "not", "default"})


def converted(documents: Iterable[Object]) -> Object:
    """One document of version 2 that tells what some of version 3 tell."""
    paths: Object = {}
    definitions: Object = {}
    for each in documents:
        paths |= {path: _path(item) for path, item in each["paths"].items()}
        for name, schema in each["components"]["schemas"].items():
            if name not in definitions:
                # Quantities and the like, which may be numbers as well, are said to be strings.
                untyped = "oneOf" in schema and "type" not in schema
                definitions[name] = _schema(schema) | ({"type": "string"} if untyped else {})
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": KUBERNETES},
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(definitions.items())),
    }


def _path(item: Object) -> Object:
    return {
        name: _operation(value) if name in _METHODS else [_parameter(each) for each in value]
        for name, value in item.items()
    }


def _parameter(parameter: Object) -> Object:
    return {**{name: value for name, value in parameter.items() if name != "schema"}, **parameter["schema"]}


def _operation(operation: Object) -> Object:
    found = {name: value for name, value in operation.items() if name not in {"requestBody", "parameters"}}
    parameters = [_parameter(each) for each in operation.get("parameters") or ()]
    body = operation.get("requestBody")
    if body is not None:
        found["consumes"] = list(body["content"])
        schema = _schema(next(iter(body["content"].values()))["schema"])
        parameters.append({"name": "body", "in": "body", "schema": schema} | _required(body))
    found["produces"] = [media for answer in operation["responses"].values() for media in answer["content"]]
    found["responses"] = {code: _answer(answer) for code, answer in operation["responses"].items()}
    return found | ({"parameters": parameters} if parameters else {})


def _required(body: Object) -> Object:
    return {"required": True} if body.get("required") else {}


def _answer(answer: Object) -> Object:
    content = next(iter(answer["content"].values()))
    return {"description": answer["description"], "schema": _schema(content["schema"])}


def _schema(node: Mapping[str, Json]) -> Object:
    """A schema; where version 2 cannot say what is allowed, more is."""
    reference = node.get("$ref") or next((part["$ref"] for part in node.get("allOf") or () if "$ref" in part), None)
    found: Object = {name: value for name, value in node.items() if name not in _UNKNOWN}
    if reference is not None:
        found["$ref"] = reference.replace("#/components/schemas/", "#/definitions/")
    if node.get("nullable") or node.get("x-kubernetes-int-or-string"):
        for name in ("type", "properties", "items", "additionalProperties"):
            found.pop(name, None)
    if "properties" in found:
        found["properties"] = {name: _schema(child) for name, child in found["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(found.get(name), Mapping):
            found[name] = _schema(found[name])
    return found
