"""A neural ranker: prepared features, id tables and a network, behind the `Ranker` contract.

Legend: N rows, F features, H heads.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from orita.core.errors import UserError
from orita.models.compose import Composer
from orita.models.config import ModelSection, TrainingSection
from orita.models.early_stopping import check_can_stop
from orita.models.examples import Examples
from orita.models.graph import ITEMS_FILE, MODEL_FILE, USERS_FILE
from orita.models.learnable import check_can_learn
from orita.models.objectives import Head, check_objective, heads_for, targets
from orita.models.perceptron import to_array
from orita.models.preparation import Preparation
from orita.models.ranker import FitContext, FitReport
from orita.models.training import Learner, NetworkType, Rows, hardware_for, train
from orita.models.training.launch import fit_in_processes
from orita.models.vocabulary import Vocabulary

__all__ = ["NeuralRanker"]

_DECIDES_NOTHING = {"log_every", "checkpoint_steps", "checkpoint_seconds", "processes", "objective", "calibration"}


class NeuralRanker:
    """A `Ranker` around any `Network`."""

    def __init__(
        self,
        type_: str,
        network: NetworkType,
        model: ModelSection,
        training: TrainingSection,
    ) -> None:
        self._type, self._make = type_, network
        self._model, self._training = model, training
        self._heads: tuple[Head, ...] = ()
        self._fitted: tuple[Preparation, Vocabulary, Vocabulary, Learner] | None = None

    @property
    def type(self) -> str:
        """The model's type, as in the configuration."""
        return self._type

    def fit(self, train_rows: Examples, val: Examples, context: FitContext) -> FitReport:
        """Learn from *train_rows*, stop by *val*; go on from a checkpoint of the same training where there is one.

        Heads of which the rows teach nothing are left out; the report's parameters say so.

        Raises:
            NotFound: a head is no outcome of the rows, or the objective weighs what is no head.
            UserError: there are no rows to learn from or to stop by, only rows of one kind to learn from or to stop by
                AUC; an outcome is negative, or the objective weighs one left out.
        """
        check_can_learn(self._type, train_rows, val)
        check_can_stop(val.y_N, "training.early_stopping.metric", self._training.early_stopping.metric, "log_loss")
        self._heads, left_out = heads_for(train_rows, self._model.heads)
        for name in self._model.objective:
            if name in left_out:
                raise UserError(f"model.objective weighs {name!r}, which can have no head: {left_out[name]}.")
        if self._model.objective:
            check_objective(self._model.objective, self._heads, "model.objective")
        preparation = Preparation.fit(train_rows.schema, train_rows.x_NF, self._make.rounded_sides)
        users, items = Vocabulary.of(train_rows.users_N), Vocabulary.of(train_rows.items_N)
        means_H: npt.NDArray[np.float64] = np.nanmean(targets(train_rows, self._heads), axis=0, dtype=np.float64)
        learner = self._start(preparation, len(users), len(items), means_H, context.seed)
        self._fitted = preparation, users, items, learner
        params: dict[str, object] = {**self._model.model_dump(mode="json"), **self._training.model_dump(mode="json")}
        deciding = {name: value for name, value in params.items() if name not in _DECIDES_NOTHING}
        of = _digest(train_rows, val, self._heads, {**deciding, "seed": context.seed})
        rows, val_rows = self._rows(train_rows), self._rows(val)
        with _checkpoints_for(self._training, context) as kept:
            if _starts_processes(self._training):
                fit_in_processes(self._type, self._model, self._training, train_rows, val, kept)
            course = train(learner, rows, val_rows, self._training, self._model.id_dropout, kept, of)
        params |= {"users": len(users), "items": len(items), **learner.hardware.describe()}
        params |= {"heads_left_out": left_out} if left_out else {}
        return FitReport(course.history, params, course.resumed_from)

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return ``scores_N``, click probabilities."""
        return np.ascontiguousarray(self._outputs(rows)[:, 0])

    def heads(self) -> tuple[Head, ...]:
        """Return the heads that were learned, the label's first; none where there is only that one."""
        return self._heads if len(self._heads) > 1 else ()

    def score_heads(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return ``p_NH``, the output of each head, not calibrated."""
        return self._outputs(rows)

    def named_weights(self) -> dict[str, npt.NDArray[Any]]:
        """Return the fitted weights by name: those of the network, and the two tables of ids."""
        return {name: to_array(tensor) for name, tensor in self._parts()[3].weights().items()}

    def export(self, folder: Path) -> None:
        """Write the graph and both vocabularies into *folder*."""
        preparation, users, items, learner = self._parts()
        graph = Composer()
        prepared = preparation.compose(graph, graph.features(preparation.width))
        users_input = graph.ids("users", "U" if learner.network.shares_user else "N")
        user_rows = graph.add("Gather", graph.constant(to_array(learner.users.table_VE)), users_input)
        item_rows = graph.add("Gather", graph.constant(to_array(learner.items.table_VE)), graph.ids("items"))
        logits = learner.network.compose(user_rows, item_rows, prepared)
        graph.write_heads(folder / MODEL_FILE, graph.add("Sigmoid", logits), len(self._heads))
        users.write(folder / USERS_FILE)
        items.write(folder / ITEMS_FILE)

    def _start(
        self, preparation: Preparation, users: int, items: int, means_H: npt.NDArray[np.float64], seed: int
    ) -> Learner:
        hardware = hardware_for(self._training)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self._make(preparation, self._model, len(self._heads))
        means_H = np.clip(means_H, 1e-4, 1 - 1e-4)
        with torch.no_grad():
            network.bias.copy_(torch.from_numpy(np.log(means_H / (1 - means_H))))
        sections = self._model.heads
        weights = {head.name: sections[head.name].weight if head.name in sections else 1.0 for head in self._heads}
        width = self._model.id_embedding_dim
        return Learner(network, users, items, width, self._training, hardware, seed, weights)

    def _outputs(self, rows: Examples) -> npt.NDArray[np.float32]:
        learner = self._parts()[3]
        return learner.score(self._rows(rows))

    def _rows(self, rows: Examples) -> Rows:
        preparation, users, items, _ = self._parts()
        prepared = preparation.apply(rows.x_NF)
        arrays: list[npt.NDArray[Any]] = [users.rows(rows.users_N), items.rows(rows.items_N)]
        arrays += [prepared.dense_ND, prepared.categories_NC, targets(rows, self._heads)]
        return Rows(*(torch.from_numpy(array) for array in arrays))

    def _parts(self) -> tuple[Preparation, Vocabulary, Vocabulary, Learner]:
        if self._fitted is None:
            raise UserError(f"the {self._type} ranker has not been fitted; call fit before score or export.")
        return self._fitted


def _starts_processes(training: TrainingSection) -> bool:
    """Tell whether this process is the one that starts the others; those find ``WORLD_SIZE`` in their environment."""
    return training.processes > 1 and "WORLD_SIZE" not in os.environ


@contextmanager
def _checkpoints_for(training: TrainingSection, context: FitContext) -> Iterator[FitContext]:
    """Give processes that are started a folder to leave their result in, where the caller keeps no checkpoints."""
    if context.checkpoints or not _starts_processes(training):
        yield context
        return
    with tempfile.TemporaryDirectory(prefix="orita-checkpoints-") as folder:
        yield replace(context, checkpoints=Path(folder))


def _digest(train_rows: Examples, val: Examples, heads: tuple[Head, ...], params: dict[str, object]) -> str:
    known = [train_rows.schema.to_dict(), params, [head.to_dict() for head in heads]]
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    for rows in (train_rows, val):
        digest.update(targets(rows, heads[1:]).tobytes())
        for array in (rows.x_NF, rows.y_N, rows.users_N, rows.items_N):
            digest.update(repr(array.tolist()).encode() if array.dtype == np.object_ else array.tobytes())
    return digest.hexdigest()
