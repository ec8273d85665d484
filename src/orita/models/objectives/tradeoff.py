"""What weights give up for what: the best rows of each user, as the weights of two heads change places.

Legend: N rows, U users, H heads, K rows of the users that are looked at, S steps of a sweep.

Between two heads, t goes from 0 to 1: rows are ranked by (1 − t) · a ÷ σ(a) + t · b ÷ σ(b), the heads in units of their
own standard deviation, so that the steps lie where the order changes. What a ranking brings is the mean over users of
what happened in their ten best rows, those at the top counting most: 1 ÷ log2(1 + rank), the discount of nDCG. It is
measured on rows that were shown by another ranking: those say nothing of items that nobody was shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.models.examples import Examples
from orita.models.objectives.heads import Head

__all__ = ["MOST_ROWS", "Point", "TradeOff", "brought", "pareto", "trade_offs"]

MOST_ROWS = 100_000
"""Of users drawn at random, so many rows are looked at; 21 rankings a pair of heads take a while."""

_STEPS, _BEST = 21, 10
_SMALLEST_SPREAD = 1e-12

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Point:
    """What one ranking brings, in the units of the two outcomes.

    Attributes:
        weights: of the two heads, what one unit of each is worth; those of the declared objective may weigh others too.
        a, b: discounted mean of the two outcomes in the best rows of a user.
        best: no other point of the curve brings as much of both and more of one.
        declared: whether it is the objective that the package declares.
    """

    weights: Mapping[str, float]
    a: float
    b: float
    best: bool = False
    declared: bool = False


@dataclass(frozen=True, slots=True)
class TradeOff:
    """The curve of two heads: their names, rows and users that were looked at, and the points, from all a to all b.

    Attributes:
        random_a, random_b: what rows in a random order bring: the means of users' rows.
        error_a, error_b: one standard error, over users, of what the declared objective brings.
    """

    a: str
    b: str
    rows: int
    users: int
    random_a: float
    random_b: float
    error_a: float
    error_b: float
    points: tuple[Point, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the curve as plain JSON values."""
        return asdict(self)


def trade_offs(
    heads: Sequence[Head],
    p_NH: npt.NDArray[np.float32],
    scores_N: npt.NDArray[np.float32],
    rows: Examples,
    objective: Mapping[str, float],
    *,
    seed: int = 0,
) -> list[TradeOff]:
    """Return the curve of every two heads of which the rows say what happened.

    Rows that do not say all outcomes, and users with a single row or more than `MOST_ROWS`, are not looked at.

    Args:
        heads: the heads, in the order of the columns.
        p_NH: their calibrated outputs, in [0, 1].
        scores_N: the score by the declared objective.
        rows: the rows, with their outcomes.
        objective: the declared weights.
        seed: draws the users that are looked at where there are more rows than `MOST_ROWS`.
    """
    kept_K, lists = _lists(heads, rows, seed)
    if lists is None:
        return []
    known = [(column, head) for column, head in enumerate(heads) if head.name in lists.happened]
    values = {head.name: p_NH[kept_K, column].astype(np.float64) * head.cap for column, head in known}
    declared = lists.brought(scores_N[kept_K].astype(np.float64))
    errors = lists.errors(scores_N[kept_K].astype(np.float64))
    return [_curve(lists, a, b, values, declared, errors, objective) for a, b in combinations(values, 2)]


def brought(
    heads: Sequence[Head], scores_N: npt.NDArray[np.float32], rows: Examples, *, seed: int = 0
) -> dict[str, float]:
    """Return what ranking users' rows by ``scores_N`` brings of each outcome that *rows* say, in its unit."""
    kept_K, lists = _lists(heads, rows, seed)
    return lists.brought(scores_N[kept_K].astype(np.float64)) if lists else {}


def _lists(heads: Sequence[Head], rows: Examples, seed: int) -> tuple[npt.NDArray[np.intp], _Lists | None]:
    """Return the rows that are looked at, and what happened in them; None where no user has two of them."""
    told = {head: rows.y_N if head.name == rows.label else rows.outcomes.get(head.name) for head in heads}
    there = {head: told_N for head, told_N in told.items() if told_N is not None and np.isfinite(told_N).any()}
    kept_K, user_K = _looked_at(rows, list(there.values()), seed)
    happened = {head.name: np.minimum(told_N[kept_K].astype(np.float64), head.cap) for head, told_N in there.items()}
    return kept_K, _Lists(user_K, happened) if len(kept_K) else None


