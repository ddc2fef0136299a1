"""Whatever is asked, the answer is a Status with a code that a client can act on; never a 500, never an exception."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.apiserver.requests import Call

SEGMENTS = st.sampled_from(
    [
        *(
            "api",
            "apis",
            "v1",
            "apps",
            "batch",
            "marie.ai",
            "namespaces",
            "default",
            "pods",
            "deployments",
            "configmaps",
        ),
        *("x", "status", "scale", "binding", "log", "", "..", "ä", "secrets", "events", "openapi", "v3", "watch", "%"),
        *("customresourcedefinitions", "apiextensions.k8s.io", "selfsubjectaccessreviews", "authorization.k8s.io"),
    ]
)
PATHS = st.lists(SEGMENTS, max_size=8).map(lambda parts: "/" + "/".join(parts))
PARAMETERS = st.sampled_from(
    [
        *("limit", "continue", "resourceVersion", "resourceVersionMatch", "labelSelector", "fieldSelector", "watch"),
        *("timeoutSeconds", "dryRun", "fieldManager", "fieldValidation", "force", "gracePeriodSeconds", "pretty"),
        *("propagationPolicy", "sendInitialEvents", "allowWatchBookmarks"),
    ]
)
VALUES = st.one_of(
    st.sampled_from(["", "0", "1", "-1", "true", "All", "Strict", "Exact", "a=b", "a in (", "x"]), st.text()
)
TYPES = st.sampled_from(
    [
        *("", "application/json", "application/yaml", "text/plain", "application/json-patch+json"),
        *("application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"),
        *("application/vnd.kubernetes.protobuf", "application/json; charset=utf-8", ";"),
    ]
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    *("metadata", "spec", "status", "name", "namespace", "labels", "annotations", "finalizers", "kind"),
                    *("apiVersion", "template", "containers", "selector", "replicas", "data", "op", "path", "value"),
                    *("uid", "resourceVersion", "ownerReferences", "managedFields", "generateName", "preconditions"),
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
BODIES = st.one_of(JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=40))
CALLS = st.builds(
    Call,
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"]),
    PATHS,
    st.dictionaries(PARAMETERS, VALUES, max_size=3),
    TYPES.map(lambda kind: {"content-type": kind}),
    BODIES,
)


@pytest.fixture(scope="module")
def embedded() -> EmbeddedApiServer:
    return EmbeddedApiServer(seed=1)


async def answered(embedded: EmbeddedApiServer, call: Call) -> None:
    answer = await embedded.server.handle(call)
    if answer.stream is not None:
        await answer.stream.aclose()
        return
    assert answer.code < 500 or answer.code == 504, answer.body
    if answer.code >= 400:
        status: dict[str, Any] = json.loads(answer.body)
        assert status["kind"] == "Status"
        assert status["code"] == answer.code
        assert status["message"]


@settings(max_examples=300)
@given(CALLS)
async def test_any_request_is_answered(embedded: EmbeddedApiServer, call: Call) -> None:
    await answered(embedded, call)


OBJECTS = st.sampled_from(["pods", "configmaps", "services", "secrets", "serviceaccounts", "events"])


@settings(max_examples=300)
@given(OBJECTS, st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]), TYPES, JSON)
async def test_any_object_is_taken_or_refused(
    embedded: EmbeddedApiServer, plural: str, method: str, content_type: str, body: Any
) -> None:
    path = f"/api/v1/namespaces/default/{plural}" + ("" if method == "POST" else "/x")
    if isinstance(body, dict):
        body = {**body, "metadata": {"name": "x"}} if method == "POST" else body
    call = Call(method, path, {"fieldManager": "fuzz"}, {"content-type": content_type}, json.dumps(body).encode())
    await answered(embedded, call)
