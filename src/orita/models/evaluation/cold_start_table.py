"""The table of an evaluation report about newcomers: how well a model does for whom training knew, and for whom not."""

from __future__ import annotations

from collections.abc import Iterator

from orita.models.evaluation.cold_start import COLD_START
from orita.models.evaluation.figures import figure
from orita.models.evaluation.judging import SURE_IN_SLICES, Evaluation, Slice
from orita.report import Column, Table

__all__ = ["cold_start_table"]


def cold_start_table(evaluation: Evaluation) -> Iterator[Table]:
    """Yield the table, unless the evaluation was made without training rows."""
    slices = [part for part in evaluation.slices if part.name == COLD_START and part.rows]
    names = [name for name in SURE_IN_SLICES if name in evaluation.metrics]
    if not slices:
        return
    columns = [
        Column("ids in the training rows", number=False),
        *(Column(name) for name in ("rows", "positive", "mean score")),
        *(Column(text) for name in names for text in (figure(name).title, "interval")),
    ]
    rows = [
        [
            part.value,
            f"{part.rows:,}",
            f"{part.positives / part.rows:.1%}",
            f"{part.mean_score:.1%}",
            *(text for name in names for text in _figure(part, name)),
        ]
        for part in slices
    ]
    yield Table("Cold start", columns, rows)


def _figure(part: Slice, name: str) -> tuple[str, str]:
    value, ends = part.metrics[name], part.intervals.get(name)
    shown = "–" if value is None else f"{value:.4f}"
    return shown, "too few" if ends is None else f"{ends[0]:.4f} – {ends[1]:.4f}"
