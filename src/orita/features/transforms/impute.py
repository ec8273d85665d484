"""A number for what is missing, and the flag that something was."""

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

__all__ = ["Impute", "Missing"]


@dataclass(frozen=True, slots=True)
class Impute:
    """The value, and *constant* where it is missing."""

    constant: float

    def __post_init__(self) -> None:
        if not isfinite(self.constant):
            raise UserError(f"impute({self.constant}) needs a finite number.")

    @property
    def kind(self) -> Kind:
        """A number."""
        return "number"

    @property
    def cardinality(self) -> int:
        """No category."""
        return 0

    def apply(self, *values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the value or the constant, [N]."""
        import numpy as np

        return np.where(np.isnan(values[0]), self.constant, values[0])

    def sql(self, *values: str) -> str:
        """Return the same as SQL."""
        return f"coalesce({values[0]}, {number(self.constant)})"


@dataclass(frozen=True, slots=True)
class Missing:
    """1 where the value is missing, else 0; itself never missing."""

    @property
    def kind(self) -> Kind:
        """A flag."""
        return "flag"

    @property
    def cardinality(self) -> int:
        """No category."""
        return 0

    def apply(self, *values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the flag, [N]."""
        import numpy as np

        return np.isnan(values[0]).astype(np.float64)

    def sql(self, *values: str) -> str:
        """Return the same as SQL."""
        return f"CASE WHEN {values[0]} IS NULL THEN {number(1)} ELSE {number(0)} END"
