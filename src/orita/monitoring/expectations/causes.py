"""What likely happened to a column that left its envelope: another unit, another time zone, texts that were mangled.

A cause is named where undoing it makes the column look as history does. Legend: V rows with a value, P points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from orita.monitoring.expectations.frame import View
from orita.monitoring.expectations.outlook import DAY, ColumnOutlook

__all__ = ["likely_cause"]

_HOUR = 3_600_000_000
_FACTORS = {
    **{10.0**power: f"× {10**power:,}" for power in (1, 2, 3, 6)},
    **{10.0**-power: f"÷ {10**power:,}" for power in (1, 2, 3, 6)},
    **{-1.0: "with the sign turned", 60.0: "× 60", 1 / 60: "÷ 60", 3600.0: "× 3,600", 1 / 3600: "÷ 3,600"},
    **{1.609344: "kilometres for miles", 1 / 1.609344: "miles for kilometres"},
    **{2.2046226: "pounds for kilograms", 1 / 2.2046226: "kilograms for pounds"},
}
_ALIKE, _CLEARLY = 0.85, 0.25
_ALIKE_TIMES, _CLEARLY_TIMES = 0.93, 0.05
_MOST_TEXTS, _MOST_OF_THEM = 2_000, 0.8


def likely_cause(view: View, column: ColumnOutlook) -> str:
    """Return a phrase such as ``as if × 100``, "" where nothing is found that explains the whole column."""
    if view.kind != column.kind:
        return ""
    match view.kind:
        case "number":
            return _unit(view.numbers[np.isfinite(view.numbers)], column)
        case "time":
            return _zone(view.numbers[~view.missing], column)
        case "text":
            return _mangled(view, column)
    return ""


def _unit(x_V: npt.NDArray[np.float64], column: ColumnOutlook) -> str:
    if not len(x_V) or len(column.points) < 3:
        return ""
    points_P, ranks_P = np.array(column.points), ndtr(np.array(column.scores))
    sorted_V = np.sort(x_V)

    def alike(factor: float) -> float:
        scaled_V = sorted_V / factor if factor > 0 else sorted_V[::-1] / factor
        return float(1 - np.abs(np.searchsorted(scaled_V, points_P, side="right") / len(x_V) - ranks_P).max())

    own = alike(1.0)
    best = max(_FACTORS, key=alike)
    found = alike(best)
    return f"as if {_FACTORS[best]}" if found >= _ALIKE and found - own >= _CLEARLY else ""


def _zone(times_V: npt.NDArray[np.float64], column: ColumnOutlook) -> str:
    if not len(times_V) or not column.points:
        return ""
    ranks_P = np.arange(len(column.points)) / (len(column.points) - 1)

    def alike(hours: int) -> float:
        day_V = np.sort(np.remainder(times_V - hours * _HOUR, DAY))
        below_P = np.searchsorted(day_V, column.points, side="right") / len(times_V)
        return float(1 - np.abs(below_P - ranks_P).max())

    best = max(range(-12, 15), key=alike)
    if best == 0 or alike(best) < _ALIKE_TIMES or alike(best) - alike(0) < _CLEARLY_TIMES:
        return ""
    return f"as if {abs(best)} h {'late' if best > 0 else 'early'}: another time zone?"


def _mangled(view: View, column: ColumnOutlook) -> str:
    """Return what most texts that are new have in common: undone, they are among those that history has."""
    known = set(column.known)
    new = [text for text in view.texts.to_pylist() if text not in known][:_MOST_TEXTS]
    if not new or not known:
        return ""
    for cause, undone in _repairs(column.known).items():
        if sum(undone(text) for text in new) >= _MOST_OF_THEM * len(new):
            return f"as if {cause}"
    return ""


def _repairs(known: Sequence[str]) -> dict[str, Callable[[str], bool]]:
    """Return for each cause whether it made a text of one that is known."""
    exact, folded = set(known), {text.casefold() for text in known}
    bare = {text.lstrip("0") for text in known if text.startswith("0")}
    begins: dict[int, set[str]] = {}

    def cut(text: str) -> bool:
        if len(text) not in begins:
            begins[len(text)] = {each[: len(text)] for each in known if len(each) > len(text)}
        return len(text) > 1 and text in begins[len(text)]

    return {
        "blanks were added": lambda text: text.strip() in exact,
        "letters changed their case": lambda text: text.casefold() in folded,
        "leading zeros were lost": lambda text: text in bare,
        "UTF-8 was read as Latin-1": lambda text: _decoded(text) in exact,
        "commas stood for points": lambda text: text.replace(",", ".") in exact,
        "texts were cut": cut,
    }


def _decoded(text: str) -> str | None:
    for encoding in ("latin-1", "cp1252"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return None
