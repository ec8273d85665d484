"""The flag that a value is a certain one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orita.features.transforms.contract import number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from orita.features.schema import Kind

__all__ = ["Equals"]


@dataclass(frozen=True, slots=True)
class Equals:
    """1 where the value, or the number of a category, is *code*, else 0, also where it is missing."""

    code: float

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

        return np.asarray(values[0] == self.code, np.float64)

    def sql(self, *values: str) -> str:
        """Return the same as SQL."""
        return f"CASE WHEN {values[0]} = {number(self.code)} THEN {number(1)} ELSE {number(0)} END"
