"""Makes docs/fields.md of the schemas of both kinds: every field with its type, bounds, default and description.

``python hack/fields.py`` writes it; a test sees that it is current.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from marie_operator.api import crd

PAGE = Path(__file__).parent.parent / "docs" / "fields.md"
_HEAD = """# Fields of MarieCluster and MarieJob

Both are `marie.ai/v1alpha1`. `[]` is an item of a list, `<name>` a key of the author's own; `*` marks a field that has
to be there. Pod templates and other parts that are Kubernetes' own are as in Kubernetes, and are not repeated. What a
field may hold is checked as an object is applied, and what is refused says what to do.
`kubectl explain mariecluster.spec --recursive` has the same from a cluster.

This page is made by `python hack/fields.py` of the models in `marie_operator.api`.
"""
_FOREIGN = {"template", "submitterPodTemplate"}
"""Fields that hold what Kubernetes documents."""
_SHARED = {"clusterSpec": "the spec of a [MarieCluster](#mariecluster-spec)"}
"""Fields whose parts are described elsewhere on the page."""
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} long",
    "maxLength": "up to {} characters",
    "minItems": "at least {} items",
    "maxItems": "up to {} items",
    "maxProperties": "up to {} keys",
}


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for definition in crd.definitions():
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for part in ("spec", "status"):
            parts.append(
                f"## {definition['spec']['names']['kind']} {part}\n\n{schema['properties'][part]['description']}\n"
            )
            parts.append("| field | type | |\n|---|---|---|")
            parts += _rows(schema["properties"][part], "")
            parts.append("")
    return "\n".join(parts)


def _rows(schema: dict[str, Any], path: str) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        here = f"{path}{name}"
        about = _SHARED.get(name) or " ".join(filter(None, (field.get("description", ""), _bounds(field))))
        cells = (f"`{here}`{'*' if name in required else ''}", _type(field), about.replace("|", "&#124;"))
        yield f"| {' | '.join(cells)} |"
        if name in _FOREIGN or name in _SHARED or not _own(field):
            continue
        yield from _rows(field, f"{here}.")
        if isinstance(items := field.get("items"), dict):
            yield from _rows(items, f"{here}[].")
        if isinstance(values := field.get("additionalProperties"), dict):
            yield from _rows(values, f"{here}.<name>.")


def _own(field: dict[str, Any]) -> bool:
    """Whether what is below a field is described here, which is so where each part of it has words of its own."""
    inner = field.get("items") or field.get("additionalProperties") or field
    below = inner.get("properties", {}) if isinstance(inner, dict) else {}
    return all("description" in each for each in below.values())


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{each}`" for each in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    inner = field.get("items")
    if isinstance(inner, dict):
        return f"list of {_type(inner)}s" if "enum" not in inner else f"list of {_type(inner)}"
    if isinstance(values := field.get("additionalProperties"), dict):
        return f"map of {_type(values)}s"
    return str(field.get("format") if field.get("format") == "date-time" else field.get("type", "any"))


def _bounds(field: dict[str, Any]) -> str:
    said = [words.format(field[bound]) for bound, words in _BOUNDS.items() if bound in field]
    default = field.get("default")
    if default not in (None, "", {}, []):
        said.append(f"default `{str(default).lower() if isinstance(default, bool) else default}`")
    return f"({', '.join(said)})" if said else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
