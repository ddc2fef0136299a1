"""Writes src/marie_operator/testing/apiserver/protobuf.json: the numbers of the fields of the built-in kinds.

    .venv/bin/python hack/protobuf_numbers.py "$(go env GOMODCACHE)/k8s.io" v0.36.2

kubectl sends objects of built-in kinds in protobuf. The numbers are in the tags of the Go types. Run it after
hack/builtin_kinds.py. Before a field's name stands "?" when its zero value is left out of JSON, and "~" when an empty
object is left out as well; an object is the fields of a type that is embedded.
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
    yield "io.k8s.apimachinery.pkg.apis.meta.v1.", cache / f"apimachinery@{version}/pkg/apis/meta/v1"


def structs(folder: Path) -> dict[str, str]:
    """The bodies of a package's types, by name."""
    files = [each for each in folder.glob("*.go") if not re.search(r"generated|_test\.go|\.pb\.go", each.name)]
    return {name: body for each in files for name, body in STRUCT.findall(each.read_text())}


def numbers(name: str, types: dict[str, str]) -> Numbers:
    """The fields of a type, by number."""
    found: Numbers = {}
    for match in FIELD.finditer(types[name]):
        number, tag = NUMBER.search(match["tags"]), JSON_TAG.search(match["tags"])
        if number is None or tag is None:
            continue
        field, *options = tag[1].split(",")
        if not field:
            found[number[1]] = numbers(match["type"].lstrip("*"), types)
            continue
        optional = match["type"].startswith("*")
        mark = "~" if "omitzero" in options else "?" if "omitempty" in options and not optional else ""
        found[number[1]] = mark + field
    return found


def main() -> None:
    """Read the packages in the folder and of the version that the arguments name, and write the numbers."""
    definitions = json.loads((FOLDER / "builtin.json").read_text())["definitions"]
    found = {
        prefix + name: numbers(name, types)
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
