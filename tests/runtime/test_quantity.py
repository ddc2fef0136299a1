from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.runtime import quantity

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "e3", "E-2", "e+6"]

whole = st.integers(0, 10**6).map(str)
written = st.builds(
    lambda sign, number, fraction, suffix: f"{sign}{number}{fraction}{suffix}",
    st.sampled_from(["", "-", "+"]),
    whole,
    st.sampled_from(["", "."]) | whole.map(lambda digits: f".{digits}"),
    st.sampled_from(SUFFIXES),
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("0.50", "500m"),
        (1, "1"),
        (0, "0"),
        ("-0", "0"),
        ("0Gi", "0"),
        ("1024Mi", "1Gi"),
        ("1000Mi", "1000Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("0.3Ki", "307200m"),
        ("1.0001Ki", "1024102400u"),
        ("1024", "1024"),
        ("1000000", "1M"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("1000e3", "1e6"),
        ("5e0", "5"),
        ("1E", "1E"),
        ("0.1n", "1n"),
        ("-0.1n", "-1n"),
        ("9Ei", "9223372036854775807"),
        (".5", "500m"),
        ("5.", "5"),
    ],
)
def test_the_form_that_the_api_server_stores(text: str | int, canonical: str) -> None:
    assert quantity.canonical(text) == canonical


@given(written)
def test_the_canonical_form_is_the_same_amount_and_stays(text: str) -> None:
    canonical = quantity.canonical(text)
    assert quantity.parse(canonical) == quantity.parse(text)
    assert quantity.canonical(canonical) == canonical
    assert "." not in canonical


@given(written, st.integers(0, 10**5), st.booleans())
def test_a_sum_is_exact_however_it_is_written(text: str, count: int, binary: bool) -> None:
    with localcontext(quantity.EXACT):
        total = count * quantity.parse(text)
    assert quantity.parse(quantity.formatted(total, binary=binary)) == total


@given(st.integers(-(10**30), 10**30))
def test_an_amount_that_the_api_can_hold_survives(billionths: int) -> None:
    value = Decimal(billionths).scaleb(-9, quantity.EXACT)
    assert quantity.parse(quantity.formatted(value)) == value


RUBBISH = [
    "",
    "abc",
    "1 Gi",
    "1gi",
    "1e1.5",
    "--1",
    ".",
    "1e999",
    "1" * 65,
    "\u0661",
    "1\n",
    "0x1",
    "inf",
    "NaN",
    "True",
]


@pytest.mark.parametrize("text", RUBBISH)
def test_what_is_no_quantity_is_refused_with_advice_and_left_to_the_api_server(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity; write a number"):
        quantity.parse(text)
    assert quantity.canonical(text) == text


@given(st.text(max_size=12) | written | st.integers() | st.booleans())
def test_no_text_is_too_much(text: str | int) -> None:
    assert isinstance(quantity.canonical(text), str)


@pytest.mark.parametrize(
    ("value", "binary", "text"),
    [
        (Decimal(0), True, "0"),
        (Decimal(2**30), True, "1Gi"),
        (Decimal(3 * 2**29), True, "1536Mi"),
        (Decimal(10**9), True, "1G"),
        (Decimal(2**30), False, "1073741824"),
        (Decimal("1.5"), False, "1500m"),
    ],
)
def test_how_a_total_is_written(value: Decimal, binary: bool, text: str) -> None:
    assert quantity.formatted(value, binary=binary) == text


@pytest.mark.parametrize(("text", "canonical"), [("100n", "1m"), ("1001u", "2m"), ("1", "1"), ("2Gi", "2Gi")])
def test_a_containers_resources_are_kept_to_thousandths(text: str, canonical: str) -> None:
    assert quantity.canonical(text, finest=quantity.MILLI) == canonical
