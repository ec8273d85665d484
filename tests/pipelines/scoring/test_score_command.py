"""``orita score`` on the command line: what it prints, refuses and explains."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from pathlib import Path
from unittest import mock

import pytest
from tests.features.small_system import DECLARED
from tests.pipelines.scoring.small_scoring import rows_asking, scored_rows, scoring, written

from orita.cli import main, score
from orita.pipelines.workspace import Workspace


@pytest.fixture
def project(served: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the small system, which is the current folder, with rows to score."""
    (tmp_path / "features.py").write_text(DECLARED)
    (tmp_path / "orita.yaml").write_text("system: features.py\n")
    rows = rows_asking(50)
    rows[4]["user_id"] = None
    written(tmp_path / "rows.parquet", rows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORITA_HOME", str(served.home.root))
    return tmp_path


def orita(*words: str, code: int = 0) -> str:
    """Run a command, check its exit code, and return what it printed, of a failed one on standard error."""
    out, errors, found = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["orita", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as ended:
            found = int(ended.code or 0)
    assert found == code, f"{out.getvalue()}\n{errors.getvalue()}"
    return out.getvalue() if code == 0 else " ".join(errors.getvalue().split())


def test_a_file_is_scored(project: Path, served: Workspace) -> None:
    """It tells how many rows went where, of which model, and how many were of somebody unknown; JSON has it all."""
    said = orita("score", "rows.parquet", "--out", "scores", "--keep", "order, device")
    assert "49 rows in 1 parts" in said
    assert "v1.0.0, features computed" in said
    assert "1 rows" in said.split("quarantined")[1]
    assert "user_id: required 1" in said
    assert "items unknown to model 8" in said
    found = json.loads(orita("score", "rows.parquet", "--out", "scores", "--keep", "order, device", "--json"))
    assert (found["new"], found["rows"]["written"], found["cold_start"]["items_unknown_to_model"]) == (False, 49, 8)
    assert json.loads(Path(found["manifest"]).read_text())["state"] == "complete"
    assert scored_rows(project / "scores").column_names == [
        "user_id", "item_id", "timestamp", "order", "device", "score",
    ]  # fmt: skip


def test_the_same_by_command_and_by_call(project: Path, served: Workspace) -> None:
    """The command makes what `score_table` makes of the same options."""
    orita("score", "rows.parquet", "--out", "scores", "--top", "3", "--as-of", "event", "--part-rows", "9")
    scoring(served, project / "rows.parquet", project / "called", top=3, as_of="event", part_rows=9)
    assert scored_rows(project / "scores").equals(scored_rows(project / "called"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--as-of", "2024-11-15"), "allowed are 'known' and 'event'; a time is given with --at"),
        (("--at", "noon"), "--at is 'noon': give a time in ISO 8601"),
        (("--engine", "flink"), "allowed are 'history' and 'spark'"),
        (("--objective", "click"), "--objective has the part 'click'"),
        (("--objective", "click=1,click=2"), "--objective names 'click' twice"),
        (("--objective", "click=1"), "v1.0.0 has one head"),
        (("--keep", "order,order"), "keep names a column twice"),
    ],
)
def test_options_that_are_wrong_are_a_sentence(project: Path, words: tuple[str, ...], says: str) -> None:
    """Exit code 2, with the option, its value, and what is allowed."""
    assert says in orita("score", "rows.parquet", "--out", "scores", *words, code=2)


def test_long_work_says_how_far_it_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no bar, a line tells rows done of all, rows a second, and the seconds that are left."""
    monkeypatch.setattr(score, "_SAY_SECONDS", 0.0)
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        found = io.StringIO()
        with mock.patch.object(sys, "argv", ["orita", "score", "rows.parquet", "--out", "scores", "--part-rows", "20"]):
            with contextlib.redirect_stdout(found), contextlib.suppress(SystemExit):
                main()
    said = errors.getvalue()
    assert re.search(r"20 of 50 rows  [\d,]+ rows/s  [\d,]+ s left", said), said
    assert re.search(r"50 of 50 rows  [\d,]+ rows/s  0 s left", said), said


def test_help_teaches(project: Path) -> None:
    """`--help` says what the rows are, what comes of bad ones, and what happens after a kill."""
    said = orita("score", "--help")
    for words in ("user_id, item_id", "_quarantine", "goes on where it was", "--restart", "--top 10"):
        assert words in said
