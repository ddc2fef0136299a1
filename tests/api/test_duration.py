from datetime import timedelta

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.api import duration

PARTS = st.builds(
    "{}{}".format, st.decimals(0, 99999, places=3) | st.integers(0, 99999), st.sampled_from(["h", "m", "s", "ms"])
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30m", 1800),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("90m30s", 5430),
        ("250ms", 0.25),
        ("0s", 0),
        ("0.001ms", 0.000001),
    ],
)
def test_go_durations_are_read(written: str, seconds: float) -> None:
    assert duration.parse(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written", ["", "30", "m", "-1h", "1 h", "1d", "30min", "1h\n", ".5h", "1e3s", "\u0661h", "1h" * 17]
)
def test_anything_else_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(ValueError, match='such as "30m"'):
        duration.parse(written)


@given(
    st.lists(PARTS, min_size=1, max_size=4).map("".join).filter(lambda text: len(text) <= duration.DEADLINE_MAX_LENGTH)
)
def test_it_reads_what_the_api_servers_cel_reads(written: str) -> None:
    read = cel.evaluate(f"duration('{written}')", {})
    # The evaluator computes in floats and cuts off; Go and duration.parse do not.
    assert timedelta() <= duration.parse(written) - read <= timedelta(microseconds=4)


@given(st.integers(0, 10**8).map(lambda seconds: timedelta(seconds=seconds)))
def test_what_is_written_reads_back(length: timedelta) -> None:
    assert duration.parse(duration.text(length)) == length


@pytest.mark.parametrize(
    ("length", "written"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=59.9), "59s"),
        (timedelta(minutes=12, seconds=30), "12m30s"),
        (timedelta(days=2), "48h"),
        (timedelta(hours=1, seconds=5), "1h5s"),
    ],
)
def test_zero_units_are_left_out(length: timedelta, written: str) -> None:
    assert duration.text(length) == written
