"""The page of conditions, reasons and events is current, whole, and says what to do."""

from typing import Any

import pytest

from marie_operator.api.conditions import ClusterReason, EventReason, JobReason
from tests.docs.generated import program

conditions: Any = program("conditions")
REASONS = {f"{title}: {each.word}": each for title, found in conditions.reasons().items() for each in found}


def test_the_page_is_current() -> None:
    assert conditions.PLACE.read_text(encoding="utf-8") == conditions.page(), "run: make docs"


def test_no_reason_is_left_out() -> None:
    assert len(REASONS) == len(ClusterReason) + len(JobReason) + len(EventReason)


@pytest.mark.parametrize("name", REASONS)
def test_a_reason_says_what_to_do(name: str) -> None:
    entry = REASONS[name]
    assert entry.meaning.endswith(".")
    assert entry.advice.endswith(".")
