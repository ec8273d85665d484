"""Model quality in words and plain values: the lines of a table, and what a program reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from orita.monitoring.model_quality.slices import ModelQuality, Part
from orita.stats.intervals import Interval

__all__ = ["joined_sentence", "table_of", "told"]

_NOTHING = "—"
_COLUMNS: tuple[tuple[str, Callable[[Part], str]], ...] = (
    ("model", lambda part: part.model_version),
    ("segment", lambda part: _NOTHING if part.segment is None else part.segment),
    ("from (UTC)", lambda part: _NOTHING if part.start is None else f"{part.start:%Y-%m-%d %H:%M}"),
    ("rows", lambda part: f"{part.figures.rows:,}"),
    ("CTR", lambda part: _interval(part.figures.ctr)),
    ("AUC", lambda part: _interval(part.figures.auc)),
    ("AUC expected", lambda part: _interval(part.estimated.auc if part.estimated is not None else None)),
    ("log loss", lambda part: _value(part.figures.log_loss)),
    ("calibration", lambda part: _value(part.figures.calibration_error)),
    ("NDCG@10", lambda part: _value(part.figures.ndcg)),
)


def table_of(parts: Sequence[Part]) -> tuple[list[str], list[list[str]]]:
    """Return the heads and lines of a table of *parts*; what no part has is no column."""
    lines = [[cell(part) for _, cell in _COLUMNS] for part in parts]
    kept = [n for n in range(len(_COLUMNS)) if any(line[n] != _NOTHING for line in lines)]
    return [_COLUMNS[n][0] for n in kept], [[line[n] for n in kept] for line in lines]


def joined_sentence(found: ModelQuality) -> str:
    """Return what was matched and what was not."""
    counts = found.joined
    parts = [f"{counts.joined:,} of {counts.predictions:,} predictions were answered"]
    more = (
        (counts.waiting, "wait for answers still"),
        (counts.taken_for_refused, "count as no click"),
        (counts.outside_window, "answers came outside of the window"),
        (counts.not_known_yet, "answers were not known yet"),
        (counts.feedback_without_prediction, "answers had no prediction"),
        (counts.duplicate_feedback, "answers were duplicates"),
    )
    return "; ".join([*parts, *(f"{count:,} {what}" for count, what in more if count)]) + "."


def told(found: ModelQuality) -> dict[str, Any]:
    """Return *found* as plain JSON values."""
    every = None if found.every is None else found.every.total_seconds()
    parts = [_part(part) for part in found.parts]
    return {"joined": asdict(found.joined), "by": found.by, "every_seconds": every, "parts": parts}


def _part(part: Part) -> dict[str, Any]:
    return {
        "model_version": part.model_version,
        "segment": part.segment,
        "start": None if part.start is None else part.start.isoformat(),
        **_finite(asdict(part.figures)),
        "estimated": None if part.estimated is None else _finite(asdict(part.estimated)),
        "note": part.note,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _interval(value: Interval | None) -> str:
    if value is None or math.isnan(value.low):
        return _value(value)
    return f"{value.value:.3f} {value.low:.3f}–{value.high:.3f}"


def _value(value: Interval | None) -> str:
    return _NOTHING if value is None else f"{value.value:.3f}"
