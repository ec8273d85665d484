"""Asking a loaded model for the answers that its package keeps: what a model cannot answer is a refusal too.

Checksums and forms do not tell whether a graph fits the ids, the tokens or the arrays beside it; an answer does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError

__all__ = ["answering", "furthest"]


@contextmanager
def answering(folder: Path) -> Iterator[None]:
    """Turn a failure of the package at *folder* to answer into one sentence.

    Raises:
        UserError: onnxruntime or NumPy could not go on with what the package holds.
    """
    try:
        yield
    except Exception as error:
        ours = isinstance(error, UserError)
        if ours or not (isinstance(error, ValueError | IndexError) or type(error).__module__.startswith("onnxruntime")):
            raise
        said = ascii(" ".join(str(error).split()))[1:-1][:300]
        raise UserError(
            f"{folder} cannot answer its own sample ({said}): its files do not belong together, fetch or write the "
            "package again."
        ) from None


def furthest(found: npt.NDArray[np.float32], kept: npt.NDArray[np.float32]) -> float:
    """Return the largest difference of two answers of one shape; infinite where one is no number, or shapes differ."""
    if found.shape != kept.shape:
        return math.inf
    with np.errstate(invalid="ignore"):  # inf - inf
        difference = float(np.max(np.abs(found - kept), initial=0.0))
    return math.inf if math.isnan(difference) else difference
