"""A kind as a CRD would define it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from marie_operator.testing.apiserver.schema import Schema

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
NODE: Mapping[str, Any] = {
    "type": "object",
    "description": "A kettle boils water.",
    "properties": {
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "description": "What it should do.",
            "required": ["litres"],
            "properties": {
                "litres": {"type": "integer", "description": "How much.", "default": 1},
                "at": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "mode": {"type": "string", "enum": ["Fast", "Slow"], "nullable": True},
            },
        },
    },
}


@dataclass(frozen=True, eq=False)
class Custom:
    group: str = "kitchen.example.com"
    version: str = "v1"
    plural: str = "kettles"
    singular: str = "kettle"
    kind: str = "Kettle"
    list_kind: str = "KettleList"
    namespaced: bool = True
    short_names: tuple[str, ...] = ("kt",)
    categories: tuple[str, ...] = ("all",)
    verbs: Collection[str] = ALL_VERBS
    subresources: frozenset[str] = frozenset({"status", "scale"})
    schema: Schema = Schema(NODE)  # noqa: RUF009 - schemas do not change
    columns: tuple[Mapping[str, object], ...] = ()
