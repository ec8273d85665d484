"""Two towers as arrays: what serves, in NumPy alone.

Legend: Q queries, I items, E embedding width, H hidden width.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from orita.core.errors import UserError
from orita.models.package.manifest import Contents
from orita.models.retrieval.arrays import read_arrays, write_arrays
from orita.models.retrieval.index import Floats

__all__ = ["Towers"]


@dataclass(frozen=True, slots=True)
class Towers:
    """A user tower, which reads histories, and the outputs of the item tower.

    Attributes:
        inputs_IE: what each item says in a history.
        hidden_EH, hidden_bias_H, out_HE, out_bias_E: the user tower's two layers.
        items_IE: the item vectors, of length 1.
    """

    inputs_IE: Floats
    hidden_EH: Floats
    hidden_bias_H: Floats
    out_HE: Floats
    out_bias_E: Floats
    items_IE: Floats

    def users(self, history_QI: Any) -> Floats:
        """Return ``users_QE``, of length 1: the tower of the weighted mean of a history's inputs."""
        total_Q = np.maximum(history_QI.sum(axis=1), 1e-12)
        mean_QE = np.asarray(history_QI @ self.inputs_IE, np.float32) / total_Q[:, None].astype(np.float32)
        hidden_QH = np.maximum(mean_QE @ self.hidden_EH + self.hidden_bias_H, 0.0)
        out_QE = hidden_QH @ self.out_HE + self.out_bias_E
        users_QE: Floats = out_QE / np.maximum(np.linalg.norm(out_QE, axis=1, keepdims=True), 1e-12)
        return users_QE

    def write(self, file: Path) -> None:
        """Write all arrays."""
        write_arrays(file, **asdict(self))

    @classmethod
    def read(cls, contents: Contents, name: str, items: int) -> Self:
        """Read what `write` wrote, for so many items.

        Raises:
            UserError: the file is damaged, of other items, or its layers do not fit together.
        """
        table, matrix, vector = ("f", (items, None)), ("f", (None, None)), ("f", (None,))
        layers = {"hidden_EH": matrix, "hidden_bias_H": vector, "out_HE": matrix, "out_bias_E": vector}
        arrays = read_arrays(contents, name, {"inputs_IE": table, **layers, "items_IE": table})
        width, hidden = arrays["hidden_EH"].shape
        expected = {
            "inputs_IE": (items, width),
            "hidden_bias_H": (hidden,),
            "out_HE": (hidden, width),
            "out_bias_E": (width,),
            "items_IE": (items, width),
        }
        for key, shape in expected.items():
            if arrays[key].shape != shape:
                raise UserError(
                    f"{contents.where(name)} holds {key!r} of shape {arrays[key].shape}, expected {shape}; "
                    "export it again."
                )
        return cls(**arrays)
