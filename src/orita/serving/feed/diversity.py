"""How an item is held back by those shown just before it: maximal marginal relevance, determinantal point processes.

Both choose greedily, a position after the other, the item with the most of

    (1 − s) · relevance + s · novelty

where s is the strength. For ``mmr`` novelty is −max of the item's similarity to the last w items shown (Carbonell &
Goldstein, 1998: The use of MMR, diversity-based reranking). For ``dpp`` it is the logarithm of what the item adds to
the volume that these span, log det L(W ∪ i) − log det L(W): greedy MAP inference for a determinantal point process
(Chen, Zhang & Zhou, 2018: Fast greedy MAP inference for determinantal point process to improve recommendation
diversity) in a sliding window. MMR looks at the nearest neighbour alone, a DPP at all of them together.

Legend: C candidates, E numbers of a vector, W items in the window.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from orita.serving.feed.config import DiversityConfig

__all__ = ["Determinantal", "Diversity", "MarginalRelevance", "diversity_of"]

Floats = npt.NDArray[np.float32]

_LIKENESS = 0.9  # of two items with equal vectors to a DPP: those of 1 would span nothing at all


class Diversity(Protocol):
    """What is shown so far, and what that says of the candidates."""

    def novelty(self) -> Floats:
        """Return ``novelty_C``: 0 for what is unlike all in the window, the less the more alike."""
        ...

    def show(self, candidate: int) -> None:
        """Let *candidate* be shown next."""
        ...


class MarginalRelevance:
    """Novelty as MMR has it.

    Args:
        vector_CE: of length 1, or 0 for items of which nothing is known; similarity is their product.
        window: W.
    """

    def __init__(self, vector_CE: Floats, window: int) -> None:
        self._vector_CE = vector_CE
        self._alike_WC = np.zeros((window, len(vector_CE)), np.float32)
        self._shown = 0

    def novelty(self) -> Floats:
        """Return ``novelty_C``, in [−1, 0] for vectors without negative numbers."""
        return np.asarray(-self._alike_WC.max(axis=0))

    def show(self, candidate: int) -> None:
        """Let *candidate* be shown next."""
        alike_C = self._alike_WC[self._shown % len(self._alike_WC)]
        np.matmul(self._vector_CE, self._vector_CE[candidate], out=alike_C)
        self._shown += 1


class Determinantal:
    """Novelty as a determinantal point process has it; see `MarginalRelevance` for the arguments."""

    def __init__(self, vector_CE: Floats, window: int) -> None:
        self._vector_CE = vector_CE
        self._alike_WC = np.zeros((window, len(vector_CE)), np.float32)
        self._window = np.zeros(window, np.intp)
        self._shown = 0

    def novelty(self) -> Floats:
        """Return ``novelty_C``, the logarithm of the variance that the window leaves unexplained, at most 0."""
        filled = min(self._shown, len(self._window))
        if not filled:
            return np.zeros(len(self._vector_CE), np.float32)
        alike_WC = self._alike_WC[:filled]
        kernel_WW = alike_WC[:, self._window[:filled]]
        np.fill_diagonal(kernel_WW, 1.0)
        explained_C = (alike_WC * (np.linalg.inv(kernel_WW) @ alike_WC)).sum(axis=0)
        return np.asarray(np.log(np.maximum(1.0 - explained_C, 1.0 - _LIKENESS)), np.float32)

    def show(self, candidate: int) -> None:
        """Let *candidate* be shown next."""
        place = self._shown % len(self._window)
        self._alike_WC[place] = _LIKENESS * (self._vector_CE @ self._vector_CE[candidate])
        self._window[place] = candidate
        self._shown += 1


def diversity_of(config: DiversityConfig, vector_CE: Floats) -> Diversity | None:
    """Return what *config* asks for, None where relevance alone counts."""
    if config.method == "off" or config.strength == 0 or not vector_CE.shape[1]:
        return None
    kind = MarginalRelevance if config.method == "mmr" else Determinantal
    return kind(vector_CE, config.window)
