"""Numbers moved and stretched by declared amounts; amounts that are learned belong to a model's preparation."""

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

__all__ = ["Scale", "min_max", "standardise"]


@dataclass(frozen=True, slots=True)
class Scale:
    """(x − *origin*) ÷ *unit*."""

    origin: float
    unit: float

    @property
    def kind(self) -> Kind:
        """A number."""
        return "number"

    @property
    def cardinality(self) -> int:
        """No category."""
        return 0

    def apply(self, *values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the number, [N]."""
        import numpy as np

        with np.errstate(over="ignore"):  # it is ∞ then
            return np.asarray((values[0] - self.origin) / self.unit)

    def sql(self, *values: str) -> str:
        """Return the same as SQL."""
        return f"(({values[0]} - {number(self.origin)}) / {number(self.unit)})"


def min_max(low: float, high: float) -> Scale:
    """Return what makes 0 of *low* and 1 of *high*.

    Raises:
        UserError: *high* is not above *low*.
    """
    if not (isfinite(low) and isfinite(high - low) and low < high):
        raise UserError(f"min_max({low}, {high}) needs two finite numbers, the second above the first.")
    return Scale(low, high - low)


def standardise(mean: float, std: float) -> Scale:
    """Return what makes 0 of *mean* and 1 of what is *std* above it.

    Raises:
        UserError: *std* is not above 0.
    """
    if not (isfinite(mean) and isfinite(std) and std > 0):
        raise UserError(f"standardise(mean={mean}, std={std}) needs finite numbers, and std above 0.")
    return Scale(mean, std)
