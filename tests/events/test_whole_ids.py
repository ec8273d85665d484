"""Which texts mean a number: by Python and by Arrow alike."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.core.whole_ids import LARGEST_ID, whole_id
from orita.events.whole_ids import are_whole, as_numbers

EDGES = [0, 7, 10**17, 10**18, LARGEST_ID - 1, LARGEST_ID, LARGEST_ID + 1, 10**19, 10**40]
NONE = ["", "07", "00", "-1", "+1", " 1", "1 ", "1.0", "1e3", "ann", "١٢", "²", "1_000", "9" * 19]


@pytest.mark.parametrize("number", EDGES)
def test_a_number_that_fits_is_one(number: int) -> None:
    """Up to 2⁶³ − 1, however many digits that takes."""
    assert whole_id(str(number)) == (number if number <= LARGEST_ID else None)


@pytest.mark.parametrize("text", NONE)
def test_what_is_written_otherwise_is_a_text(text: str) -> None:
    """Zeros in front, signs, blanks, other digits: another id than the number."""
    assert whole_id(text) is None


@given(st.lists(st.none() | st.sampled_from([str(n) for n in EDGES] + NONE) | st.text("0123456789", max_size=20)))
def test_arrow_says_the_same(texts: list[str | None]) -> None:
    """A column is of numbers when each of its ids is; the others become null."""
    ids = pa.chunked_array([pa.array(texts, pa.string())])
    numbers = [None if text is None else whole_id(text) for text in texts]
    assert as_numbers(ids).to_pylist() == numbers
    assert are_whole(ids) == all(n is not None for n, text in zip(numbers, texts, strict=True) if text is not None)
