"""Writes src/marie_operator/api/pod_template.json, the structural schema of ``v1.PodTemplateSpec``.

    spec=$(go env GOMODCACHE)/k8s.io/kubernetes@v1.36.2/api/openapi-spec/v3/api__v1_openapi.json
    .venv/bin/python hack/pod_template.py "$spec"

Run it when the Kubernetes version in hack/controlplane/kubernetes/go.mod moves. References are resolved, and what a
CRD does not need (descriptions) or may not have (patch strategies) is left out.
"""

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "src/marie_operator/api/pod_template.json"
ROOT = "io.k8s.api.core.v1.PodTemplateSpec"

QUANTITY = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "pattern": (
        r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
        r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
    ),
    "x-kubernetes-int-or-string": True,
}
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
# A template's metadata as Go operators' CRDs have it. creationTimestamp is here because
# "kubectl create --dry-run -o yaml" writes "creationTimestamp: null" into the templates that people copy.
METADATA = {
    "type": "object",
    "properties": {
        "annotations": STRINGS,
        "creationTimestamp": {"type": "string", "format": "date-time"},
        "finalizers": {"type": "array", "items": {"type": "string"}},
        "labels": STRINGS,
        "name": {"type": "string"},
        "namespace": {"type": "string"},
    },
}
SPECIAL: dict[str, Any] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": QUANTITY,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
    },
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": METADATA,
}
KEPT = (
    "type",
    "format",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
)


def structural(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema with every reference resolved and only what a CRD keeps."""
    reference = schema.get("$ref") or next((part["$ref"] for part in schema.get("allOf", ()) if "$ref" in part), None)
    if reference:
        name = reference.rpartition("/")[2]
        result = dict(SPECIAL[name]) if name in SPECIAL else structural(definitions[name], definitions)
        own = {key: schema[key] for key in KEPT if key in schema}
        return {**result, **own}
    result = {key: schema[key] for key in KEPT if key in schema}
    if "required" in result:
        result["required"] = sorted(result["required"])
    for part in ("items", "additionalProperties"):
        if part in schema:
            result[part] = structural(schema[part], definitions)
    if "properties" in schema:
        result["properties"] = {
            name: structural(part, definitions) | default_of(part, required=name in schema.get("required", ()))
            for name, part in sorted(schema["properties"].items())
        }
    return result


def default_of(schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    """The default of an optional field; a required one shows only the zero value of its Go type."""
    default = schema.get("default")
    return {"default": default} if isinstance(default, str | int) and not required else {}


def main() -> None:
    """Read the OpenAPI file named by the only argument, and write the schema."""
    definitions = json.loads(Path(sys.argv[1]).read_text())["components"]["schemas"]
    TARGET.write_text(json.dumps(structural(definitions[ROOT], definitions), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
