"""The fraud benchmark learns from what was known, and judges on what the handbook judges on."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.fraud import declare
from benchmarks.fraud_protocol import MICROS, TEST_WEEK, Payments, read_payments, week

from orita.features.history import compute_history, feature_rows
from orita.features.plan import plan_of

_DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "fraud-handbook" / "transactions.parquet"
_FIRST = int(np.datetime64(TEST_WEEK, "D").astype(np.int64))


def payments_of(rows: list[tuple[int, int, int]]) -> Payments:
    """Return payments from (card, day after the test week's first, fraud)."""
    card_N, day_N, y_N = (np.array(part, np.int64) for part in zip(*rows, strict=True))
    return Payments(card_N, _FIRST + day_N, y_N.astype(np.int8), y_N.astype(np.int8))


def test_a_card_is_judged_until_its_fraud_is_known() -> None:
    """A fraud of the training week takes the card out of the test; one between takes it out once it is 8 days old."""
    payments = payments_of([(1, -14, 1), (1, 0, 0), (2, -6, 1), (2, 1, 0), (2, 2, 0), (3, 0, 1), (3, 6, 0)])
    assert week(payments, TEST_WEEK).test.tolist() == [5, 3, 6]


def test_training_ends_a_week_before_the_test() -> None:
    """Rows to learn from are 14 to 8 days older than the test week's first day; of all before, older too."""
    payments = payments_of([(1, day, 0) for day in (-15, -14, -8, -7, -1, 0, 6, 7)])
    part = week(payments, TEST_WEEK)
    assert part.train.tolist() == [1, 2]
    assert part.all_before.tolist() == [0, 1, 2]
    assert part.test.tolist() == [5, 6]


@pytest.mark.skipif(not _DATA.is_file(), reason="the handbook's transactions are not in ../shared/data")
def test_the_rows_are_those_of_the_handbook() -> None:
    """67,240 rows to learn from, 58,264 to judge on with 385 frauds, as the handbook prints them."""
    payments = read_payments(f"read_parquet('{_DATA}')")
    part = week(payments, TEST_WEEK)
    assert (len(part.train), len(part.test), int(payments.y_N[part.test].sum())) == (67_240, 58_264, 385)


def test_no_feature_sees_a_label_that_is_younger_than_a_week(tmp_path: Path) -> None:
    """Other labels in the last week change no feature of a payment; older ones do change some."""
    rng = np.random.default_rng(0)
    count = 1500
    at_N = np.sort(rng.integers(0, 60 * MICROS, count)) + _FIRST * MICROS
    fixed = {
        "TRANSACTION_ID": np.arange(count),
        "TX_DATETIME": at_N.astype("datetime64[us]"),
        "CUSTOMER_ID": rng.integers(0, 12, count),
        "TERMINAL_ID": rng.integers(0, 12, count),
        "TX_AMOUNT": np.round(rng.gamma(2, 30, count), 2),
    }
    y_N = (rng.random(count) < 0.2).astype(np.int8)
    split = at_N[-1] - 7 * MICROS
    now_NF = _features(tmp_path, fixed, y_N)
    recent_NF = _features(tmp_path, fixed, np.where(at_N >= split, 1 - y_N, y_N).astype(np.int8))
    older_NF = _features(tmp_path, fixed, np.where(at_N < split, 1 - y_N, y_N).astype(np.int8))
    np.testing.assert_array_equal(now_NF, recent_NF)
    assert not np.array_equal(now_NF[-1], older_NF[-1], equal_nan=True)


def _features(
    folder: Path, fixed: dict[str, npt.NDArray[np.generic]], y_N: npt.NDArray[np.int8]
) -> npt.NDArray[np.float32]:
    """Return the features of payments with the labels ``y_N``."""
    file = folder / "payments.parquet"
    pq.write_table(pa.table({**fixed, "TX_FRAUD": y_N}), file)
    plan = plan_of(declare())
    schema = plan.system.schema()
    with duckdb.connect() as connection:
        history = compute_history(plan, connection, {"payments": f"read_parquet('{file}')"})
        table = feature_rows(plan, history, schema).sort_by("event_id")
    columns = [table[name].cast(pa.float32()).fill_null(np.nan).to_numpy() for name in schema.names]
    return np.column_stack(columns)
