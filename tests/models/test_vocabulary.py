"""An id has the row of its place in the vocabulary, and every other id has row 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.core.errors import UserError
from orita.models.vocabulary import Vocabulary

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(INT64, max_size=30), st.lists(INT64, max_size=30))
def test_numbers_have_the_row_of_their_place(known: list[int], asked: list[int]) -> None:
    """Arrays, lists, and the spellings of numbers agree with a plain dictionary, for every int64."""
    vocabulary = Vocabulary.of(np.array(known, np.int64))
    rows = {value: row for row, value in enumerate(sorted(set(known)), start=1)}
    expected = [rows.get(value, 0) for value in known + asked]
    assert vocabulary.rows(np.array(known + asked, np.int64)).tolist() == expected
    assert vocabulary.rows(known + asked).tolist() == expected
    assert vocabulary.rows([str(value) for value in known + asked]).tolist() == expected


@given(st.lists(st.text(max_size=5), max_size=20), st.lists(st.text(max_size=5), max_size=20))
def test_texts_have_the_row_of_their_place(known: list[str], asked: list[str]) -> None:
    """Arrays and lists of text agree with a plain dictionary; a number is looked up by its spelling."""
    vocabulary = Vocabulary.of(np.array([*known, "7"], object))
    rows = {value: row for row, value in enumerate(sorted({*known, "7"}), start=1)}
    expected = [rows.get(value, 0) for value in known + asked]
    assert vocabulary.rows(np.array(known + asked, object)).tolist() == expected
    assert vocabulary.rows(known + asked).tolist() == expected
    assert vocabulary.rows(np.array([7])).tolist() == [rows["7"]]


@pytest.mark.parametrize("strange", ["007", "7.0", "٧", "", "-", "--7", "1e3", None, 7.5, True, 2**70, str(2**70)])
def test_what_is_not_a_number_is_unknown_among_numbers(strange: object) -> None:
    """Only the canonical spelling of an int64 names a number; all else is an unknown id, not an error."""
    assert Vocabulary.of(np.array([1, 7, 1000])).rows([strange, "7"]).tolist() == [0, 2]


@pytest.mark.parametrize("ids", [np.array([5, -3, 5]), np.array(["b", "ä", "a"], object), np.zeros(0, np.int64)])
def test_a_vocabulary_comes_back_from_its_file(ids: np.ndarray, tmp_path: Path) -> None:
    """Written and read, a vocabulary has the same ids in the same rows."""
    vocabulary = Vocabulary.of(ids)
    vocabulary.write(tmp_path / "ids.parquet")
    again = Vocabulary.read(tmp_path / "ids.parquet")
    assert again.ids_V.tolist() == vocabulary.ids_V.tolist()
    assert again.rows(ids).tolist() == vocabulary.rows(ids).tolist()


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (pa.table({"id": [2, 1]}), "not sorted"),
        (pa.table({"id": [1, 1]}), "not sorted and distinct"),
        (pa.table({"id": [1.5]}), "expected one column"),
        (pa.table({"key": [1]}), "expected one column"),
        (pa.table({"id": [1, None]}), "1 missing id"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_refused(table: pa.Table, sentence: str, tmp_path: Path) -> None:
    """Wrong columns, types, orders or nulls are one sentence with the file's name."""
    pq.write_table(table, tmp_path / "ids.parquet")
    with pytest.raises(UserError, match=rf"ids\.parquet .*{sentence}"):
        Vocabulary.read(tmp_path / "ids.parquet")


def test_rare_ids_can_be_left_out() -> None:
    """With a minimum count, ids below it are unknown."""
    assert Vocabulary.of(np.array([1, 1, 2]), min_count=2).rows([1, 2]).tolist() == [1, 0]
