"""What does a model rest on? How much worse it is when the values of a feature are shuffled between rows.

Legend: N rows, R repeats, F features.

Breiman, "Random forests" (2001); Fisher, Rudin and Dominici, "All models are wrong, but many are useful" (2019), model
reliance. Columns of one feature (one-hot flags) are shuffled together, since a row of two devices is no row. A feature
that others can stand in for looks unimportant: the figure is about this model, not about the world.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from orita.core.errors import UserError
from orita.models.evaluation.figures import check, check_both_kinds
from orita.models.evaluation.scored_rows import Scores
from orita.models.examples import Examples
from orita.stats.metrics import row_log_loss
from orita.stats.placements import auc_influence

__all__ = ["Importance", "one_hot_groups", "permutation_importance"]

_BLOCK_ROWS = 200_000
_USER, _ITEM = "user_id", "item_id"


@dataclass(frozen=True, slots=True)
class Importance:
    """How much a feature matters.

    Attributes:
        name: the feature, or the group of columns; ``user_id`` and ``item_id`` for the ids.
        columns: the columns shuffled together.
        metric: ``auc`` or ``log_loss``.
        drop: how much worse the figure is without the feature, ≥ 0 up to noise.
        low, high: its interval, over users and over shuffles.
    """

    name: str
    columns: tuple[str, ...]
    metric: str
    drop: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """Return the importance as plain JSON values."""
        return asdict(self)


def permutation_importance(
    score: Callable[[Examples], Scores],
    rows: Examples,
    *,
    metric: Literal["auc", "log_loss"] = "auc",
    groups: Mapping[str, Sequence[str]] | None = None,
    ids: bool = True,
    repeats: int = 5,
    confidence: float = 0.95,
    at_most: int = 20_000,
    seed: int = 0,
) -> list[Importance]:
    """Return the importance of every feature, the most important first.

    Args:
        score: scores rows, such as ``ranker.score``.
        rows: labelled rows that the model was not trained on.
        metric: whose loss is the importance.
        groups: columns to shuffle together, by the name of the group; None: `one_hot_groups`. Other columns go alone.
        ids: whether user and item ids are shuffled too: what the model knows of them by heart.
        repeats: shuffles of each feature, at least 2.
        confidence: of the interval.
        at_most: rows used; of more, this many are drawn.
        seed: fixes draw and shuffles.

    Raises:
        UserError: no rows, rows of one kind, fewer than two repeats, or a group names a column that is not there.
    """
    if repeats < 2:
        raise UserError(f"repeats is {repeats}; it must be at least 2, to tell noise from importance.")
    random = np.random.default_rng(seed)
    if len(rows) > at_most:
        rows = rows.take(np.sort(random.choice(len(rows), at_most, replace=False)))
    base_N = score(rows)
    check(base_N, rows, (metric,))
    if metric == "auc":
        check_both_kinds(rows)
    measure, z = _Loss(metric, rows, base_N), float(norm.ppf((1 + confidence) / 2))
    found = []
    for name, columns in _groups(rows, groups, ids).items():
        drop, error = measure.drop(_shuffled_scores(score, rows, name, columns, repeats, random), repeats)
        found.append(Importance(name, tuple(columns), metric, drop, drop - z * error, drop + z * error))
    return sorted(found, key=lambda importance: -importance.drop)


def one_hot_groups(rows: Examples) -> dict[str, list[str]]:
    """Return groups of flags that share the words before their last ``_`` and of which no row has two."""
    stems: dict[str, list[str]] = {}
    for column in rows.schema.columns:
        if column.kind == "flag" and "_" in column.name:
            stems.setdefault(column.name.rpartition("_")[0], []).append(column.name)
    found = {}
    for stem, names in stems.items():
        places = [rows.schema.index(name) for name in names]
        if len(names) > 1 and bool((np.nansum(rows.x_NF[:, places], axis=1) <= 1).all()):
            found[stem] = names
    return found


class _Loss:
    """The figure without a shuffle, and how far each row pulls the difference from it."""

    def __init__(self, metric: str, rows: Examples, base_N: Scores) -> None:
        self._y_N, self._metric = rows.y_N, metric
        self._base, self._base_pull_N = self._measured(base_N)
        self._user_N = np.unique(rows.users_N, return_inverse=True)[1]

    def drop(self, shuffles: Iterator[Scores], repeats: int) -> tuple[float, float]:
        """Return how much worse the figure is on average over *repeats* shuffles, and the standard error of that."""
        drops_R, pull_N = np.empty(repeats), np.zeros(len(self._y_N))
        for repeat, scores_N in enumerate(shuffles):
            value, pull_of_one_N = self._measured(scores_N)
            drops_R[repeat] = value - self._base
            pull_N += (pull_of_one_N - self._base_pull_N) / repeats
        # The average over shuffles varies with the users that were drawn, and with the shuffles.
        variance = self._variance(pull_N) + float(drops_R.var(ddof=1)) / repeats
        return float(drops_R.mean()), math.sqrt(variance)

    def _variance(self, pull_N: npt.NDArray[np.float64]) -> float:
        pull_U = np.bincount(self._user_N, pull_N)
        return float((pull_U**2).sum()) * len(pull_U) / max(len(pull_U) - 1, 1)

    def _measured(self, scores_N: Scores) -> tuple[float, npt.NDArray[np.float64]]:
        """Return the loss (1 − AUC, or log loss) and each row's influence on it."""
        if self._metric == "auc":
            value, influence_N = auc_influence(self._y_N, scores_N)
            return 1 - value, -influence_N
        loss_N = row_log_loss(self._y_N, scores_N)
        return float(loss_N.mean()), (loss_N - loss_N.mean()) / len(loss_N)


def _groups(rows: Examples, groups: Mapping[str, Sequence[str]] | None, ids: bool) -> dict[str, Sequence[str]]:
    together: dict[str, Sequence[str]] = dict(one_hot_groups(rows) if groups is None else groups)
    for columns in together.values():
        for name in columns:
            rows.schema.index(name)
    grouped = {name for columns in together.values() for name in columns}
    alone = {name: (name,) for name in rows.schema.names if name not in grouped}
    return {**together, **alone, **({_USER: (), _ITEM: ()} if ids else {})}


def _shuffled_scores(
    score: Callable[[Examples], Scores],
    rows: Examples,
    name: str,
    columns: Sequence[str],
    repeats: int,
    random: np.random.Generator,
) -> Iterator[Scores]:
    """Yield the scores of each shuffle; several shuffles are scored in one call, as one call costs more than rows."""
    together = max(1, _BLOCK_ROWS // len(rows))
    for start in range(0, repeats, together):
        orders = [random.permutation(len(rows)) for _ in range(min(together, repeats - start))]
        scores = score(_shuffled(rows, name, columns, orders))
        yield from np.split(scores, len(orders))


def _shuffled(rows: Examples, name: str, columns: Sequence[str], orders: Sequence[npt.NDArray[np.int64]]) -> Examples:
    once = np.arange(len(rows))
    block = rows.take(np.concatenate([once] * len(orders)))
    shuffled = np.concatenate(orders)
    if name == _USER:
        return replace(block, users_N=rows.users_N[shuffled])
    if name == _ITEM:
        return replace(block, items_N=rows.items_N[shuffled])
    for column in columns:
        place = rows.schema.index(column)
        block.x_NF[:, place] = rows.x_NF[shuffled, place]
    return block
