"""Writes src/marie_operator/testing/apiserver/protobuf.json: fields of the built-in kinds as their Go types have them.

    .venv/bin/python hack/protobuf_numbers.py "$(go env GOMODCACHE)/k8s.io" v0.36.2

kubectl sends objects of built-in kinds in protobuf. The numbers are in the tags of the Go types. Run it after
hack/builtin_kinds.py. An object is the fields of a type that is embedded. Before a field's name stands what JSON has
of it when it was not set, or is zero:

- nothing: it is a pointer, and absent when it was not set;
- ``?``: it is absent when it is zero or empty;
- ``~``: the same, and an object is absent when all of it is;
- ``!``: it is there, as its zero: an empty text, nought, false, an object;
- ``^``: it is there, as null.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "src/marie_operator/testing/apiserver"
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^\t(?:\w+\s+)?(?P<type>[*\[\]\w.]+)\s+`(?P<tags>.*)`", re.MULTILINE)
JSON_TAG, NUMBER = re.compile(r'json:"([^"]*)"'), re.compile(r'protobuf:"\w+,(\d+)')
Numbers = dict[str, "str | Numbers"]


def packages(cache: Path, version: str) -> Iterator[tuple[str, Path]]:
    """The packages that have types, by the prefix of their definitions."""
    for folder in sorted((cache / f"api@{version}").glob("*/v*")):
        if re.fullmatch(r"v\d+", folder.name):
            yield f"io.k8s.api.{folder.parent.name}.{folder.name}.", folder
    extensions = cache / f"apiextensions-apiserver@{version}/pkg/apis/apiextensions/v1"
    yield "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.", extensions
    yield "io.k8s.apimachinery.pkg.apis.meta.v1.", cache / f"apimachinery@{version}/pkg/apis/meta/v1"


def structs(folder: Path) -> dict[str, str]:
    """The bodies of a package's types, by name."""
    files = [each for each in folder.glob("*.go") if not re.search(r"generated|_test\.go|\.pb\.go", each.name)]
    return {name: body for each in files for name, body in STRUCT.findall(each.read_text())}


def numbers(name: str, types: dict[str, str], properties: dict[str, dict[str, object]]) -> Numbers:
    """The fields of a type, by number; the properties tell what kinds of values they have."""
    found: Numbers = {}
    for match in FIELD.finditer(types[name]):
        number, tag = NUMBER.search(match["tags"]), JSON_TAG.search(match["tags"])
        if number is None or tag is None:
            continue
        field, *options = tag[1].split(",")
        if not field:
            found[number[1]] = numbers(match["type"].lstrip("*"), types, properties)
            continue
        found[number[1]] = mark(match["type"], options, properties.get(field, {})) + field
    return found


def mark(go_type: str, options: list[str], schema: dict[str, object]) -> str:
    """How a field is written that was not set."""
    if "omitzero" in options:
        return "~"
    nil = go_type.startswith("*") or schema.get("type") == "array" or "additionalProperties" in schema
    if "omitempty" not in options:
        return "^" if nil else "!"
    if go_type.startswith("*"):
        return ""
    # What encodes JSON never finds a struct empty.
    return "!" if "$ref" in schema else "?"


def main() -> None:
    """Read the packages in the folder and of the version that the arguments name, and write the numbers."""
    definitions = json.loads((FOLDER / "builtin.json").read_text())["definitions"]
    found = {
        prefix + name: numbers(name, types, definitions[prefix + name].get("properties", {}))
        for prefix, folder in packages(Path(sys.argv[1]), sys.argv[2])
        for types in [structs(folder)]
        for name in types
        if prefix + name in definitions
    }
    lines = (
        f"{json.dumps(name)}:{json.dumps(fields, separators=(',', ':'))}"
        for name, fields in sorted(found.items())
        if fields
    )
    (FOLDER / "protobuf.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
