"""Several categories as one, by a hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orita.core.errors import UserError
from orita.features.transforms.contract import known, number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from orita.features.schema import Kind

__all__ = ["Cross"]

_PRIME = 67_108_859  # 2²⁶ − 5, which is 2 mod 3: cubes are different where numbers are
_FACTOR = 41_475_556  # _PRIME ÷ the golden ratio
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Cross:
    """The bucket of a combination of whole numbers, missing where one of them is.

    With p = 2²⁶ − 5 and a = 41,475,556 the hash of x₁ … xₖ is h³ mod p, where h begins with 0 and becomes
    (a·h + xᵢ + 1) mod p for each (Carter and Wegman 1979, "Universal classes of hash functions"); the bucket is its
    remainder by *buckets*. All of it is exact in float64, so that every engine and every run agrees.
    """

    buckets: int

    def __post_init__(self) -> None:
        if not 2 <= self.buckets <= _MOST:
            raise UserError(f"cross(buckets={self.buckets}): allowed are 2 to {_MOST}.")

    @property
    def kind(self) -> Kind:
        """A category."""
        return "category"

    @property
    def cardinality(self) -> int:
        """The buckets."""
        return self.buckets

    def apply(self, *values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the bucket, [N]."""
        import numpy as np

        hash_N = np.zeros(1)
        with np.errstate(invalid="ignore"):  # ∞ has none
            for value_N in values:
                hash_N = np.fmod(hash_N * _FACTOR + (np.fmod(value_N, _PRIME) + (_PRIME + 1)), _PRIME)
            return np.asarray(np.fmod(np.fmod(np.fmod(hash_N * hash_N, _PRIME) * hash_N, _PRIME), self.buckets))

    def sql(self, *values: str) -> str:
        """Return the same as SQL."""
        prime = number(_PRIME)
        made = number(0)
        for value in values:
            made = f"(({made} * {number(_FACTOR)} + ({value} % {prime} + {number(_PRIME + 1)})) % {prime})"
        return known(f"({made} * {made} % {prime} * {made} % {prime} % {number(self.buckets)})")
