"""The report as one HTML file: what to do, the effects, their course, and the checks."""

from __future__ import annotations

import math
from pathlib import Path

from orita.delivery.experiments.page_plots import (
    course_plot,
    day_plot,
    effects_plot,
    exposures_plot,
    shares_plot,
)
from orita.delivery.experiments.results import Effect, ExperimentReport, MetricResult
from orita.report import Block, Cell, Column, Page, Section, Table, Text, Tile, Tiles, write_page
from orita.report.page import Mood

__all__ = ["write_report"]

_BADGES: dict[str, Mood] = {"ship": "good", "do_not_ship": "bad", "keep_running": "quiet", "invalid": "bad"}
_GUARDED: dict[str, Mood] = {"holds": "good", "violated": "bad", "open": "quiet"}


def write_report(path: Path, report: ExperimentReport) -> None:
    """Write the report as one HTML file, wholly or not at all.

    Raises:
        MissingExtra: the libraries that draw are not installed.
    """
    sections = (
        _summary(report),
        _effects(report),
        _courses(report),
        _units(report),
        _primary_checks(report),
        _left_out(report),
    )
    looks = (
        "may be looked at at any time" if report.analysis == "sequential" else "is looked at once, at its planned size"
    )
    owner = f" Owner: {report.owner}." if report.owner else ""
    write_page(
        path,
        Page(
            title=f"Experiment {report.key}",
            badge=Cell(report.verdict.sentence, mood=_BADGES[report.verdict.decision]),
            lines=[
                *([report.hypothesis] if report.hypothesis else []),
                f"{report.status.capitalize()} since {report.started_at:%Y-%m-%d %H:%M} UTC, as of "
                f"{report.until:%Y-%m-%d %H:%M}; it {looks}, at level {report.alpha:g}.{owner}",
            ],
            sections=[section for section in sections if section is not None],
        ),
    )


def _summary(report: ExperimentReport) -> Section:
    size = report.size
    tiles = [
        Tile(f"{count:,}", arm, "units, control" if arm == report.control else "units")
        for arm, count in report.exposed.units.items()
    ]
    of = "" if size.planned is None else f"of {size.planned:,} {'planned' if size.declared else 'needed'}"
    tiles.append(Tile(f"{size.closed:,}", "units with an outcome", of))
    if report.verdict.decision == "keep_running" and size.days_left:
        tiles.append(
            Tile(f"{size.days_left:,}", "days to the planned size", f"{size.units_a_day:,.0f} new units a day")
        )
    name = report.primary.name
    tiles += [Tile(_percent(each.lift), f"{name}, {each.variant}", _range(each)) for each in report.primary.effects]
    reasons: list[Block] = [Text(reason) for reason in report.verdict.reasons]
    return Section(f"What to do: {report.verdict.sentence}", [*reasons, Tiles(tiles)])


def _effects(report: ExperimentReport) -> Section:
    columns = ["variant", "control", "treatment", "effect", "lift", "p", "units"]
    rows = [_row(metric, effect) for metric in report.metrics for effect in metric.effects]
    blocks: list[Block] = [*effects_plot(report)]
    if rows:
        named = [Column("metric", number=False), Column("role", number=False), *(Column(name) for name in columns)]
        blocks.append(Table("All metrics", named, rows))
    blocks += [Text(f"{metric.name}: {metric.note}") for metric in report.metrics if metric.note]
    kind = (
        "Intervals hold the truth at all looks together: stop whenever you like."
        if report.analysis == "sequential"
        else "Intervals are those of the one look at the planned size."
    )
    adjusted = "P-values of secondary metrics are adjusted for their number; guardrails must all hold."
    return Section("Effects", blocks, f"{kind} {adjusted}")


def _row(metric: MetricResult, effect: Effect) -> list[str | Cell]:
    role: str | Cell = metric.role
    if effect.guarded is not None:
        role = Cell(effect.guarded, f"guard, margin {metric.margin:g}", _GUARDED[effect.guarded])
    p_value = effect.p_value if effect.adjusted_p is None else effect.adjusted_p
    found = effect.different and p_value <= metric.level
    better = found and (effect.estimate > 0) == (metric.direction == "up")
    mood: Mood | None = None if not found or metric.role == "guardrail" else "good" if better else "bad"
    return [
        Cell(metric.name, f"{metric.kind}, {metric.direction}"),
        role,
        effect.variant,
        _number(effect.control),
        _number(effect.treatment),
        Cell(_signed(effect.estimate), _range(effect), mood),
        _percent(effect.lift),
        Cell(_chance(effect.p_value), "" if effect.adjusted_p is None else f"adjusted {_chance(effect.adjusted_p)}"),
        f"{effect.n_control + effect.n_treatment:,}",
    ]


