"""Several processes train the model that one process trains."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.models.clicks import MODEL, TRAINING, clicks
from tests.models.outcomes import HEADED, reactions

from orita.core.errors import OritaError
from orita.core.progress import SILENT
from orita.models.build import build_ranker
from orita.models.examples import Examples
from orita.models.objectives import HasHeads
from orita.models.ranker import FitContext, FitReport
from orita.models.training.job import fit_job, interruption_of, write_job

TOLERANCE = 2e-3  # of scores: sums in another order; Adam's first step is a gradient's sign, of one near nothing too


def parts(text: bool = False, heads: bool = False) -> tuple[Examples, Examples]:
    """Return rows to train on, which do not come out even in two processes or in batches, and rows to stop by."""
    rows = reactions(1001, text=text) if heads else clicks(1001, text=text)
    return rows.take(slice(0, 701)), rows.take(slice(701, None))


def fit(processes: int, checkpoints: Path | None = None, *, heads: bool = False) -> tuple[FitReport, np.ndarray]:
    """Fit a two-tower, with dropout of units and ids, in so many processes; return report and outputs of its heads."""
    train, val = parts(text=True, heads=heads)
    section = TRAINING.model_copy(update={"processes": processes})
    ranker = build_ranker("two_tower", HEADED if heads else MODEL, section)
    report = ranker.fit(train, val, FitContext(SILENT, checkpoints, 3))
    return report, ranker.score_heads(val) if isinstance(ranker, HasHeads) and heads else ranker.score(val)


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    """`training.processes: 2` starts torchrun, and gives every head and the history of one process within 2e-3."""
    one, expected = fit(1, heads=True)
    two, scores = fit(2, tmp_path, heads=True)
    assert scores.shape == (300, 3)
    assert two.resumed_from == len(one.history)  # the parent only takes what the processes left
    assert np.abs(scores - expected).max() < TOLERANCE
    for a, b in zip(one.history, two.history, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], abs=TOLERANCE)
        assert a["val_log_loss"] == pytest.approx(b["val_log_loss"], abs=TOLERANCE)
        assert a["val_loss_dwell"] == pytest.approx(b["val_loss_dwell"], abs=TOLERANCE)


@pytest.mark.slow
def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    """What a training process died of is in the sentence that its parent ends with."""
    train, val = parts()
    (tmp_path / "checkpoint.safetensors").write_bytes(b"short")
    ranker = build_ranker("linear", MODEL, TRAINING.model_copy(update={"processes": 2}))
    with pytest.raises(OritaError, match=r"one of 2 training processes failed: the checkpoint .* cannot be read"):
        ranker.fit(train, val, FitContext(SILENT, tmp_path, 3))


@pytest.mark.slow
def test_a_job_that_is_asked_to_stop_leaves_a_checkpoint(tmp_path: Path) -> None:
    """SIGTERM to torchrun stops both processes at the same step, with one checkpoint that is gone on from."""
    train, val = parts()
    endless = TRAINING.model_copy(
        update={
            "epochs": 10_000,
            "early_stopping": TRAINING.early_stopping.model_copy(update={"patience": 10_000}),
            "checkpoint_steps": 5,
        }
    )
    write_job(tmp_path / "job", "linear", MODEL, endless, train, val, 3, tmp_path / "checkpoints")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [f"--log-dir={tmp_path / 'logs'}", "-m", "orita.models.training.job", str(tmp_path / "job")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        while not (tmp_path / "checkpoints" / "checkpoint.safetensors").exists():
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(signal.SIGTERM)
        child.wait(60)
    assert "asked to stop" in str(interruption_of(tmp_path / "job"))


def test_a_job_runs_in_one_process_too(tmp_path: Path) -> None:
    """The entry of torchrun is an ordinary function: in one process it gives that process's history."""
    train, val = parts()
    write_job(tmp_path / "job", "linear", MODEL, TRAINING, train, val, 3, tmp_path / "checkpoints")
    history = fit_job(str(tmp_path / "job"))
    ranker = build_ranker("linear", MODEL, TRAINING)
    again = ranker.fit(train, val, FitContext(SILENT, tmp_path / "checkpoints", 3))
    assert again.resumed_from == len(history)
    assert again.history == history


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
def test_spark_trains_by_the_same_entry(tmp_path: Path) -> None:
    """Spark's TorchDistributor runs the very function that torchrun runs, in two processes, to the same result."""
    pytest.importorskip("pyspark", reason="Spark is not installed")
    train, val = parts(text=True)
    write_job(tmp_path / "job", "two_tower", MODEL, TRAINING, train, val, 3, tmp_path / "checkpoints")
    script = (
        "import sys\n"
        "from pyspark.sql import SparkSession\n"
        "from pyspark.ml.torch.distributor import TorchDistributor\n"
        "from orita.models.training.job import fit_job\n"
        "spark = SparkSession.builder.master('local[2]').config('spark.ui.enabled', 'false').getOrCreate()\n"
        "TorchDistributor(num_processes=2, local_mode=True, use_gpu=False).run(fit_job, sys.argv[1])\n"
        "spark.stop()\n"
    )
    place = {"SPARK_LOCAL_IP": "127.0.0.1", "TMPDIR": str(tmp_path)}
    environment = {**os.environ, **place, "PYSPARK_PYTHON": sys.executable}
    said = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "job")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    ranker = build_ranker("two_tower", MODEL, TRAINING)
    report = ranker.fit(train, val, FitContext(SILENT, tmp_path / "checkpoints", 3))
    assert report.resumed_from == len(report.history)
    assert np.abs(ranker.score(val) - fit(1)[1]).max() < TOLERANCE
