"""Rows of ids that are numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orita.features.dense_ids import DenseIds

LEAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@given(st.sampled_from([0, -7, MOST - 30, LEAST + 1, LEAST]), st.sets(st.integers(0, 30), min_size=1), st.data())
def test_each_id_has_its_row(first: int, steps: set[int], data: st.DataObject) -> None:
    """A known id has its row, any other none: those between, those far away, those at the ends of what there is."""
    ids = [first + step for step in steps]
    dense = DenseIds.of(np.array(ids, np.int64), np.arange(1, len(ids) + 1))
    near = st.integers(max(LEAST, first - 40), min(MOST, first + 40))
    asked = [*ids, *data.draw(st.lists(st.integers(LEAST, MOST) | near | st.sampled_from([LEAST, MOST])))]
    if dense is None:
        assert max(ids) - min(ids) >= 4 * len(ids) or LEAST in ids
        return
    row = {each: number for number, each in enumerate(ids, 1)}
    assert dense.rows(np.array(asked, np.int64)).tolist() == [row.get(each, 0) for each in asked]


def test_there_may_be_none() -> None:
    """Without ids there is nothing to know."""
    assert DenseIds.of(np.zeros(0, np.int64), np.zeros(0, np.int64)) is None
