"""The best few of many scores.

Legend: Q queries, I items, K best items.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError

__all__ = ["best", "check_k"]

Floats = npt.NDArray[np.float32]


def check_k(k: int) -> None:
    """Refuse a number of items that is none.

    Raises:
        UserError: *k* is below 1.
    """
    if k < 1:
        raise UserError(f"k has the value {k}, allowed are whole numbers from 1; ask for at least one item.")


def best(scores_QI: Floats, k: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return ``rows_QK`` and ``scores_QK`` of the *k* highest scores of each query, falling; ties by the row.

    With fewer than *k* columns the rest is row 0 with −inf.
    """
    width = min(k, scores_QI.shape[1])
    rows_QK = np.zeros((len(scores_QI), k), np.int64)
    found_QK = np.full((len(scores_QI), k), -np.inf, np.float32)
    if width == 0 or len(scores_QI) == 0:
        return rows_QK, found_QK
    part_QK = np.sort(np.argpartition(scores_QI, -width, axis=1)[:, -width:], axis=1)
    values_QK = np.take_along_axis(scores_QI, part_QK, 1)
    order_QK = np.argsort(-values_QK, axis=1, kind="stable")
    rows_QK[:, :width] = np.take_along_axis(part_QK, order_QK, 1)
    found_QK[:, :width] = np.take_along_axis(values_QK, order_QK, 1)
    return rows_QK, found_QK
