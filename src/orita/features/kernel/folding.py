"""The folds that suit how events are seen: ranges of events (`folds`), or spans of rows (`span_folds`)."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from orita.features.kernel import folds, span_folds
from orita.features.kernel.folds import Moments
from orita.features.kernel.grouping import Positions
from orita.features.kernel.halves import Floats, Integers
from orita.features.kernel.ranges import Ranges
from orita.features.kernel.spans import Spans

__all__ = ["Folds", "Sight", "folds_of"]

Sight = Ranges | Spans
"""Which events each row sees."""

_Array = npt.NDArray[np.generic]


class Folds(Protocol):
    """What both have; the last argument, but for `edge`, is the sight."""

    def count(self, seen: Any, /) -> Integers:
        """Return how many values each row sees."""
        ...

    def total(self, value_E: _Array, seen: Any, /) -> Floats:
        """Return the sum of each row's values; of integers the exact sum, rounded once."""
        ...

    def words(self, value_E: Integers, seen: Any, /) -> tuple[Integers, Integers]:
        """Return the exact sum of each row's values as high · 2³² + low, with low in [0, 2³²)."""
        ...

    def maximum(self, value_E: Floats, seen: Any, /) -> Floats:
        """Return the largest of each row's values."""
        ...

    def moments(self, value_E: Floats, seen: Any, /) -> Moments:
        """Return the moments of each row's values."""
        ...

    def edge(self, value_E: _Array, seen: Any, /, *, last: bool) -> Floats:
        """Return the first or the last of each row's values."""
        ...

    def distinct(self, code_E: Positions, kinds: int, seen: Any, /) -> Integers:
        """Return how many different codes, each in [0, *kinds*), each row sees."""
        ...

    def decayed(self, value_E: Floats, time_E: Integers, half_life: float, seen: Any, /) -> Floats:
        """Return the sum of each row's values, faded to the latest of them."""
        ...

    def quantile(self, value_E: Floats, share: float, seen: Any, /) -> Floats:
        """Return a quantile of each row's values."""
        ...


def folds_of(sight: Sight) -> Folds:
    """Return the folds for *sight*."""
    return span_folds if isinstance(sight, Spans) else folds
