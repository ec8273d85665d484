"""What a transform is: a function of the values of a row, told to NumPy and to SQL.

A missing value is NaN in an array and null in SQL, and a NaN never leaves `Transform.sql`. Only what DuckDB and Spark
SQL (ANSI mode on) have in common is written: ``%`` is the remainder with the sign of the dividend, exact, in both;
``nullif(x, NaN)`` holds in both, as NaN equals NaN there; ``greatest`` and ``least`` skip null in both, so that they
are not used; the logarithm of 0 is an error in one and null in the other, so that it is never asked for. Numbers are
written as casts of texts, as ``0.1`` alone would be a decimal in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from orita.features.schema import Kind

__all__ = ["Transform", "known", "number"]


class Transform(Protocol):
    """A function of one or more values of a row; a frozen dataclass, whose ``repr`` is its meaning."""

    @property
    def kind(self) -> Kind:
        """What comes out: a number, a count, a flag or a category."""
        ...

    @property
    def cardinality(self) -> int:
        """Number of values of a category, else 0."""
        ...

    def apply(self, *values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the result of each row; inputs are [N] or [1], NaN where missing, and are left as they are."""
        ...

    def sql(self, *values: str) -> str:
        """Return the same as an SQL expression of DOUBLEs, null where missing; each of *values* may be repeated."""
        ...


def number(value: float) -> str:
    """Return *value* as an SQL DOUBLE, to the last bit.

    >>> number(0.1)
    "CAST('0.1' AS DOUBLE)"
    """
    return f"CAST('{float(value)!r}' AS DOUBLE)"


def known(expression: str) -> str:
    """Return *expression* with null instead of NaN."""
    return f"nullif({expression}, CAST('NaN' AS DOUBLE))"
