"""Trees over the features, grown by LightGBM: what every ranker of trees is made of.

Legend: N rows, F features, V values of a category.

A category is given to the trees as its rank by training click rate, so that one split can part the good values from
the bad ones and the exported graph needs nothing but thresholds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.extras import require
from orita.core.progress import Bar
from orita.models.compose import Composer
from orita.models.config import LightGBMSection
from orita.models.examples import Examples
from orita.models.ranker import FitContext
from orita.models.trees import add_trees

__all__ = ["Forest", "Growth", "grow", "reporting", "tree_parameters"]

_CATEGORY_SMOOTHING = 20.0

Sizes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Forest:
    """Grown trees, and how categories are given to them.

    Attributes:
        booster: LightGBM's.
        trees: how many of its trees count.
        width: F.
        ranks: for each category column, the number of each value: row 0 is missing, then 0 … V − 1.
        threads: with which it scores.
    """

    booster: Any
    trees: int
    width: int
    ranks: Mapping[int, npt.NDArray[np.float32]]
    threads: int

    def margins(self, x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the sums of the trees' leaves, [N]."""
        if len(x_NF) == 0:
            return np.zeros(0)
        margins_N: npt.NDArray[np.float64] = self.booster.predict(
            _inputs(x_NF, self.ranks), num_iteration=self.trees, num_threads=self.threads, raw_score=True
        )
        return margins_N

    def compose(self, graph: Composer, features: str) -> str:
        """Add the trees over the value *features* [N, F] to *graph*; return the name of the margins, [N]."""
        if self.ranks:
            features = self._compose_ranks(graph, features)
        return add_trees(graph, features, self.booster.dump_model(num_iteration=self.trees)["tree_info"])

    def _compose_ranks(self, graph: Composer, features: str) -> str:
        columns = []
        for column in range(self.width):
            value = graph.columns(features, column, column + 1)
            if column in self.ranks:
                value = _compose_rank(graph, value, self.ranks[column])
            columns.append(value)
        return graph.add("Concat", *columns, axis=1)


@dataclass(frozen=True, slots=True)
class Growth:
    """A forest, and how it grew: figures on the validation rows after each tree, and the parameters."""

    forest: Forest
    history: list[dict[str, float]]
    params: dict[str, object]


def grow(
    section: LightGBMSection,
    objective: Mapping[str, object],
    figures: Mapping[str, str],
    train: Examples,
    val: Examples,
    context: FitContext,
    *,
    sizes: tuple[Sizes, Sizes] | None = None,
) -> Growth:
    """Grow trees on *train* until the first figure on *val* has not gained for ``patience`` trees.

    With ``early_stopping: none`` all ``max_trees`` trees grow and count, whatever *val* says of them.

    Args:
        section: the settings.
        objective: LightGBM's parameters of what is learned and by which metrics it is judged.
        figures: what its metrics are called in the history.
        train, val: rows; with *sizes*, those of a list stand together.
        context: progress and seed.
        sizes: for a ranking objective, the rows of each list in *train* and in *val*.
    """
    lightgbm = require("lightgbm", extra="train")
    ranks = _category_ranks(train)
    train_sizes, val_sizes = sizes or (None, None)
    data = lightgbm.Dataset(_inputs(train.x_NF, ranks), train.y_N, group=train_sizes, free_raw_data=True)
    judge = lightgbm.Dataset(_inputs(val.x_NF, ranks), val.y_N, group=val_sizes, reference=data)
    params = {**tree_parameters(section, len(train), context.seed), **objective}
    recorded: dict[str, Any] = {}
    started = time.perf_counter()
    with context.progress.bar(context.title, total=section.max_trees) as bar:
        callbacks = [lightgbm.record_evaluation(recorded), reporting(bar), _telling(context, figures)]
        if section.early_stopping != "none":
            callbacks.append(lightgbm.early_stopping(section.patience, first_metric_only=True, verbose=False))
        booster = lightgbm.train(
            params, data, section.max_trees, valid_sets=[judge], valid_names=["val"], callbacks=callbacks
        )
    trees = booster.best_iteration or booster.current_iteration()
    forest = Forest(booster, trees, len(train.schema), ranks, section.threads)
    history = _history(recorded["val"], figures, time.perf_counter() - started)
    return Growth(forest, history, {**params, "trees": trees})


