"""A scoring that was cut short goes on where it was, and never mixes with one of another making."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.features.small_system import NOW, events, ingested
from tests.pipelines.scoring.small_scoring import (
    deploy,
    rows_asking,
    scored_rows,
    scoring,
    trained_package,
    written,
)

from orita.core.errors import UserError
from orita.pipelines.scoring import ScoreOptions, score_table
from orita.pipelines.scoring.folder import alone
from orita.pipelines.workspace import Workspace

ROOT = Path(__file__).parents[3]


class Killed(BaseException):
    """The process is gone."""


def all_of(out: Path) -> dict[str, Any]:
    """Return the bytes of every file of a folder of scores, of the manifest what is not a time of day."""
    files = {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    told = json.loads(files.pop("_manifest.json"))
    return {**files, "manifest": {k: v for k, v in told.items() if k not in ("begun_at", "finished_at", "seconds")}}


def with_broken_rows(folder: Path, count: int = 40) -> Path:
    """Return a file in which every seventh row has no user."""
    rows = rows_asking(count)
    for row in rows[::7]:
        row["user_id"] = None
    return written(folder / "rows.parquet", rows)


def check_cuts(workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch, most: int, **options: Any) -> None:
    """End scorings just before or just after a file appears, at most *most* of them, and let each go on."""
    file, replace, count = with_broken_rows(folder), Path.replace, 0

    def counted(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", counted)
    scoring(workspace, file, folder / "whole", part_rows=16, **options)
    writes = count
    assert writes > 3 * 3, "of each step a part, what could not be scored, and the manifest"
    for number in random.sample(range(1, writes + 1), min(most, writes)):
        out, left = folder / f"cut-{number}", number

        def cut(self: Path, target: Path, number: int = number) -> Path:
            nonlocal left
            left -= 1
            if left == 0 and number % 2:
                raise Killed
            made = replace(self, target)
            if left == 0:
                raise Killed
            return made

        monkeypatch.setattr(Path, "replace", cut)
        with pytest.raises(Killed):
            scoring(workspace, file, out, part_rows=16, **options)
        monkeypatch.setattr(Path, "replace", replace)
        scoring(workspace, file, out, part_rows=16, **options)
        assert all_of(out) == all_of(folder / "whole"), f"write {number} of {writes}"


@pytest.mark.parametrize("options", [{}, {"top": 2}], ids=["all", "best"])
def test_cut_short_at_a_write_it_goes_on(
    served: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Ended as a file appears, drawn at random, the same command ends with every byte of an undisturbed run."""
    check_cuts(served, tmp_path, monkeypatch, 1, **options)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"top": 2}], ids=["all", "best"])
