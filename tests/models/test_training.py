"""Training is reproducible, stops in time, and survives a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.clicks import MODEL, TRAINING, clicks

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.build import build_ranker
from orita.models.config import EarlyStoppingSection
from orita.models.early_stopping import Stopping
from orita.models.ranker import FitContext, FitReport

KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.models.test_training import fit

class Dying:
    def __init__(self): self.rows = 0
    def bar(self, title, total=None): return self
    def __enter__(self): return self
    def __exit__(self, *exc): return None
    def describe(self, text): pass
    def advance(self, by=1.0):
        self.rows += by
        if self.rows > int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)

fit(Path(sys.argv[2]), progress=Dying())
"""


def fit(
    checkpoints: Path | None, *, progress: object = SILENT, seed: int = 3, epochs: int = 4
) -> tuple[FitReport, bytes]:
    """Fit a two-tower; return its report and the bytes of its scores."""
    rows = clicks(1000)
    ranker = build_ranker("two_tower", MODEL, TRAINING.model_copy(update={"epochs": epochs}))
    context = FitContext(progress, checkpoints, seed)  # type: ignore[arg-type]
    report = ranker.fit(rows.take(slice(0, 700)), rows.take(slice(700, None)), context)
    return report, ranker.score(clicks(500, seed=8)).tobytes()


@pytest.mark.parametrize("killed_at", [900, 2000])
def test_a_killed_training_ends_with_the_same_weights(killed_at: int, tmp_path: Path) -> None:
    """Killed with SIGKILL in the middle of an epoch and started again, a training scores bit for bit the same."""
    arguments = [str(Path(__file__).parents[2]), str(tmp_path), str(killed_at)]
    child = subprocess.run([sys.executable, "-c", KILLED, *arguments], env={**os.environ}, check=False)
    assert child.returncode == -signal.SIGKILL
    resumed, scores = fit(tmp_path)
    whole, expected = fit(None)
    assert resumed.resumed_from == killed_at // 700
    assert scores == expected
    assert [h["val_auc"] for h in resumed.history] == [h["val_auc"] for h in whole.history]


def test_a_checkpoint_of_another_training_is_not_used(tmp_path: Path) -> None:
    """Other settings, or another seed, start from the beginning, with no trace of the old checkpoint."""
    fit(tmp_path, epochs=2)
    report, scores = fit(tmp_path, epochs=2, seed=4)
    assert report.resumed_from is None
    assert scores == fit(None, epochs=2, seed=4)[1]


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    """A training that is started again after its last epoch gives the same model without another epoch."""
    first, scores = fit(tmp_path, epochs=2)
    again, same = fit(tmp_path, epochs=2)
    assert (again.resumed_from, len(again.history), same) == (2, len(first.history), scores)


def test_a_broken_checkpoint_says_which_folder_to_remove(tmp_path: Path) -> None:
    """A checkpoint cut short by a bad disk is one sentence that names its folder."""
    fit(tmp_path, epochs=1)
    (tmp_path / "latest" / "tensors.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match=r"latest cannot be read .* remove that folder"):
        fit(tmp_path, epochs=1)


def test_a_checkpoint_holds_no_pickle(tmp_path: Path) -> None:
    """A checkpoint is safetensors and JSON, nothing else."""
    fit(tmp_path, epochs=1)
    assert sorted(path.name for path in (tmp_path / "latest").iterdir()) == ["state.json", "tensors.safetensors"]
    assert json.loads((tmp_path / "latest" / "state.json").read_text())["history"][0]["epoch"] == 1


def test_another_seed_gives_another_model() -> None:
    """The seed decides; nothing else does, and the caller's own random numbers are left alone."""
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    first, second, other = fit(None, epochs=1)[1], fit(None, epochs=1)[1], fit(None, epochs=1, seed=9)[1]
    assert first == second != other
    assert torch.equal(torch.rand(3), expected)


def test_training_keeps_its_best_epoch() -> None:
    """After early stopping the model scores validation rows as well as in its best epoch, not its last."""
    rows = clicks(900)
    val = rows.take(slice(600, None))
    stopping = EarlyStoppingSection(patience=2, min_delta=0.0)
    wild = TRAINING.model_copy(update={"epochs": 30, "learning_rate": 0.03, "early_stopping": stopping})
    ranker = build_ranker("deep_mlp", MODEL, wild)
    report = ranker.fit(rows.take(slice(0, 600)), val, FitContext(SILENT))
    aucs = [h["val_auc"] for h in report.history]
    assert len(aucs) < 30
    assert int(np.argmax(aucs)) == len(aucs) - 3
    from orita.stats.metrics import auc

    assert auc(val.y_N, ranker.score(val)) == pytest.approx(max(aucs), abs=1e-9)


def test_patience_counts_epochs_without_a_real_gain() -> None:
    """Gains below min_delta are kept as the best but do not renew the patience; NaN is never better."""
    section, state = EarlyStoppingSection(patience=2, min_delta=0.1), Stopping()
    for epoch, value in enumerate([0.5, 0.55, float("nan")]):
        assert not state.over(section)
        state = state.after(epoch, value, section)
    assert state.over(section)
    assert (state.best, state.best_epoch, state.mark, state.stalls) == (0.55, 1, 0.5, 2)
    state = state.after(3, 0.7, section)
    assert (state.waited, state.stalls) == (0, 2)


def test_only_rows_that_occur_are_changed() -> None:
    """The row optimiser leaves rows that no batch met exactly as they were, and adds up repeated ids."""
    from orita.models.rows import RowAdam

    table = torch.ones(5, 3)
    optimiser = RowAdam(table, weight_decay=0.0)
    optimiser.step(torch.tensor([1, 3, 1]), torch.tensor([[1.0, 1, 1], [1, 1, 1], [-1, -1, -1]]), 0.1)
    assert torch.equal(table[[0, 1, 2, 4]], torch.ones(4, 3))
    assert torch.allclose(table[3], torch.full((3,), 0.9))


def test_dropout_keeps_the_mean_and_its_gradient() -> None:
    """The fused ReLU and dropout drops the asked share, scales the rest, and passes gradients to the rest only."""
    from orita.models.layers import relu_dropout

    x = torch.full((1000, 200), 2.0, requires_grad=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        output = relu_dropout(x, 0.25)
    output.sum().backward()  # type: ignore[no-untyped-call]
    assert float((output == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(output.detach().mean()) == pytest.approx(2.0, rel=0.01)
    assert x.grad is not None
    assert torch.equal(x.grad, output.detach() / 2)
    assert torch.equal(relu_dropout(torch.tensor([[-1.0, 3.0]]), 0.0), torch.tensor([[0.0, 3.0]]))
