"""The envelope of history: what is like history passes, what is not is found, and schema changes are named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import kstest
from tests.monitoring.expectations.orders import START, order_days, orders

from orita.core.errors import NotFound, UserError
from orita.monitoring.expectations.causes import likely_cause
from orita.monitoring.expectations.check import check, compared
from orita.monitoring.expectations.declaration import ColumnExpectation, TableExpectation
from orita.monitoring.expectations.envelope import Envelope, against_history
from orita.monitoring.expectations.findings import Checked
from orita.monitoring.expectations.frame import Frame, View
from orita.monitoring.expectations.history import by_rows, by_time, envelope_of, inferred
from orita.monitoring.expectations.kept import read_envelope, write_envelope
from orita.monitoring.expectations.measured import Measured, Recorder, Signal
from orita.monitoring.expectations.outlook import ColumnOutlook, Outlook, outlook_of
from orita.monitoring.expectations.page import render_page

_DAYS = 14


@cache
def learnt() -> tuple[TableExpectation, Envelope]:
    """Return what two weeks of orders suggest; the first and the last day are cut short."""
    batches = by_time(order_days(_DAYS), "placed_at")
    table = inferred(batches, time="placed_at")
    return table, envelope_of(batches, table)


def checked(rows: pa.Table, *, day: int = 20) -> Checked:
    """Return the check of a later day."""
    table, envelope = learnt()
    return check(rows, table, at=START + timedelta(days=day + 1), envelope=envelope)


def changed(name: str, values: object) -> pa.Table:
    """Return a later day with another column."""
    rows = orders(day=20)
    return rows.set_column(rows.column_names.index(name), name, pa.array(values))


def test_rules_are_inferred_that_history_meets() -> None:
    """Types, no missing values, few choices, codes of one length, keys and totals; no bounds that chance may break."""
    table, envelope = learnt()
    told = table.columns
    assert table.totals == ("total = price * quantity",)
    assert told["order_id"].unique
    assert told["channel"].choices == ("app", "store", "web")
    assert told["zip"].pattern == r"\d{5}"
    assert told["age"].most_missing == 1.0
    assert told["price"].maximum is None
    assert table.ahead == "0s"
    assert len(envelope.ends) == _DAYS - 2


def test_a_batch_like_history_passes() -> None:
    """Every figure was tested, and none is off."""
    found = checked(orders(day=20))
    assert found.findings == ()
    assert found.tests > 200


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("age", lambda x: np.where(np.arange(len(x)) % 2, x, np.nan), "missing values"),
        ("income", lambda x: np.where(np.arange(len(x)) < 10, x * 100, x), "values above"),
        ("income", lambda x: np.where(np.arange(len(x)) < 10, -999, x), "-999"),
        ("income", lambda x: x[np.random.default_rng(0).permutation(len(x))], "goes with 'income'"),
        ("age", lambda x: x + 6, "level"),
    ],
)
def test_numbers_that_are_not_as_before_are_found(name: str, change: object, told: str) -> None:
    """And the sentence says which figure is off."""
    numbers = Frame.of(orders(day=20)).columns[name].numbers
    found = checked(changed(name, change(numbers)))  # type: ignore[operator]
    assert any(told in finding.sentence for finding in found.findings), [f.sentence for f in found.findings]
    assert found.failed


@pytest.mark.parametrize(
    ("name", "change", "cause"),
    [
        ("income", lambda x: x * 100, "as if × 100"),
        ("income", lambda x: -x, "as if with the sign turned"),
        ("income", lambda x: x / 2.2046226, "as if kilograms for pounds"),
        ("channel", lambda x: [text.title() for text in x], "as if letters changed their case"),
        ("channel", lambda x: [f"{text} " for text in x], "as if blanks were added"),
        ("channel", lambda x: [text[:2] for text in x], "as if texts were cut"),
        ("zip", lambda x: [text.lstrip("0") or "0" for text in x], "as if leading zeros were lost"),
    ],
)
def test_a_likely_cause_is_named(name: str, change: object, cause: str) -> None:
    """Where undoing it makes the column look as before."""
    column = orders(day=20)[name]
    values = column.to_numpy() if name == "income" else column.to_pylist()
    found = checked(changed(name, change(values)))  # type: ignore[operator]
    assert any(cause in finding.sentence for finding in found.findings), [f.sentence for f in found.findings]


def test_another_time_zone_and_mojibake_are_named() -> None:
    """By the hours of the day, and by what the bytes are in UTF-8."""
    rng = np.random.default_rng(0)
    hours = rng.beta(5, 3, 4_000) * 24 * 3_600_000_000
    times = pa.array(hours.astype(np.int64), pa.timestamp("us"))
    outlook = outlook_of([Frame.of(pa.table({"at": times}))], TableExpectation(columns={"at": ColumnExpectation()}))
    late = pa.array(hours.astype(np.int64) + 5 * 3_600_000_000, pa.timestamp("us"))
    assert likely_cause(View.of("at", late), outlook.columns["at"]) == "as if 5 h late: another time zone?"
    assert not likely_cause(View.of("at", times), outlook.columns["at"])
    names = ["Åsa", "Örjan", "Café", "Noël"]
    column = ColumnOutlook("text", known=tuple(names))
    mangled = pa.array([name.encode().decode("latin-1") for name in names])
    assert likely_cause(View.of("name", mangled), column) == "as if UTF-8 was read as Latin-1"


def test_rows_texts_and_times_that_are_not_as_before_are_found() -> None:
    """Volume, duplicates, forms of texts, hours."""
    rows = orders(day=20)
    assert "rows, as a logarithm" in checked(rows.slice(0, 200)).findings[0].sentence
    twice = checked(pa.concat_tables([rows, rows.slice(0, 20)]))
    assert {finding.what for finding in twice.findings} == {"unique", "envelope"}
    codes = [text.lstrip("0") or "0" for text in rows["zip"].to_pylist()]
    assert "pattern" in {finding.what for finding in checked(changed("zip", codes)).findings}
    late = pa.array(rows["placed_at"].to_numpy() - np.timedelta64(24, "h"), pa.timestamp("us", "UTC"))
    assert any("older than 1 d" in finding.sentence for finding in checked(changed("placed_at", late)).findings)


def test_changes_of_the_schema_are_named() -> None:
    """Dropped, added, renamed, retyped, swapped; figures of such a column are not told beside."""
    rows = orders(day=20)

    def told(batch: pa.Table) -> str:
        return " ".join(finding.sentence for finding in checked(batch).findings)

    assert "column 'age' was dropped" in told(rows.drop_columns(["age"]))
    assert "column 'debug' was added" in told(rows.append_column("debug", [[True] * rows.num_rows]))
    names = ["incomes" if name == "income" else name for name in rows.column_names]
    assert told(rows.rename_columns(names)) == (
        "column 'income' was renamed to 'incomes': rename it back, or declare the new name and infer anew."
    )
    looks = ["wages" if name == "income" else name for name in rows.column_names]
    assert "column 'income' was renamed to 'wages'" in told(rows.rename_columns(looks))
    assert "column 'age' was retyped: it holds string" in told(changed("age", rows["age"].cast(pa.string())))
    crossed = [{"age": "income", "income": "age"}.get(name, name) for name in rows.column_names]
    assert "columns 'age' and 'income' were swapped" in told(rows.rename_columns(crossed))


def _history(signals: int, batches: int, seed: int) -> tuple[list[Measured], list[datetime]]:
    """Return batches of shares that vary by chance, and from batch to batch by more than that."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(batches):
        recorder = Recorder()
        rates = np.linspace(0.1, 0.6, signals) * np.exp(rng.normal(0, 0.1, signals))
        names = [Signal("x", "value", str(at)) for at in range(signals)]
        recorder.shares(names, rng.binomial(1_000, rates), 1_000)
        found.append(recorder.measured())
    return found, [START + timedelta(days=day) for day in range(batches)]


