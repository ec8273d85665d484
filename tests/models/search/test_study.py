"""A study outlives its processes, and several work on it at once."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.models.search.studies import ABOUT, carry_out, opened, value_of

from orita.core.errors import NotFound, OritaError, UserError
from orita.models.search.config import SamplerName
from orita.models.search.journal import JOURNAL, is_held, locked
from orita.models.search.reading import OF
from orita.models.search.study import Attempt, open_optuna
from orita.models.search.view import find_search, read_searches

pytest.importorskip("optuna", reason="the extra train is not installed")


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_seed_fixes_every_trial_also_across_processes(tmp_path: Path, sampler: SamplerName) -> None:
    """Trials of a study that is opened anew after each few are those of one that was never closed."""
    with opened(tmp_path / "whole") as study:
        whole = carry_out(study, 14, sampler=sampler, seed=3)
    for most in (5, 11, 14):
        with opened(tmp_path / "parted") as study:
            parted = carry_out(study, most, sampler=sampler, seed=3)
    with opened(tmp_path / "other") as study:
        other = carry_out(study, 3, sampler=sampler, seed=4)
    assert [one.values for one in parted] == [one.values for one in whole]
    assert [one.number for one in whole] == list(range(1, 15))
    assert [one.values for one in other] != [one.values for one in whole[:3]]
    assert all(("leaves" in one.values) == (one.values["kind"] == [2, 1]) for one in whole), "a condition holds"


@pytest.mark.slow
def test_gaussian_process_draws_in_a_conditional_space(tmp_path: Path) -> None:
    """The sampler gp goes on past its first random trials."""
    pytest.importorskip("torch", reason="the extra train is not installed")
    with opened(tmp_path / "gp", sampler="gp") as study:
        assert len(carry_out(study, 11, sampler="gp")) == 11


def test_a_grid_goes_through_every_combination_once(tmp_path: Path) -> None:
    """It ends after the last, whatever number was asked for, and goes on where it was."""
    from orita.models.search.binding import Parameter
    from orita.models.search.study import Study

    parameters = (
        Parameter("kind", "choice", choices=("flat", [2, 1])),
        Parameter("x", "float", low=0.0, high=0.3, step=0.1),
    )
    for most in (3, 100):
        with Study(tmp_path / "grid", parameters, ABOUT, larger_is_better=True) as study:
            done = carry_out(study, most, sampler="grid")
    assert len(done) == 8
    assert len({(str(one.values["kind"]), round(one.values["x"], 3)) for one in done}) == 8


def killed(folder: Path, *, drawn: bool = True) -> Attempt:
    """Leave a trial under way in a study whose process is gone."""
    with opened(folder) as study:
        attempt = study.begin(10, "random", 0)
    assert attempt is not None
    if drawn:
        study.keep(attempt, run_id="run-1", type="linear")
    return attempt


def test_a_killed_trial_is_begun_again_with_its_values(tmp_path: Path) -> None:
    """It keeps its number, its values and its run, and is counted once."""
    folder = tmp_path / "search"
    first = killed(folder)
    with opened(folder) as study:
        assert [one.state for one in study.trials()] == ["interrupted"]
        again = study.begin(10, "random", 0)
        assert again is not None and (again.number, again.values, again.run_id) == (1, first.values, "run-1")
        study.end(again, "complete", 0.5)
        (trial,) = study.trials()
    assert (trial.state, trial.attempts, trial.value) == ("complete", 2, 0.5)


def test_trials_that_were_cut_short_keep_their_values_apart(tmp_path: Path) -> None:
    """A process that dies between putting a trial in the queue and taking it out gives its values to no other trial."""
    folder = tmp_path / "search"
    with opened(folder) as study:
        begun = [study.begin(10, "random", 0) for _ in range(2)]
    before = {one.number: one.values for one in begun if one is not None}
    kept = open_optuna(folder)
    kept.enqueue_trial(kept.trials[1].params, user_attrs={OF: 2})
    with opened(folder) as study:
        again = [study.begin(10, "random", 0) for _ in range(2)]
    assert {one.number: one.values for one in again if one is not None} == before


def test_a_trial_that_kills_its_process_is_given_up(tmp_path: Path) -> None:
    """After three kills it is failed, so that a search does not die of it forever; being asked to stop is no kill."""
    folder = tmp_path / "search"
    for _ in range(2):
        killed(folder)
    with opened(folder) as study:
        attempt = study.begin(10, "random", 0)
        assert attempt is not None and attempt.number == 1
        study.end(attempt, "interrupted")
    killed(folder)
    with opened(folder) as study:
        (trial,) = study.trials()
        assert trial.state == "failed" and "killed 3 times" in trial.error
        following = study.begin(10, "random", 0)
    assert following is not None and following.number == 2


def test_a_live_trial_is_left_to_its_process(tmp_path: Path) -> None:
    """A second process begins another trial, and none beyond the number that is wanted."""
    folder = tmp_path / "search"
    with opened(folder) as one, opened(folder) as other:
        mine, theirs = one.begin(2, "random", 0), other.begin(2, "random", 0)
        assert mine is not None and theirs is not None and (mine.number, theirs.number) == (1, 2)
        assert one.begin(2, "random", 0) is None
        assert [trial.state for trial in other.trials()] == ["running", "running"]


def test_two_processes_share_a_study(tmp_path: Path) -> None:
    """Together they carry out the trials that were wanted, each once, with the values that one would have drawn."""
    folder = tmp_path / "search"
    command = [sys.executable, "-m", "tests.models.search.studies", str(folder), "12"]
    running = [subprocess.Popen(command, cwd=Path(__file__).parents[3]) for _ in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]
    with opened(folder) as study:
        shared = study.trials()
    with opened(tmp_path / "alone") as study:
        alone = carry_out(study, 12, sampler="random")
    assert {one.number: one.values for one in shared} == {one.number: one.values for one in alone}
    assert all(one.state == "complete" for one in shared)


def test_a_line_that_a_crash_cut_short_is_taken_away(tmp_path: Path) -> None:
    """The journal is read as if the unfinished line had not been begun, and goes on; damage elsewhere is named."""
    folder = tmp_path / "search"
    with opened(folder) as study:
        carry_out(study, 2, sampler="random")
    journal = folder / JOURNAL
    with journal.open("ab") as opened_:
        opened_.write(b'{"op_code": 4, "worker_id": "x')
    with opened(folder) as study:
        assert len(carry_out(study, 3, sampler="random")) == 3
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"nonsense\n", *lines[1:]]))
    with pytest.raises(OritaError, match="remove the folder"):
        opened(folder)


def test_askers_do_not_take_one_another_for_a_live_process(tmp_path: Path) -> None:
    """Two processes that look at a dead one's lock at the same moment both see that it is dead."""
    path = tmp_path / "worker.lock"
    path.touch()
    with path.open("a") as asker:
        fcntl.flock(asker, fcntl.LOCK_SH)  # as `is_held` does for a moment
        assert not is_held(path)
    with locked(path):
        assert is_held(path)


