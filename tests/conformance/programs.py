"""Random programs: sequences of requests in one namespace, as data.

What only a server knows is written as a placeholder, and filled in by what that server has answered so far:
``<uid>`` and ``<version>`` are the object's, ``<first>`` is the version in which it was first seen.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.conformance.specimens import METADATA, SPECIMENS, Document, Specimen
from tests.conformance.wire import APPLY, JSON, JSON_PATCH, MERGE_PATCH, PARTIAL, STRATEGIC_PATCH, TABLE

NAMES = ("a", "a", "a", "a", "b")
MANAGERS = ("one", "two", "three")


@dataclass(frozen=True)
class Step:
    """One request.

    Attributes:
        method: HTTP method.
        plural: Of the kind.
        name: Of the object; empty for the collection.
        part: Subresource, or empty.
        query: Parameters.
        body: What is sent; with ``edit``, what is put into the object as it is.
        content_type: Of the body.
        accept: What is asked for.
        edit: Whether the object is read first, and sent back with the body put into it.
    """

    method: str
    plural: str
    name: str = ""
    part: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    accept: str = JSON
    edit: bool = False


Program = Sequence[Step]


def merged(document: Any, piece: Any) -> Any:
    """A document with a piece put into it: maps are merged, and all else is replaced, nulls included."""
    if not isinstance(document, dict) or not isinstance(piece, dict):
        return deepcopy(piece)
    return {**document, **{name: merged(document.get(name), value) for name, value in piece.items()}}


def _pieces(choices: Sequence[Document], most: int) -> st.SearchStrategy[Document]:
    def together(chosen: list[Document]) -> Document:
        result: Document = {}
        for each in chosen:
            result = merged(result, each)
        return result

    return st.lists(st.sampled_from(choices), max_size=most).map(together)


def _changes(specimen: Specimen, part: str) -> st.SearchStrategy[Document]:
    """Pieces for an object, more of its own than of what all objects have."""
    own = specimen.statuses if part == "status" else specimen.pieces
    return st.one_of(_pieces(own, 2), _pieces(own, 3), _pieces(METADATA, 2), _pieces((*own, *METADATA), 3))


# Queries.

_MANAGER = st.sampled_from((None, *MANAGERS, ""))
_DRY = st.sampled_from((None, None, None, None, None, None, "All", "Some", ""))
_VALIDATION = st.sampled_from((None, None, None, "Strict", "Warn", "Ignore", "Odd"))
_FORCE = st.sampled_from((None, None, "true", "false"))


def _query(**values: st.SearchStrategy[str | None]) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries(values).map(
        lambda found: {name: value for name, value in found.items() if value is not None}
    )


_WRITE = _query(fieldManager=_MANAGER, dryRun=_DRY, fieldValidation=_VALIDATION)
_APPLY = _query(
    fieldManager=st.sampled_from((*MANAGERS, *MANAGERS, None)), dryRun=_DRY, fieldValidation=_VALIDATION, force=_FORCE
)


# Steps.


def _creates(specimen: Specimen, name: str) -> st.SearchStrategy[Step]:
    def step(piece: Document, query: dict[str, str]) -> Step:
        body = merged(merged(specimen.base, {"metadata": {"name": name}}), piece)
        return Step("POST", specimen.plural, query=query, body=body)

    return st.builds(step, _changes(specimen, ""), _WRITE)


def _plain_create(specimen: Specimen, name: str) -> st.SearchStrategy[Step]:
    body = merged(specimen.base, {"metadata": {"name": name}})
    return st.just(Step("POST", specimen.plural, body=body))


_VERSIONS = st.sampled_from(
    (
        {},
        {},
        {},
        {"metadata": {"resourceVersion": None}},
        {"metadata": {"resourceVersion": "<first>"}},
        {"metadata": {"uid": None}},
        {"metadata": {"uid": "other"}},
        {"metadata": {"managedFields": None}},
    )
)


def _edits(specimen: Specimen, name: str, part: str) -> st.SearchStrategy[Step]:
    return st.builds(
        lambda piece, version, query: Step(
            "PUT", specimen.plural, name, part, query, merged(piece, version), edit=True
        ),
        _changes(specimen, part),
        _VERSIONS,
        _WRITE,
    )


def _puts(specimen: Specimen, name: str, part: str) -> st.SearchStrategy[Step]:
    def step(piece: Document, version: Document, query: dict[str, str]) -> Step:
        body = merged(merged(merged(specimen.base, {"metadata": {"name": name}}), piece), version)
        return Step("PUT", specimen.plural, name, part, query, body)

    versions = st.sampled_from(({}, {"metadata": {"resourceVersion": "<version>"}}, {"metadata": {"uid": "<uid>"}}))
    return st.builds(step, _changes(specimen, part), versions, _WRITE)


def _merges(specimen: Specimen, name: str, part: str) -> st.SearchStrategy[Step]:
    def step(piece: Document, version: Document, query: dict[str, str]) -> Step:
        return Step("PATCH", specimen.plural, name, part, query, merged(piece, version), MERGE_PATCH)

    return st.builds(step, _changes(specimen, part), _VERSIONS, _WRITE)


def _strategic(specimen: Specimen, name: str, part: str) -> st.SearchStrategy[Step]:
    @st.composite
    def step(draw: st.DrawFn) -> Step:
        piece = directed(draw, draw(_changes(specimen, part)))
        return Step("PATCH", specimen.plural, name, part, draw(_WRITE), piece, STRATEGIC_PATCH)

    return step()


_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "secrets": "name",
    "conditions": "type",
    "ownerReferences": "uid",
    "volumeMounts": "mountPath",
    "tolerations": "key",
}
"""By what a strategic patch tells the items of lists apart; the last is none, so that this is refused."""


def directed(draw: st.DrawFn, piece: Any) -> Any:
    """A strategic patch, some of whose places have a directive."""
    if isinstance(piece, list):
        return [directed(draw, each) for each in piece]
    if not isinstance(piece, dict):
        return piece
    result: Document = {}
    for name, value in piece.items():
        result[name] = directed(draw, value)
        if not isinstance(value, list) or draw(st.integers(0, 4)):
            continue
        key = _KEYS.get(name, "")
        keys = [each[key] for each in value if isinstance(each, dict) and key in each]
        if keys:
            choice = draw(st.sampled_from(("order", "delete", "replace")))
            if choice == "order":
                result[f"$setElementOrder/{name}"] = [{key: each} for each in reversed(keys)]
            elif choice == "delete":
                result[name] = [{key: keys[0], "$patch": "delete"}]
            else:
                result[name] = [*value, {"$patch": "replace"}]
        elif any(isinstance(each, dict) for each in value):
            continue
        elif draw(st.booleans()):
            result[f"$deleteFromPrimitiveList/{name}"] = result.pop(name)
        else:
            result[f"$setElementOrder/{name}"] = list(reversed(value))
    if result and not draw(st.integers(0, 11)):
        result |= draw(
            st.sampled_from(
                (
                    {"$patch": "replace"},
                    {"$patch": "delete"},
                    {"$patch": "odd"},
                    {"$retainKeys": list(result)},
                    {"$retainKeys": ["type"]},
                )
            )
        )
    return result


def pointers(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every place of a document, as JSON pointers, with what is there."""
    yield path, document
    if isinstance(document, dict):
        for name, value in document.items():
            if name == "managedFields":
                continue
            yield from pointers(value, f"{path}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from pointers(value, f"{path}/{index}")


def _json_patches(specimen: Specimen, name: str, part: str) -> st.SearchStrategy[Step]:
    own = specimen.statuses if part == "status" else specimen.pieces
    places = sorted({at: value for each in (specimen.base, *own, *METADATA) for at, value in pointers(each)}.items())
    paths = st.one_of(
        st.sampled_from([at for at, _ in places]),
        st.sampled_from([at for at, value in places if isinstance(value, list)]).flatmap(
            lambda at: st.sampled_from((f"{at}/-", f"{at}/0", f"{at}/1", f"{at}/-1", f"{at}/9", f"{at}/x"))
        ),
        st.sampled_from(("/spec/none/x", "", "/", "x", "/metadata/labels/new", "/metadata/annotations/a~1b")),
    )
    values: st.SearchStrategy[Any] = st.one_of(
        st.sampled_from([value for _, value in places]), st.sampled_from((None, 1, "x", True, [], {}))
    )
    at_once = st.sampled_from([(at, value) for at, value in places if at])
    operation = st.one_of(
        at_once.map(lambda place: {"op": "add", "path": place[0], "value": place[1]}),
        at_once.map(lambda place: {"op": "replace", "path": place[0], "value": place[1]}),
        st.builds(
            lambda op, at, value: {"op": op, "path": at, "value": value},
            st.sampled_from(("add", "replace", "test")),
            paths,
            values,
        ),
        paths.map(lambda at: {"op": "remove", "path": at}),
        st.builds(
            lambda op, at, source: {"op": op, "path": at, "from": source},
            st.sampled_from(("copy", "move")),
            paths,
            paths,
        ),
        st.sampled_from(
            (
                {"op": "odd", "path": "/metadata"},
                {"op": "add"},
                {"path": "/spec"},
                {"op": "add", "path": "/metadata/labels/v", "value": "<version>"},
            )
        ),
    )
    return st.builds(
        lambda operations, query: Step("PATCH", specimen.plural, name, part, query, operations, JSON_PATCH),
        st.lists(operation, min_size=1, max_size=3),
        _WRITE,
    )


def _applies(specimen: Specimen, name: str, part: str) -> st.SearchStrategy[Step]:
    head = {"apiVersion": specimen.base["apiVersion"], "kind": specimen.base["kind"], "metadata": {"name": name}}
    bases = st.sampled_from((merged(specimen.base, head), merged(specimen.base, head), head))

    def step(base: Document, piece: Document, query: dict[str, str]) -> Step:
        return Step("PATCH", specimen.plural, name, part, query, merged(base, piece), APPLY)

    return st.builds(step, st.just(head) if part else bases, _changes(specimen, part), _APPLY)


_SCALES = st.sampled_from(
    (
        {"spec": {"replicas": 2}},
        {"spec": {"replicas": 0}},
        {"spec": {"replicas": -1}},
        {"spec": {"replicas": "2"}},
        {"spec": {}},
        {"spec": None},
        {"metadata": {"resourceVersion": "<first>"}, "spec": {"replicas": 4}},
        {"metadata": {"resourceVersion": "<version>"}, "spec": {"replicas": 5}},
        {"metadata": {"name": "other"}, "spec": {"replicas": 6}},
        {"status": {"replicas": 7}},
        {},
    )
)


def _scales(specimen: Specimen, name: str) -> st.SearchStrategy[Step]:
    head = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name}}
    return st.one_of(
        st.just(Step("GET", specimen.plural, name, "scale")),
        st.builds(
            lambda body, query: Step("PUT", specimen.plural, name, "scale", query, body, edit=True), _SCALES, _WRITE
        ),
        st.builds(
            lambda body, query: Step("PUT", specimen.plural, name, "scale", query, merged(head, body)), _SCALES, _WRITE
        ),
        st.builds(
            lambda body, query: Step("PATCH", specimen.plural, name, "scale", query, body, MERGE_PATCH), _SCALES, _WRITE
        ),
        st.builds(
            lambda body, query: Step("PATCH", specimen.plural, name, "scale", query, merged(head, body), APPLY),
            _SCALES,
            _APPLY,
        ),
    )


