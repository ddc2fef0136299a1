"""Bodies in protobuf that kubectl has sent, beside the objects that they are.

The objects of ``kubectl create`` are what ``--dry-run=client -o json`` prints; kubectl prints none for the other two.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing.apiserver import protobuf
from marie_operator.testing.apiserver.errors import Refusal

RECORDED: list[dict[str, Any]] = json.loads((Path(__file__).parent / "protobuf_recorded.json").read_text())
BODIES = [base64.b64decode(each["body"]) for each in RECORDED]


def code(body: bytes) -> int:
    """Of the answer; anything but a refusal is an error of the decoder."""
    try:
        told = protobuf.decoded(body)
    except Refusal as refused:
        return refused.code
    assert json.loads(json.dumps(told)) == told
    return 200


@pytest.mark.parametrize("recorded", RECORDED, ids=[each["arguments"] for each in RECORDED])
def test_what_kubectl_sent_is_the_object_that_it_prints(recorded: dict[str, Any]) -> None:
    assert protobuf.decoded(base64.b64decode(recorded["body"])) == recorded["object"]


@pytest.mark.parametrize("body", BODIES, ids=[each["arguments"] for each in RECORDED])
def test_a_body_that_ends_early_is_read_or_refused(body: bytes) -> None:
    # What ends between two fields of the envelope is whole; without a kind, it is one that nobody knows.
    assert {code(body[:length]) for length in range(len(body))} <= {200, 400, 415}


@given(st.sampled_from(BODIES), st.data())
def test_a_damaged_body_is_read_or_refused(body: bytes, data: st.DataObject) -> None:
    damaged = bytearray(body)
    for place in data.draw(st.lists(st.integers(4, len(body) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    assert code(bytes(damaged)) in {200, 400, 415}
