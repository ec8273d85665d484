"""Did a rate or a mean change just now? Detectors that see one number at a time and keep bounded state.

Both answer ``update(value) -> bool``, true at the step at which a change is called, and begin anew after it.
"""

from __future__ import annotations

import math
from typing import Protocol

from orita.core.errors import UserError

__all__ = ["Adwin", "OnlineDetector", "PageHinkley"]


class OnlineDetector(Protocol):
    """Sees a stream, one number at a time."""

    def update(self, value: float) -> bool:
        """Take *value*; return whether the stream changed."""
        ...


class Adwin:
    """Adaptive windowing: a window that shrinks when its older and newer parts differ.

    The window is kept as buckets of 1, 2, 4, … values, so state and the cost of a step grow with the logarithm of its
    length. Each cut of the window is tested with the variance of the window and Bernstein's term for rare values.

    Args:
        delta: chance of a false alarm at a single cut, within (0, 1); neighbouring cuts and steps agree mostly, so that
            the default alarms less than once in 100,000 steps of an unchanged stream.
        spread: difference of the largest and the smallest value of the stream, > 0; 1 for rates.
        clock: cuts are tried every so many steps, ≥ 1.
        least: values before a cut is tried, and on each side of it, ≥ 1.
        most: values that the window may hold; older ones leave it.

    Raises:
        UserError: an argument is out of its range, or a value is not finite.

    Source: Bifet and Gavaldà (2007), Learning from time-changing data with adaptive windowing (ADWIN2).
    """

    _BUCKETS = 5

    def __init__(
        self, delta: float = 0.0012, *, spread: float = 1.0, clock: int = 32, least: int = 30, most: int = 1 << 20
    ) -> None:
        if not 0 < delta < 1:
            raise UserError(f"delta is {delta:g}: give a chance between 0 and 1, such as 0.0012.")
        if not 0 < spread < math.inf:
            raise UserError(f"spread is {spread:g}: give the range of the stream, such as 1 for a rate.")
        for name, given in (("clock", clock), ("least", least), ("most", most)):
            if given < 1:
                raise UserError(f"{name} is {given}: give 1 or more.")
        self._delta, self._range, self._clock, self._least, self._most = delta, spread, clock, least, most
        self._steps = self._size = 0
        # Rows of buckets, small first; each bucket is (count, mean, sum of squared deviations), newest last.
        self._rows: list[list[tuple[float, float, float]]] = [[]]

    @property
    def size(self) -> int:
        """Values in the window."""
        return self._size

    @property
    def mean(self) -> float:
        """Mean of the window, NaN before the first value."""
        count, mean, _ = _joined([bucket for row in self._rows for bucket in row])
        return mean if count else math.nan

    def update(self, value: float) -> bool:
        """Take *value*; return whether the window's older part was dropped because it differs from the newer."""
        _check(value)
        self._steps += 1
        self._size += 1
        self._rows[0].append((1.0, float(value), 0.0))
        self._compress()
        if self._steps % self._clock or self.size < 2 * self._least:
            return False
        changed = False
        while self._cut():
            changed = True
        return changed

    def _compress(self) -> None:
        for k, row in enumerate(self._rows):
            if len(row) <= self._BUCKETS:
                break
            if k + 1 == len(self._rows):
                self._rows.append([])
            self._rows[k + 1].append(_joined(row[:2]))
            del row[:2]
        while self.size > self._most:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._size -= int(self._rows[-1].pop(0)[0])
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()

    def _cut(self) -> bool:
        oldest_first = [bucket for row in reversed(self._rows) for bucket in row]
        total, mean, squares = _joined(oldest_first)
        if total < 2 * self._least:
            return False
        variance = squares / total
        log = math.log(2 / self._delta)
        before, sum_before = 0.0, 0.0
        for count, bucket_mean, _ in oldest_first[:-1]:
            before += count
            sum_before += count * bucket_mean
            after = total - before
            if min(before, after) < self._least:
                continue
            gap = abs(sum_before / before - (total * mean - sum_before) / after)
            harmonic = 1 / (1 / before + 1 / after)
            if gap > math.sqrt(2 * variance * log / harmonic) + self._range * log / 3 / harmonic:
                self._drop_oldest()
                return True
        return False


class PageHinkley:
    """Page and Hinkley's test: the cumulative excess over the running mean, in both directions.

    Args:
        delta: change of the mean, in standard deviations of the stream, that is let pass, ≥ 0.
        threshold: excess, in standard deviations, at which a change is called, > 0; larger is later and surer.
        least: values before a change may be called, ≥ 2; the mean and the deviation are learnt from all values.

    Raises:
        UserError: an argument is out of its range, or a value is not finite.

    Source: Page (1954), Continuous inspection schemes; Hinkley (1971).
    """

    def __init__(self, *, delta: float = 0.07, threshold: float = 66.0, least: int = 100) -> None:
        if delta < 0:
            raise UserError(f"delta is {delta:g}: give 0 or more standard deviations.")
        if threshold <= 0:
            raise UserError(f"threshold is {threshold:g}: give more than 0 standard deviations.")
        if least < 2:
            raise UserError(f"least is {least}: give 2 or more.")
        self._delta, self._threshold, self._least = delta, threshold, least
        self._begin()

    def _begin(self) -> None:
        self._count, self._mean, self._squares, self._up, self._down = 0, 0.0, 0.0, 0.0, 0.0

    def update(self, value: float) -> bool:
        """Take *value*; return whether the mean changed."""
        _check(value)
        self._count += 1
        gap = value - self._mean
        self._mean += gap / self._count
        self._squares += gap * (value - self._mean)
        spread = math.sqrt(self._squares / self._count)
        if self._count < self._least or spread == 0:
            return False
        z = (value - self._mean) / spread
        self._up = max(0.0, self._up + z - self._delta)
        self._down = max(0.0, self._down - z - self._delta)
        if max(self._up, self._down) > self._threshold:
            self._begin()
            return True
        return False


def _joined(buckets: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    count, mean, squares = 0.0, 0.0, 0.0
    for n, m, s in buckets:
        gap, total = m - mean, count + n
        squares += s + gap**2 * count * n / total
        mean += gap * n / total
        count = total
    return count, mean, squares


def _check(value: float) -> None:
    if not math.isfinite(value):
        raise UserError(f"the stream holds {value}: give finite numbers, and count missing ones apart.")
