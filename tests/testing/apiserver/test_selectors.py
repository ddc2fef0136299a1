"""Selectors, as apimachinery reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing.apiserver.errors import Refusal
from marie_operator.testing.apiserver.selectors import field_selector, label_selector, matches

LABELS = {"app": "web", "tier": "front", "example.com/size": "3", "empty": ""}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("", True),
        ("app", True),
        ("!app", False),
        ("!other", True),
        ("other", False),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier=front", True),
        ("app=web,tier=back", False),
        ("app!=api", True),
        ("other!=api", True),
        ("app in (web,api)", True),
        ("app in (api)", False),
        ("app notin (api, worker)", True),
        ("other notin (x)", True),
        ("other in (x)", False),
        ("empty=", True),
        ("app=", False),
        ("empty in ()", True),
        ("example.com/size>2", True),
        ("example.com/size<3", False),
        ("app>2", False),
        ("app,tier,!other", True),
    ],
)
def test_labels_are_selected(selector: str, selected: bool) -> None:
    assert matches(label_selector(selector), LABELS) is selected


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("=b", "found '='"),
        ("a in (b", "found ''"),
        ("-a", "name part must consist of alphanumeric characters"),
        ("a=-b", "a valid label must be an empty string or consist of alphanumeric characters"),
        ("a>b", "the value must be an integer"),
    ],
)
def test_what_cannot_be_read_is_refused(selector: str, why: str) -> None:
    with pytest.raises(Refusal) as caught:
        label_selector(selector)
    assert caught.value.code == 400
    assert why in caught.value.message


@given(st.text(alphabet="ab=!(),<> inotx./-_", max_size=25))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        matches(label_selector(text), LABELS)
    except Refusal as refusal:
        assert refusal.code == 400  # noqa: PT017 - any text may be read as well


def test_fields_are_named_by_the_kind() -> None:
    known = {"metadata.name", "status.phase"}
    terms = field_selector("metadata.name=a,status.phase!=Running", known.__contains__, "no {field}")
    assert terms == (("metadata.name", True, "a"), ("status.phase", False, "Running"))
    with pytest.raises(Refusal, match=r"no spec\.x"):
        field_selector("spec.x=1", known.__contains__, "no {field}")
