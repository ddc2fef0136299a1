"""OpenAPI documents of the kinds that a server serves: version 3 for each group and version, and version 2 in one."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

from marie_operator.testing.apiserver import swagger, swagger_protobuf
from marie_operator.testing.apiserver.builtin import (
    GROUP_VERSION_KIND,
    KUBERNETES,
    Subresource,
    definition_of,
    definitions,
    find_builtin,
)
from marie_operator.testing.apiserver.discovery import Document, Kind, digest, preference, subresources
from marie_operator.testing.apiserver.errors import Json, Object
from marie_operator.testing.apiserver.negotiation import clauses, not_acceptable

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_COMMON = tuple(_META + name for name in ("DeleteOptions", "ListMeta", "ObjectMeta", "Patch", "Status", "WatchEvent"))
_SCHEMAS = "#/components/schemas/"
_METHODS = {"get": "get", "create": "post", "update": "put", "patch": "patch", "delete": "delete"}
_WORDS = {"get": "read", "post": "create", "put": "replace", "patch": "patch", "delete": "delete"}
# Subresources that are connections rather than objects.
_CONNECTIONS = frozenset({"attach", "exec", "portforward", "proxy"})
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_STRATEGIC = "application/strategic-merge-patch+json"


def document(kinds: Collection[Kind], path: str, accept: str) -> Document | None:
    """The OpenAPI document at a path; None when there is none.

    Args:
        kinds: What is served.
        path: Such as ``/openapi/v3/apis/apps/v1``.
        accept: What the client accepts.

    Raises:
        Refusal: 406, the client wants version 2 in another form than JSON and protobuf.
    """
    match path.split("/", 3)[1:]:
        case ["openapi", "v2"]:
            return _version_2(tuple(_by_path(kinds).values()), _form(accept))
        case ["openapi", "v3"]:
            return _index(_by_path(kinds))
        case ["openapi", "v3", rest]:
            served = _by_path(kinds).get(rest)
            return None if served is None else _document(served)
        case _:
            return None


def _index(served: Mapping[str, tuple[Kind, ...]]) -> Document:
    """Where the documents of version 3 are."""
    paths = {
        path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={_document(kinds).etag}"}
        for path, kinds in sorted(served.items())
    }
    return _encoded({"paths": paths})


@lru_cache(maxsize=128)
def _document(kinds: tuple[Kind, ...]) -> Document:
    return _encoded(_version_3(kinds))


def _form(accept: str) -> str:
    """The media type of a document of version 2 that a client likes best."""
    offered = ("application/json", *swagger_protobuf.MEDIA_TYPES)
    for clause in clauses(accept or "*/*"):
        for media in offered:
            if clause.covers(media):
                return media
    raise not_acceptable(offered)


@lru_cache(maxsize=4)
def _version_2(groups: tuple[tuple[Kind, ...], ...], media: str) -> Document:
    content = swagger.converted(map(_version_3, groups))
    plain = _encoded(content)
    if media not in swagger_protobuf.MEDIA_TYPES:
        return plain
    return Document(swagger_protobuf.encoded(content), swagger_protobuf.MEDIA_TYPES[0], plain.etag)


def _encoded(content: Object) -> Document:
    body = json.dumps(content, separators=(",", ":")).encode()
    return Document(body, "application/json", digest(body))


def _by_path(kinds: Iterable[Kind]) -> dict[str, tuple[Kind, ...]]:
    found: dict[str, list[Kind]] = {}
    for kind in sorted(kinds, key=lambda kind: (kind.group, preference(kind.version), kind.plural)):
        found.setdefault(_root(kind), []).append(kind)
    return {path: tuple(served) for path, served in found.items()}


def _root(kind: Kind) -> str:
    return f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"


def _version_3(kinds: tuple[Kind, ...]) -> Object:
    """The document of the kinds of one group and version."""
    paths: Object = {}
    schemas: Object = {}
    needed = list(_COMMON)
    for kind in kinds:
        paths |= _paths(kind)
        name = definition_name(kind.group, kind.version, kind.kind)
        if name in definitions():
            needed.append(name)
        else:
            schemas[name] = _custom_definition(kind)
        if "list" in kind.verbs:
            schemas[definition_name(kind.group, kind.version, kind.list_kind)] = _list_definition(kind, name)
        needed += (part for part in map(_part_definition, subresources(kind)) if part in definitions())
    for each in needed:
        schemas.update((name, _published(name)) for name in _closure(each) if name not in schemas)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": KUBERNETES},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def definition_name(group: str, version: str, kind: str) -> str:
    """The name of a kind's definition; one from a CRD is named by its group, backwards."""
    return definition_of(group, version, kind) or _listed(group, version, kind) or _reversed(group, version, kind)