def test_cut_short_at_any_write_it_goes_on(
    served: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """The same at every one of them."""
    check_cuts(served, tmp_path, monkeypatch, 1000, **options)


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.features.small_system import small_workspace
from tests.pipelines.scoring.small_scoring import scoring
from orita.core.home import Home
from orita.pipelines.scoring import ScoreOptions, score_table
workspace = replace(small_workspace(Path(sys.argv[1])), home=Home(Path(sys.argv[1])))
options = ScoreOptions(sys.argv[2], Path(sys.argv[3]), part_rows=16)
score_table(workspace, options, lambda progressed: print(progressed.done, flush=True))
"""


def kill_at(workspace: Workspace, file: Path, out: Path, rows: int) -> int:
    """Kill a process that scores *file* once it has told *rows*; return how many it had told."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(workspace.home.root), str(file), str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    told = 0
    for line in process.stdout:
        told = int(line)
        if told >= rows:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return told


def check_kills(workspace: Workspace, folder: Path, kills: int, rows: int, seed: int) -> None:
    """Kill scorings of *rows* rows at random moments, and compare what the last one ends with."""
    print(f"seed {seed}")  # noqa: T201  shown where the test fails
    rng = random.Random(seed)
    file = with_broken_rows(folder, rows)
    scoring(workspace, file, folder / "whole", part_rows=16)
    for _ in range(kills):
        kill_at(workspace, file, folder / "out", rng.randrange(16, rows // 2))  # later it might be done before that
    report = scoring(workspace, file, folder / "out", part_rows=16)
    assert 0 < report.rows < rows, "some rows were done before, and some were not"
    assert all_of(folder / "out") == all_of(folder / "whole")


@pytest.mark.slow
def test_killed_it_goes_on(served: Workspace, tmp_path: Path) -> None:
    """After ``kill -9`` the same command does the rest, and the folder is that of an undisturbed run, to the byte."""
    check_kills(served, tmp_path, 1, 320, random.randrange(1000))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_many_times_it_goes_on(served: Workspace, tmp_path: Path, seed: int) -> None:
    """The same with many kills."""
    check_kills(served, tmp_path, 6, 2000, seed)


def test_what_is_done_is_not_done_again(served: Workspace, tmp_path: Path) -> None:
    """A finished scoring is found and stays as it is, also where the input was copied: its content counts."""
    file = with_broken_rows(tmp_path)
    scoring(served, file, tmp_path / "out")
    before = all_of(tmp_path / "out")
    file.write_bytes(file.read_bytes())
    os.utime(file, (1, 1))
    report = scoring(served, file, tmp_path / "out")
    assert (report.new, report.rows) == (False, 0)
    assert all_of(tmp_path / "out") == before


def test_events_that_came_since_do_not_mix(own: Workspace, tmp_path: Path) -> None:
    """What is ingested between a kill and its resumption is not seen by the rest: the tables of the beginning are."""
    rows = rows_asking(40, begin=NOW - timedelta(minutes=1), step=timedelta(0))
    file = written(tmp_path / "rows.parquet", rows)
    scoring(own, file, tmp_path / "whole", part_rows=10)

    def killed(progressed: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        score_table(own, ScoreOptions(str(file), tmp_path / "out", part_rows=10), killed)
    ingested(own.home, tmp_path, events(60, start=300, last=NOW - timedelta(minutes=2)), own.system)
    assert scoring(own, file, tmp_path / "out", part_rows=10).rows == 30
    assert scored_rows(tmp_path / "out").equals(scored_rows(tmp_path / "whole"))
    scoring(own, file, tmp_path / "later")
    assert not scored_rows(tmp_path / "later").equals(scored_rows(tmp_path / "whole"))


def test_a_table_that_grows_is_scored_as_it_was(own: Workspace, tmp_path: Path) -> None:
    """The rest of a lake table is of the version of the beginning; when it is finished, a new one is another input."""

    def killed(progressed: object) -> None:
        raise Killed

    options = ScoreOptions("lake:interactions", tmp_path / "out", part_rows=200)
    with pytest.raises(Killed):
        score_table(own, options, killed)
    ingested(own.home, tmp_path, events(60, start=300), own.system)
    told = score_table(own, options).to_dict()
    assert (told["rows_this_run"], told["rows"]["written"]) == (100, 300)
    with pytest.raises(UserError, match="rows of the input have changed"):
        score_table(own, options)


def another_model(workspace: Workspace, file: Path) -> dict[str, Any]:
    """Let another version serve."""
    trained_package(workspace, "v1.1.0", seed=1)
    deploy(workspace, "v1.1.0")
    return {}


def other_bytes(workspace: Workspace, file: Path) -> dict[str, Any]:
    """Replace the package by one of the same version."""
    shutil.rmtree(workspace.home.packages / "small" / "v1.0.0")
    trained_package(workspace, "v1.0.0", seed=2)
    return {}


def other_rows(workspace: Workspace, file: Path) -> dict[str, Any]:
    """Write other rows to the input."""
    written(file, rows_asking(41))
    return {}


CHANGES: list[tuple[Callable[[Workspace, Path], dict[str, Any]], str]] = [
    (another_model, "the model was 'v1.0.0', and is 'v1.1.0' now"),
    (other_bytes, "the files of the model's package have changed"),
    (other_rows, "rows of the input have changed"),
    (lambda *_: {"top": 3}, "--top was None, and is 3 now"),
    (lambda *_: {"as_of": "event"}, "--as-of was 'known'"),
    (lambda *_: {"part_rows": 17}, "--part-rows was 16"),
]


@pytest.mark.parametrize(("change", "says"), CHANGES, ids=["model", "package", "rows", "top", "as_of", "part_rows"])
def test_another_making_is_refused(
    own: Workspace, tmp_path: Path, change: Callable[[Workspace, Path], dict[str, Any]], says: str
) -> None:
    """The sentence says what differs and what to do; the scores stay as they were."""
    file = with_broken_rows(tmp_path)
    scoring(own, file, tmp_path / "out", part_rows=16)
    before = all_of(tmp_path / "out")
    with pytest.raises(UserError, match=f"{says}.*--restart"):
        scoring(own, file, tmp_path / "out", **{"part_rows": 16, **change(own, file)})
    assert all_of(tmp_path / "out") == before


def test_what_is_begun_anew_is_as_if_nothing_had_been(own: Workspace, tmp_path: Path) -> None:
    """`restart` replaces scores of another making, more parts than there are now among them."""
    file = with_broken_rows(tmp_path)
    scoring(own, file, tmp_path / "out", part_rows=4)
    another_model(own, file)
    scoring(own, file, tmp_path / "out", part_rows=16, restart=True)
    scoring(own, file, tmp_path / "fresh", part_rows=16)
    assert all_of(tmp_path / "out") == all_of(tmp_path / "fresh")


def test_folders_of_others_are_left_alone(served: Workspace, tmp_path: Path) -> None:
    """A folder with other files, a file, the input's own folder, and one that another process holds are refused."""
    (tmp_path / "in").mkdir()
    file = written(tmp_path / "in" / "rows.parquet", rows_asking(4))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "note.txt").write_text("mine")
    for out, says in (
        (tmp_path / "notes", "holds 'note.txt', which no scoring wrote"),
        (file, "is a file"),
        (tmp_path / "in" / "scores", "is within the input"),
    ):
        for restart in (False, True):
            with pytest.raises(UserError, match=says):
                scoring(served, tmp_path / "in", out, restart=restart)
    assert [each.name for each in (tmp_path / "notes").iterdir()] == ["note.txt"]
    with alone(tmp_path / "held"), pytest.raises(UserError, match="another run scores into"):
        scoring(served, file, tmp_path / "held")


def test_a_part_that_is_gone_is_told(served: Workspace, tmp_path: Path) -> None:
    """A folder that lost a file is not said to be whole."""
    file = with_broken_rows(tmp_path)
    scoring(served, file, tmp_path / "out", part_rows=16)
    (tmp_path / "out" / "part-00001.parquet").unlink()
    with pytest.raises(UserError, match=r"part-00001\.parquet is gone or changed"):
        scoring(served, file, tmp_path / "out", part_rows=16)
    (tmp_path / "out" / "_manifest.json").write_text("{}")
    with pytest.raises(UserError, match="is no manifest of scores"):
        scoring(served, file, tmp_path / "out", part_rows=16)


def test_an_input_that_changes_under_way_is_told(served: Workspace, tmp_path: Path) -> None:
    """Rows that are written while they are scored end the scoring: no part is of rows that nobody knows."""
    file = with_broken_rows(tmp_path)

    def change(progressed: object) -> None:
        written(file, rows_asking(41))

    with pytest.raises(UserError, match="was changed while it was scored"):
        score_table(served, ScoreOptions(str(file), tmp_path / "out", part_rows=16), change)
