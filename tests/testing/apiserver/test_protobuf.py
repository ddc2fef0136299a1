"""Bodies in protobuf; that they are decoded as the API server does is shown in test_truth and test_kubectl."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marie_operator.testing.apiserver import protobuf
from marie_operator.testing.apiserver.builtin import builtin, definitions
from marie_operator.testing.apiserver.errors import Refusal


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def body(api_version: str, kind: str, content: bytes) -> bytes:
    return (
        b"k8s\x00" + field(1, field(1, api_version) + field(2, kind)) + field(2, content) + field(3, "") + field(4, "")
    )


def test_a_deployment_without_replicas_is_not_one_of_which_none_are_told() -> None:
    empty = field(8, b"")
    meta = (
        field(1, "web") + field(2, "") + field(3, "") + field(7, 0) + empty + field(11, field(1, "a") + field(2, "b"))
    )
    template = field(1, empty) + field(2, field(2, field(1, "web") + field(2, "web:1") + field(18, 0)))
    spec = field(1, 0) + field(3, template) + field(5, 0) + field(7, 0)
    told = protobuf.decoded(body("apps/v1", "Deployment", field(1, meta) + field(2, spec) + field(3, b"")))
    assert told == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"a": "b"}},
        "spec": {
            "replicas": 0,
            "template": {"metadata": {}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}},
        },
        "status": {},
    }


def test_embedded_types_bytes_and_numbers_that_may_be_strings() -> None:
    volume = field(1, "v") + field(2, field(6, field(1, "key")))
    port = field(1, "http") + field(3, 80) + field(4, field(1, 1) + field(2, 0) + field(3, "web"))
    pod = protobuf.decoded(body("v1", "Pod", field(2, field(1, volume))))
    assert pod["spec"] == {"volumes": [{"name": "v", "secret": {"secretName": "key"}}]}
    service = protobuf.decoded(body("v1", "Service", field(2, field(1, port))))
    assert service["spec"] == {"ports": [{"name": "http", "port": 80, "targetPort": "web"}]}
    secret = protobuf.decoded(body("v1", "Secret", field(2, field(1, "a") + field(2, b"\x00\xff"))))
    assert secret["data"] == {"a": "AP8="}


def test_times_and_negative_numbers() -> None:
    lease = field(2, field(1, "me") + field(4, field(1, 1_700_000_000) + field(2, 123_456_000)))
    assert protobuf.decoded(body("coordination.k8s.io/v1", "Lease", lease))["spec"] == {
        "holderIdentity": "me",
        "renewTime": "2023-11-14T22:13:20.123456Z",
    }
    told = protobuf.decoded(body("scheduling.k8s.io/v1", "PriorityClass", field(2, -5)))
    assert told["value"] == -5


def test_options_of_every_group_are_known() -> None:
    options = protobuf.decoded(body("apps/v1", "DeleteOptions", field(1, 0) + field(4, "Foreground") + field(5, "All")))
    assert options == {
        "apiVersion": "apps/v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Foreground",
        "dryRun": ["All"],
    }


def test_fields_of_later_versions_are_passed_over() -> None:
    later = field(9999, "x") + varint(9998 << 3 | 1) + bytes(8) + varint(9997 << 3 | 5) + bytes(4) + field(9996, 1)
    assert protobuf.decoded(body("v1", "ConfigMap", later)) == {"apiVersion": "v1", "kind": "ConfigMap"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{}", 400),
        (body("v1", "Nothing", b""), 415),
        (body("kitchen.example.com/v1", "Kettle", b""), 415),
        (body("apiextensions.k8s.io/v1", "CustomResourceDefinition", b""), 415),
        (body("v1", "FieldsV1", field(1, b"[1]")), 415),
        (body("apps/v1", "ControllerRevision", field(2, field(1, b"[" * 100_000))), 400),
        (body("apps/v1", "ControllerRevision", field(2, field(1, b"NaN"))), 400),
        (body("v1", "ConfigMap", b"\x0a\x7f"), 400),
        (body("v1", "ConfigMap", b"\x0b"), 400),
        (body("v1", "ConfigMap", field(1, 3)), 400),
        (body("v1", "ConfigMap", b"\xff" * 12), 400),
        (body("v1", "ConfigMap", field(1, field(1, b"\xff"))), 400),
    ],
)
def test_what_cannot_be_read_is_refused(content: bytes, code: int) -> None:
    with pytest.raises(Refusal) as refused:
        protobuf.decoded(content)
    assert refused.value.code == code


KINDS = [each for each in builtin() if each.group != "apiextensions.k8s.io"]


@given(st.sampled_from(KINDS), st.binary())
@example(KINDS[0], b"")
def test_any_body_is_read_or_refused(kind: Any, content: bytes) -> None:
    api_version = f"{kind.group}/{kind.version}" if kind.group else kind.version
    code = 200
    told: Any = {}
    try:
        told = protobuf.decoded(body(api_version, kind.kind, content))
    except Refusal as refused:
        code = refused.code
    assert code in {200, 400}
    assert json.loads(json.dumps(told)) == told
    assert told.keys() <= definitions()[kind.definition]["properties"].keys()
