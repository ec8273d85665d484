"""``orita profile``: what a person reads, what a program reads, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.monitoring.profiles.test_stored_profiles import rows_of
from typer.testing import CliRunner

from orita.cli import profile  # noqa: F401 - it registers its command
from orita.cli.app import app
from orita.core.errors import NotFound, OritaError, UserError
from orita.core.home import Home
from orita.events.lake import Lake
from orita.events.log.embedded import EmbeddedLog


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a lake table, newer rows in a file, and nothing else."""
    monkeypatch.chdir(tmp_path)
    Lake(Home(tmp_path / ".orita")).append("rows", rows_of().to_reader(), time="at")
    pq.write_table(rows_of(seed=1, shift=0.5), "new.parquet")
    return tmp_path


def asked(*arguments: str) -> str:
    """Return what the command printed; what it raised is raised."""
    done = CliRunner().invoke(app, ["--quiet", "profile", *arguments])
    if isinstance(done.exception, OritaError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def answered(*arguments: str) -> dict[str, Any]:
    """Return what ``--json`` printed."""
    found: dict[str, Any] = json.loads(asked(*arguments, "--json"))
    return found


def test_a_table_is_told_to_a_person(project: Path) -> None:
    """Each column has its line, and each part."""
    told = asked("rows", "--by", "device")
    assert "rows: 3,000 rows" in told
    for word in ("at", "time", "x", "number", "mobile", "desktop", "tablet", "Parts"):
        assert word in told


def test_a_file_is_compared_with_a_table(project: Path) -> None:
    """Differences have KS and PSI of exact counts, the worst first; the page is written."""
    found = answered("new.parquet", "--against", "rows", "--html", "out/page.html")
    x = next(each for each in found["differences"] if each["name"] == "x")
    assert x["exact"]
    assert 0.1 < x["ks"] < 0.3
    assert x["psi"] > 0.1
    assert (project / "out/page.html").read_text().startswith("<!doctype html>")
    assert "Against rows" in asked("new.parquet", "--against", "rows")


def test_hours_become_days_without_the_rows(project: Path) -> None:
    """Kept hourly profiles roll up to days of all devices, and are a reference too."""
    asked("rows", "--every", "1h", "--by", "device", "--out", "hours.parquet")
    hours, days = (
        answered("hours.parquet", "--every", "1h", "--by", "device"),
        answered("hours.parquet", "--every", "1d"),
    )
    assert len(hours["parts"]) > 48
    assert [part["rows"] for part in days["parts"]] == [3_000]
    assert days["columns"][1]["moments"]["mean"] == pytest.approx(answered("rows")["columns"][1]["moments"]["mean"])
    assert answered("new.parquet", "--against", "hours.parquet")["differences"]


def test_a_stream_is_followed(project: Path) -> None:
    """What came since the last time is added, each row once."""
    log = EmbeddedLog(Home(project / ".orita"))
    log.create("clicks", 1)
    for rows in (3_000, 6_000):
        log.append("clicks", rows_of(), key=["device"])
        found = answered("stream:clicks", "--time", "at", "--every", "6h")
        assert (found["rows"], len(found["parts"])) == (rows, 4)
    log.close()


def test_columns_are_chosen(project: Path) -> None:
    """Only those that are named are profiled."""
    assert [column["name"] for column in answered("rows", "--columns", "x, device")["columns"]] == ["x", "device"]


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (["raws"], NotFound, "table 'raws' does not exist.*rows"),
        (["gone.csv"], NotFound, "gone.csv does not exist"),
        (["rows", "--by", "devise"], NotFound, "no column 'devise'.*device"),
        (["rows", "--columns", "z"], NotFound, "no column 'z' to profile"),
        (["rows", "--every", "soon"], UserError, "--every 'soon' is not understood"),
        (["rows", "--every", "1h", "--time", "x"], UserError, "'x' holds double, not times"),
        (["untimed.parquet", "--every", "1h"], UserError, "no column of times: name the one"),
        (["empty.parquet"], UserError, "has no rows to profile"),
        (["predictions"], NotFound, "run 'orita serve'"),
        (["stream:clicks"], NotFound, "clicks"),
        (["kept.parquet", "--every", "90m"], UserError, "slices of 1h: --every has to be made of whole ones"),
        (["kept.parquet", "--by", "x"], UserError, "of all rows together, not by 'x'"),
        (["kept.parquet", "--time", "at"], UserError, "--time is for rows"),
    ],
)
def test_what_cannot_be_is_refused(project: Path, arguments: list[str], error: type[OritaError], sentence: str) -> None:
    """One sentence: what, which value, what is allowed."""
    pq.write_table(pa.table({"x": [1.0]}), "untimed.parquet")
    pq.write_table(rows_of(0), "empty.parquet")
    if arguments[0] == "kept.parquet":
        asked("rows", "--every", "1h", "--out", "kept.parquet")
    with pytest.raises(error, match=sentence):
        asked(*arguments)
