"""A neural ranker: prepared features, id tables and a network, behind the `Ranker` contract.

Legend: N rows, F features.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from orita.core.errors import UserError
from orita.models.compose import Composer
from orita.models.config import ModelSection, TrainingSection
from orita.models.examples import Examples
from orita.models.graph import ITEMS_FILE, MODEL_FILE, USERS_FILE
from orita.models.layers import to_array
from orita.models.preparation import Preparation
from orita.models.ranker import FitContext, FitReport
from orita.models.rows import RowAdam, id_table
from orita.models.training import Learner, Network, Rows, train
from orita.models.vocabulary import Vocabulary

__all__ = ["NeuralRanker"]


class NeuralRanker:
    """A `Ranker` around any `Network`."""

    def __init__(
        self,
        type_: str,
        network: Callable[[Preparation, ModelSection], Network],
        model: ModelSection,
        training: TrainingSection,
    ) -> None:
        self._type, self._make = type_, network
        self._model, self._training = model, training
        self._fitted: tuple[Preparation, Vocabulary, Vocabulary, Learner] | None = None

    @property
    def type(self) -> str:
        """The model's type, as in the configuration."""
        return self._type

    def fit(self, train_rows: Examples, val: Examples, context: FitContext) -> FitReport:
        """Learn from *train_rows*, stop by *val*; go on from a checkpoint of the same training where there is one.

        Raises:
            UserError: there are no rows to learn from.
        """
        if len(train_rows) == 0:
            raise UserError("training was given 0 rows; give at least one, and both clicks and non-clicks.")
        preparation = Preparation.fit(train_rows.schema, train_rows.x_NF)
        users, items = Vocabulary.of(train_rows.users_N), Vocabulary.of(train_rows.items_N)
        learner = self._start(preparation, len(users), len(items), float(train_rows.y_N.mean()), context.seed)
        self._fitted = preparation, users, items, learner
        params: dict[str, object] = {**self._model.model_dump(mode="json"), **self._training.model_dump(mode="json")}
        of = _digest(train_rows, val, {**params, "seed": context.seed})
        rows, val_rows = self._rows(train_rows), self._rows(val)
        course = train(learner, rows, val_rows, self._training, self._model.id_dropout, context, of)
        return FitReport(course.history, {**params, "users": len(users), "items": len(items)}, course.resumed_from)

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return ``scores_N``, click probabilities."""
        return self._parts()[3].score(self._rows(rows))

    def export(self, folder: Path) -> None:
        """Write the graph and both vocabularies into *folder*."""
        preparation, users, items, learner = self._parts()
        graph = Composer()
        dense, categories = preparation.compose(graph, graph.features(preparation.width))
        users_input = graph.ids("users", "U" if learner.network.shares_user else "N")
        user_rows = graph.add("Gather", graph.constant(to_array(learner.users.table_VE)), users_input)
        item_rows = graph.add("Gather", graph.constant(to_array(learner.items.table_VE)), graph.ids("items"))
        logits = learner.network.compose(graph, user_rows, item_rows, dense, categories)
        graph.write(folder / MODEL_FILE, graph.add("Sigmoid", logits))
        users.write(folder / USERS_FILE)
        items.write(folder / ITEMS_FILE)

    def _start(self, preparation: Preparation, users: int, items: int, rate: float, seed: int) -> Learner:
        width, decay = self._model.id_embedding_dim, self._training.id_weight_decay
        with torch.random.fork_rng(devices=[]):
            generator = torch.manual_seed(seed)
            network = self._make(preparation, self._model)
            user_table, item_table = (
                RowAdam(id_table(count, width, generator), weight_decay=decay) for count in (users, items)
            )
        rate = min(max(rate, 1e-4), 1 - 1e-4)
        torch.nn.init.constant_(network.bias, math.log(rate / (1 - rate)))
        return Learner(network, user_table, item_table, self._training)

    def _rows(self, rows: Examples) -> Rows:
        preparation, users, items, _ = self._parts()
        prepared = preparation.apply(rows.x_NF)
        arrays: list[npt.NDArray[Any]] = [users.rows(rows.users_N), items.rows(rows.items_N)]
        arrays += [prepared.dense_ND, prepared.categories_NC, np.array(rows.y_N, np.float32)]
        return Rows(*(torch.from_numpy(array) for array in arrays))

    def _parts(self) -> tuple[Preparation, Vocabulary, Vocabulary, Learner]:
        if self._fitted is None:
            raise UserError(f"the {self._type} ranker has not been fitted; call fit before score or export.")
        return self._fitted


def _digest(train_rows: Examples, val: Examples, params: dict[str, object]) -> str:
    digest = hashlib.sha256(json.dumps([train_rows.schema.to_dict(), params], sort_keys=True).encode())
    for rows in (train_rows, val):
        for array in (rows.x_NF, rows.y_N, rows.users_N, rows.items_N):
            digest.update(repr(array.tolist()).encode() if array.dtype == np.object_ else array.tobytes())
    return digest.hexdigest()
