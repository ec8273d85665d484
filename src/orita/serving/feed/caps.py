"""At most so many alike in a row of so many: which candidates may stand at the next position.

Legend: C candidates, V values of an attribute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Cap", "Caps"]

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


class Cap:
    """One cap, and what was shown within its window.

    Args:
        flag_CV: 1 for each value that a candidate has.
        most: of a value.
        window: items in a row; the next one is the last of them.
    """

    def __init__(self, flag_CV: Floats, most: int, window: int) -> None:
        self._flag_CV, self._most = flag_CV, most
        self._before: deque[int] = deque()
        self._length = window - 1
        self._count_V = np.zeros(flag_CV.shape[1], np.float32)

    def blocked(self) -> Flags | None:
        """Return which candidates would be one too many, None where none would."""
        full_V = self._count_V >= self._most
        return np.asarray(self._flag_CV[:, full_V].any(axis=1)) if full_V.any() else None

    def show(self, candidate: int) -> None:
        """Let *candidate* be shown next."""
        self._before.append(candidate)
        self._count_V += self._flag_CV[candidate]
        if len(self._before) > self._length:
            self._count_V -= self._flag_CV[self._before.popleft()]


class Caps:
    """All caps of a feed together."""

    def __init__(self, caps: Sequence[Cap]) -> None:
        self._caps = caps

    def allowed(self, gain_C: Floats) -> Floats:
        """Return *gain_C* with −inf for the candidates that a cap blocks."""
        for cap in self._caps:
            blocked_C = cap.blocked()
            if blocked_C is not None:
                gain_C = np.where(blocked_C, np.float32(-np.inf), gain_C)
        return gain_C

    def show(self, candidate: int) -> None:
        """Let *candidate* be shown next."""
        for cap in self._caps:
            cap.show(candidate)
