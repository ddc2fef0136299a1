"""The CustomResourceDefinitions, generated from the models, the rules, and the pod template's schema."""

import json
from importlib import resources
from typing import Any, NamedTuple

from marie_operator.api.cluster_rules import CLUSTER_RULES
from marie_operator.api.job_rules import JOB_RULES, JOB_TRANSITIONS
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.api.meta import GROUP, POD_TEMPLATE_MARK, VERSION
from marie_operator.api.rule import TRANSITIONS, Rule, Transition

Schema = dict[str, Any]

# What a structural schema keeps of pydantic's JSON schema.
_KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-int-or-string",
)


class PodTemplateProperties(dict[str, Any]):
    """The fields of a pod template: a plain mapping of its own type, so that it can be written compactly."""


_OUTLINE: dict[str, Any] = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {
        "spec": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "properties": {
                "containers": {
                    "type": "array",
                    "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                }
            },
        }
    },
}
"""A pod template within a cluster within a job, as far as the job's rules read it.

The whole schema, once for the server and once for the groups, would make the definition too large for
``kubectl apply``; the API server checks the templates when the cluster is made.
"""


class Column(NamedTuple):
    """A printer column; those of priority 1 appear with ``kubectl get -o wide``."""

    name: str
    type: str
    path: str
    description: str
    priority: int = 0

    def manifest(self) -> dict[str, Any]:
        """The column as the CRD writes it."""
        column: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "jsonPath": self.path,
            "description": self.description,
        }
        return column | ({"priority": self.priority} if self.priority else {})


AGE = Column("Age", "date", ".metadata.creationTimestamp", "Time since the object was created.")

CLUSTER_COLUMNS = (
    Column("Phase", "string", ".status.phase", "The state in one word."),
    Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why the cluster is ready, or not."),
    Column("Server", "boolean", ".status.serverReady", "Whether the scheduler takes jobs."),
    Column("Executors", "integer", ".status.readyExecutorReplicas", "Executor pods that are ready."),
    Column("Desired", "integer", ".status.desiredExecutorReplicas", "Executor pods that the spec asks for."),
    AGE,
    Column("Version", "string", ".spec.marieVersion", "Version of Marie, as the spec says.", 1),
    Column("GPUs", "string", ".status.desiredGPU", "GPUs that all pods request together.", 1),
    Column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', "What is missing, in a sentence.", 1),
)

JOB_COLUMNS = (
    Column("Cluster", "string", ".status.clusterName", "The MarieCluster that does the work."),
    Column("Type", "string", ".spec.jobType", "Kind of processing."),
    Column("Phase", "string", ".status.phase", "The state in one word."),
    Column("Progress", "integer", ".status.progress", "Share of the work that has ended, in percent."),
    Column("Documents", "integer", ".status.documents.listed", "Documents found so far."),
    Column("Failed", "integer", ".status.documents.failed", "Documents that failed for good."),
    Column("Duration", "string", ".status.duration", "Time from start to end."),
    AGE,
    Column("Priority", "integer", ".spec.priority", "Higher numbers are worked on first.", 1),
    Column("Queue", "integer", ".status.queuePosition", "Place among the jobs that wait for their turn.", 1),
    Column("Message", "string", ".status.message", "What the job does or waits for.", 1),
)


def definitions() -> tuple[Schema, ...]:
    """Both CustomResourceDefinitions, as plain objects ready for the API server."""
    template = json.loads(resources.files("marie_operator.api").joinpath("pod_template.json").read_text("utf-8"))
    return (
        _definition(
            MarieCluster, "marieclusters", ["mc", "marie"], CLUSTER_COLUMNS, CLUSTER_RULES, TRANSITIONS, template
        ),
        _definition(MarieJob, "mariejobs", ["mj"], JOB_COLUMNS, JOB_RULES, (*TRANSITIONS, *JOB_TRANSITIONS), template),
    )


def _definition(
    model: type[MarieCluster] | type[MarieJob],
    plural: str,
    short_names: list[str],
    columns: tuple[Column, ...],
    rules: tuple[Rule[MarieCluster], ...] | tuple[Rule[MarieJob], ...],
    transitions: tuple[Transition, ...],
    template: Schema,
) -> Schema:
    schema = _root(model, template)
    for rule in (*rules, *transitions):
        _attach(schema, rule.at, {"rule": rule.cel, "message": rule.message})
    kind = model.__name__
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": short_names,
                "categories": ["marie"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [column.manifest() for column in columns],
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def _root(model: type[MarieCluster] | type[MarieJob], template: Schema) -> Schema:
    source = model.model_json_schema()
    schema = _structural(source, source["$defs"], template, defaults=True)
    properties = schema["properties"]
    # A status starts empty and is written by the operator alone.
    properties["status"] = _structural(source["properties"]["status"], source["$defs"], template, defaults=False)
    properties["apiVersion"] = {
        "type": "string",
        "description": f"The group and version of the kind: {GROUP}/{VERSION}.",
    }
    properties["kind"] = {"type": "string", "description": f"The kind of the object: {model.__name__}."}
    properties["metadata"] = {"type": "object"}
    schema["required"] = ["spec"]
    if (own := properties["spec"]["properties"].get("clusterSpec")) is not None:
        _outline(own)
    return schema


def _outline(schema: Schema) -> None:
    """Reduce the pod templates below to their outline."""
    for name, part in schema.get("properties", {}).items():
        if isinstance(part.get("properties"), PodTemplateProperties):
            described = {"description": part["description"]} if "description" in part else {}
            schema["properties"][name] = described | _OUTLINE
        else:
            _outline(part)
    if "items" in schema:
        _outline(schema["items"])


def _structural(source: Schema, refs: dict[str, Schema], template: Schema, *, defaults: bool) -> Schema:
    """A structural schema: references resolved, null left out, defaults only where they say something."""
    if POD_TEMPLATE_MARK in source:
        described = {"description": source["description"]} if "description" in source else {}
        return described | template | {"properties": PodTemplateProperties(template["properties"])}
    if "$ref" in source:
        resolved = _structural(refs[source["$ref"].rpartition("/")[2]], refs, template, defaults=defaults)
        return resolved | {key: source[key] for key in ("description",) if key in source}
    alternatives = [part for part in source.get("anyOf", ()) if part != {"type": "null"}]
    if len(alternatives) == 1:
        merged = alternatives[0] | {key: value for key, value in source.items() if key != "anyOf"}
        return _structural(merged, refs, template, defaults=defaults)
    schema: Schema = {key: source[key] for key in _KEPT if key in source}
    if "description" in schema:
        # Docstrings mark code for Sphinx; kubectl explain shows plain text.
        schema["description"] = schema["description"].replace("``", "")
    if alternatives:
        schema["anyOf"] = alternatives
    default = source.get("default")
    if defaults and default not in (None, "", [], {}) and default is not False:
        schema["default"] = default
    for part in ("items", "additionalProperties"):
        if isinstance(source.get(part), dict):
            schema[part] = _structural(source[part], refs, template, defaults=defaults)
    if "properties" in source:
        schema["properties"] = {
            name: _structural(part, refs, template, defaults=defaults) for name, part in source["properties"].items()
        }
    return schema


def _attach(schema: Schema, at: str, rule: Schema) -> None:
    for step in filter(None, at.split(".")):
        name, _, item = step.partition("[")
        schema = schema["properties"][name]
        if item:
            schema = schema["items"]
    schema.setdefault("x-kubernetes-validations", []).append(rule)
