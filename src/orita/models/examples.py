"""Rows to learn from or to judge on.

Legend: N rows, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
        outcomes: what else happened, by name: float32 [N], 0 or more in its own unit, NaN where it is not known.
        label: what ``y_N`` is called.
    """

    schema: FeatureSchema
    users_N: Ids
    items_N: Ids
    x_NF: npt.NDArray[np.float32]
    y_N: npt.NDArray[np.float32]
    time_N: npt.NDArray[np.int64]
    outcomes: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict, kw_only=True)
    label: str = field(default="click", kw_only=True)

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
            outcomes={name: told_N[rows] for name, told_N in self.outcomes.items()},
            label=self.label,
        )

    def select(self, *names: str) -> Examples:
        """Return these rows with the named features alone, in the given order.

        Raises:
            NotFound: there is no such feature.
        """
        places = [self.schema.index(name) for name in names]
        schema = FeatureSchema(tuple(self.schema.columns[place] for place in places))
        return replace(self, schema=schema, x_NF=np.ascontiguousarray(self.x_NF[:, places]))

    def and_then(self, others: Examples) -> Examples:
        """Return these rows and then *others*, which have the same features; outcomes are those that both have."""
        return Examples(
            self.schema,
            np.concatenate([self.users_N, others.users_N]),
            np.concatenate([self.items_N, others.items_N]),
            np.concatenate([self.x_NF, others.x_NF]),
            np.concatenate([self.y_N, others.y_N]),
            np.concatenate([self.time_N, others.time_N]),
            outcomes={
                name: np.concatenate([told_N, others.outcomes[name]])
                for name, told_N in self.outcomes.items()
                if name in others.outcomes
            },
            label=self.label,
        )
