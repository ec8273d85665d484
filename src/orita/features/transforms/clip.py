"""Numbers held between bounds."""

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

__all__ = ["Clip"]


@dataclass(frozen=True, slots=True)
class Clip:
    """The value, *low* where it is less and *high* where it is more; None: no such bound."""

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if not bounds or not all(map(isfinite, bounds)) or bounds[0] > bounds[-1]:
            raise UserError(f"clip({self.low}, {self.high}) needs one finite bound or two, low ≤ high.")

    @property
    def kind(self) -> Kind:
        """A number."""
        return "number"

    @property
    def cardinality(self) -> int:
        """No category."""
        return 0

    def apply(self, *values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the value within the bounds, [N]."""
        import numpy as np

        return np.asarray(np.clip(values[0], self.low, self.high), np.float64)

    def sql(self, *values: str) -> str:
        """Return the same as SQL."""
        low = "" if self.low is None else f"WHEN {values[0]} < {number(self.low)} THEN {number(self.low)} "
        high = "" if self.high is None else f"WHEN {values[0]} > {number(self.high)} THEN {number(self.high)} "
        return f"CASE {low}{high}ELSE {values[0]} END"