_DELETIONS = st.sampled_from(
    (
        None,
        None,
        {"propagationPolicy": "Foreground"},
        {"propagationPolicy": "Background"},
        {"propagationPolicy": "Orphan"},
        {"propagationPolicy": "Odd"},
        {"orphanDependents": True},
        {"orphanDependents": False},
        {"orphanDependents": True, "propagationPolicy": "Orphan"},
        {"preconditions": {"uid": "<uid>"}},
        {"preconditions": {"uid": "other"}},
        {"preconditions": {"resourceVersion": "<version>"}},
        {"preconditions": {"resourceVersion": "<first>"}},
        {"preconditions": {"resourceVersion": ""}},
        {"gracePeriodSeconds": 0},
        {"gracePeriodSeconds": 5},
        {"gracePeriodSeconds": -1},
        {"dryRun": ["All"]},
        {"dryRun": ["Some"]},
        {"kind": "DeleteOptions", "apiVersion": "v1"},
        {"kind": "Pod", "apiVersion": "v1"},
        {"unknown": 1},
    )
)
_DELETION_QUERY = _query(
    propagationPolicy=st.sampled_from((None, None, None, "Foreground", "Orphan", "Odd")),
    dryRun=_DRY,
    gracePeriodSeconds=st.sampled_from((None, None, None, "0", "x")),
)
_SELECTION = _query(
    labelSelector=st.sampled_from((None, "x=1", "x", "!x", "x in (1,2)", "x!=1,y", "a b", "=")),
    fieldSelector=st.sampled_from(
        (None, None, "metadata.name=a", "metadata.name!=a", "spec.odd=1", "metadata.namespace=x")
    ),
    limit=st.sampled_from((None, None, "1", "0", "-1", "x")),
)