def _curve(
    lists: _Lists,
    a: str,
    b: str,
    values: Mapping[str, Floats],
    declared: Mapping[str, float],
    errors: Mapping[str, float],
    objective: Mapping[str, float],
) -> TradeOff:
    spread_a, spread_b = (max(float(values[name].std()), _SMALLEST_SPREAD) for name in (a, b))
    found = []
    for t in np.linspace(0, 1, _STEPS).tolist():
        weights = {a: (1 - t) / spread_a, b: t / spread_b}
        brought = lists.brought(weights[a] * values[a] + weights[b] * values[b])
        found.append(Point(weights, brought[a], brought[b]))
    found.append(Point(dict(objective), declared[a], declared[b], declared=True))
    at_S2 = np.array([[point.a, point.b] for point in found])
    best_S = pareto(at_S2)
    points = tuple(
        Point(point.weights, point.a, point.b, bool(best), point.declared)
        for point, best in zip(found, best_S, strict=True)
    )
    chance = lists.by_chance
    return TradeOff(a, b, len(values[a]), lists.users, chance[a], chance[b], errors[a], errors[b], points)


def pareto(at_S2: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which points no other is at least as good as in both and better in one."""
    as_good_SS = np.all(at_S2[None, :, :] >= at_S2[:, None, :], axis=2)
    better_SS = np.any(at_S2[None, :, :] > at_S2[:, None, :], axis=2)
    surpassed_S: npt.NDArray[np.bool_] = np.any(as_good_SS & better_SS, axis=1)
    return ~surpassed_S


def _looked_at(
    rows: Examples, told: Sequence[npt.NDArray[np.float32]], seed: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Return the rows that are looked at, those of a user together, and whose each is."""
    known_N = np.all([np.ones(len(rows), np.bool_), *(np.isfinite(told_N) for told_N in told)], axis=0)
    user_N = np.unique(rows.users_N, return_inverse=True)[1]
    rows_U = np.bincount(user_N[known_N], minlength=user_N.max(initial=-1) + 1)
    drawn_U = np.random.default_rng(seed).permutation(len(rows_U))
    enough_U = (rows_U[drawn_U] > 1) & (rows_U[drawn_U] <= MOST_ROWS)  # one user must not be in the way of all others
    within_U = np.zeros(len(rows_U), np.bool_)
    within_U[drawn_U] = enough_U & (np.cumsum(rows_U[drawn_U] * enough_U) <= MOST_ROWS)
    kept_K = np.flatnonzero(known_N & within_U[user_N])
    kept_K = kept_K[np.argsort(user_N[kept_K], kind="stable")]
    return kept_K, np.unique(user_N[kept_K], return_inverse=True)[1].astype(np.int64)


class _Lists:
    """The rows of users, one user after the other, and what happened in them."""

    def __init__(self, user_K: npt.NDArray[np.int64], happened: Mapping[str, Floats]) -> None:
        self._user_K, self.happened = user_K, happened
        rows_U = np.bincount(user_K)
        rank_K = np.arange(len(user_K)) - (np.cumsum(rows_U) - rows_U)[user_K]
        discount_K = np.where(rank_K < _BEST, 1 / np.log2(rank_K + 2), 0)
        self._share_K = discount_K / np.bincount(user_K, discount_K)[user_K] / len(rows_U)
        self.users = len(rows_U)
        self.by_chance = {
            name: float((np.bincount(user_K, told_K) / rows_U).mean()) for name, told_K in happened.items()
        }

    def brought(self, worth_K: Floats) -> dict[str, float]:
        """Return what ranking users' rows by *worth_K* brings of each outcome; ties stay in the order of time."""
        order_K = np.lexsort((-worth_K, self._user_K))
        return {name: float(told_K[order_K] @ self._share_K) for name, told_K in self.happened.items()}

    def errors(self, worth_K: Floats) -> dict[str, float]:
        """Return one standard error of each mean of `brought`; 0 where there is one user."""
        order_K, found = np.lexsort((-worth_K, self._user_K)), {}
        for name, told_K in self.happened.items():
            brought_U = np.bincount(self._user_K, told_K[order_K] * self._share_K) * self.users
            found[name] = float(brought_U.std() / np.sqrt(max(self.users - 1, 1)))
        return found
