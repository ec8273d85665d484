"""Tunes a pretrained encoder to classes: Adam, a rate that warms up and falls, the best epoch kept, resumable.

As in `orita.models.training.loop`, everything random comes from the seed and the number of the step, so that weights,
moments and a position are a whole checkpoint.

Legend: N texts, B texts of a batch, T tokens, K classes, P cells of all parameters.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from orita.models.checkpoints import Checkpoints
from orita.models.flat_adam import FlatAdam
from orita.models.ranker import FitContext
from orita.models.tasks.encoder_section import EncoderSection
from orita.models.tasks.encoder_tokens import Tokens, by_length, padded
from orita.models.training.batches import seed_for
from orita.models.training.interruption import Interrupted, Request, interruptible
from orita.stats.classification import multiclass_log_loss, weighted_f1

__all__ = ["Course", "Tokenised", "logits_of", "tune"]

_SCORING_TEXTS = 64


@dataclass(frozen=True, slots=True)
class Tokenised:
    """Texts as tokens, and their labels ``y_N``."""

    tokens: Sequence[Tokens]
    y_N: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y_N)


@dataclass(slots=True)
class Course:
    """How the tuning goes, and where it stands: ``step`` comes next, ``best`` are the weights of the best epoch."""

    step: int = 0
    total: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    resumed_from: int | None = None
    best: dict[str, Tensor] = field(default_factory=dict)


def tune(
    network: Any, train: Tokenised, val: Tokenised, section: EncoderSection, context: FitContext, of: str
) -> Course:
    """Tune *network*, which gives ``logits`` of ``input_ids`` and ``attention_mask``, and leave it at its best epoch.

    Args:
        network: a sequence classifier of the library transformers, on its device; tuned in place.
        train, val: texts to learn from, texts to choose the epoch by; without the latter the last epoch is kept.
        section: epochs, batches, rates.
        context: progress, checkpoints, seed.
        of: digest of data and settings; a checkpoint is resumed only by the tuning that wrote it.

    Raises:
        Interrupted: the process was asked to stop (SIGTERM); a checkpoint is there to go on from.
    """
    adam, checkpoints = FlatAdam(network, section.weight_decay), Checkpoints(context.checkpoints, of)
    course = _resume(network, adam, checkpoints)
    each = math.ceil(len(train) / section.batch_size)
    steps = each * section.epochs
    with (
        interruptible(checkpoints.kept) as request,
        torch.random.fork_rng(),
        context.progress.bar(context.title, total=steps) as bar,
    ):
        bar.advance(course.step)
        started = time.perf_counter()
        while course.step < steps:
            epoch, position = divmod(course.step, each)
            rows_B = _order(len(train), context.seed, epoch)[position * section.batch_size :][: section.batch_size]
            torch.manual_seed(seed_for(context.seed, "dropout", course.step))
            loss = _learn(network, adam, train, rows_B, _rate(section, course.step, steps))
            course.step += 1
            course.total += loss * len(rows_B)
            bar.advance()
            bar.describe(f"epoch {epoch + 1}/{section.epochs} · loss {loss:.4f}")
            if position + 1 == each:
                _end_epoch(network, course, train, val, time.perf_counter() - started)
                started = time.perf_counter()
            if request.made or position + 1 == each or course.step % section.checkpoint_steps == 0:
                _save(network, adam, checkpoints, course)
            _stop_if_asked(request, course, steps, context)
    if course.best:
        network.load_state_dict(course.best)
    return course


@torch.inference_mode()
def logits_of(network: Any, tokens: Sequence[Tokens], classes: int) -> npt.NDArray[np.float32]:
    """Return ``logits_NK`` of texts."""
    network.eval()
    logits_NK = np.zeros((len(tokens), classes), np.float32)
    for rows_B in by_length(tokens, _SCORING_TEXTS):
        logits_NK[rows_B] = _forward(network, [tokens[row] for row in rows_B]).float().cpu().numpy()
    return logits_NK


def _learn(network: Any, adam: FlatAdam, train: Tokenised, rows_B: npt.NDArray[np.intp], rate: float) -> float:
    """Take one step; return its mean loss."""
    network.train()
    y_B = torch.from_numpy(train.y_N[rows_B]).to(network.device)
    loss = nn.functional.cross_entropy(_forward(network, [train.tokens[row] for row in rows_B]), y_B)
    # An encoder has parameters that its classifier does not read, such as a second pooler.
    gradients = torch.autograd.grad(loss, adam.parameters, allow_unused=True, materialize_grads=True)
    whole_P = torch.cat([gradient.reshape(-1) for gradient in gradients])
    adam.step(whole_P / whole_P.norm().clamp(min=1.0), rate)  # gradients longer than 1 are shortened to it
    return float(loss.detach())


def _forward(network: Any, tokens: Sequence[Tokens]) -> Tensor:
    tokens_BT, mask_BT = (torch.from_numpy(array).to(network.device) for array in padded(tokens))
    logits_BK: Tensor = network(input_ids=tokens_BT, attention_mask=mask_BT).logits
    return logits_BK


def _order(count: int, seed: int, epoch: int) -> npt.NDArray[np.intp]:
    return np.random.default_rng(seed_for(seed, "order", epoch)).permutation(count)


def _rate(section: EncoderSection, step: int, steps: int) -> float:
    warm = max(1, round(section.warmup_share * steps))
    share = (step + 1) / warm if step < warm else (steps - step) / max(steps - warm, 1)
    return section.learning_rate * share


def _end_epoch(network: Any, course: Course, train: Tokenised, val: Tokenised, seconds: float) -> None:
    row = {"epoch": len(course.history) + 1.0, "train_loss": course.total / len(train), "seconds": seconds}
    if len(val):
        logits_NK = logits_of(network, val.tokens, network.config.num_labels).astype(np.float64)
        probabilities_NK = np.exp(logits_NK - np.logaddexp.reduce(logits_NK, axis=1, keepdims=True))
        row["val_log_loss"] = multiclass_log_loss(val.y_N, probabilities_NK)
        row["val_f1"] = weighted_f1(val.y_N, logits_NK.argmax(axis=1), logits_NK.shape[1])
        if row["val_f1"] > max((other["val_f1"] for other in course.history), default=-1.0):
            course.best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    course.history.append(row)
    course.total = 0.0


def _stop_if_asked(request: Request, course: Course, steps: int, context: FitContext) -> None:
    if request.made:
        raise Interrupted(
            f"training was asked to stop after {course.step} of {steps} steps; a checkpoint is in "
            f"{context.checkpoints}, and the same command goes on from it."
        )


def _save(network: Any, adam: FlatAdam, checkpoints: Checkpoints, course: Course) -> None:
    parts: dict[str, Mapping[str, Tensor]] = {
        "now": network.state_dict(),
        "moments": adam.moments(),
        "best": course.best,
    }
    tensors = {f"{part}.{name}": tensor for part, found in parts.items() for name, tensor in found.items()}
    checkpoints.save({"step": course.step, "total": course.total, "history": course.history}, tensors)


def _resume(network: Any, adam: FlatAdam, checkpoints: Checkpoints) -> Course:
    found = checkpoints.load()
    if found is None:
        return Course()
    state, tensors = found
    for part, targets in (("now", network.state_dict()), ("moments", adam.moments())):
        for name, target in targets.items():
            target.copy_(tensors[f"{part}.{name}"])
    best = {name.removeprefix("best."): tensor for name, tensor in tensors.items() if name.startswith("best.")}
    return Course(state["step"], state["total"], state["history"], len(state["history"]), best)