def _deletes(specimen: Specimen, name: str) -> st.SearchStrategy[Step]:
    return st.builds(
        lambda body, query: Step("DELETE", specimen.plural, name, query={} if body else query, body=body),
        _DELETIONS,
        _DELETION_QUERY,
    )


def _reads(specimen: Specimen, name: str) -> st.SearchStrategy[Step]:
    accepts = st.sampled_from((JSON, TABLE, PARTIAL))
    return st.one_of(
        st.builds(lambda accept: Step("GET", specimen.plural, name, accept=accept), accepts),
        st.builds(lambda query: Step("GET", specimen.plural, query=query), _SELECTION),
    )


@cache
def _steps(plural: str, name: str) -> st.SearchStrategy[Step]:
    specimen = SPECIMENS[plural]
    parts = ["", "", *(["status"] if specimen.statuses else [])]
    writers = [_edits, _merges, _json_patches, _applies, _applies]
    if not specimen.custom:
        writers.append(_strategic)
    written = [make(specimen, name, part) for make in writers for part in parts] + [_puts(specimen, name, "")]
    scaled = [_scales(specimen, name)] if specimen.scale else []
    collection = st.builds(lambda query: Step("DELETE", specimen.plural, query=query), _SELECTION)
    return st.one_of(
        _creates(specimen, name), *written, *scaled, _deletes(specimen, name), _reads(specimen, name), collection
    )


def programs(*, most: int = 10) -> st.SearchStrategy[Program]:
    """Programs about one kind each, about two objects of it."""
    return st.sampled_from(sorted(SPECIMENS)).flatmap(lambda plural: _about(plural, most))


@cache
def _about(plural: str, most: int) -> st.SearchStrategy[Program]:
    specimen = SPECIMENS[plural]
    first = st.one_of(_plain_create(specimen, "a"), _plain_create(specimen, "a"), _applies(specimen, "a", ""))
    steps = st.sampled_from(NAMES).flatmap(lambda name: _steps(plural, name))
    return st.builds(lambda one, others: [one, *others], first, st.lists(steps, max_size=most))


def filled(value: Any, known: Mapping[str, str]) -> Any:
    """A body with its placeholders filled in; what is not known yet is ``0``."""
    text = json.dumps(value)
    for name in ("uid", "version", "first"):
        text = text.replace(f"<{name}>", known.get(name, "0"))
    return json.loads(text)
