"""From logits to probabilities, in float64.

Legend: N rows, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["softmax"]


def softmax(logits_NK: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Return ``probabilities_NK``, whose rows sum to 1."""
    raised_NK = np.exp(logits_NK.astype(np.float64) - logits_NK.max(axis=1, keepdims=True, initial=-np.inf))
    shares_NK: npt.NDArray[np.float64] = raised_NK / raised_NK.sum(axis=1, keepdims=True)
    return shares_NK
