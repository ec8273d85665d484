"""Numbers as the interval that they fall in."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from orita.core.errors import UserError
from orita.features.transforms.contract import number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from orita.features.schema import Kind

__all__ = ["Bucket"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """The number of *edges* that the value has reached: 0 below the first, i from edge i on, with the edge."""

    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        pairs = zip(self.edges, self.edges[1:], strict=False)
        if not self.edges or not all(map(isfinite, self.edges)) or any(low >= high for low, high in pairs):
            raise UserError(
                f"bucket{self.edges} needs one edge or more, each a finite number greater than the one before it."
            )

    @property
    def kind(self) -> Kind:
        """A category."""
        return "category"

    @property
    def cardinality(self) -> int:
        """The intervals: one more than the edges."""
        return len(self.edges) + 1

    def apply(self, *values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the number of the interval, [N]."""
        import numpy as np

        return np.where(np.isnan(values[0]), np.nan, np.searchsorted(self.edges, values[0], side="right"))

    def sql(self, *values: str) -> str:
        """Return the same as SQL."""
        below = " ".join(f"WHEN {values[0]} < {number(edge)} THEN {number(i)}" for i, edge in enumerate(self.edges))
        return f"CASE WHEN {values[0]} IS NOT NULL THEN CASE {below} ELSE {number(len(self.edges))} END END"
