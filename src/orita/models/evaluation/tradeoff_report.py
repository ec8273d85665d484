"""The heads of a model in an evaluation report: how good each is, and what weights give up for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from orita.models.evaluation.report_tables import number
from orita.models.examples import Examples
from orita.models.objectives import Head, JudgedHead, Point, TradeOff, judge_heads, trade_offs
from orita.report import Block, Cell, Column, Line, Plot, Section, Table, Text, curve_plot

if TYPE_CHECKING:
    from orita.models.package import Package

__all__ = ["HeadsJudged", "evaluate_heads", "heads_section"]

_STEPS_SHOWN = 4  # of 21 points a curve, each fourth is in the table


@dataclass(frozen=True, slots=True)
class HeadsJudged:
    """What rows say of a model with several heads.

    Attributes:
        heads: the heads.
        objective: what the package declares that one unit of each is worth.
        judged: the figures of each head.
        trade_offs: the curve of every two heads.
    """

    heads: tuple[Head, ...]
    objective: Mapping[str, float]
    judged: tuple[JudgedHead, ...]
    trade_offs: tuple[TradeOff, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        return {
            "objective": dict(self.objective),
            "heads": [judged.to_dict() for judged in self.judged],
            "trade_offs": [curve.to_dict() for curve in self.trade_offs],
        }


def evaluate_heads(package: Package, rows: Examples, *, seed: int = 0) -> HeadsJudged | None:
    """Judge every head of *package* on *rows*, and what its weights give up for each other; None: it has one head.

    Args:
        package: the model.
        rows: labelled rows with their outcomes, which it did not learn from.
        seed: draws the users whose rows the curves are made of, where there are too many.
    """
    if not package.heads:
        return None
    p_NH = package.score_heads(rows.users_N, rows.items_N, rows.x_NF)
    scores_N = package.score(rows.users_N, rows.items_N, rows.x_NF)
    objective = package.description.objective
    curves = trade_offs(package.heads, p_NH, scores_N, rows, objective, seed=seed)
    return HeadsJudged(package.heads, objective, tuple(judge_heads(package.heads, p_NH, rows)), tuple(curves))


def heads_section(found: HeadsJudged) -> Section:
    """Return the section of a report on a model with several heads."""
    weights = [(found.objective.get(head.name, 0.0), head.name) for head in found.heads]
    worth = ", ".join(f"{weight:g} × {name}" for weight, name in weights if weight)
    text = (
        f"The served score is {worth}, brought to [0, 1]. All other figures of this page are those of the "
        f"{found.heads[0].name} head. The curves rank the same rows by two heads alone, from all weight on the one to "
        "all on the other, and show what happened in the ten best rows of a user, the top ones counting most. The rows "
        "were shown by another ranking, and say nothing of items that nobody was shown."
    )
    blocks: list[Block] = [_figures(found)]
    blocks += [_plot(curve, found.heads) for curve in found.trade_offs]
    blocks += [_points(curve) for curve in found.trade_offs]
    if not found.trade_offs:
        blocks.append(Text("No user has two rows that say two outcomes: there is nothing to trade off here."))
    return Section("Several objectives", blocks, text)


def _figures(found: HeadsJudged) -> Table:
    rows: list[list[str | Cell]] = [
        [
            judged.name,
            judged.kind,
            f"{judged.rows:,}",
            f"{found.objective.get(judged.name, 0):g}",
            *(
                number(value)
                for value in (judged.promised, judged.observed, judged.auc, judged.log_loss, judged.calibration_error)
            ),
            *(number(value) for value in (judged.rmse, judged.explained)),
        ]
        for judged in found.judged
    ]
    names = ("rows", "worth of one unit", "promised", "observed", "AUC", "log loss", "calibration error", "RMSE", "R²")
    columns = [Column("head", number=False), Column("kind", number=False), *(Column(name) for name in names)]
    return Table("Each head", columns, rows)


def _plot(curve: TradeOff, heads: Sequence[Head]) -> Plot:
    swept = [point for point in curve.points if not point.declared]
    declared = [point for point in curve.points if point.declared]
    best = sorted((point for point in curve.points if point.best), key=lambda point: point.a)
    lines = [
        Line([p.a for p in swept], [p.b for p in swept], "two heads weighed", "before", points=True),
        Line([p.a for p in best], [p.b for p in best], "not surpassed (Pareto)", "now", points=True),
        Line([p.a for p in declared], [p.b for p in declared], "declared objective", "second", points=True),
    ]
    units = {head.name: "share of rows" if head.kind == "flag" else "mean amount" for head in heads}
    title = f"{curve.a} against {curve.b}"
    svg = curve_plot(
        lines,
        title=title,
        description=f"What happened in the ten best rows of a user: {curve.b} over {curve.a}, as weights change.",
        x=f"{curve.a}, {units[curve.a]}",
        y=f"{curve.b}, {units[curve.b]}",
    )
    lead = np.array([curve.points[0].a - curve.points[-2].a, curve.points[-2].b - curve.points[0].b])
    note = (
        f"{curve.rows:,} rows of {curve.users:,} users. All weight on {curve.a} brings {lead[0]:+.4f} of it over all "
        f"weight on {curve.b}, which brings {lead[1]:+.4f} of its own; a random order brings {number(curve.random_a)} "
        f"and {number(curve.random_b)}. One standard error over users: {curve.error_a:.4f} and {curve.error_b:.4f}."
    )
    return Plot(title, svg, note)


def _points(curve: TradeOff) -> Table:
    swept = [point for point in curve.points if not point.declared]
    shown = [*swept[::_STEPS_SHOWN], *(point for point in curve.points if point.declared)]
    rows: list[list[str | Cell]] = [
        [
            "declared" if point.declared else _ratio(point, curve),
            number(point.a),
            number(point.b),
            Cell("yes", mood="good") if point.best else "",
        ]
        for point in shown
    ]
    columns = [
        Column(f"weights, {curve.a} : {curve.b}", number=False),
        Column(curve.a),
        Column(curve.b),
        Column("not surpassed", number=False),
    ]
    return Table(f"{curve.a} against {curve.b}, each fourth point", columns, rows, folded=True)


def _ratio(point: Point, curve: TradeOff) -> str:
    a, b = point.weights[curve.a], point.weights[curve.b]
    return f"1 : {b / a:.3g}" if a else "0 : 1"