def test_chances_of_a_batch_like_history_are_uniform() -> None:
    """Although batches differ by more than chance; a test that went by chance alone would alarm all the time."""
    batches, ends = _history(400, 30, seed=3)
    envelope = Envelope.of(Outlook({}), ends[:-1], batches[:-1])
    p_K = against_history(envelope, batches[-1], ends[-1]).p_K
    assert kstest(p_K, "uniform").pvalue > 1e-3
    assert p_K.min() > 1e-5


def test_rare_rows_are_held_against_their_counts() -> None:
    """One row of what never was may be chance, five are none; and so is the lack of what always is."""
    ends = [START + timedelta(days=day) for day in range(30)]

    def of(count: int, always: int) -> Measured:
        recorder = Recorder()
        recorder.share(Signal("x", "new"), count, 1_000)
        recorder.share(Signal("x", "zero"), always, 1_000)
        return recorder.measured()

    envelope = Envelope.of(Outlook({}), ends[:-1], [of(0, 1_000)] * 29)
    one, five, lack = (
        against_history(envelope, of(*counts), ends[-1]).p_K for counts in ((1, 1_000), (5, 1_000), (0, 995))
    )
    assert one[0] > 0.01
    assert five[0] < 1e-7
    assert lack[1] < 1e-7
    assert lack[0] > 0.5


