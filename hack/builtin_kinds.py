"""Writes src/marie_operator/testing/apiserver/builtin.json: the kinds that the embedded API server has built in.

    kubernetes=$(go env GOMODCACHE)/k8s.io/kubernetes@v1.36.2
    .venv/bin/python hack/builtin_kinds.py "$kubernetes"

Run it when the Kubernetes version in hack/controlplane/kubernetes/go.mod moves. It keeps the facts of the published
API (names, verbs, schemas) and leaves the sentences out. The published documents do not name the values of
enumerations, as a server does; those come from the source that a server is built of. Kinds and definitions are one
line each, so that a diff shows what has changed.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "src/marie_operator/testing/apiserver/builtin.json"
# In the order in which the API server lists its groups.
GROUPS = (
    "v1",
    "apps/v1",
    "events.k8s.io/v1",
    "authentication.k8s.io/v1",
    "authorization.k8s.io/v1",
    "autoscaling/v2",
    "autoscaling/v1",
    "batch/v1",
    "networking.k8s.io/v1",
    "policy/v1",
    "rbac.authorization.k8s.io/v1",
    "storage.k8s.io/v1",
    "apiextensions.k8s.io/v1",
    "scheduling.k8s.io/v1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
)
# Of some groups only these.
CHOSEN = {"storage.k8s.io/v1": {"storageclasses"}}
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
# What every group's paths refer to.
COMMON = [META + name for name in ("DeleteOptions", "ListMeta", "Patch", "Status", "WatchEvent")]
GVK = "x-kubernetes-group-version-kind"
DROPPED = {"description", "title", "example", "externalDocs"}
Object = dict[str, Any]


def facts(node: Any) -> Any:
    """A schema without sentences; references are names."""
    if isinstance(node, list):
        return [facts(each) for each in node]
    if not isinstance(node, dict):
        return node
    # A field may well be called "description": only a sentence is dropped.
    kept = {name: facts(value) for name, value in node.items() if not (name in DROPPED and isinstance(value, str))}
    if isinstance(kept.get("$ref"), str):
        kept["$ref"] = kept["$ref"].rpartition("/")[2]
    parts = kept.get("allOf")
    if isinstance(parts, list) and len(parts) == 1 and parts[0].keys() == {"$ref"}:
        kept |= kept.pop("allOf")[0]
    return kept


def enumerations(source: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Definition, field and values of every field that is an enumeration, or a list of one."""
    definition = field = ""
    for line in source.read_text().splitlines():
        if found := re.match(r"func schema_k8sio_api_(\w+)\(", line):
            definition = "io.k8s.api." + found[1].replace("_", ".")
        elif found := re.match(r'\t{5}"(\w+)": \{$', line):
            field = found[1]
        elif found := re.match(r"\t+Enum: +\[\]interface\{\}\{(.*)\},$", line):
            yield definition, field, json.loads(f"[{found[1]}]")


def enumerated(definitions: Object, source: Path) -> None:
    """Add the values of enumerations."""
    for name, field, values in enumerations(source):
        if name in definitions:
            node = definitions[name]["properties"][field]
            node = node.get("items", node)
            node["enum"] = values


def references(node: Any) -> Iterator[str]:
    """The names of the definitions that a schema refers to."""
    if isinstance(node, list):
        for each in node:
            yield from references(each)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from references(value)


def needed(roots: list[str], definitions: Object) -> Object:
    """The definitions that some definitions need, and they themselves."""
    found: Object = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = definitions[name]
            waiting.extend(references(definitions[name]))
    return found


def kinds(api: Path, group_version: str) -> Iterator[Object]:
    """The kinds of one group and version."""
    group, _, version = group_version.rpartition("/")
    path = f"apis__{group}__{version}" if group else f"api__{version}"
    resources = json.loads((api / f"discovery/{path}.json").read_text())["resources"]
    for each in resources:
        if "/" in each["name"] or each["name"] not in CHOSEN.get(group_version, {each["name"]}):
            continue
        parts = [part for part in resources if part["name"].startswith(each["name"] + "/")]
        yield {
            "group": group,
            "version": version,
            "plural": each["name"],
            "singular": each["singularName"],
            "kind": each["kind"],
            "namespaced": each["namespaced"],
            "shortNames": each.get("shortNames", []),
            "categories": each.get("categories", []),
            "verbs": each["verbs"],
            "subresources": [subresource(part) for part in parts],
        }


def subresource(resource: Object) -> Object:
    """What is known of a subresource; its kind's group and version only where they differ from the resource's."""
    return {
        "name": resource["name"].partition("/")[2],
        **{part: resource[part] for part in ("kind", "group", "version", "verbs") if part in resource},
    }


def wanted(kind: Object) -> Iterator[tuple[str, str, str]]:
    """Group, version and kind of all objects that a kind's paths take."""
    yield kind["group"], kind["version"], kind["kind"]
    for part in kind["subresources"]:
        yield part.get("group", kind["group"]), part.get("version", kind["version"]), part["kind"]


def main() -> None:
    """Read the folder named by the only argument, and write the kinds."""
    kubernetes = Path(sys.argv[1])
    api = kubernetes / "api"
    definitions: Object = {}
    for group_version in GROUPS:
        path = group_version.replace("/", "__")
        path = f"apis__{path}" if "__" in path else f"api__{path}"
        document = json.loads((api / f"openapi-spec/v3/{path}_openapi.json").read_text())
        definitions |= {name: facts(schema) for name, schema in document["components"]["schemas"].items()}
    enumerated(definitions, kubernetes / "pkg/generated/openapi/zz_generated.openapi.go")
    # DeleteOptions and others are kinds of every group there is.
    for name in definitions:
        if name.startswith(META):
            definitions[name].pop(GVK, None)
    found = [kind for group_version in GROUPS for kind in kinds(api, group_version)]
    named = {
        (each["group"], each["version"], each["kind"]): name
        for name, schema in definitions.items()
        for each in schema.get(GVK, ())
    }
    # The options of "exec", "portforward" and the like are parameters, never bodies.
    roots = [named[each] for kind in found for each in wanted(kind) if each in named]
    TARGET.write_text(
        '{"kinds":[\n'
        + ",\n".join(map(compact, found))
        + '\n],\n"definitions":{\n'
        + ",\n".join(
            f"{compact(name)}:{compact(schema)}" for name, schema in sorted(needed(COMMON + roots, definitions).items())
        )
        + "\n}}\n"
    )


def compact(value: Any) -> str:
    """JSON without a character that is not needed, the same whenever the facts are."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


if __name__ == "__main__":
    main()
