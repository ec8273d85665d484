"""Candidates in the order in which they are shown, a position after the other.

At each position stands, of the candidates that are left: the best one that a rule pins there; else the best one that
no cap blocks; else, where caps block all that are left, the best one. *Best* is most of relevance and novelty together.
What the user has seen comes after all that is new, except where a rule pins it.

Legend: C candidates, K of them that are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from orita.serving.feed.caps import Caps
from orita.serving.feed.diversity import Diversity

__all__ = ["Arranger"]

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

_NEVER = np.float32(-np.inf)


@dataclass(frozen=True, slots=True)
class Arranger:
    """How the candidates of one feed are put in order; used once.

    Attributes:
        seen_C: which of them come last.
        caps: which may not stand next.
        pins: by position from 0, which candidates a rule would have there.
        diversity: what is shown so far; None: relevance alone counts.
        strength: of diversity, 0 to 1.
    """

    seen_C: Flags
    caps: Caps | None = None
    pins: Mapping[int, Flags] = field(default_factory=dict)
    diversity: Diversity | None = None
    strength: float = 0.0

    def order(self, value_C: Floats, count: int) -> Places:
        """Return ``place_K``, which candidates are shown in which order, each once.

        Args:
            value_C: how good each is, 0 or more; equals keep their order.
            count: K, or as many as there are.
        """
        count = min(count, len(value_C))
        if self.caps is None and self.diversity is None and not self.pins:
            return np.lexsort((-value_C, self.seen_C))[:count]
        highest = float(value_C.max(initial=0.0))
        relevance_C = np.float32(1 - self.strength) * (value_C / highest if highest > 0 else value_C)
        left = _Left(relevance_C, self.seen_C)
        shown: list[int] = []
        for position in range(count):
            chosen = self._chosen(position, left)
            left.take(chosen)
            shown.append(chosen)
            if self.caps is not None:
                self.caps.show(chosen)
            if self.diversity is not None:
                self.diversity.show(chosen)
        return np.array(shown, np.intp)

    def _chosen(self, position: int, left: _Left) -> int:
        novelty_C = (
            np.float32(self.strength) * self.diversity.novelty() if self.diversity is not None else np.float32(0)
        )
        if position in self.pins:
            gain_C = np.where(self.pins[position], left.relevance_C + novelty_C, _NEVER)
            best = int(gain_C.argmax())
            if gain_C[best] > _NEVER:
                return best
        gain_C = left.eligible_C + novelty_C
        if self.caps is not None:
            allowed_C = self.caps.allowed(gain_C)
            best = int(allowed_C.argmax())
            if allowed_C[best] > _NEVER:
                return best
        return int(gain_C.argmax())


class _Left:
    """Candidates that were not shown yet.

    Attributes:
        relevance_C: of each, −inf of those that were shown.
        eligible_C: the same, and −inf of those that were seen while one is left that was not.
    """

    def __init__(self, relevance_C: Floats, seen_C: Flags) -> None:
        self.relevance_C = relevance_C
        self._new = int(np.count_nonzero(~seen_C))
        self._seen_C = seen_C
        self.eligible_C = np.where(seen_C, _NEVER, relevance_C) if self._new else relevance_C

    def take(self, candidate: int) -> None:
        """Let *candidate* be shown."""
        self.relevance_C[candidate] = self.eligible_C[candidate] = _NEVER
        self._new -= not self._seen_C[candidate]
        if self._new == 0:
            self.eligible_C = self.relevance_C
