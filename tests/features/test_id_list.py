"""Ids as numbers: only where each is a whole number of 64 bits, and of Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.features.id_list import IdList, numbers_of


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_whole_numbers_are_an_array(ids: list[int]) -> None:
    """The same numbers in the same order, whether asked of a list or of one that knows them."""
    for given_ids in (ids, IdList(ids)):
        number_N = numbers_of(given_ids)
        assert number_N is not None
        assert number_N.dtype == np.int64
        assert number_N.tolist() == ids
    assert IdList(ids) == ids


@pytest.mark.parametrize("ids", [[], ["7"], [7, "7"], [True, 1], [2**63], [-(2**63) - 1], [1.0], [np.int64(7)], [[1]]])
def test_others_are_none(ids: list[Any]) -> None:
    """A text, a truth value, a number that is too large or another kind of number is no number of this array."""
    assert numbers_of(ids) is None
    assert numbers_of(IdList(ids)) is None
