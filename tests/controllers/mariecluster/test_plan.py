from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.builders import chain
from marie_operator.runtime.children import Change, Create, Remove, steps
from marie_operator.runtime.status import merge_patch
from tests.controllers.mariecluster.seen import children, cluster


def test_everything_is_created_in_the_order_of_the_chain() -> None:
    of = cluster(enableIngress=True)
    names = [step.desired["metadata"]["name"] for step in steps(chain.desired(of), {}) if isinstance(step, Create)]
    assert names == [
        "c-server-svc",
        "c-server-headless",
        "c-server",
        "c-executor-ocr-svc",
        "c-executor-ocr",
        "c-ingress",
        "c-busy",
    ]


def test_nothing_is_done_about_children_that_are_as_wanted() -> None:
    of = cluster()
    assert steps(chain.desired(of), children(of, {"c-server": 1})) == []


def test_a_change_names_its_place_and_touches_no_other_child() -> None:
    before, after = cluster(), cluster({"groupName": "ocr", "replicas": 3})
    (step,) = steps(chain.desired(after), children(before, {}))
    assert isinstance(step, Change)
    assert step.desired["metadata"]["name"] == "c-executor-ocr"
    assert "spec.replicas" in step.paths


def test_children_that_are_no_longer_wanted_go_last() -> None:
    before, after = cluster({"groupName": "ocr"}, {"groupName": "ner"}), cluster({"groupName": "ocr"})
    found = steps(chain.desired(after), children(before, {}))
    assert [type(step) for step in found] == [Remove, Remove]
    assert {step.live["metadata"]["name"] for step in found if isinstance(step, Remove)} == {
        "c-executor-ner",
        "c-executor-ner-svc",
    }


def test_a_child_that_is_going_is_left_alone() -> None:
    of = cluster()
    live = children(of, {})
    for child in live.values():
        child["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert steps(chain.desired(of), live) == []


JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=2), inner, max_size=4),
)
OBJECTS = st.dictionaries(st.text(max_size=2), JSON, max_size=4)


def applied(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = applied(result.get(name), value)
    return result


@pytest.mark.model
@given(OBJECTS, OBJECTS)
def test_a_merge_patch_turns_one_status_into_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = merge_patch(old, new)
    assert applied(old, patch) == new
    assert bool(patch) == (old != new)
