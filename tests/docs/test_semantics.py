"""The pages about the runtime's promises are current, whole, and lead somewhere."""

import re
from collections import Counter
from typing import Any

import pytest

from tests.docs.generated import ROOT, program

semantics: Any = program("semantics")
PROMISES = {promise.id: promise for section in semantics.promises().values() for promise in section}


@pytest.mark.parametrize("page", ["semantics.md", "upstream.md", "kuberay.md"])
def test_the_page_is_current(page: str) -> None:
    place = ROOT / "docs" / page
    assert place.read_text(encoding="utf-8") == semantics.pages()[place], "run: make docs"


def test_every_promise_has_a_test_or_a_reason_why_it_is_none() -> None:
    proven = semantics.tests()
    without = [each.id for each in PROMISES.values() if not each.reason and each.id not in proven]
    assert without == []
    both = [each.id for each in PROMISES.values() if each.reason and each.id in proven]
    assert both == [], "promised after all: the reason can go"


def test_every_test_names_promises_that_there_are() -> None:
    assert set(semantics.tests()) <= set(PROMISES)


def test_every_weak_point_of_others_is_shown_to_be_absent() -> None:
    ids = {name for name in PROMISES if name.startswith("W-")}
    assert ids == {f"W-{number:02}" for number in range(1, 28)} | {"W-08b"}
    assert [name for name in sorted(ids) if PROMISES[name].reason] == []


def test_every_defect_of_kuberay_has_a_test_or_a_reason_why_it_has_no_counterpart() -> None:
    proven, known = semantics.tests_of_defects(), {each.id: each for each in semantics.defects()}
    assert set(proven) <= set(known)
    read, met = [f"KR-{number:02}" for number in range(1, 42)], [f"KU-{number:02}" for number in range(1, 37)]
    assert list(known) == [*read, *met]
    shown = [name for name, each in known.items() if each.page or proven.keys() & {name, *each.shown}]
    assert shown == [name for name, each in known.items() if each.counterpart]
    assert {name for each in known.values() for name in each.shown} <= proven.keys()
    assert [each.id for each in known.values() if bool(each.issues) != (each.id in met)] == []
    assert [each.page for each in known.values() if each.page and not (ROOT / "docs" / each.page).is_file()] == []


def test_every_test_of_others_is_answered_once() -> None:
    for project, files in semantics.upstream().items():
        for path, answers in files.items():
            named = Counter(name for answer in answers for name in answer.names)
            assert [name for name, times in named.items() if times > 1] == [], f"{project} {path}"
            for answer in answers:
                assert bool(answer.by) != bool(answer.reason), f"{project} {path}: {answer}"
                assert set(answer.by) <= set(PROMISES), f"{project} {path}: {answer}"
                # What answers by nothing but refusals answers by none.
                assert not answer.by or any(not PROMISES[name].reason for name in answer.by), f"{path}: {answer}"


def test_every_guarantee_leads_to_promises_that_are_kept() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    led = re.findall(r"\[([A-Z]-\d\d\w?)\]\(semantics\.md#([a-z]-\d\d\w?)\)", text)
    assert len(led) > 60
    assert [name for name, anchor in led if name.lower() != anchor] == []
    assert [name for name, _ in led if name not in PROMISES or PROMISES[name].reason] == []
