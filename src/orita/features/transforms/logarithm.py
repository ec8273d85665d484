"""Natural logarithms."""

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

__all__ = ["Log"]


@dataclass(frozen=True, slots=True)
class Log:
    """ln(1 + x), missing where x ≤ −1; with a floor f > 0, ln(max(x, f)), so that also 0 and less have one: ln f.

    The sum 1 + x is rounded before its logarithm is taken, as not every SQL has a function for both: the result is
    within 2⁻⁵³ of the exact one. Engines agree within two units in the last place.
    """

    floor: float | None = None

    def __post_init__(self) -> None:
        if self.floor is not None and not (isfinite(self.floor) and self.floor > 0):
            raise UserError(f"log(floor={self.floor}) needs a finite floor above 0; without a floor it is ln(1 + x).")

    @property
    def kind(self) -> Kind:
        """A number."""
        return "number"

    @property
    def cardinality(self) -> int:
        """No category."""
        return 0

    def apply(self, *values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the logarithm, [N]."""
        import numpy as np

        if self.floor is not None:
            return np.asarray(np.log(np.maximum(values[0], self.floor)))
        above_N = 1 + values[0]
        return np.asarray(np.log(np.where(above_N > 0, above_N, np.nan)))

    def sql(self, *values: str) -> str:
        """Return the same as SQL."""
        x = values[0]
        if self.floor is not None:
            return f"ln(CASE WHEN {x} < {number(self.floor)} THEN {number(self.floor)} ELSE {x} END)"
        above = f"({number(1)} + {x})"
        return f"ln(CASE WHEN {above} > {number(0)} THEN {above} END)"
