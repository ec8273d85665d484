"""What every peer shares: the model, and what it is fed; nothing of Orita's path.

A folder holds ``model.onnx``, the ids that the model knows (``users.npy``, ``items.npy``), and ``features.npy``,
a row of features for each item id: peers have no feature store, so they look features up by item.

Legend: N items of a request, F features.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

__all__ = ["Scorer"]


class Scorer:
    """Scores the items of one user with ONNX Runtime on one thread.

    Args:
        folder: as above.
    """

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        shapes = {given.name: given.shape for given in self._session.get_inputs()}
        self._x_IF = np.load(folder / "features.npy")
        self._users, self._items = (self._rows_of(folder / f"{name}.npy", shapes, name) for name in ("users", "items"))
        self._one_user = shapes.get("users", [None])[0] == "U"

    @staticmethod
    def _rows_of(file: Path, shapes: dict[str, Any], name: str) -> npt.NDArray[np.int64] | None:
        """Return the row of the model's table for each id, 0 for ids that it does not know."""
        if name not in shapes:
            return None
        known_V = np.load(file)
        row_I = np.zeros(known_V.max(initial=0) + 1, np.int64)
        row_I[known_V] = np.arange(1, len(known_V) + 1)
        return row_I

    def ranked(self, user_id: int, item_ids: list[int]) -> list[tuple[int, float]]:
        """Return the items with their scores, best first."""
        item_N = np.array(item_ids)
        feeds = {"features": self._x_IF[item_N]}
        if self._users is not None:
            row = self._users[user_id : user_id + 1] if user_id < len(self._users) else np.zeros(1, np.int64)
            feeds["users"] = row if self._one_user else row.repeat(len(item_N))
        if self._items is not None:
            feeds["items"] = self._items.take(item_N, mode="clip")
        scores_N = self._session.run(None, feeds)[0]
        order_N = np.argsort(-scores_N, kind="stable")
        return list(zip(item_N[order_N].tolist(), scores_N[order_N].tolist(), strict=True))
