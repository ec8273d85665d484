"""The bench of MovieLens looks at test rows last, and learns from none of them."""

from __future__ import annotations

import numpy as np
from benchmarks.movielens import _Parts
from tests.models.tastes import tastes

from orita.models.examples import Examples


def _parts() -> _Parts:
    rows = tastes(30)
    return _Parts(rows.take(slice(0, 300)), rows.take(slice(300, 380)), rows.take(slice(380, None)))


def _keys(rows: Examples) -> set[tuple[int, int]]:
    return set(zip(rows.users_N.tolist(), rows.items_N.tolist(), strict=True))


def test_the_last_fit_learns_from_all_rows_before_the_test_and_from_no_other() -> None:
    """Training and validation rows are parted anew, the latest ones for stopping; test rows stay what they are."""
    parts = _parts()
    whole = parts.before_test()
    assert whole.test is parts.test
    assert (len(whole.train), len(whole.val)) == (361, 19)
    assert whole.train.time_N.max() < whole.val.time_N.min() <= whole.val.time_N.max() < whole.test.time_N.min()
    assert _keys(whole.train) | _keys(whole.val) == _keys(parts.train) | _keys(parts.val)
    assert not (_keys(whole.train) | _keys(whole.val)) & _keys(parts.test)


def test_rivals_are_given_the_same_rows_without_the_answers() -> None:
    """What is left is every other feature, with its values, of the same rows in the same order."""
    parts = _parts()
    plain = parts.without_answers("answer_")
    assert plain.test.schema.names == ("item_ctr",)
    assert np.array_equal(plain.test.x_NF[:, 0], parts.test.x_NF[:, 0])
    assert np.array_equal(plain.test.y_N, parts.test.y_N)
