import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing.apiserver.errors import Refusal
from marie_operator.testing.apiserver.requests import duplicates, json_document

NAMES = st.sampled_from(["a", "b:", ":", 'quo"te', "é"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES


class Pairs(list[tuple[str, Any]]):
    """An object, in which a name may be there twice."""


DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(NAMES, inner), max_size=4).map(Pairs)
)


def written(value: Any, *, escaped: bool) -> str:
    """A document as text, its colons as they are or escaped."""
    if isinstance(value, Pairs):
        inner = (f"{written(name, escaped=escaped)}: {written(each, escaped=escaped)}" for name, each in value)
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(each, escaped=escaped) for each in value) + "]"
    text = json.dumps(value)
    return text.replace(":", "\\u003a") if escaped else text


def repeated(value: Any) -> bool:
    """Whether a name is there twice anywhere in what a decoder sees, who forgets all values of a name but the last."""
    if isinstance(value, Pairs):
        return len(dict(value)) < len(value) or any(repeated(each) for _, each in value)
    return isinstance(value, list) and any(repeated(each) for each in value)


@given(DOCUMENTS, st.booleans())
def test_fields_that_are_there_twice_are_found_however_the_document_is_written(value: Any, escaped: bool) -> None:
    text = written(value, escaped=escaped)
    content = json_document(text.encode())
    assert content == json.loads(text)
    assert bool(duplicates(text.encode(), content)) == repeated(value)


@pytest.mark.parametrize("number", ["1e999", "-1E+0400", "9" * 400 + ".5"])
def test_a_number_that_go_cannot_hold_is_refused(number: str) -> None:
    with pytest.raises(Refusal, match="cannot unmarshal number"):
        json_document(f'{{"x": {number}}}'.encode())