def _listed(group: str, version: str, kind: str) -> str:
    """The name of the list of a built-in kind: next to the kind's own."""
    item = definition_of(group, version, kind.removesuffix("List"))
    return f"{item}List" if item and kind.endswith("List") else ""


def _reversed(group: str, version: str, kind: str) -> str:
    return ".".join([*reversed(group.split(".")), version, kind])


def _part_definition(part: Subresource) -> str:
    return definition_of(part.group, part.version, part.kind)


@cache
def _closure(name: str) -> frozenset[str]:
    """A definition and all that it refers to, by name."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting.extend(_references(definitions()[each]))
    return frozenset(found)


def _references(node: Json) -> Iterator[str]:
    if isinstance(node, Mapping):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference
        for child in node.values():
            yield from _references(child)


@cache
def _published(name: str) -> Json:
    """A built-in definition as documents have it."""
    return _written_out(definitions()[name])


def _written_out(node: Json) -> Json:
    if not isinstance(node, Mapping):
        return node
    found = {name: _written_out(value) for name, value in node.items()}
    # A field may be called "$ref" as well; then it is a schema.
    if isinstance(node.get("$ref"), str):
        return _reference(found.pop("$ref"), **found)
    return found


def _reference(name: str, **beside: Any) -> Object:
    """A reference; what stands beside a plain one would not count."""
    plain = {"$ref": _SCHEMAS + name}
    return {"allOf": [plain], **beside} if beside else plain


def _custom_definition(kind: Kind) -> Object:
    """The definition of a kind from a CRD: its own schema, with what every object has."""
    fields = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        **(kind.schema.node.get("properties") or {}),
    }
    fields["metadata"] = _reference(_META + "ObjectMeta", **_sentence(fields.get("metadata")))
    return {
        **kind.schema.node,
        "properties": dict(sorted(fields.items())),
        GROUP_VERSION_KIND: [_identity(kind.group, kind.version, kind.kind)],
    }


def _sentence(node: Json) -> Object:
    found = node.get("description") if isinstance(node, Mapping) else None
    return {"description": found} if found else {}


def _list_definition(kind: Kind, item: str) -> Object:
    return {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "items": {"type": "array", "items": _reference(item)},
            "kind": {"type": "string"},
            "metadata": _reference(_META + "ListMeta"),
        },
        GROUP_VERSION_KIND: [_identity(kind.group, kind.version, kind.list_kind)],
    }


def _identity(group: str, version: str, kind: str) -> dict[str, str]:
    return {"group": group, "version": version, "kind": kind}


def _paths(kind: Kind) -> Object:
    """The paths of a kind and its subresources."""
    root, name = f"/{_root(kind)}/", definition_name(kind.group, kind.version, kind.kind)
    namespace = "namespaces/{namespace}/" if kind.namespaced else ""
    collection = f"{root}{namespace}{kind.plural}"
    own, list_name = _Subject(kind), definition_name(kind.group, kind.version, kind.list_kind)
    found: Object = {}
    if kind.namespaced and "list" in kind.verbs:
        found[root + kind.plural] = {
            "get": own.operation("get", "list", f"list{own.title}ForAllNamespaces", list_name, _LIST)
        }
    found[collection] = {
        method: own.operation(method, action, named, answer, parameters)
        for verb, method, action, named, answer, parameters in (
            ("list", "get", "list", f"list{own.scoped}", list_name, _LIST),
            ("create", "post", "post", f"create{own.scoped}", name, _WRITE),
            ("deletecollection", "delete", "deletecollection", f"delete{own.collected}", _META + "Status", _LIST),
        )
        if verb in kind.verbs
    }
    item = collection + "/{name}"
    found[item] = {
        method: own.operation(
            method, method, _WORDS[method] + own.scoped, _META + "Status" if method == "delete" else name, _OF[method]
        )
        for verb, method in _METHODS.items()
        if verb in kind.verbs and verb != "create"
    }
    for part in subresources(kind):
        found[f"{item}/{part.name}"] = dict(_part_operations(kind, part))
    return {path: _at(path, operations) for path, operations in found.items() if operations}


def _part_operations(kind: Kind, part: Subresource) -> Iterator[tuple[str, Object]]:
    subject = _Subject(kind, part)
    connected = part.name in _CONNECTIONS
    for verb in part.verbs:
        method = _METHODS[verb]
        named = f"{_WORDS[method]}{subject.scoped}{part.name.title()}"
        if connected:
            named = f"connect{subject.connected(method)}{part.name.title()}"
        action = "connect" if connected else method
        streamed = connected or part.name == "log"
        answer = "" if streamed else definition_name(part.group, part.version, part.kind)
        yield method, subject.operation(method, action, named, answer, () if connected else _OF[method])


class _Subject:
    """What the operations of some paths are about."""

    def __init__(self, kind: Kind, part: Subresource | None = None) -> None:
        group = kind.group.removesuffix(".k8s.io").title().replace(".", "").replace("-", "") or "Core"
        prefix = f"{group}{kind.version.title()}"
        scope = "Namespaced" if kind.namespaced else ""
        self.title = f"{prefix}{kind.kind}"
        self.scoped = f"{prefix}{scope}{kind.kind}"
        self.collected = f"{prefix}Collection{scope}{kind.kind}"
        self._connected = prefix, f"{scope}{kind.kind}"
        self._tag = f"{group[0].lower()}{group[1:]}_{kind.version}"
        built_in = find_builtin(kind.group, kind.version, kind.plural)
        # Of a kind from a CRD, even the scale is said to be of its kind.
        about = part if built_in and part else kind
        self._about = _identity(about.group, about.version, about.kind)
        self._patches = (*_PATCHES, _STRATEGIC) if built_in else _PATCHES

    def connected(self, method: str) -> str:
        """In the name of an operation that connects."""
        prefix, name = self._connected
        return f"{prefix}{method.title()}{name}"

    def operation(self, method: str, action: str, name: str, answer: str, parameters: tuple[Object, ...]) -> Object:
        """One operation, whose answer is a definition, or a string where that is empty."""
        found: Object = {"operationId": name, "tags": [self._tag]}
        if parameters:
            found["parameters"] = list(parameters)
        if method in {"put", "post", "delete", "patch"} and action != "connect":
            found["requestBody"] = self._body(method, answer)
        content = (
            {"application/json": {"schema": _reference(answer)}} if answer else {"text/plain": {"schema": _STRING}}
        )
        found["responses"] = {"200": {"description": "OK", "content": content}}
        return found | {"x-kubernetes-action": action, GROUP_VERSION_KIND: self._about}

    def _body(self, method: str, answer: str) -> Object:
        if method == "patch":
            content = {each: {"schema": _reference(_META + "Patch")} for each in self._patches}
            return {"content": content, "required": True}
        name = _META + "DeleteOptions" if method == "delete" else answer
        body: Object = {"content": {"*/*": {"schema": _reference(name)}}}
        return body if method == "delete" else body | {"required": True}


def _at(path: str, operations: Object) -> Object:
    """A path's operations with the parameters that all of them take."""
    shared = [
        {"name": name, "in": "path", "required": True, "schema": _STRING}
        for name in ("name", "namespace")
        if f"{{{name}}}" in path
    ]
    return {**operations, "parameters": [*shared, *_PRETTY]}


_STRING: Mapping[str, Json] = {"type": "string", "uniqueItems": True}


def _parameters(**types: str) -> tuple[Object, ...]:
    return tuple(
        {"name": name, "in": "query", "schema": {"type": type_, "uniqueItems": True}} for name, type_ in types.items()
    )


_PRETTY = _parameters(pretty="string")
_WRITE = _parameters(dryRun="string", fieldManager="string", fieldValidation="string")
_LIST = (
    {"name": "continue", "in": "query", "schema": _STRING},
    *_parameters(
        allowWatchBookmarks="boolean",
        fieldSelector="string",
        labelSelector="string",
        limit="integer",
        resourceVersion="string",
        resourceVersionMatch="string",
        sendInitialEvents="boolean",
        timeoutSeconds="integer",
        watch="boolean",
    ),
)
_OF: Mapping[str, tuple[Object, ...]] = {
    "get": _parameters(resourceVersion="string"),
    "post": _WRITE,
    "put": _WRITE,
    "patch": (*_WRITE, *_parameters(force="boolean")),
    "delete": _parameters(
        dryRun="string", gracePeriodSeconds="integer", orphanDependents="boolean", propagationPolicy="string"
    ),
}
