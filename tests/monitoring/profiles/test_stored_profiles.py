"""Profiles as a table, their sources and their comparison: what is written is what is read, wherever rows come from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from tests.events.test_predictions import request, segment

from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.events.lake import Lake
from orita.events.prediction_files import convert_segment
from orita.monitoring.profiles.compare import compared
from orita.monitoring.profiles.page import render_page
from orita.monitoring.profiles.profiler import Profiler, Slicing, profile_rows, rolled_up
from orita.monitoring.profiles.reference import reference_profile
from orita.monitoring.profiles.sources import file_batches, lake_batches, prediction_batches
from orita.monitoring.profiles.stored import About, is_stored, read_profiles, untabled, write_profiles
from orita.monitoring.profiles.words import told

_START = datetime(2024, 11, 15, tzinfo=UTC)


def rows_of(rows: int = 3_000, seed: int = 0, shift: float = 0.0) -> pa.Table:
    """Return rows with a time, a number with holes, another that follows it, and a text."""
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1, rows)
    x[rng.random(rows) < 0.1] = np.nan
    return pa.table(
        {
            "at": pa.array([_START + timedelta(seconds=int(s)) for s in rng.integers(0, 86_400, rows)]),
            "x": pa.array(x, from_pandas=True),
            "y": 2 * np.nan_to_num(x) + rng.normal(size=rows),
            "device": rng.choice(["mobile", "desktop", "tablet"], rows, p=[0.6, 0.3, 0.1]),
        }
    )


def sliced(table: pa.Table, **options: object) -> Profiler:
    """Return hourly profiles by device, counted in the bins of other rows."""
    reference = reference_profile(lambda: rows_of(seed=9).to_batches())
    bins = {name: column.binned.bins for name, column in reference.columns.items() if column.binned is not None}
    return profile_rows(table.to_batches(500), slicing=Slicing("device", "at", timedelta(hours=1)), bins=bins)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every part, exact figures, estimates, bins and correlations; and what they are of."""
    profiler, about = sliced(rows_of()), About("rows", "device", 3_600_000_000, "2024-11-16T00:00:00+00:00")
    write_profiles(tmp_path / "hours.parquet", profiler.parts, about)
    parts, read = read_profiles(tmp_path / "hours.parquet")
    assert read == about
    assert is_stored(tmp_path / "hours.parquet")
    assert parts.keys() == profiler.parts.keys()
    whole = next(iter(rolled_up(parts, segments=False).values()))
    before, after = (told(parts, each) for each in (profiler.whole(), whole))
    for column_before, column_after in zip(before["columns"], after["columns"], strict=True):
        # Of many values the most frequent ones depend on the order of merging, within their bounds.
        rounded, estimates = {"moments", "characters"}, {"quantiles"}
        if column_before["kind"] != "text":
            estimates.add("frequent")
        for key in set(column_before) - estimates:
            expected = column_before[key]
            assert column_after[key] == (pytest.approx(expected, rel=1e-9) if key in rounded else expected), key
    assert [c["columns"] for c in after["correlations"]] == [c["columns"] for c in before["correlations"]]
    assert after["correlations"][0]["r"] == pytest.approx(before["correlations"][0]["r"])


def test_any_reader_sees_the_exact_part(tmp_path: Path) -> None:
    """Counts and means are plain columns."""
    write_profiles(tmp_path / "p.parquet", profile_rows(rows_of().to_batches()).parts, About("rows"))
    found = pq.read_table(tmp_path / "p.parquet", columns=["column", "rows", "nulls"]).to_pylist()
    assert {row["column"]: (row["rows"], row["nulls"] > 0) for row in found} == {
        "at": (3_000, False),
        "x": (3_000, True),
        "y": (3_000, False),
        "device": (3_000, False),
    }


