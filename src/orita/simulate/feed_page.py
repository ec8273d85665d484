"""The page of a simulated feed: what was gained, every figure day by day, what happened, and what was assumed."""

from __future__ import annotations

from pathlib import Path

from orita.core.clock import from_micros
from orita.report import Block, Cell, Column, Page, Section, Table, Text, Tile, Tiles, write_page
from orita.simulate.feed_plan import FeedSimulation
from orita.simulate.feed_plots import daily_plots, gain_plot
from orita.simulate.feed_words import figure_text, known, lift_text, too_few, verdict
from orita.simulate.figures import METRICS, RETENTION, Figures

__all__ = ["write_feed_page"]

_ALL = (*METRICS, RETENTION)


def write_feed_page(path: Path, found: FeedSimulation) -> None:
    """Write the page of *found* as one HTML file that loads nothing from elsewhere.

    Raises:
        MissingExtra: what draws plots is not installed.
    """
    arms, plan = found.figures.arms, found.plan
    served = f"over {plan.http}" if plan.http else "in process"
    lines = [
        f"{plan.days} days from {from_micros(found.start):%Y-%m-%d}, {sum(found.figures.users):,} users of the "
        f"synthetic world, {found.events:,} items shown; served {served}, seed {plan.seed}.",
        f"{plan.scenario.name[:1].upper()}{plan.scenario.name[1:]}. {plan.scenario.about}".strip(),
    ]
    sections = [_gains(found.figures), _days(found), _counts(found.figures), _assumptions(found)]
    write_page(path, Page(f"Simulated feed: {arms[0]} against {arms[1]}", sections, lines))


def _gains(figures: Figures) -> Section:
    found = figures.compared[0]
    tiles = [
        Tile(
            f"{each.lift.value:+.1%}" if known(each.lift) else "–",
            metric.name,
            f"{figure_text(metric, each.treatment)} against {figure_text(metric, each.control)}",
        )
        for metric in _ALL
        if (each := found.get(metric.key)) is not None
    ]
    plots = [
        gain_plot(figures, arm)
        for arm, compared in figures.compared.items()
        if any(known(each.lift) for each in compared.values())
    ]
    blocks: list[Block] = [Tiles(tiles), *plots, _gain_table(figures)]
    if warning := too_few(figures):
        blocks.insert(0, Text(warning))
    if RETENTION.key not in found:
        blocks.append(Text("7-day retention needs more than seven days, and is left out."))
    text = f"Relative to {figures.arms[1]}, with 95 % intervals; users are the units."
    return Section("What is gained", blocks, text)


def _gain_table(figures: Figures) -> Table:
    rows = []
    for arm, found in figures.compared.items():
        for metric in _ALL:
            if (each := found.get(metric.key)) is None:
                continue
            word, mood = verdict(each)
            row: list[str | Cell] = [figures.arms[arm], metric.name, figure_text(metric, each.treatment)]
            row += [figure_text(metric, each.control), lift_text(each.lift), f"{each.p_value:.2g}"]
            rows.append([*row, Cell(word, mood=mood)])
    columns = [Column("policy", number=False), Column("metric", number=False), Column("its value")]
    columns += [Column(figures.arms[1]), Column("lift (95 %)"), Column("p"), Column("so", number=False)]
    return Table("All figures", columns, rows)


def _days(found: FeedSimulation) -> Section:
    marks = "; ".join(each.sentence for each in found.plan.scenario.happenings)
    text = "Bars are 95 % intervals." + (f" Dashed lines: {marks}." if marks else "")
    return Section("Day by day", daily_plots(found), text)


def _counts(figures: Figures) -> Section:
    counted = list(figures.totals[0])
    rows = [
        [name, f"{users:,}", *(f"{totals[each]:,.0f}" for each in counted), f"{left[-1]:.1%}"]
        for name, users, totals, left in zip(figures.arms, figures.users, figures.totals, figures.left, strict=True)
    ]
    columns = [Column("policy", number=False), Column("users"), *map(Column, counted), Column("left for good")]
    return Section("What was counted", [Table("In all days", columns, rows)])


def _assumptions(found: FeedSimulation) -> Section:
    habits = found.plan.habits
    rows = [
        [name.replace("_", " "), f"{getattr(habits, name):g}", str(field.description or "")]
        for name, field in type(habits).model_fields.items()
    ]
    columns = [Column("habit", number=False), Column("value"), Column("meaning", number=False)]
    text = (
        "Users tire of topics and items, and come back by how satisfied they were. These are assumptions: their forms "
        "come from the literature, their sizes were not fitted to any policy; docs/simulator.md names the sources."
    )
    return Section("What is assumed of users", [Table("Habits", columns, rows, folded=True)], text)
