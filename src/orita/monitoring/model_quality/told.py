"""Model quality in words and plain values: the lines of a table, and what a program reads."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from orita.monitoring.model_quality.slices import ModelQuality, Part
from orita.stats.intervals import Interval

__all__ = ["HEADS", "joined_sentence", "line_of", "told"]

HEADS = ("model", "segment", "from (UTC)", "rows", "CTR", "AUC", "log loss", "calibration", "NDCG@10", "AUC expected")


def line_of(part: Part) -> list[str]:
    """Return the cells of a part, as `HEADS` names them."""
    figures, expected = part.figures, part.estimated
    return [
        part.model_version,
        part.segment if part.segment is not None else "—",
        f"{part.start:%Y-%m-%d %H:%M}" if part.start is not None else "—",
        f"{figures.rows:,}",
        _interval(figures.ctr, 3),
        _interval(figures.auc, 3),
        _interval(figures.log_loss, 3),
        _interval(figures.calibration_error, 3),
        _interval(figures.ndcg, 3),
        _interval(expected.auc, 3) if expected is not None else "—",
    ]


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


def _interval(value: Interval | None, digits: int) -> str:
    if value is None:
        return "—"
    if math.isnan(value.low):
        return f"{value.value:.{digits}f}"
    return f"{value.value:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})"
