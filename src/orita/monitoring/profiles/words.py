"""A profile in figures and words: what the command line prints, and what ``--json`` holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orita.core.clock import from_micros
from orita.monitoring.profiles.column import ColumnProfile
from orita.monitoring.profiles.compare import Difference
from orita.monitoring.profiles.profiler import Key
from orita.monitoring.profiles.table import TableProfile

__all__ = [
    "column_line",
    "day_text",
    "difference_line",
    "difference_told",
    "distinct_text",
    "number_text",
    "told",
    "value_text",
]

_TOLD = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_LONGEST = 24
_FREQUENT = 20


def told(parts: Mapping[Key, TableProfile], whole: TableProfile) -> dict[str, Any]:
    """Return a profile as what JSON can say: all rows, and the rows and missing rates of each part."""
    return {
        "rows": whole.rows,
        "columns": [_column_told(column, whole) for column in whole.columns.values()],
        "correlations": [{"columns": [a, b], "r": r} for a, b, r in whole.strongest_correlations(20)],
        "parts": [
            {
                "slice": None if key.at is None else key.at.isoformat(),
                "segment": key.segment,
                "rows": part.rows,
                "columns": {
                    name: {"missing": column.missing, "mean": _finite(column.moments.mean)}
                    for name, column in part.columns.items()
                },
            }
            for key, part in sorted(parts.items(), key=lambda item: (item[0].slice or 0, item[0].segment or ""))
        ],
    }


def difference_told(difference: Difference) -> dict[str, Any]:
    """Return a difference as what JSON can say."""
    return asdict(difference)


def column_line(column: ColumnProfile) -> list[str]:
    """Return name, kind, missing, distinct, minimum, median, maximum, mean and the most frequent value as text."""
    show = day_text if column.kind == "time" else number_text
    figures = ["—"] * 4
    if column.moments.count:
        moments = column.moments
        values = [moments.minimum, *column.quantiles.quantiles([0.5]), moments.maximum, moments.mean]
        figures = [show(value) for value in values]
        if column.kind == "time":
            figures[-1] = "—"
    missing = f"{column.missing / column.rows:.2%}" if column.rows else "—"
    top = next(iter(column.frequent.top(1)), None)
    often = f"{value_text(top.value)} ({top.low / column.rows:.1%})" if top and top.low > 1 else "—"
    return [column.name, column.kind, missing, distinct_text(column), *figures, often]


def difference_line(difference: Difference) -> list[str]:
    """Return what differs as text: status, missing, mean, KS, PSI, unseen."""
    figures = (difference.mean_shift, difference.ks, difference.psi)
    shift, ks, psi = ("—" if value is None else f"{value:.3f}" for value in figures)
    missing = "—" if difference.missing is None else f"{difference.missing:+.2%}"
    unseen = "—" if not difference.unseen else f"{difference.unseen:.2%}"
    return [difference.name, difference.status, missing, shift, ks, psi, unseen]


def distinct_text(column: ColumnProfile) -> str:
    """Return how many different values there are; ``≈`` before an estimate."""
    number = round(column.distinct.estimate())
    return f"{number:,}" if column.frequent.complete else f"≈ {number:,}"


def number_text(value: float) -> str:
    """Return a number with as many digits as tell it from others, NaN as a dash."""
    return "—" if math.isnan(value) else f"{value:.4g}"


def day_text(micros: float) -> str:
    """Return the UTC day of a time that is given in microseconds since the Unix epoch."""
    return f"{from_micros(round(micros)):%Y-%m-%d}"


def value_text(value: str) -> str:
    """Return a value short enough for a line; the empty text is named."""
    if not value:
        return "(empty)"
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"


def _column_told(column: ColumnProfile, whole: TableProfile) -> dict[str, Any]:
    low, high = column.distinct.bounds()
    found: dict[str, Any] = {
        "name": column.name,
        "kind": column.kind,
        "type": column.type,
        "rows": column.rows,
        "absent": whole.absent(column.name),
        "nulls": column.nulls,
        "nans": column.nans,
        "infinite": column.infinite,
        "missing_rate": column.missing / column.rows if column.rows else None,
        "distinct": {"estimate": round(column.distinct.estimate()), "low": math.floor(low), "high": math.ceil(high)},
        "frequent": [asdict(item) for item in column.frequent.top(_FREQUENT)],
    }
    if column.moments.count:
        found["moments"] = _moments_told(column)
        shares = column.quantiles.quantiles(_TOLD)
        found["quantiles"] = {str(share): value for share, value in zip(_TOLD, shares, strict=True)}
    if column.lengths.count:
        lengths = column.lengths
        found["characters"] = {"mean": lengths.mean, "minimum": lengths.minimum, "maximum": lengths.maximum}
    if column.binned is not None:
        found["bins"] = {
            **{key: list(getattr(column.binned.bins, key, ())) for key in ("edges", "values")},
            "counts": column.binned.counts_B.tolist(),
            "missing": column.binned.missing,
            "unseen": column.binned.unseen,
        }
    return found


def _moments_told(column: ColumnProfile) -> dict[str, float | None]:
    names = ("mean", "deviation", "skewness", "kurtosis", "minimum", "maximum")
    return {name: _finite(getattr(column.moments, name)) for name in names}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
