"""What is measured of a batch: shares of its rows, and figures with a variance, each with its name.

Legend: K signals, S shares, N rows.

A share is kept as the arcsine of its root, whose variance by chance is 1 / (4 n + 2) whatever the share is. Source:
Anscombe (1948), The transformation of Poisson, binomial and negative-binomial data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Measured", "Recorder", "Signal"]

Floats = npt.NDArray[np.float64]


class Signal(NamedTuple):
    """What one figure is of.

    Attributes:
        column: whose values; "" for the table as a whole.
        what: the kind of figure, such as ``missing``.
        detail: which one of several, such as a value; "" where there is one.
        other: the second column of a relation; "".
    """

    column: str
    what: str
    detail: str = ""
    other: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of a batch.

    Attributes:
        signals: what each is of.
        y_K: the figures, on a scale on which chance adds about normal noise; NaN where there is nothing to measure.
        variance_K: what chance alone adds, squared.
        counts_K: rows of a share; NaN for figures that are no shares.
        of_K: rows of which it is a share or a mean; 1 for other figures.
    """

    signals: tuple[Signal, ...]
    y_K: Floats
    variance_K: Floats
    counts_K: Floats
    of_K: Floats


@dataclass(slots=True)
class Recorder:
    """Collects figures in a fixed order."""

    signals: list[Signal] = field(default_factory=list)
    _parts: list[tuple[Floats, Floats, Floats, Floats]] = field(default_factory=list)

    def share(self, signal: Signal, count: float, of: float) -> None:
        """Add a share: *count* of *of* rows."""
        self.shares([signal], np.array([count], dtype=np.float64), of)

    def shares(self, signals: Iterable[Signal], counts_S: npt.NDArray[np.number], of: float | Floats) -> None:
        """Add several shares, of as many rows each, or of the same."""
        self.signals += signals
        rows_S: Floats = counts_S.astype(np.float64)
        of_S: Floats = np.full(len(rows_S), of, dtype=np.float64)
        y_S = np.where(of_S > 0, np.arcsin(np.sqrt((rows_S + 0.375) / (of_S + 0.75))), np.nan)
        self._parts.append((y_S, 1 / (4 * of_S + 2), rows_S, of_S))

    def figure(self, signal: Signal, value: float, variance: float) -> None:
        """Add a figure with what chance adds to it, squared."""
        self.signals.append(signal)
        self._parts.append((np.array([value]), np.array([variance]), np.array([np.nan]), np.ones(1)))

    def means(self, signals: Iterable[Signal], values_S: Floats, variances_S: Floats, of_S: Floats) -> None:
        """Add several means of *of_S* rows each; NaN where there are none."""
        self.signals += signals
        self._parts.append((values_S, variances_S, np.full(len(values_S), np.nan), of_S))

    def mean(self, signal: Signal, values_V: Floats) -> None:
        """Add the mean of some rows; nothing where there are fewer than two."""
        rows = len(values_V)
        value, variance = (values_V.mean(), values_V.var() / rows) if rows > 1 else (np.nan, np.nan)
        self.means([signal], np.array([value]), np.array([variance]), np.array([float(rows)]))

    def measured(self) -> Measured:
        """Return what was collected."""
        columns = zip(*self._parts, strict=True) if self._parts else ([], [], [], [])
        y_K, variance_K, counts_K, of_K = (np.concatenate([*each, np.empty(0)]) for each in columns)
        return Measured(tuple(self.signals), y_K, variance_K, counts_K, of_K)
