"""The partition of a key is the same everywhere and for ever."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.core.errors import UserError
from orita.events.log.partitioning import key_hashes, part_rows


def test_hashes_are_pinned() -> None:
    """These values are stored logs' partitions: a change of any is a change of the format."""
    rows = pa.record_batch({"i": [1, 11, -1, None], "s": ["1", "Ọ̀rẹ́", "", None]})
    assert [hex(h) for h in key_hashes(rows, ["i"])] == PINNED["i"]
    assert [hex(h) for h in key_hashes(rows, ["s"])] == PINNED["s"]
    assert [hex(h) for h in key_hashes(rows, ["i", "s"])] == PINNED["both"]


PINNED = {
    "i": ["0xdce423fc82c0d5b8", "0x4133357112d05cc6", "0x445018e305810b78", "0x399cb48bc72e8d68"],
    "s": ["0x519737946c8617cc", "0xd657cffe16b3adec", "0x4e96155e5f0a1c3f", "0x399cb48bc72e8d68"],
    "both": ["0x2b5e105ded43e374", "0xd196de36aab6c707", "0x4fc600d6f122f4b7", "0xc38a6e03739a1a9d"],
}


def test_order_and_kind_of_a_key_tell() -> None:
    """(1, 11) and (11, 1), ('a', 'bc') and ('ab', 'c'), 1 and '1', null and 0 have different hashes."""
    numbers = pa.record_batch({"a": [1, 11], "b": [11, 1]})
    assert len(set(key_hashes(numbers, ["a", "b"]).tolist())) == 2
    texts = pa.record_batch({"a": ["a", "ab"], "b": ["bc", "c"]})
    assert len(set(key_hashes(texts, ["a", "b"]).tolist())) == 2
    kinds = [pa.array([1]), pa.array(["1"]), pa.array([0]), pa.array([None], pa.int64())]
    assert len({int(key_hashes(pa.record_batch({"a": kind}), ["a"])[0]) for kind in kinds}) == 4


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.uint16(), pa.uint64(), pa.duration("s")])
def test_the_width_of_an_integer_does_not_tell(kind: pa.DataType) -> None:
    """The same number has the same hash in every integer type, so a wider column keeps its partitions."""
    narrow = pa.record_batch({"a": pa.array([0, 1, 100], pa.int64()).cast(kind)})
    assert key_hashes(narrow, ["a"]).tolist() == key_hashes(pa.record_batch({"a": [0, 1, 100]}), ["a"]).tolist()


@given(
    st.lists(st.tuples(st.integers(-5, 5) | st.none(), st.text(max_size=3) | st.none()), max_size=40), st.integers(1, 9)
)
def test_a_row_goes_where_it_goes_alone(keys: list[tuple[int | None, str | None]], partitions: int) -> None:
    """The rows beside a row do not change its partition, and the rows of a partition keep their order."""
    columns = {"a": pa.array([a for a, _ in keys], pa.int64()), "b": pa.array([b for _, b in keys], pa.string())}
    rows = pa.record_batch({**columns, "n": pa.array(range(len(keys)), pa.int64())})
    found = {n: p for p, part in part_rows(rows, ["a", "b"], partitions) for n in part.column("n").to_pylist()}
    alone = {n: part_rows(rows.slice(n, 1), ["a", "b"], partitions)[0][0] for n in range(len(keys))}
    assert found == alone
    for _, part in part_rows(rows, ["a", "b"], partitions):
        assert part.column("n").to_pylist() == sorted(part.column("n").to_pylist())


def test_keys_spread_evenly() -> None:
    """Of 80,000 consecutive numbers, or texts, each of 8 partitions gets an eighth, give or take 5 %."""
    for values in (pa.array(range(80_000)), pa.array([f"user-{i}" for i in range(80_000)])):
        hashes_N = key_hashes(pa.record_batch({"a": values}), ["a"])
        counts = np.bincount((hashes_N % np.uint64(8)).astype(int))
        assert counts.min() > 9500
        assert counts.max() < 10_500


@pytest.mark.parametrize(("key", "sentence"), [([], "no columns"), (["x"], "'x'"), (["f"], "double")])
def test_a_key_that_cannot_be_is_refused(key: list[str], sentence: str) -> None:
    """No key, an unknown column, and a floating key are refused, with one partition too."""
    for partitions in (1, 4):
        with pytest.raises(UserError, match=sentence):
            part_rows(pa.record_batch({"f": [1.0]}), key, partitions)
