"""The hour and the weekday of a time, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orita.features.declaring.windows import MICROS_PER_DAY
from orita.features.transforms.contract import known, number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from orita.features.schema import Kind

__all__ = ["Calendar"]

_HOUR = MICROS_PER_DAY // 24
_MONDAY = 3 * MICROS_PER_DAY  # from the last Monday before it to the Unix epoch, a Thursday


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which hour (0 … 23) of the day or which day (Monday = 0) of the week a time is in.

    Times are microseconds since the Unix epoch; remainders come first, as they are exact and quotients are not.
    """

    part: Literal["hour", "weekday"]

    @property
    def kind(self) -> Kind:
        """A category."""
        return "category"

    @property
    def cardinality(self) -> int:
        """24 hours, or 7 days."""
        return 24 if self.part == "hour" else 7

    @property
    def _units(self) -> tuple[int, int, int]:
        """Return after how long it begins again, how long each takes, and how far into the first the epoch is."""
        return (MICROS_PER_DAY, _HOUR, 0) if self.part == "hour" else (7 * MICROS_PER_DAY, MICROS_PER_DAY, _MONDAY)

    def apply(self, *values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the hour or day, [N]."""
        import numpy as np

        cycle, unit, start = self._units
        with np.errstate(invalid="ignore"):  # ∞ has neither
            into_N = np.fmod(np.fmod(values[0], cycle) + (cycle + start), cycle)
        return np.asarray(np.floor(into_N / unit))

    def sql(self, *values: str) -> str:
        """Return the same as SQL."""
        cycle, unit, start = self._units
        into = f"(({values[0]} % {number(cycle)} + {number(cycle + start)}) % {number(cycle)})"
        # floor() of a DOUBLE is a BIGINT in Spark.
        return known(f"CAST(floor({known(into)} / {number(unit)}) AS DOUBLE)")
