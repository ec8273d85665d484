"""The training loop, from top to bottom.

Legend: N rows, B rows of a batch, E columns of an id table, D dense inputs, C categories.

Everything random in an epoch comes from the seed and the epoch's number, and a checkpoint is written after each, so a
training that was killed and started again ends with the weights of one that was not (on a CPU, same threads).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from orita.core.progress import Bar
from orita.models.checkpoints import Checkpoints
from orita.models.compose import Composer
from orita.models.config import TrainingSection
from orita.models.early_stopping import Stopping
from orita.models.ranker import FitContext
from orita.models.rows import RowAdam
from orita.stats.metrics import auc, log_loss

__all__ = ["Course", "Learner", "Network", "Rows", "train"]

_SCORING_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Rows:
    """Examples as a network reads them: rows of the id tables, prepared features, labels."""

    users_N: Tensor
    items_N: Tensor
    dense_ND: Tensor
    categories_NC: Tensor
    y_N: Tensor

    def __len__(self) -> int:
        return len(self.y_N)

    def take(self, rows_B: Tensor) -> Rows:
        """Return the given rows."""
        whole = (self.users_N, self.items_N, self.dense_ND, self.categories_NC, self.y_N)
        return Rows(*(tensor.index_select(0, rows_B) for tensor in whole))

    def part(self, start: int, stop: int) -> Rows:
        """Return a run of rows, without a copy."""
        whole = (self.users_N, self.items_N, self.dense_ND, self.categories_NC, self.y_N)
        return Rows(*(tensor[start:stop] for tensor in whole))


class Network(Protocol):
    """What is trained: it is handed the id rows it needs, so that only they are touched.

    Attributes:
        bias: added to every logit.
        shares_user: whether its graph takes one user for all rows.
    """

    bias: nn.Parameter
    shares_user: bool

    def __call__(self, users_BE: Tensor, items_BE: Tensor, dense_BD: Tensor, categories_BC: Tensor) -> Tensor:
        """Return ``logits_B``."""
        ...

    def compose(self, graph: Composer, users: str, items: str, dense: str, categories: str) -> str:
        """Add the network to *graph*; return the name of the logits."""
        ...


class Learner:
    """A network, its id tables, and the state of their optimisers."""

    def __init__(self, network: Any, users: RowAdam, items: RowAdam, section: TrainingSection) -> None:
        self.network, self.users, self.items = network, users, items
        self.learning_rate = section.learning_rate
        self.dense = torch.optim.AdamW(
            network.parameters(), lr=section.learning_rate, weight_decay=section.weight_decay, fused=True
        )

    def pace(self, learning_rate: float) -> None:
        """Take steps of this size from now on."""
        self.learning_rate = learning_rate
        for group in self.dense.param_groups:
            group["lr"] = learning_rate

    def step(self, batch: Rows) -> Tensor:
        """Learn from one batch; return its mean loss."""
        users_BE = self.users.table_VE[batch.users_N].requires_grad_()
        items_BE = self.items.table_VE[batch.items_N].requires_grad_()
        logits_B = self.network(users_BE, items_BE, batch.dense_ND, batch.categories_NC)
        loss = nn.functional.binary_cross_entropy_with_logits(logits_B, batch.y_N)
        self.dense.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.dense.step()
        for table, ids_B, rows_BE in ((self.users, batch.users_N, users_BE), (self.items, batch.items_N, items_BE)):
            assert rows_BE.grad is not None
            table.step(ids_B, rows_BE.grad, self.learning_rate)
        return loss.detach()

    @torch.inference_mode()
    def score(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Return ``scores_N``, click probabilities."""
        self.network.eval()
        scores_N = torch.empty(len(rows))
        for start in range(0, len(rows), _SCORING_ROWS):
            part = rows.part(start, start + _SCORING_ROWS)
            ids = self.users.table_VE[part.users_N], self.items.table_VE[part.items_N]
            scores_N[start : start + _SCORING_ROWS] = self.network(*ids, part.dense_ND, part.categories_NC).sigmoid_()
        self.network.train()
        return scores_N.numpy()

    def weights(self) -> dict[str, Tensor]:
        """Return what scores depend on, as it is now, by name."""
        found = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        return {**found, "users.table": self.users.table_VE, "items.table": self.items.table_VE}

    def moments(self) -> dict[str, Tensor]:
        """Return the optimisers' state, by name."""
        found = {f"users.{name}": tensor for name, tensor in self.users.moments().items()}
        found |= {f"items.{name}": tensor for name, tensor in self.items.moments().items()}
        for index, state in self.dense.state_dict()["state"].items():
            found |= {f"dense.{index}.{name}": tensor for name, tensor in state.items()}
        return found

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over weights, and moments where *tensors* has them."""
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self.weights().items():
            tensor.copy_(tensors[name])
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            if part == "dense":
                index, _, field = rest.partition(".")
                states.setdefault(int(index), {})[field] = tensor
            elif part in ("users", "items") and rest != "table":
                (self.users if part == "users" else self.items).moments()[rest].copy_(tensor)
        if states:
            self.dense.load_state_dict({**self.dense.state_dict(), "state": states})


@dataclass(frozen=True, slots=True)
class Course:
    """How a training went: one dict an epoch, and the epoch it was resumed from, if any."""

    history: list[dict[str, float]]
    resumed_from: int | None


def train(
    learner: Learner, train: Rows, val: Rows, section: TrainingSection, id_dropout: float, context: FitContext, of: str
) -> Course:
    """Train *learner* and leave it with the weights of its best epoch.

    Args:
        learner: what is trained, in place.
        train, val: rows to learn from, rows to stop by.
        section: batch size, epochs, early stopping.
        id_dropout: share of ids that are shown as unknown, so that row 0 learns what to say of a newcomer.
        context: progress, checkpoints, seed.
        of: digest of data and settings; a checkpoint is resumed only by the training that wrote it.
    """
    checkpoints = Checkpoints(context.checkpoints, of)
    history, stopping, best, resumed_from = _resume(learner, checkpoints)
    first = len(history)

    with context.progress.bar(context.title, total=section.epochs * len(train)) as bar, _seeded():
        bar.advance(first * len(train))
        for epoch in range(first, section.epochs):
            if stopping.over(section.early_stopping):
                break
            started = time.perf_counter()
            torch.manual_seed(context.seed * 1_000_003 + epoch)
            learner.pace(section.learning_rate * section.learning_rate_decay**stopping.stalls)
            order_N = torch.randperm(len(train))
            total = torch.zeros((), dtype=torch.float64)

            for start in range(0, len(train), section.batch_size):
                batch = train.take(order_N[start : start + section.batch_size])
                loss = learner.step(_forget_ids(batch, id_dropout))
                total += loss * len(batch)
                bar.advance(len(batch))
                if start // section.batch_size % section.log_every == 0:
                    _describe(bar, epoch, section.epochs, float(total), start + len(batch), started)

            seconds = time.perf_counter() - started
            history.append(_judge(learner, val, epoch, float(total) / len(train), seconds))
            stopping_value = history[-1]["val_auc"] if _by_auc(section) else -history[-1]["val_log_loss"]
            stopping = stopping.after(epoch, stopping_value, section.early_stopping)
            if stopping.best_epoch == epoch:
                best = {name: tensor.clone() for name, tensor in learner.weights().items()}
            state = {"history": history, "stopping": asdict(stopping)}
            checkpoints.save(state, learner.weights() | learner.moments() | {f"best.{n}": t for n, t in best.items()})

    if best:
        learner.restore(best)
    return Course(history, resumed_from)


def _forget_ids(batch: Rows, share: float) -> Rows:
    if share == 0.0:
        return batch
    users_B = batch.users_N * (torch.rand(len(batch)) >= share)
    items_B = batch.items_N * (torch.rand(len(batch)) >= share)
    return Rows(users_B, items_B, batch.dense_ND, batch.categories_NC, batch.y_N)


def _judge(learner: Learner, val: Rows, epoch: int, train_loss: float, seconds: float) -> dict[str, float]:
    scores_N, y_N = learner.score(val), val.y_N.numpy()
    figures = {"val_log_loss": log_loss(y_N, scores_N), "val_auc": auc(y_N, scores_N)}
    return {"epoch": epoch + 1, "train_loss": train_loss, **figures, "seconds": seconds}


def _by_auc(section: TrainingSection) -> bool:
    return section.early_stopping.metric == "auc"


def _resume(
    learner: Learner, checkpoints: Checkpoints
) -> tuple[list[dict[str, float]], Stopping, dict[str, Tensor], int | None]:
    found = checkpoints.load()
    if found is None:
        return [], Stopping(), {}, None
    state, tensors = found
    best = {name.removeprefix("best."): tensor for name, tensor in tensors.items() if name.startswith("best.")}
    learner.restore({name: tensor for name, tensor in tensors.items() if not name.startswith("best.")})
    return state["history"], Stopping(**state["stopping"]), best, len(state["history"])


def _describe(bar: Bar, epoch: int, epochs: int, total: float, rows: int, started: float) -> None:
    rate = rows / max(time.perf_counter() - started, 1e-9)
    if math.isfinite(total):
        bar.describe(f"epoch {epoch + 1}/{epochs} · loss {total / rows:.4f} · {rate:,.0f} rows/s")


@contextmanager
def _seeded() -> Iterator[None]:
    """Keep the caller's random state as it was."""
    with torch.random.fork_rng(devices=[]):
        yield
