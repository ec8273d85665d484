"""Between which values the features of a model's training rows lay: what later rows are held against.

A row's *tail score* says how far out its farthest feature is: its distance from the median of the training rows, in
units of the distance at which 1 % of them lie on that side; counts are taken by their logarithm. A row whose score is
beyond the 99.9th percentile of the training rows' scores is unlike them. As all features share that one limit, it
comes to bounds of each, so that a row is judged by two comparisons a feature, and each feature beyond is its own
reason. Flags and categories have the values that they had; a feature that was never missing may not be, and one that
always was has to be.

Legend: N rows, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema, Kind

__all__ = ["TrainingBounds"]

QUANTILE = 0.999
"""The share of training rows that are like training rows."""

_TAIL = 0.01
_MOST_ROWS = 200_000
_SEED = 0
_MOST = np.finfo(np.float32).max
_LOG_MOST = float(np.log1p(np.float64(_MOST)))

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrainingBounds:
    """The bounds of each feature, in the order of the schema.

    Attributes:
        names: of the features.
        least_F, greatest_F: float32, both allowed; the least is above the greatest where it was always missing.
        missing_F: whether the feature may be missing.
        limit: the tail score at which the bounds are.
        rows: how many rows they are of.
    """

    names: tuple[str, ...]
    least_F: npt.NDArray[np.float32]
    greatest_F: npt.NDArray[np.float32]
    missing_F: npt.NDArray[np.bool_]
    limit: float
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
        sides = [_Side.of(column.kind, x_NF[:, f].astype(np.float64)) for f, column in enumerate(schema.columns)]
        scores_N = np.zeros(len(x_NF))
        for f, side in enumerate(sides):
            np.fmax(scores_N, side.scores(x_NF[:, f].astype(np.float64)), out=scores_N)
        limit = float(np.quantile(scores_N, QUANTILE))
        bounds_F2 = np.array([side.bounds(limit) for side in sides], np.float64).reshape(len(sides), 2)
        return cls(
            schema.names,
            bounds_F2[:, 0].astype(np.float32),
            bounds_F2[:, 1].astype(np.float32),
            missing_F,
            limit,
            len(x_NF),
        )

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
            "limit": self.limit,
            "rows": self.rows,
            "bounds": dict(zip(self.names, bounds, strict=True)),
            "missing": [name for name, may in zip(self.names, self.missing_F.tolist(), strict=True) if may],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], schema: FeatureSchema) -> TrainingBounds:
        """Return the bounds that `to_dict` described.

        Raises:
            UserError: they are none, or not of *schema*.
        """
        try:
            given, missing = content["bounds"], set(content["missing"])
            pairs = [(np.inf, -np.inf) if given[name] is None else given[name] for name in schema.names]
            bounds_F2 = np.array(pairs, np.float32).reshape(len(schema), 2)
            limit, rows = float(content["limit"]), int(content["rows"])
        except (KeyError, TypeError, ValueError) as error:
            message = f"the training bounds of the package are not of its schema ({error!r}): write it again."
            raise UserError(message) from None
        missing_F = np.array([name in missing for name in schema.names], bool)
        return cls(schema.names, bounds_F2[:, 0].copy(), bounds_F2[:, 1].copy(), missing_F, limit, rows)


@dataclass(frozen=True, slots=True)
class _Side:
    """How far out the values of one feature are, from its median, in widths of its tails; of width 0 nothing is."""

    logarithm: bool
    median: float
    below: float
    above: float
    least: float
    greatest: float

    @classmethod
    def of(cls, kind: Kind, values_N: Floats) -> _Side:
        known_N = values_N[~np.isnan(values_N)]
        if len(known_N) == 0:
            return cls(False, 0.0, 0.0, 0.0, np.inf, -np.inf)
        ends = float(known_N.min()), float(known_N.max())
        if kind in {"flag", "category"}:
            return cls(False, 0.0, 0.0, 0.0, *ends)
        logarithm = kind == "count" and ends[0] >= 0
        low, median, high = np.quantile(np.log1p(known_N) if logarithm else known_N, (_TAIL, 0.5, 1 - _TAIL)).tolist()
        return cls(logarithm, median, median - low, high - median, *ends)

    def scores(self, values_N: Floats) -> Floats:
        """Return the tail score of each value, 0 of those that cannot have one."""
        from_median_N = (np.log1p(values_N) if self.logarithm else values_N) - self.median
        scores_N = np.zeros(len(values_N))
        for width, on_side_N in ((self.below, from_median_N < 0), (self.above, from_median_N > 0)):
            if width > 0:
                scores_N[on_side_N] = np.abs(from_median_N[on_side_N]) / width
        return scores_N

    def bounds(self, limit: float) -> tuple[float, float]:
        """Return the values whose tail score is *limit*; of a tail without width the last value that was there.

        They are rounded outwards, by what was lost in adding and then to the next float32, so that a row at the limit
        is within them; they are finite.
        """
        ends = [self.least, self.greatest]
        for side, (width, outwards) in enumerate(((self.below, -1), (self.above, 1))):
            if width > 0:
                lost = 4 * float(np.finfo(np.float64).eps) * (abs(self.median) + limit * width)
                end = self.median + outwards * (limit * width + lost)
                end = max(0.0, float(np.expm1(min(end, _LOG_MOST)))) if self.logarithm else end
                # Towards the greatest finite value: where a tail reaches further, any finite value is within.
                rounded = np.nextafter(np.clip(np.float64(end), -_MOST, _MOST).astype(np.float32), outwards * _MOST)
                ends[side] = 0.0 if self.logarithm and end == 0 else float(rounded)
        return ends[0], ends[1]
