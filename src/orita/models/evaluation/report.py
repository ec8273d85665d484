"""An evaluation as one HTML file: how good, how sure, for whom, why, and where it is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from orita.core.errors import UserError
from orita.models.evaluation.cold_start_table import cold_start_table
from orita.models.evaluation.comparison import Comparison
from orita.models.evaluation.figures import check
from orita.models.evaluation.importance import Importance
from orita.models.evaluation.judging import Evaluation
from orita.models.evaluation.report_plots import Scored, calibration_plot, curve_plots, importance_plot, score_plot
from orita.models.evaluation.report_tables import (
    chance,
    difference_table,
    error_table,
    figure_table,
    headline,
    signed,
    slice_table,
    worst_table,
)
from orita.models.evaluation.scored_rows import Scores
from orita.models.evaluation.top_errors import top_errors
from orita.models.evaluation.tradeoff_report import HeadsJudged, heads_section
from orita.models.evaluation.worst_slices import WorstSlices
from orita.models.examples import Examples
from orita.report import Block, Page, Section, Text, write_page

__all__ = ["Rival", "write_evaluation_report"]

_ERROR_FEATURES = 8


@dataclass(frozen=True, slots=True)
class Rival:
    """Another model on the same rows: its name, its scores, and the comparison this model − that one."""

    name: str
    scores_N: Scores
    comparison: Comparison


def write_evaluation_report(
    path: Path,
    evaluation: Evaluation,
    rows: Examples,
    scores_N: Scores,
    *,
    title: str,
    name: str = "this model",
    facts: Mapping[str, str] | None = None,
    worst: Sequence[WorstSlices] = (),
    importance: Sequence[Importance] = (),
    rival: Rival | None = None,
    heads: HeadsJudged | None = None,
    confidence: float = 0.95,
    errors: int = 10,
) -> None:
    """Write the report of *evaluation* to *path*; equal arguments give an equal file.

    Args:
        path: the HTML file; its folder is made.
        evaluation: the figures, from `orita.models.evaluation.evaluate`.
        rows, scores_N: what was judged: the curves and the top errors are theirs.
        title: of the page.
        name: of the model in legends.
        facts: what else to say under the title, such as the version and the training data.
        worst: outcomes of `worst_slices`.
        importance: from `permutation_importance`.
        rival: a model to compare with.
        heads: from `evaluate_heads`, of a model with several heads; the scores are then those of the label's.
        confidence: that the intervals of *evaluation* were made with.
        errors: how many of the most confident errors of either kind are listed, with their ids; 0: none.

    Raises:
        UserError: scores and rows do not go together, or are not those of *evaluation*.
        MissingExtra: Matplotlib or Jinja2 is not installed.
    """
    check(scores_N, rows, ())
    if evaluation.rows != len(rows):
        raise UserError(
            f"the evaluation is of {evaluation.rows} rows, the report was given {len(rows)}; give it the same rows."
        )
    models = [Scored(name, scores_N)] + ([] if rival is None else [Scored(rival.name, rival.scores_N)])
    sections = [
        _figures(evaluation, confidence),
        *([] if rival is None else [_comparison(name, rival)]),
        *_drawn(models, rows, evaluation),
        *([] if heads is None else [heads_section(heads)]),
        _for_whom(evaluation, worst),
        *([_importance(importance)] if importance else []),
        *([_errors(scores_N, rows, importance, errors)] if errors else []),
    ]
    write_page(path, Page(title, sections, _lines(rows, facts or {})))


def _lines(rows: Examples, facts: Mapping[str, str]) -> list[str]:
    first, last = (datetime.fromtimestamp(int(t) / 1e6, UTC) for t in (rows.time_N.min(), rows.time_N.max()))
    users, items = len(np.unique(rows.users_N)), len(np.unique(rows.items_N))
    judged = (
        f"Judged on {len(rows):,} rows of {users:,} users and {items:,} items, "
        f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC."
    )
    return [*([" · ".join(f"{name}: {value}" for name, value in facts.items())] if facts else []), judged]


def _figures(evaluation: Evaluation, confidence: float) -> Section:
    text = (
        f"Intervals hold the true figure with {confidence:.0%} confidence: users are drawn anew, with all their rows."
    )
    return Section("Figures", [headline(evaluation), figure_table(evaluation, confidence)], text)


def _comparison(name: str, rival: Rival) -> Section:
    found = rival.comparison
    text = f"{found.verdict.capitalize()} than {rival.name} by AUC: {signed(found.delta)}"
    if found.low is not None and found.high is not None:
        text += f", {found.confidence:.0%} interval {signed(found.low)} to {signed(found.high)} over users"
    text += f"; {found.too_few}." if found.too_few else "."
    if found.delong is not None:
        text += (
            f" DeLong's test over users: {signed(found.delong.low)} to "
            f"{signed(found.delong.high)}, p {chance(found.delong.p_value)}."
        )
    return Section(f"Against {rival.name}", [difference_table(found, name, rival.name)], text)


def _drawn(models: Sequence[Scored], rows: Examples, evaluation: Evaluation) -> list[Section]:
    true_as = Section("As probabilities", [calibration_plot(models, rows), score_plot(rows, models[0].scores_N)])
    if not 0 < evaluation.positives < evaluation.rows:
        missing = Text("The rows hold labels of one kind only: there is nothing to tell apart.")
        return [Section("Telling positives from negatives", [missing]), true_as]
    return [Section("Telling positives from negatives", curve_plots(models, rows)), true_as]


def _for_whom(evaluation: Evaluation, worst: Sequence[WorstSlices]) -> Section:
    blocks: list[Block] = [*(worst_table(found) for found in worst), *cold_start_table(evaluation)]
    if any(part.rows for part in evaluation.slices):
        blocks.append(slice_table(evaluation))
    text = "Slices by the value of one feature; differences between them may be chance."
    if worst:
        text = (
            "Slices by the value of one feature or of two. Of those listed as worse, at most "
            f"{max(found.level for found in worst):.0%} are so by chance, on average; effect is in standard deviations."
        )
    if any(found.measure == "auc" for found in worst):
        text += " Where a slice fixes what the model ranks by most, AUC within it is lower, without a fault of its own."
    return Section("For whom", blocks or [Text("No slices were asked for.")], text)


def _importance(importance: Sequence[Importance]) -> Section:
    text = (
        "How much worse the model is when the values of a feature are shuffled between rows: what this model rests "
        "on. A feature that others can stand in for looks unimportant."
    )
    return Section("What it rests on", [importance_plot(importance)], text)


def _errors(scores_N: Scores, rows: Examples, importance: Sequence[Importance], most: int) -> Section:
    columns = [column for found in importance for column in found.columns] or list(rows.schema.names)
    missed, alarms = top_errors(scores_N, rows, most)
    blocks: list[Block] = [
        error_table(caption, found, columns[:_ERROR_FEATURES])
        for caption, found in (
            ("Positives with the lowest scores", missed),
            ("Negatives with the highest scores", alarms),
        )
        if found
    ]
    return Section("Where it is most wrong", blocks, "Single rows, with the values of the most important features.")
