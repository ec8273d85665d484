"""Sums, differences, products and quotients of values and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orita.features.transforms.contract import known, number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from orita.features.schema import Kind

__all__ = ["Arithmetic", "Operator"]

Operator = Literal["+", "-", "*", "/"]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """One operation of IEEE 754 on float64; a division by 0 is missing, and so is what has no value, such as ∞ − ∞.

    Attributes:
        operator: which.
        left: the number on the left, None: a value of the row.
        right: the number on the right, None: a value of the row.
    """

    operator: Operator
    left: float | None = None
    right: float | None = None

    @property
    def kind(self) -> Kind:
        """A number."""
        return "number"

    @property
    def cardinality(self) -> int:
        """No category."""
        return 0

    def apply(self, *values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the result, [N]."""
        import numpy as np

        left = values[0] if self.left is None else self.left
        right = values[-1] if self.right is None else self.right
        with np.errstate(all="ignore"):
            match self.operator:
                case "+":
                    result_N = left + right
                case "-":
                    result_N = left - right
                case "*":
                    result_N = left * right
                case "/":
                    result_N = left / np.where(np.equal(right, 0), np.nan, right)
        return np.asarray(result_N, np.float64)

    def sql(self, *values: str) -> str:
        """Return the result as SQL."""
        left = values[0] if self.left is None else number(self.left)
        right = values[-1] if self.right is None else number(self.right)
        divisor = f"nullif({right}, {number(0)})" if self.operator == "/" else right
        return known(f"({left} {self.operator} {divisor})")