@pytest.mark.parametrize("about", [False, True])
def test_a_search_that_was_killed_before_it_began_hides_no_other(tmp_path: Path, about: bool) -> None:
    """Between the journal's first line and what is searched, a kill leaves a search that is passed over by name."""
    with opened(tmp_path / "sound") as study:
        carry_out(study, 1, sampler="random")
    if about:
        open_optuna(tmp_path / "cut", larger_is_better=True)
    else:
        (tmp_path / "cut").mkdir()
        lines = (tmp_path / "sound" / JOURNAL).read_bytes().splitlines(keepends=True)
        (tmp_path / "cut" / JOURNAL).write_bytes(lines[0].replace(b"sound", b"other"))
    assert [one.name for one in read_searches(tmp_path)] == ["sound"]
    with pytest.raises(NotFound, match="'cut' was ended before it began"):
        find_search(tmp_path, "cut")


@pytest.mark.parametrize("other", [{"training set": "s2"}, {"space": {"x": {"low": 1}}}, {"sampler": "random"}])
def test_a_name_stands_for_one_search(tmp_path: Path, other: dict[str, Any]) -> None:
    """Trials whose figures do not compare are not put under one name; the sentence says what differs."""
    with opened(tmp_path / "search"):
        pass
    with pytest.raises(UserError, match=f"begun with another {next(iter(other))}"):
        opened(tmp_path / "search", **other)


def test_a_search_is_read_while_others_work(tmp_path: Path) -> None:
    """Best trial, counts, importance and the order of searches are there without carrying anything out."""
    for name, trials in (("older", 1), ("newer", 25)):
        with opened(tmp_path / name) as study:
            study.plan(40)
            carry_out(study, trials)
            assert study.begin(40, "tpe", 0) is not None
            search = find_search(tmp_path, None)
            assert search.name == name and search.counts == {"complete": trials, "running": 1}
    best = search.best
    assert best is not None and abs(best.values["x"] - 0.1) < 0.05 and best.values["kind"] == [2, 1]
    assert search.planned == 40 and [one.name for one in read_searches(tmp_path)] == ["newer", "older"]
    assert sum(search.importance.values()) == pytest.approx(1.0)
    assert set(search.importance) == {"kind", "x", "leaves"}, "also keys with a condition have their share"
    assert search.ranked()[0] == best and best.value == pytest.approx(value_of(Attempt(0, best.values, "", None)))  # type: ignore[arg-type]
    with pytest.raises(OritaError, match="Did you mean 'newer'"):
        find_search(tmp_path, "newr")