def test_other_tables_are_no_profiles(tmp_path: Path) -> None:
    """A missing file, one that is no Parquet, and rows: each is told."""
    with pytest.raises(NotFound, match=r"no profiles at .*gone\.parquet"):
        read_profiles(tmp_path / "gone.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(UserError, match="not a Parquet file"):
        read_profiles(tmp_path / "text.parquet")
    assert not is_stored(tmp_path / "text.parquet")
    with pytest.raises(UserError, match="no profiles of format 1"):
        untabled(rows_of())


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.jsonl", "folder"])
def test_files_are_profiled_alike(tmp_path: Path, name: str) -> None:
    """Whatever holds the rows, their figures are the same."""
    table, path = rows_of(), tmp_path / name
    if name == "folder":
        path.mkdir()
        pq.write_table(table.slice(0, 700), path / "a.parquet")
        pq.write_table(table.slice(700), path / "b.parquet")
    elif name.endswith("parquet"):
        pq.write_table(table, path)
    elif name.endswith("csv"):
        pc.write_csv(table, path)
    else:
        names = ("x", "y", "device")
        rows = table.select(names).to_pylist()
        path.write_text("".join(str(row).replace("'", '"').replace("None", "null") + "\n" for row in rows))
    columns = profile_rows(file_batches(path)).whole().columns
    assert columns["x"].missing == table["x"].null_count
    assert columns["y"].moments.mean == pytest.approx(np.mean(table["y"].to_numpy()))
    assert [item.value for item in columns["device"].frequent.top()] == ["mobile", "desktop", "tablet"]
    assert name == "rows.jsonl" or columns["at"].kind == "time"


def test_bad_files_are_told(tmp_path: Path) -> None:
    """A missing one, one of another format, a broken one."""
    with pytest.raises(NotFound, match="does not exist"):
        list(file_batches(tmp_path / "gone.csv"))
    (tmp_path / "rows.xlsx").write_text("")
    with pytest.raises(UserError, match=r"ends in \.xlsx: a profile reads files that end in \.parquet, \.pq, \.csv"):
        list(file_batches(tmp_path / "rows.xlsx"))
    (tmp_path / "rows.parquet").write_text("no")
    with pytest.raises(UserError, match=r"rows\.parquet cannot be read"):
        list(file_batches(tmp_path / "rows.parquet"))


def test_a_lake_table_is_profiled_as_it_was(tmp_path: Path) -> None:
    """At any version; an empty table has no rows, an unknown one is told."""
    home, table = Home(tmp_path), rows_of()
    for part in (table.slice(0, 1_000), table.slice(1_000)):
        Lake(home).append("rows", part.to_reader(), time="at")
    assert profile_rows(lake_batches(home, "rows")).whole().rows == 3_000
    assert profile_rows(lake_batches(home, "rows", 0)).whole().rows == 1_000
    Lake(home).append("none", rows_of(0).to_reader())
    assert profile_rows(lake_batches(home, "none")).whole().rows == 0
    with pytest.raises(NotFound, match="'raws' does not exist"):
        list(lake_batches(home, "raws"))


def test_logged_predictions_are_profiled_by_version(tmp_path: Path) -> None:
    """Features and scores of each version, of rows that are Parquet and of rows that are not yet."""
    home = Home(tmp_path)
    first = segment(home, "2024-11-15-a", [request(1, [1, 2]), request(2, [3])])
    segment(home, "2024-11-15-b", [request(3, [4, 5])], version="v2", features="bc")
    convert_segment(home, first)
    slicing = Slicing(by="model_version", time="timestamp", every=timedelta(days=1))
    parts = profile_rows(prediction_batches(home, system="feed"), slicing=slicing).parts
    found = {key.segment: part for key, part in parts.items()}
    assert {name: part.rows for name, part in found.items()} == {"v1": 3, "v2": 2}
    assert found["v1"].columns["features.a"].missing == 2
    assert found["v1"].columns["features.b"].moments.maximum == 3.0
    assert "features.a" not in found["v2"].columns
    assert found["v1"].columns["score"].moments.maximum == pytest.approx(0.9)
    assert profile_rows(prediction_batches(home, model_version="v2")).whole().rows == 2


def test_an_empty_prediction_log_is_told(tmp_path: Path) -> None:
    """And what to do about it."""
    with pytest.raises(NotFound, match="run 'orita serve'"):
        list(prediction_batches(Home(tmp_path)))


def test_differences_are_found() -> None:
    """A shifted number, a new category, a column that came and one that went, one of another kind; the worst first."""
    before = reference_profile(lambda: rows_of().append_column("old", [["a"] * 3_000]).to_batches())
    after_rows = rows_of(seed=1, shift=1.0).append_column("new", [["a"] * 3_000])
    device = after_rows.column_names.index("device")
    after_rows = after_rows.set_column(device, "device", pa.array(["watch"] * 1_000 + ["mobile"] * 2_000))
    bins = {name: column.binned.bins for name, column in before.columns.items() if column.binned is not None}
    found = {each.name: each for each in compared(before, profile_rows(after_rows.to_batches(), bins=bins).whole())}
    assert (found["old"].status, found["new"].status) == ("dropped", "added")
    assert found["x"].mean_shift == pytest.approx(1.0, abs=0.1)
    assert found["x"].exact
    assert found["x"].ks == pytest.approx(0.38, abs=0.05)
    assert found["device"].unseen == pytest.approx(1 / 3)
    assert found["at"].psi == pytest.approx(0, abs=0.05)
    assert list(found)[:2] == ["old", "new"]
    numbers = profile_rows(after_rows.set_column(device, "device", pa.array([1.0] * 3_000)).to_batches()).whole()
    assert {each.name: each.status for each in compared(before, numbers)}["device"] == "retyped"


def test_profiles_without_bins_are_compared_by_sketches() -> None:
    """KS is then within the sketches' error of the exact one, and says that it is not exact."""
    one, two = (profile_rows(rows_of(20_000, seed, shift).to_batches()).whole() for seed, shift in ((0, 0.0), (1, 0.5)))
    x = {each.name: each for each in compared(one, two)}["x"]
    assert not x.exact
    assert x.psi is None
    assert x.ks == pytest.approx(0.197, abs=0.03)


def test_the_page_shows_every_column_and_escapes_names() -> None:
    """Plots of numbers, bars of texts, lines over time, the reference beside; no name is taken for HTML."""
    reference = reference_profile(lambda: rows_of(seed=9).to_batches())
    table = rows_of().append_column("<b>bold</b>", pa.array(["<i>"] * 3_000))
    profiler = profile_rows(table.to_batches(), slicing=Slicing("device", "at", timedelta(hours=6)))
    whole = profiler.whole()
    page = render_page(
        "rows & more", profiler.parts, whole, reference=reference, differences=compared(reference, whole)
    )
    assert "<title>rows &amp; more</title>" in page
    assert "<b>bold</b>" not in page
    assert "<i>" not in page
    assert page.count("<figure>") == 5
    assert "mean over time" in page
    assert "Strongest correlations" in page
    assert page.count("<svg") == 3 + 3
    alone = render_page("rows", {}, whole)
    assert alone.count("<figure>") == 5
