"""Training is reproducible, stops in time, and survives a kill."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tests.models.clicks import MODEL, TRAINING, clicks

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.build import build_ranker
from orita.models.config import EarlyStoppingSection
from orita.models.dropout import Masks
from orita.models.early_stopping import Stopping
from orita.models.flat_adam import FlatAdam
from orita.models.perceptron import Perceptron
from orita.models.ranker import FitContext, FitReport
from orita.models.rows import RowAdam, add_up, distinct
from orita.models.training.schedule import learning_rate
from orita.stats.metrics import auc


def fit(
    checkpoints: Path | None, *, progress: object = SILENT, seed: int = 3, epochs: int = 4
) -> tuple[FitReport, bytes]:
    """Fit a two-tower; return its report and the bytes of its scores."""
    rows = clicks(1000)
    ranker = build_ranker("two_tower", MODEL, TRAINING.model_copy(update={"epochs": epochs}))
    context = FitContext(progress, checkpoints, seed)  # type: ignore[arg-type]
    report = ranker.fit(rows.take(slice(0, 700)), rows.take(slice(700, None)), context)
    return report, ranker.score(clicks(500, seed=8)).tobytes()


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


def test_a_broken_checkpoint_says_which_file_to_remove(tmp_path: Path) -> None:
    """A checkpoint cut short by a bad disk is one sentence that names its file."""
    fit(tmp_path, epochs=1)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match=r"checkpoint.safetensors cannot be read .* remove that file"):
        fit(tmp_path, epochs=1)


def test_a_checkpoint_holds_no_pickle(tmp_path: Path) -> None:
    """A checkpoint is one safetensors file that says what it belongs to and where it stands, nothing else."""
    fit(tmp_path, epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    with safe_open(tmp_path / "checkpoint.safetensors", framework="pt") as opened:
        state = json.loads(opened.metadata()["state"])
    assert (state["epoch"], state["batch"], state["history"][0]["epoch"]) == (1, 0, 1)


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
    assert auc(val.y_N, ranker.score(val)) == pytest.approx(max(aucs), abs=1e-9)


def test_validation_rows_that_stop_nothing_are_refused() -> None:
    """Rows of one kind define no AUC, and no rows define nothing: one sentence, and no epoch; log loss takes them."""
    told: list[int] = []
    context = FitContext(SILENT, on_epoch=lambda epoch, _: told.append(epoch))
    train, val = clicks(300), clicks(200, seed=1)
    for y in (0.0, 1.0):
        one_kind = val.take(np.flatnonzero(val.y_N == y))
        with pytest.raises(UserError, match=r"early_stopping\.metric is 'auc'.* are positive: .*set it to log_loss"):
            build_ranker("linear", MODEL, TRAINING).fit(train, one_kind, context)
    by_loss = TRAINING.model_copy(update={"early_stopping": EarlyStoppingSection(metric="log_loss")})
    with pytest.raises(UserError, match="300 training and 0 validation rows; give some"):
        build_ranker("linear", MODEL, by_loss).fit(train, val.take(slice(0, 0)), context)
    assert told == []
    report = build_ranker("linear", MODEL, by_loss).fit(train, val.take(np.flatnonzero(val.y_N == 0)), context)
    assert told == [1, 2, 3]
    assert np.isfinite([row["val_log_loss"] for row in report.history]).all()


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
    table = torch.ones(5, 3)
    optimiser = RowAdam(table, weight_decay=0.0)
    rows, position = distinct(torch.tensor([1, 3, 1]))
    gradients = torch.tensor([[1.0, 1, 1], [1, 1, 1], [-1, -1, -1]])
    optimiser.step(rows, add_up(gradients, position, len(rows)), 0.1)
    assert torch.equal(table[[0, 1, 2, 4]], torch.ones(4, 3))
    assert torch.allclose(table[3], torch.full((3,), 0.9))


def test_one_pass_over_all_parameters_is_adamw() -> None:
    """Parameters in one piece of memory take the very steps that PyTorch's own optimiser takes one by one."""
    networks = [_layers(), _layers()]
    flat, plain = FlatAdam(networks[0], 0.1), torch.optim.AdamW(networks[1].parameters(), lr=0.01, weight_decay=0.1)
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        gradients = torch.autograd.grad(networks[0](x).square().sum(), flat.parameters)
        flat.step(torch.cat([gradient.reshape(-1) for gradient in gradients]), 0.01)
        plain.zero_grad()
        networks[1](x).square().sum().backward()
        plain.step()
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def _layers(dropout: float = 0.0) -> Perceptron:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return Perceptron(6, (8, 4), 2, dropout)


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_written_gradients_are_those_of_autograd(dropout: float) -> None:
    """Layers with written gradients give the outputs and gradients of ordinary layers under the same masks."""
    layers, x = _layers(dropout), torch.randn(30, 6, generator=torch.Generator().manual_seed(1), requires_grad=True)
    layers.masks = Masks(30 * 8, seed=2)
    layers.masks.begin(3, 30, 0)
    weights = torch.arange(60.0).view(30, 2)
    output = layers(x)
    found = torch.autograd.grad(output, [x, *layers.parameters()], weights)

    layers.masks.begin(3, 30, 0)
    units = x
    *hidden, last = layers.layers
    for layer in hidden:
        units = torch.relu(layer(units))
        if dropout:
            units = units * layers.masks.draw(layers.dropped, *units.shape)
    expected = last(units)
    assert torch.allclose(output, expected, atol=1e-6)
    for one, other in zip(found, torch.autograd.grad(expected, [x, *layers.parameters()], weights), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def test_masks_drop_their_share_and_follow_seed_and_step_alone() -> None:
    """A mask drops the asked share and keeps the mean; a process that starts at a step sees what one sees that came."""
    whole, late = Masks(1000 * 200, seed=1), Masks(1000 * 200, seed=1)
    seen = []
    for step in range(20):
        whole.begin(step, 1000, 0)
        seen.append((whole.draw(64, 1000, 200).clone(), whole.draw(64, 1000, 100).clone()))
    late.begin(18, 1000, 0)
    assert torch.equal(late.draw(64, 1000, 200), seen[18][0])
    assert torch.equal(late.draw(64, 1000, 100), seen[18][1])
    late.begin(18, 1000, 400)  # the second of two processes
    assert torch.equal(late.draw(64, 600, 200), seen[18][0][400:])
    first = seen[0][0]
    assert float((first == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(first.mean()) == pytest.approx(1.0, abs=0.01)
    assert not torch.equal(first, seen[1][0])


def test_the_schedule_warms_up_and_comes_down() -> None:
    """The rate climbs to its base in the warm-up, then keeps the shape asked for, times the decay of stalls."""
    section = TRAINING.model_copy(update={"learning_rate": 0.1, "warmup_steps": 10, "learning_rate_decay": 0.5})
    for shape, middle, last in (("constant", 0.1, 0.1), ("linear", 0.05, 0.001), ("cosine", 0.05, 0.0)):
        shaped = section.model_copy(update={"schedule": shape})
        rates = [learning_rate(shaped, step, 110, 0) for step in range(110)]
        assert rates[:10] == pytest.approx([0.01 * (step + 1) for step in range(10)])
        assert (rates[10], rates[60], rates[109]) == pytest.approx((0.1, middle, last), abs=1e-4)
        assert learning_rate(shaped, 60, 110, 2) == pytest.approx(middle / 4)


def test_half_precision_learns_the_same() -> None:
    """With products in bfloat16 the model is near the float32 one; which was used is told in the report."""
    rows = clicks(1000)
    scores = {}
    for precision in ("fp32", "bf16"):
        ranker = build_ranker("two_tower", MODEL, TRAINING.model_copy(update={"precision": precision}))
        report = ranker.fit(rows.take(slice(0, 700)), rows.take(slice(700, None)), FitContext(SILENT))
        assert (report.params["precision"], report.params["device"]) == (precision, "cpu")
        scores[precision] = ranker.score(rows)
    assert 0 < np.abs(scores["fp32"] - scores["bf16"]).max() < 0.02


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    """Asking for CUDA where PyTorch sees no GPU is one sentence that says what to set."""
    ranker = build_ranker("linear", MODEL, TRAINING.model_copy(update={"device": "cuda"}))
    with pytest.raises(UserError, match=r"training\.device has the value 'cuda'.*set it to auto or cpu"):
        ranker.fit(clicks(50), clicks(50), FitContext(SILENT))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # the compiler of PyTorch 2.13 warns of its own code
def test_a_compiled_network_learns_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through torch.compile, without dropout, the scores are those of the network as written."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    rows, model = clicks(700), MODEL.model_copy(update={"dropout": 0.0})
    scores = []
    for compile_ in ("never", "always"):
        ranker = build_ranker("two_tower", model, TRAINING.model_copy(update={"compile": compile_, "epochs": 2}))
        ranker.fit(rows.take(slice(0, 500)), rows.take(slice(500, None)), FitContext(SILENT))
        scores.append(ranker.score(rows))
    assert np.abs(scores[0] - scores[1]).max() < 1e-4
