"""Rows to learn from or to judge on.

Legend: N rows, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.features.schema import FeatureSchema

__all__ = ["Examples", "Ids"]

Ids = npt.NDArray[np.int64] | npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Examples:
    """A block of scored rows, columnar.

    Attributes:
        schema: names and meaning of the columns of ``x_NF``.
        users_N: user ids, int64, or object array of str.
        items_N: item ids, likewise.
        x_NF: float32 features, NaN where missing.
        y_N: float32 labels, 0 or 1.
        time_N: int64 microseconds since the Unix epoch.
    """

    schema: FeatureSchema
    users_N: Ids
    items_N: Ids
    x_NF: npt.NDArray[np.float32]
    y_N: npt.NDArray[np.float32]
    time_N: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y_N)

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Examples:
        """Return the given rows, in the given order."""
        return Examples(
            self.schema,
            self.users_N[rows],
            self.items_N[rows],
            self.x_NF[rows],
            self.y_N[rows],
            self.time_N[rows],
        )
