"""Requests that are not as they should be, as data: whatever they are, a server answers them."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from tests.conformance.samples import config_map, deployment, pod, widget
from tests.conformance.wire import APPLY, JSON, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH

NAMESPACE = "malformed"
_IN = f"namespaces/{NAMESPACE}"


@dataclass(frozen=True)
class Request:
    """One of them.

    Attributes:
        method: HTTP method.
        target: Path and query, encoded.
        headers: Beside who asks.
        body: Undecoded.
    """

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


# Where.

_RESOURCES = (
    *(f"/api/v1/{_IN}/{plural}" for plural in ("configmaps", "pods", "secrets", "services", "events")),
    f"/apis/apps/v1/{_IN}/deployments",
    f"/apis/batch/v1/{_IN}/jobs",
    f"/apis/coordination.k8s.io/v1/{_IN}/leases",
    f"/apis/conformance.example/v1/{_IN}/widgets",
    f"/apis/conformance.example/v1/{_IN}/guards",
)
_NAMES = ("a", "b", "A", "a.b", "%20", "..%2f", "a%00", "%", "ä", "x" * 300, "-", "a:b", "status")
_PARTS = ("status", "scale", "binding", "eviction", "token", "none", "status/x")
_ODD = (
    *("/apis/none", "/apis/none/v1", "/apis/none/v1/things", "/apis/apps/v1/none", "/api/v1/none", "/api/v1/pods/a"),
    *("/api/v2", "/apis/apps/v2", "/api/v1/watch/pods/a", "/apis/conformance.example/v1/none", "/version/x"),
    *("/openapi", "/openapi/v3/none", "/none", "/%2e%2e/etc/passwd", "/api/v1/nodes/a/b/c"),
    *("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "/apis/authentication.k8s.io/v1/tokenreviews"),
)
_PATHS = st.one_of(
    st.sampled_from(_RESOURCES),
    st.builds(lambda at, name: f"{at}/{name}", st.sampled_from(_RESOURCES), st.sampled_from(_NAMES)),
    st.builds(
        lambda at, name, part: f"{at}/{name}/{part}",
        st.sampled_from(_RESOURCES),
        st.sampled_from(("a", "b")),
        st.sampled_from(_PARTS),
    ),
    st.sampled_from(_ODD),
)

# How.

_NUMBERS = ("0", "1", "-1", "+1", "1.5", "1e3", "", " 1", "x", "9" * 30, "9223372036854775807", "0x1", "007")
_WORDS = (
    "",
    "true",
    "false",
    "TRUE",
    "1",
    "yes",
    "null",
    "All",
    "Strict",
    "Exact",
    "NotOlderThan",
    "a",
    "=",
    "%00",
    "ä",
)
_SELECTORS = (
    *(
        "a=b",
        "a==b",
        "a!=b",
        "a",
        "!a",
        "a in (b,c)",
        "a notin (b)",
        "a in (",
        "a in ()",
        "a,",
        ",",
        "=",
        "==b",
        "a=b=c",
    ),
    *(
        "a b",
        "!",
        "!!a",
        "a gt 1",
        "a>1",
        "a<x",
        "a in b",
        "(a)",
        "a in (b",
        "-=1",
        "a=-",
        "a/b/c=1",
        "/a=1",
        "A=B",
        "x" * 64,
    ),
    *(
        "metadata.name=a",
        "metadata.name!=a",
        "metadata.name",
        "metadata.name=",
        "=a",
        "metadata.name=a,",
        "spec.none=1",
    ),
    *("metadata.name=a\\,b", "metadata.name=a,metadata.namespace=b", "status.phase=Running", "metadata.name>1", "\\"),
)
_PARAMETERS = st.one_of(
    st.tuples(
        st.sampled_from(("limit", "timeoutSeconds", "resourceVersion", "gracePeriodSeconds")), st.sampled_from(_NUMBERS)
    ),
    st.tuples(st.sampled_from(("labelSelector", "fieldSelector")), st.sampled_from(_SELECTORS)),
    st.tuples(
        st.sampled_from(
            (
                *("continue", "resourceVersionMatch", "dryRun", "fieldManager", "fieldValidation", "force", "pretty"),
                *("propagationPolicy", "orphanDependents", "sendInitialEvents", "allowWatchBookmarks", "watch", "none"),
                *("includeObject", "timeout"),
            )
        ),
        st.sampled_from((*_WORDS, *_NUMBERS)),
    ),
    st.tuples(st.sampled_from(("continue", "fieldManager", "labelSelector", "fieldSelector")), st.text(max_size=6)),
)
_QUERIES = st.lists(_PARAMETERS, max_size=3)
_TYPES = st.sampled_from(
    (
        *(JSON, JSON, JSON, "application/yaml", JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY, "", "text/plain"),
        *("application/json; charset=utf-8", "application/json;", "Application/JSON", "*/*", "json", "application/*"),
        *("multipart/form-data; boundary=x", "application/cbor"),
    )
)
_ACCEPTS = st.sampled_from(
    (
        *(None, None, None, JSON, "*/*", "text/html", "application/yaml", "application/json;q=0", "application/*"),
        *("application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v9;g=meta.k8s.io", ";", "x"),
        *("application/json;as=None;v=v1;g=meta.k8s.io", "text/html, application/json;q=0.1", "application/json,"),
    )
)

# What.

_DEEP = 12_000
_TEXTS: tuple[bytes, ...] = (
    *(b"", b"{", b"}", b"[]", b"null", b"1", b'"x"', b"true", b"{}", b"{} {}", b"{}x", b" {} ", b"\xff\xfe", b"\x00"),
    *(
        b'{"a":}',
        b'{"a" 1}',
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": 01}',
        b'{"a": +1}',
    ),
    *(b'{"a": "\xff"}', b'{"a": "\\ud800"}', b'{"a": "\x01"}', b'{"a": "\\x"}', b'{"a": 1,}', b"[1,]", b"// {}"),
    *(
        b"a: [",
        b"a: b: c",
        b"- a",
        b"\ta: b",
        b"a: &x 1\nb: *y",
        b"? a",
        b"%",
        b"---\n{}\n---\n{}",
        b"a: !!python/object:x {}",
    ),
    b'{"metadata":{"name":"a"},"data":{"k":"v"},"data":{"k":"w"}}',
    b'{"metadata":{"name":"a"},"metadata":{"name":"b"}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","resourceVersion":123}}',
    b'{"apiVersion":1,"kind":[],"metadata":"x"}',
    b'{"kind":"Status","apiVersion":"v1"}',
    b'{"kind":"List","apiVersion":"v1","items":[]}',
    b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
    b"[" * _DEEP + b"]" * _DEEP,
    b'[{"op":"add"}]',
    b'[{"op":"add","path":"/metadata/labels/x","value":"1"}]',
    b'[{"op":"none","path":"/"}]',
    b'[{"op":"test","path":"/metadata/name","value":"z"}]',
    b'[{"op":"remove","path":"/none/none"}]',
    b'[{"op":"copy","from":"/none","path":"/metadata/labels"}]',
    b'[{"op":"replace","path":"metadata"}]',
    b'[{"path":"/spec"}]',
    b"[1]",
    b"[null]",
    b'[{"op":1,"path":"/"}]',
    b'{"metadata":{"labels":{"x":{"y":1}}}}',
    b'{"metadata":null}',
    b'{"spec":null,"metadata":{"name":null}}',
    b'{"$patch":"delete"}',
    b'{"$patch":"none"}',
    b'{"$patch":1}',
    b'{"metadata":{"$deleteFromPrimitiveList/finalizers":"x"}}',
    b'{"metadata":{"$setElementOrder/ownerReferences":[1]}}',
    b'{"$retainKeys":["x"],"data":{}}',
    b'{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":"x"}',
    b'{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":1}',
    b'{"preconditions":{"uid":1}}',
    b'{"dryRun":"All"}',
    b'{"dryRun":["None"]}',
)
_LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
_ANY: st.SearchStrategy[Any] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(("name", "a", "labels", "kind", "")), inner, max_size=2),
    ),
    max_leaves=4,
)


def _spoiled(base: dict[str, Any], path: str, value: Any) -> bytes:
    """An object with something else at one place."""
    copied = json.loads(json.dumps(base))
    *parents, last = path.split(".")
    inner = copied
    for part in parents:
        inner = inner.setdefault(part, {})
    inner[last] = value
    return json.dumps(copied).encode()


_PLACES = {
    "ConfigMap": (config_map("a", data={"k": "v"}), ("data", "data.k", "binaryData", "immutable")),
    "Pod": (pod("a"), ("spec.containers", "spec.volumes", "spec.restartPolicy", "spec.terminationGracePeriodSeconds")),
    "Deployment": (deployment("a"), ("spec", "spec.replicas", "spec.selector", "spec.template", "spec.strategy")),
    "Widget": (widget("a"), ("spec", "spec.size", "spec.tags", "spec.parts", "spec.settings", "status")),
}
_META = (
    *(
        "metadata",
        "metadata.name",
        "metadata.namespace",
        "metadata.labels",
        "metadata.annotations",
        "metadata.finalizers",
    ),
    *(
        "metadata.ownerReferences",
        "metadata.generateName",
        "metadata.uid",
        "metadata.managedFields",
        "kind",
        "apiVersion",
    ),
    *("metadata.resourceVersion", "metadata.creationTimestamp", "metadata.generation"),
)
_SPOILED = st.sampled_from(tuple(_PLACES.values())).flatmap(
    lambda known: st.builds(lambda at, value: _spoiled(known[0], at, value), st.sampled_from((*known[1], *_META)), _ANY)
)
_BODIES = st.one_of(st.none(), st.sampled_from(_TEXTS), _SPOILED, _ANY.map(lambda value: json.dumps(value).encode()))


def _request(
    method: str, path: str, query: list[tuple[str, str]], kind: str, accept: str | None, body: bytes | None
) -> Request:
    headers = {"Content-Type": kind} | ({"Accept": accept} if accept is not None else {})
    target = quote(path, safe="/%:") + (f"?{urlencode(query, errors='replace')}" if query else "")
    # A body of a request that has none is the library's to send, and says nothing of the server.
    return Request(method, target, headers, None if method in {"GET", "HEAD", "OPTIONS"} else body)


REQUESTS = st.builds(
    _request,
    st.sampled_from(("GET", "GET", "POST", "POST", "PUT", "PATCH", "PATCH", "DELETE", "OPTIONS", "PROPFIND")),
    _PATHS,
    _QUERIES,
    _TYPES,
    _ACCEPTS,
    _BODIES,
)
