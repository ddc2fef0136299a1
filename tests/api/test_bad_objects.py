"""Whatever is stored, parsing it either fails as a ValidationError or gives an object the rules can judge."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.api.validation import problems

SAMPLES = Path(__file__).parents[2] / "config/samples"
OBJECTS = [
    (MarieCluster, yaml.safe_load((SAMPLES / "mariecluster_advanced.yaml").read_text())),
    (MarieJob, yaml.safe_load((SAMPLES / "mariejob_prefix.yaml").read_text())),
    (MarieJob, yaml.safe_load((SAMPLES / "mariejob_submitter.yaml").read_text())),
]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


@pytest.mark.model
@pytest.mark.parametrize(("model", "sample"), OBJECTS, ids=["cluster", "job", "submitter"])
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_spoiled_object_is_reported_or_judged(
    model: type[MarieCluster] | type[MarieJob], sample: dict[str, Any], data: st.DataObject
) -> None:
    spoiled = deepcopy(sample)
    *parents, last = data.draw(st.sampled_from(places(sample)[1:]))
    place: Any = spoiled
    for key in parents:
        place = place[key]
    place[last] = data.draw(anything)
    try:
        parsed = model.model_validate(spoiled)
    except ValidationError:
        return
    problems(parsed)
    assert model.model_validate(parsed.model_dump(mode="json", by_alias=True)) == parsed
