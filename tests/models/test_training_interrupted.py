"""A training that is killed, or asked to stop, ends with the weights of one that was left alone."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from tests.models.clicks import MODEL, TRAINING, clicks
from tests.models.outcomes import HEADED, reactions

from orita.core.progress import SILENT
from orita.models.neural import NeuralRanker
from orita.models.ranker import FitContext, FitReport
from orita.models.training import loop
from orita.models.training.attempts import run_attempts
from orita.models.training.batches import Rows
from orita.models.training.interruption import Interrupted, interruptible
from orita.models.training.judging import judge
from orita.models.training.learner import Learner
from orita.models.two_tower import TwoTower

EPOCHS, STEPS = 4, 6  # of 128 rows each


class _Struck:
    """A progress bar that sends its process a signal at a step, or so many seconds after it."""

    def __init__(self, at: int, signal_: int, delay: float = 0.0) -> None:
        self.steps, self.at, self.signal, self.delay = 0, at, signal_, delay

    def bar(self, title: str, total: float | None = None) -> _Struck:
        return self

    def __enter__(self) -> _Struck:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def describe(self, text: str) -> None:
        pass

    def strike(self) -> None:
        time.sleep(self.delay)
        os.kill(os.getpid(), self.signal)

    def advance(self, by: float = 1.0) -> None:
        self.steps += 0 < by <= 128
        if self.steps == self.at and self.delay:
            threading.Thread(target=self.strike, daemon=True).start()
        elif self.steps == self.at:
            self.strike()


def fit(checkpoints: Path | None, progress: object = SILENT, *, heads: bool = False) -> tuple[FitReport, str]:
    """Fit a two-tower that keeps a checkpoint every second step; return its report and a digest of its weights."""
    rows = reactions(1000) if heads else clicks(1000)
    section = TRAINING.model_copy(update={"epochs": EPOCHS, "checkpoint_steps": 2})
    ranker = NeuralRanker("two_tower", TwoTower, HEADED if heads else MODEL, section)
    context = FitContext(progress, checkpoints, 3)  # type: ignore[arg-type]
    report = ranker.fit(rows.take(slice(0, 700)), rows.take(slice(700, None)), context)
    weights = ranker.named_weights()
    assert set(weights) > {"users.table", "items.table", "network.bias"}
    whole = b"".join(name.encode() + weights[name].tobytes() for name in sorted(weights))
    return report, hashlib.sha256(whole).hexdigest()


def struck(checkpoints: Path, step: int, signal_: signal.Signals, delay: float = 0.0) -> tuple[int, str]:
    """Fit in a process that meets *signal_* at its *step*-th step; return its exit code and what it said.

    The process is a fork of one that has only imported this module, since PyTorch takes seconds to import.
    """
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    heard, said = processes.Pipe(duplex=False)
    child = processes.Process(target=_fit_struck, args=(said, checkpoints, _Struck(step, signal_, delay)), daemon=True)
    child.start()
    said.close()
    child.join()
    assert child.exitcode is not None
    return child.exitcode, heard.recv() if child.exitcode in (0, 75) else ""


def _fit_struck(said: Connection, checkpoints: Path, progress: _Struck) -> None:
    try:
        said.send(fit(checkpoints, progress)[1])
    except Interrupted as stopped:
        said.send(str(stopped))
        sys.exit(stopped.exit_code)


def storm(checkpoints: Path, kills: int, seed: int) -> int:
    """Kill the training *kills* times at random steps, anew where it ended before; return how often it was killed."""
    chance, killed = random.Random(seed), 0
    while killed < kills:
        code, said = struck(checkpoints, chance.randint(1, 8), signal.SIGKILL, chance.choice([0.0, 0.002, 0.01]))
        if code == 0:
            assert said.strip() == fit(None)[1]
            shutil.rmtree(checkpoints)
            continue
        assert code == -signal.SIGKILL, said
        killed += 1
    return killed


def test_a_training_killed_at_random_steps_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Killed with SIGKILL at three random steps, and started again each time, it ends with the same weights."""
    assert storm(tmp_path, 3, seed=5) == 3
    report, digest = fit(tmp_path)
    assert digest == fit(None)[1]
    assert report.resumed_from is not None
    assert not list(tmp_path.glob(".partial-*"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_training_killed_twenty_times_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Killed with SIGKILL at twenty random steps, also while it writes a checkpoint, it ends with the same weights."""
    assert storm(tmp_path, 20, seed=11) == 20
    assert fit(tmp_path)[1] == fit(None)[1]


def test_a_training_that_is_asked_to_stop_goes_on_elsewhere(tmp_path: Path) -> None:
    """On SIGTERM it leaves a checkpoint, says so, exits with 75, and goes on from a copy in another place."""
    code, said = struck(tmp_path / "here", 9, signal.SIGTERM)
    assert code == 75, said
    assert "asked to stop, in epoch 2 after 3 of 6 steps; a checkpoint is in" in said
    (tmp_path / "here").rename(tmp_path / "elsewhere")
    report, digest = fit(tmp_path / "elsewhere")
    assert (report.resumed_from, digest) == (1, fit(None)[1])


@pytest.mark.parametrize("epoch", [2, EPOCHS])
def test_a_request_that_comes_while_an_epoch_is_judged_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    """Also in the last epoch: the epoch is kept, the training says that it stops, and goes on to the same weights."""
    judged: list[int] = []

    def striking(learner: Learner, val: Rows) -> dict[str, float]:
        judged.append(1)
        if len(judged) == epoch:
            signal.raise_signal(signal.SIGTERM)
        return judge(learner, val)

    monkeypatch.setattr(loop, "judge", striking)
    with interruptible(True) as around, pytest.raises(Interrupted, match=f"after {epoch} of {EPOCHS} epochs"):
        fit(tmp_path)
    assert around.made
    report, digest = fit(tmp_path)
    assert (report.resumed_from, len(judged)) == (epoch, EPOCHS)
    assert digest == fit(None)[1]


def test_a_training_of_several_heads_goes_on_where_it_was(tmp_path: Path) -> None:
    """Stopped in the middle of an epoch and started again, several heads end with the weights of one training."""
    with pytest.raises(Interrupted, match="asked to stop"):
        fit(tmp_path, _Struck(9, signal.SIGTERM), heads=True)
    report, digest = fit(tmp_path, heads=True)
    assert report.resumed_from is not None
    assert digest == fit(None, heads=True)[1]


def test_a_request_reaches_what_is_around_a_training_too() -> None:
    """A search that trains hears of SIGTERM although the training notes it first, even in a training's last moments."""
    with interruptible(True) as around:
        with interruptible(True) as within:
            signal.raise_signal(signal.SIGTERM)
        assert (within.made, around.made) == (True, True)


def test_without_checkpoints_a_request_to_stop_is_the_end() -> None:
    """Where no checkpoint is kept SIGTERM ends the process as it ends any other."""
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    class Looking:
        def bar(self, title: str, total: float | None = None) -> Looking:
            return self

        def __enter__(self) -> Looking:
            return self

        def __exit__(self, *exc: object) -> None:
            seen.append(signal.getsignal(signal.SIGTERM))

        def describe(self, text: str) -> None:
            pass

        def advance(self, by: float = 1.0) -> None:
            pass

    fit(None, Looking())
    assert seen == [before]


@pytest.mark.parametrize(
    ("codes", "on_demand", "expected", "runs"),
    [
        ([0], True, 0, 1),
        ([75, -9, 0], True, 0, 3),
        ([75, 143, 137, 0], True, 0, 4),
        ([75, 75, 75], False, 75, 3),
        ([75, 2], True, 2, 2),
        ([75, 75, 75, 1], True, 1, 4),
    ],
)
def test_interruptions_are_tried_again_and_then_on_demand(
    codes: list[int], on_demand: bool, expected: int, runs: int
) -> None:
    """An interrupted command runs again, three times at most, then on demand; an error of its own is final."""
    left, seen = list(codes), []

    def run(command: Sequence[str]) -> int:
        seen.append(tuple(command))
        return left.pop(0)

    code = run_attempts(
        ["spot"], attempts=3, on_demand=["kept"] if on_demand else [], run=run, sleep=lambda seconds: None
    )
    assert (code, len(seen)) == (expected, runs)
    assert seen == [("spot",)] * min(runs, 3) + [("kept",)] * max(runs - 3, 0)


def test_the_command_line_of_attempts_runs_what_it_is_given(tmp_path: Path) -> None:
    """A command that is interrupted once is run twice, and the exit code is the last one."""
    script = (
        "import pathlib, sys; p = pathlib.Path(sys.argv[1]); seen = p.exists(); p.touch(); sys.exit(0 if seen else 75)"
    )
    command = [sys.executable, "-m", "orita.models.training.attempts", "--pause", "0", "--"]
    command += [sys.executable, "-c", script, str(tmp_path / "seen")]
    assert subprocess.run(command, check=False).returncode == 0
