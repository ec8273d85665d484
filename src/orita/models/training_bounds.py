"""Between which values the features of a model's training rows lay: what later rows are held against.

Each feature has bounds of its own, at the ends of its training rows and a margin beyond, so that a feature with a
narrow tail widens nobody else's. One level is shared: of a thousand rows one may be beyond, of whatever feature.

Each of the S tails, two a feature, has an equal part of that level: of N training rows k may lie beyond the row that
its bound is made of, k + 1 ≤ (N + 1) / 1000 S. A new row, if drawn as they were, is beyond that one with a chance of at
most (k + 1) / (N + 1), whatever the distribution (order statistics). Where this leaves none, k is 1 all the same, so
that no single broken row makes a bound, unless more than a thousandth of the training rows were beyond then.

The margin is for rows that are not drawn so: ages and counts grow with time, and rows of one user are alike. It is half
the distance of that row from the median. Counts are taken by their logarithm, as users differ by factors, and grow by
ten at most. Of other features the margin is at most three lengths of the tail, which begins where 1 % of the rows, and
100 at least, lie beyond: a tail that ends at a value of many rows, as a rate ends at 1, has none. It is wider where N
is too small for the level: a tail that is exponential reaches its part farther out, in distances from the median, by
log(1000 S / N) / log N.

Flags and categories have the values that they had; a feature that was never missing may not be, and one that always was
has to be.

Legend: N rows, F features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema, Kind

__all__ = ["TrainingBounds"]

QUANTILE = 0.999
"""The share of rows that are like training rows, at least."""

_LEVEL = 1 - QUANTILE
_MARGIN = 0.5
_TAIL_LENGTHS = 3 / _MARGIN
_MOST_GROWTH = math.log(10) / _MARGIN
"""Of what margins are a part: of the length of the tail, and of the logarithm of a count."""
_TAIL = 0.01
_LEAST_TAIL = 100
_MOST_ROWS = 200_000
_SEED = 0
_MOST = float(np.finfo(np.float32).max)
_LOG_MOST = math.log1p(_MOST)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrainingBounds:
    """The bounds of each feature, in the order of the schema.

    Attributes:
        names: of the features.
        least_F, greatest_F: float32, both allowed; the least is above the greatest where it was always missing.
        missing_F: whether the feature may be missing.
        rows: how many rows they are of.
    """

    names: tuple[str, ...]
    least_F: npt.NDArray[np.float32]
    greatest_F: npt.NDArray[np.float32]
    missing_F: npt.NDArray[np.bool_]
    rows: int

    @classmethod
    def of(cls, schema: FeatureSchema, x_NF: npt.NDArray[np.float32]) -> TrainingBounds:
        """Return the bounds of training rows; of more than 200,000 rows as many are drawn (seed 0).

        Args:
            schema: of the columns.
            x_NF: float32, NaN where missing; an infinite value has no part in the bounds, and is beyond them.

        Raises:
            UserError: there are no rows.
        """
        if len(x_NF) == 0:
            raise UserError("training bounds were asked of 0 rows: give the features of the training rows.")
        if len(x_NF) > _MOST_ROWS:
            x_NF = x_NF[np.sort(np.random.default_rng(_SEED).choice(len(x_NF), _MOST_ROWS, replace=False))]
        missing_F = np.asarray(np.isnan(x_NF).any(axis=0))
        x_NF = np.where(np.isfinite(x_NF), x_NF, np.float32(np.nan))
        columns = [_Column.of(column.kind, x_NF[:, f]) for f, column in enumerate(schema.columns)]
        bounds_F2 = _bounds(columns, x_NF)
        return cls(schema.names, bounds_F2[:, 0].copy(), bounds_F2[:, 1].copy(), missing_F, len(x_NF))

    def outside(self, x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_] | None:
        """Return which values are beyond their bounds, [N, F]; None where none is."""
        inside_NF = x_NF >= self.least_F
        inside_NF &= x_NF <= self.greatest_F
        if np.count_nonzero(inside_NF) == inside_NF.size:
            return None
        inside_NF |= np.isnan(x_NF) & self.missing_F
        return None if np.count_nonzero(inside_NF) == inside_NF.size else ~inside_NF

    def to_dict(self) -> dict[str, Any]:
        """Return the bounds as plain JSON values; a feature that was always missing has none."""
        always_F = self.least_F > self.greatest_F
        pairs = zip(self.least_F.tolist(), self.greatest_F.tolist(), always_F.tolist(), strict=True)
        bounds = [None if always else [least, greatest] for least, greatest, always in pairs]
        return {
            "quantile": QUANTILE,
            "rows": self.rows,
            "bounds": dict(zip(self.names, bounds, strict=True)),
            "missing": [name for name, may in zip(self.names, self.missing_F.tolist(), strict=True) if may],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], schema: FeatureSchema) -> TrainingBounds:
        """Return the bounds that `to_dict` described; those of before, with a ``limit`` that all shared, as they are.

        Raises:
            UserError: they are none, or not of *schema*.
        """
        try:
            given, missing = content["bounds"], set(content["missing"])
            pairs = [(np.inf, -np.inf) if given[name] is None else given[name] for name in schema.names]
            bounds_F2 = np.array(pairs, np.float32).reshape(len(schema), 2)
            rows = int(content["rows"])
        except (KeyError, TypeError, ValueError) as error:
            message = f"the training bounds of the package are not of its schema ({error!r}): write it again."
            raise UserError(message) from None
        missing_F = np.array([name in missing for name in schema.names], bool)
        return cls(schema.names, bounds_F2[:, 0].copy(), bounds_F2[:, 1].copy(), missing_F, rows)


def _bounds(columns: Sequence[_Column], x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the least and the greatest value of each column, [F, 2], with at most a thousandth of the rows beyond."""
    rows, tails = len(x_NF), sum(column.tails for column in columns)
    if tails == 0:
        return np.array([column.ends for column in columns], np.float32).reshape(len(columns), 2)
    margin = _MARGIN + np.log(max(1.0, tails / (_LEVEL * rows))) / np.log(1 + rows)
    beyond = max(1, int(_LEVEL * (rows + 1) / tails) - 1)
    bounds_F2 = np.array([column.bounds(beyond, margin) for column in columns], np.float32)
    outside_NF = (x_NF < bounds_F2[:, 0]) | (x_NF > bounds_F2[:, 1])
    if outside_NF.any(axis=1).sum() > _LEVEL * rows:
        bounds_F2 = np.array([column.bounds(0, margin) for column in columns], np.float32)
    return bounds_F2


