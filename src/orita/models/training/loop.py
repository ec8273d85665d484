"""The training loop, from top to bottom.

Legend: N rows, B rows of a batch.

Everything random comes from the seed and the number of the epoch or step, so a checkpoint needs no state of a random
generator: weights, moments and a position suffice. A training that was killed and started again ends with the weights
of one that was not (on a CPU, same threads).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor

from orita.core.progress import SILENT, Bar
from orita.models.checkpoints import Checkpoints
from orita.models.config import TrainingSection
from orita.models.early_stopping import Stopping
from orita.models.ranker import FitContext
from orita.models.training.batches import Rows, batches, seed_for
from orita.models.training.interruption import Interrupted, interruptible
from orita.models.training.judging import judge
from orita.models.training.learner import Learner
from orita.models.training.processes import Processes, joined
from orita.models.training.schedule import learning_rate

__all__ = ["Course", "train"]


@dataclass(slots=True)
class Course:
    """How a training goes, and where it stands.

    Attributes:
        epoch, batch: what comes next.
        total: sum of the losses of the rows of this epoch so far.
        seconds: that this epoch took so far.
        history: one dict an epoch that ended.
        stopping: what early stopping knows.
        resumed_from: how many epochs had ended when it was resumed, or None.
        best: weights of the best epoch so far, by name.
    """

    epoch: int = 0
    batch: int = 0
    total: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    stopping: Stopping = field(default_factory=Stopping)
    resumed_from: int | None = None
    best: dict[str, Tensor] = field(default_factory=dict)


def train(
    learner: Learner, train: Rows, val: Rows, section: TrainingSection, id_dropout: float, context: FitContext, of: str
) -> Course:
    """Train *learner* and leave it with the weights of its best epoch.

    Args:
        learner: what is trained, in place.
        train, val: rows to learn from, rows to stop by.
        section: batch size, epochs, schedule, early stopping, checkpoints.
        id_dropout: share of ids that are shown as unknown, so that row 0 learns what to say of a newcomer.
        context: progress, checkpoints, seed.
        of: digest of data and settings; a checkpoint is resumed only by the training that wrote it.

    Raises:
        Interrupted: the process was asked to stop (SIGTERM); a checkpoint is there to go on from.
    """
    checkpoints = Checkpoints(context.checkpoints, of)
    course = _resume(learner, checkpoints)
    told = context.on_epoch or _nobody
    for row in course.history:
        told(int(row["epoch"]), row)
    steps = math.ceil(len(train) / section.batch_size)
    device = learner.hardware.device

    with (
        joined(device) as processes,
        interruptible(checkpoints.kept) as request,
        _random_state_kept(),
        (context.progress if processes.is_first else SILENT).bar(
            context.title, total=section.epochs * len(train)
        ) as bar,
    ):
        bar.advance(course.epoch * len(train) + min(course.batch * section.batch_size, len(train)))
        saved = _Timer(section)
        while course.epoch < section.epochs and not course.stopping.over(section.early_stopping):
            started = time.perf_counter() - course.seconds
            total = torch.tensor(course.total, dtype=torch.float64, device=device)
            order = seed_for(context.seed, "order", course.epoch)

            for number, batch in batches(train, section.batch_size, seed=order, first=course.batch, device=device):
                step = course.epoch * steps + number
                rate = learning_rate(section, step, steps * section.epochs, course.stopping.stalls)
                seen = _forget_ids(batch, id_dropout, seed_for(context.seed, "ids", step))
                total += learner.step(seen, step, rate, processes) * len(batch)
                course.batch = number + 1
                bar.advance(len(batch))
                if number % section.log_every == 0:
                    rows = min(course.batch * section.batch_size, len(train))
                    _describe(bar, course.epoch, section.epochs, float(total), rows, started)
                stop = processes.any(request.made)
                if stop or saved.due():
                    course.total, course.seconds = float(total), time.perf_counter() - started
                    _save(checkpoints, course, learner, processes)
                if stop:
                    raise Interrupted(
                        f"training was asked to stop, in epoch {course.epoch + 1} after {course.batch} of {steps} "
                        f"steps; a checkpoint is in {context.checkpoints}, and the same command goes on from it."
                    )

            seconds = time.perf_counter() - started
            figures = processes.agreed(lambda: judge(learner, val))
            course.history.append(
                {"epoch": course.epoch + 1, "train_loss": float(total) / len(train), **figures, "seconds": seconds}
            )
            by = figures["val_auc"] if section.early_stopping.metric == "auc" else -figures["val_log_loss"]
            course.stopping = course.stopping.after(course.epoch, by, section.early_stopping)
            if course.stopping.best_epoch == course.epoch:
                course.best = {name: tensor.clone() for name, tensor in learner.weights().items()}
            course.epoch, course.batch, course.total, course.seconds = course.epoch + 1, 0, 0.0, 0.0
            _save(checkpoints, course, learner, processes)
            told(course.epoch, course.history[-1])
            if processes.any(request.made):  # while judging; also after the last epoch, for what comes after a training
                raise Interrupted(
                    f"training was asked to stop, after {course.epoch} of {section.epochs} epochs; a checkpoint is in "
                    f"{context.checkpoints}, and the same command goes on from it."
                )

    if course.best:
        learner.restore(course.best)
    return course


def _nobody(epoch: int, figures: Mapping[str, float]) -> None:
    """Take what nobody asked to be told."""


def _forget_ids(batch: Rows, share: float, seed: int) -> Rows:
    if share == 0.0:
        return batch
    kept_2B = torch.rand(2, len(batch), generator=torch.Generator().manual_seed(seed)) >= share
    kept_2B = kept_2B.to(batch.users_N.device)
    return replace(batch, users_N=batch.users_N * kept_2B[0], items_N=batch.items_N * kept_2B[1])


_POSITION = ("epoch", "batch", "total", "seconds", "history")


def _save(checkpoints: Checkpoints, course: Course, learner: Learner, processes: Processes) -> None:
    if checkpoints.kept and processes.is_first:
        state = {name: getattr(course, name) for name in _POSITION} | {"stopping": asdict(course.stopping)}
        best = {f"best.{name}": tensor for name, tensor in course.best.items()}
        checkpoints.save(state, learner.weights() | learner.moments() | best)


def _resume(learner: Learner, checkpoints: Checkpoints) -> Course:
    found = checkpoints.load()
    if found is None:
        return Course()
    state, tensors = found
    course = Course(**{name: state[name] for name in _POSITION}, stopping=Stopping(**state["stopping"]))
    course.resumed_from = len(course.history)
    course.best = {name.removeprefix("best."): t for name, t in tensors.items() if name.startswith("best.")}
    learner.restore({name: tensor for name, tensor in tensors.items() if not name.startswith("best.")})
    return course


class _Timer:
    """When the next checkpoint is due: after some steps or some seconds, what comes first."""

    def __init__(self, section: TrainingSection) -> None:
        self._section = section
        self._steps, self._since = 0, time.monotonic()

    def due(self) -> bool:
        """Count a step; tell whether to save now."""
        self._steps += 1
        late = time.monotonic() - self._since >= self._section.checkpoint_seconds
        if not late and self._steps < self._section.checkpoint_steps:
            return False
        self._steps, self._since = 0, time.monotonic()
        return True


def _describe(bar: Bar, epoch: int, epochs: int, total: float, rows: int, started: float) -> None:
    rate = rows / max(time.perf_counter() - started, 1e-9)
    if math.isfinite(total):
        bar.describe(f"epoch {epoch + 1}/{epochs} · loss {total / rows:.4f} · {rate:,.0f} rows/s")


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Leave the caller's random numbers as they were."""
    with torch.random.fork_rng():
        yield
