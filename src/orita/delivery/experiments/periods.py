"""Windows of metrics, in microseconds since a unit's first exposure."""

from __future__ import annotations

from orita.delivery.experiments.declarations import Metric
from orita.features.declaring.windows import MICROS_PER_DAY, duration_micros

__all__ = ["DAY", "closing_of", "window_of"]

DAY = MICROS_PER_DAY


def window_of(metric: Metric) -> tuple[int, int]:
    """Return from and until when outcomes of a metric count; the end is not included."""
    if metric.day is not None:
        return metric.day * DAY, (metric.day + 1) * DAY
    assert metric.window is not None, "a checked metric has a window or a day"
    return 0, duration_micros(metric.window, "window")


def closing_of(metric: Metric) -> int:
    """Return when a unit's outcome is final: the end of the window, and how late an outcome may become known."""
    return window_of(metric)[1] + duration_micros(metric.late, "late", zero=True)