def tree_parameters(section: LightGBMSection, rows: int, seed: int) -> dict[str, object]:
    """Return LightGBM's parameters of how trees grow, the same trees for the same *rows* and *seed*."""
    return {
        "learning_rate": section.learning_rate,
        "num_leaves": section.num_leaves or _leaves(rows),
        "min_data_in_leaf": min(section.min_rows_in_leaf, max(1, rows // 20)),
        "feature_fraction": section.feature_fraction,
        "bagging_fraction": section.bagging_fraction,
        "bagging_freq": 1,
        "lambda_l2": section.lambda_l2,
        "num_threads": section.threads,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }


def _leaves(rows: int) -> int:
    """15 leaves for 70,000 rows, growing with the root of their number, at most 255."""
    return int(min(max(15 * math.sqrt(rows / 70_000), 15), 255))


def reporting(bar: Bar) -> Any:
    """Return a callback of LightGBM that moves *bar* with each tree."""

    def report(env: Any) -> None:
        bar.advance()
        _, name, value, _ = env.evaluation_result_list[0]
        bar.describe(f"tree {env.iteration + 1} · val {name} {value:.4f}")

    return report


def _telling(context: FitContext, figures: Mapping[str, str]) -> Any:
    """Return a callback of LightGBM that passes on what each tree came to."""

    def tell(env: Any) -> None:
        if context.on_epoch is not None:
            found = {figures[name]: value for _, name, value, _ in env.evaluation_result_list}
            context.on_epoch(env.iteration + 1, found)

    return tell


def _history(recorded: Mapping[str, Any], figures: Mapping[str, str], seconds: float) -> list[dict[str, float]]:
    columns = {called: recorded[name] for name, called in figures.items()}
    trees = len(next(iter(columns.values())))
    return [
        {"epoch": n + 1, **{called: float(values[n]) for called, values in columns.items()}, "seconds": seconds / trees}
        for n in range(trees)
    ]


def _category_ranks(train: Examples) -> dict[int, npt.NDArray[np.float32]]:
    ranks = {}
    mean = float(train.y_N.mean())
    for column, feature in enumerate(train.schema.columns):
        if feature.kind != "category":
            continue
        row_N = _rows_of(train.x_NF[:, column], feature.cardinality)
        rows_V = np.bincount(row_N, minlength=feature.cardinality + 1)[1:]
        clicks_V = np.bincount(row_N, train.y_N, minlength=feature.cardinality + 1)[1:]
        rate_V = (clicks_V + mean * _CATEGORY_SMOOTHING) / (rows_V + _CATEGORY_SMOOTHING)
        rank_V = np.empty(feature.cardinality, np.float32)
        rank_V[np.argsort(rate_V, kind="stable")] = np.arange(feature.cardinality)
        ranks[column] = np.concatenate(([np.float32(np.nan)], rank_V))
    return ranks


def _inputs(x_NF: npt.NDArray[np.float32], ranks: Mapping[int, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    ranked_NF = np.array(x_NF, np.float32)
    for column, rank_V in ranks.items():
        ranked_NF[:, column] = rank_V[_rows_of(x_NF[:, column], len(rank_V) - 1)]
    return ranked_NF


def _rows_of(values_N: npt.NDArray[np.float32], cardinality: int) -> npt.NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        known_N = (values_N >= 0) & (values_N < cardinality)
    return np.where(known_N, values_N, np.float32(-1)).astype(np.int64) + 1


def _compose_rank(graph: Composer, value: str, rank_V: npt.NDArray[np.float32]) -> str:
    low = graph.add("GreaterOrEqual", value, graph.constant(np.float32(0)))
    high = graph.add("Less", value, graph.constant(np.float32(len(rank_V) - 1)))
    safe = graph.add("Where", graph.add("And", low, high), value, graph.constant(np.float32(-1)))
    row = graph.add("Add", graph.add("Cast", safe, to="int64"), graph.constant(np.int64(1)))
    return graph.add("Gather", graph.constant(rank_V), row)