def test_weekdays_and_the_last_level_are_expected() -> None:
    """A Sunday with half the rows is as every Sunday, on a Monday it is not; growth that stopped is not drawn on."""
    rng = np.random.default_rng(0)
    ends = [START + timedelta(days=day + 1) for day in range(57)]
    batches = []
    for day in range(57):
        recorder = Recorder()
        rows = 1_000 * (0.5 if day % 7 == 6 else 1.0) * np.exp(0.03 * min(day, 30) + rng.normal(0, 0.02))
        recorder.figure(Signal("", "rows"), float(np.log(rows)), 1 / rows)
        batches.append(recorder.measured())
    envelope = Envelope.of(Outlook({}, time="at"), ends[:-1], batches[:-1])
    assert against_history(envelope, batches[-1], ends[-1]).p_K[0] > 0.01
    assert against_history(envelope, batches[-2], ends[-2]).p_K[0] > 0.01
    assert against_history(envelope, batches[-2], ends[-1]).p_K[0] < 1e-4  # a Sunday's rows on a Monday


def test_an_envelope_is_kept(tmp_path: Path) -> None:
    """Read back it says the same of a batch; another file is refused."""
    _, envelope = learnt()
    write_envelope(tmp_path / "e.parquet", envelope)
    kept = read_envelope(tmp_path / "e.parquet")
    at = datetime(2024, 4, 1, tzinfo=UTC)
    np.testing.assert_array_equal(compared(orders(day=27), kept, at).p_K, compared(orders(day=27), envelope, at).p_K)
    (tmp_path / "other.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="is no envelope"):
        read_envelope(tmp_path / "other.parquet")
    with pytest.raises(NotFound, match="does not exist"):
        read_envelope(tmp_path / "none.parquet")


def test_history_has_to_be_enough_and_to_have_times() -> None:
    """Otherwise a sentence says what is missing."""
    with pytest.raises(UserError, match="history has 2 batches"):
        envelope_of(by_rows(orders(), 300), TableExpectation())
    with pytest.raises(NotFound, match=r"there is no column 'placed'\. Did you mean 'placed_at'"):
        by_time(orders(), "placed")
    with pytest.raises(UserError, match="holds double, no times"):
        by_time(orders(), "price")


def test_a_page_shows_what_is_off_beside_history() -> None:
    """With a plot for each figure that left the envelope; nothing is loaded from elsewhere."""
    _, envelope = learnt()
    rows = changed("age", [None] * 600)
    found = checked(rows)
    page = render_page(found, envelope, compared(rows, envelope, found.at))
    assert page.count("<figure>") >= 1
    assert "failed" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "All is as expected" in render_page(checked(orders(day=20)))


def test_an_empty_batch_and_one_of_other_columns_are_told() -> None:
    """And nothing breaks."""
    assert checked(orders().slice(0, 0)).failed
    assert checked(pa.table({"y": [1, 2]})).failed
    assert checked(pa.table({})).failed