def _courses(report: ExperimentReport) -> Section | None:
    plots = [plot for metric in report.metrics if (plot := course_plot(metric)) is not None]
    if not plots:
        return None
    return Section(
        "Over time",
        plots,
        "The effect at the end of each day with its interval: units whose outcome was final by then.",
    )


def _units(report: ExperimentReport) -> Section:
    ratio = report.sample_ratio
    state = Cell("mismatch", mood="bad") if ratio.mismatch else Cell("as declared", mood="good")
    rows: list[list[str | Cell]] = [
        [name, f"{count:,}", f"{ratio.expected[name]:,.1f}"] for name, count in ratio.counts.items()
    ]
    columns = [Column("variant", number=False), Column("units"), Column("expected")]
    tests: list[list[str | Cell]] = [
        ["one look, now", _chance(ratio.p_value), ""],
        ["at all looks", _chance(ratio.sequential_p_value), state],
    ]
    test_columns = [Column("test of the shares", number=False), Column("p"), Column("", number=False)]
    return Section(
        "Units and their shares",
        [
            exposures_plot(report),
            *shares_plot(report),
            Table("Units", columns, rows),
            Table(f"Sample ratio; below {ratio.level:g} at all looks is a mismatch", test_columns, tests),
        ],
    )


def _primary_checks(report: ExperimentReport) -> Section | None:
    blocks: list[Block] = []
    if report.belief:
        columns = [
            Column("variant", number=False),
            Column("best of all"),
            Column("better than control"),
            Column("expected loss"),
        ]
        rows = [[b.variant, _share(b.best), _share(b.better), _number(b.loss)] for b in report.belief]
        blocks.append(Table("Bayesian, flat priors: beliefs, not error rates", columns, rows))
    gains: list[list[str | Cell]] = []
    for metric in report.metrics:
        for effect in metric.effects:
            if (gain := effect.covariate) is not None:
                told = f"{_signed(gain.raw_estimate)} ± {_number(gain.raw_error)}"
                now = f"{_signed(effect.estimate)} ± {_number(effect.error)}"
                gains.append([metric.name, effect.variant, "CUPED", _share(gain.variance_reduction), told, now])
            if (strata := effect.stratification) is not None:
                told = f"{_signed(effect.estimate)} ({_range(effect)})"
                now = f"{_signed(strata.estimate)} ({_signed(strata.low)} … {_signed(strata.high)})"
                by = f"strata of {strata.column}"
                gains.append([metric.name, effect.variant, by, _share(strata.variance_reduction), told, now])
    if gains:
        names = ["metric", "variant", "by"]
        columns = [
            *(Column(name, number=False) for name in names),
            Column("variance gone"),
            Column("before"),
            Column("after"),
        ]
        blocks.append(Table("Less noise from what was known before", columns, gains))
    blocks += [day_plot(check, report.primary.name) for check in report.days]
    if (held := report.holdout) is not None:
        blocks.append(
            Text(
                f"Holdout: {held.free:,} units outside had {_number(held.free_mean)}, {held.held:,} inside "
                f"{_number(held.held_mean)}: {_signed(held.estimate)} ({_signed(held.low)} … {_signed(held.high)}, "
                f"p = {_chance(held.p_value)}, one look) for all that names the holdout together. Units are those "
                "seen in the four weeks before the start; counted is the whole time since."
            )
        )
    return Section(f"Checks of {report.primary.name}", blocks) if blocks else None


def _left_out(report: ExperimentReport) -> Section | None:
    return Section("Left out", [Text(note) for note in report.notes]) if report.notes else None


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "–"


def _signed(value: float) -> str:
    return f"{value:+.4g}" if math.isfinite(value) else "–"


def _percent(value: float) -> str:
    return f"{value:+.1%}" if math.isfinite(value) else "–"


def _share(value: float) -> str:
    return f"{value:.1%}" if math.isfinite(value) else "–"


def _chance(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"


def _range(effect: Effect) -> str:
    return f"{_signed(effect.low)} … {_signed(effect.high)}"