@dataclass(frozen=True, slots=True)
class _Column:
    """The values of one feature that are known.

    Attributes:
        values_N: rising; of counts the logarithms of 1 more.
        median: of these.
        ends: the least and the greatest value, as they are; of no values the least is above the greatest.
        tails: on how many sides of the median there are values; flags and categories have no tails.
        logarithm: whether they are counts, of which none is negative.
    """

    values_N: Floats
    median: float
    ends: tuple[float, float]
    tails: int
    logarithm: bool

    @classmethod
    def of(cls, kind: Kind, values_N: npt.NDArray[np.float32]) -> _Column:
        known_N = np.sort(values_N[~np.isnan(values_N)].astype(np.float64))
        if len(known_N) == 0:
            return cls(known_N, 0.0, (np.inf, -np.inf), 0, logarithm=False)
        ends = float(known_N[0]), float(known_N[-1])
        logarithm = kind == "count" and ends[0] >= 0
        known_N = np.log1p(known_N) if logarithm else known_N
        median = float(np.median(known_N))
        tails = 0 if kind in {"flag", "category"} else int(known_N[0] < median) + int(known_N[-1] > median)
        return cls(known_N, median, ends, tails, logarithm)

    def bounds(self, beyond: int, margin: float) -> tuple[float, float]:
        """Return the least and the greatest value, finite.

        Args:
            beyond: how many rows may lie beyond either, if they are no more than 1 % of those known.
            margin: in distances of the row that makes a bound from the median, 0.5 and more.
        """
        if self.tails == 0:
            return self.ends
        at = min(beyond, len(self.values_N) // 100)
        least = -_end(-self.values_N, -self.median, at, margin)
        greatest = _end(self.values_N[::-1], self.median, at, margin, most=_MOST_GROWTH if self.logarithm else None)
        if self.logarithm:
            least, greatest = (math.expm1(min(max(0.0, end), _LOG_MOST)) for end in (least, greatest))
        # 0.0 makes 0 of -0. The row that a bound is made of stays within when that is rounded: it is a float32.
        return max(least, -_MOST) + 0.0, min(greatest, _MOST)


def _end(values_N: Floats, median: float, at: int, margin: float, *, most: float | None = None) -> float:
    """Return where the upper tail of *values_N*, in falling order, ends: at row *at*, and a margin beyond.

    Args:
        margin: in distances of that row from the median.
        most: no more of that distance counts than this; by default than some lengths of the tail.
    """
    last = float(values_N[at])
    if most is None:
        tail = min(max(_LEAST_TAIL, math.ceil(_TAIL * len(values_N))), len(values_N) - 1)
        most = _TAIL_LENGTHS * (last - max(float(values_N[tail]), median))
    return last + margin * min(last - median, most)
