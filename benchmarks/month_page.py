"""The page of a month: how good the model was day by day, what happened, what was alarmed, trained and promoted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.month_found import Alarm, Month
from benchmarks.month_noon import Measured, NoonFigures

from orita.report import Cell, Column, Line, Page, Plot, Section, Table, Tile, Tiles, curve_plot, write_page
from orita.report.svg import BEFORE, NOW, SECOND, SOFT, draw_svg

__all__ = ["write_month_page"]

_REASONS = MappingProxyType(
    {
        "drift": Cell("tastes moved", mood="good"),
        "outage": Cell("nobody was answered", mood="good"),
        "echo": Cell("echo of a drift", mood="warn"),
        "none": Cell("false", mood="bad"),
    }
)


def write_month_page(path: Path, month: Month) -> None:
    """Write what *month* brought as one HTML file that loads nothing from elsewhere."""
    happened = "; ".join(each.sentence for each in month.scenario.happenings)
    lines = [
        f"{len(month.noons)} simulated days, seed {month.seed}. Nobody looked after anything.",
        f"What happened: {happened}.",
    ]
    sections = [_found(month), _quality(month), _done(month), _days(month)]
    write_page(path, Page("A month unattended", sections, lines))


def _found(month: Month) -> Section:
    figures = month.figures()
    tiles = [
        Tile(f"{figures['within_auc']:.0%}", "days within 1 % of the oracle's AUC", f"CTR {figures['within_ctr']:.0%}"),
        Tile(_days_text(figures["recovered_auc"]), "days to recover, by drift",
             f"{_days_text(figures['recovered_ctr'])} by CTR"),
        Tile(str(figures["promotions"]), "promotions", f"{figures['false_promotions']} false"),
        Tile(str(figures["alarms"]), "alarms", f"{figures['echoes']} echoes, {figures['false_alarms']} false"),
        Tile("alarmed" if figures["outage_alarmed"] else "missed", "the outage",
             f"{figures['retrained_in_outage']} retrainings while it lasted"),
    ]  # fmt: skip
    text = (
        "Each noon the champion is held against an oracle: a model of the same kind, trained on pages of that noon. "
        "Recovered: within 1 % of it, and still so the day after."
    )
    return Section("In short", [Tiles(tiles)], text)


def _days_text(days: Sequence[int | None]) -> str:
    return ", ".join("never" if each is None else str(each) for each in days)


def _quality(month: Month) -> Section:
    plots = [
        _curves(month, "AUC", lambda noon: noon.auc),
        _ratio(month),
        _curves(month, "CTR of the five on top", lambda noon: noon.ctr),
    ]
    text = "Dashed lines: tastes moved; dotted lines: nobody was answered. Triangles: a version was promoted."
    return Section("How good it was", plots, text)


def _curves(month: Month, name: str, of: Callable[[NoonFigures], Measured]) -> Plot:
    days = [noon.day for noon in month.noons]
    found = [of(noon) for noon in month.noons]

    def draw(axes: Any) -> None:
        _marks(axes, month)
        axes.plot(days, [each.best for each in found], color=BEFORE, linestyle=(0, (1, 1)), label="best order there is")
        axes.plot(days, [each.oracle for each in found], color=SECOND, label="oracle of the day")
        axes.plot(days, [each.champion for each in found], color=NOW, label="champion")
        promoted = [(noon.day, of(noon).champion) for noon in month.noons if noon.gain is not None]
        axes.plot([day for day, _ in promoted], [value for _, value in promoted], "^", color=NOW, markersize=6)
        axes.set(xlabel="day", ylabel=name, xlim=(0.5, days[-1] + 0.5))
        axes.legend(loc="best", fontsize=8, handlelength=1.6)

    return Plot(name, draw_svg(draw, title=name, description=f"{name} of champion, oracle and truth by day."))


def _ratio(month: Month) -> Plot:
    days = [noon.day for noon in month.noons]
    shares = [100 * noon.auc.ratio for noon in month.noons]
    low, high = min(*shares, 98.0), max(*shares, 101.0)
    guides = [Line((day - 0.5, day - 0.5), (low, high), role="soft", dashed=True) for day in month.drifts]
    limit = Line((0.5, days[-1] + 0.5), (99.0, 99.0), "99 %", role="second")
    svg = curve_plot(
        [*guides, limit, Line(days, shares, "champion", points=True)],
        title="AUC as a share of the oracle's",
        description="The champion's AUC divided by the oracle's, by day, and the limit of 99 %.",
        x="day",
        y="%",
        x_range=(0.5, days[-1] + 0.5),
    )
    return Plot("AUC as a share of the oracle's", svg)


def _marks(axes: Any, month: Month) -> None:
    """Draw where tastes moved (at midnight), and where nobody was answered."""
    for day in month.drifts:
        axes.axvline(day - 0.5, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
    for begin, end in month.outages:
        for hour in (begin, end):
            axes.axvline(_at(hour), color=SOFT, linewidth=0.9, linestyle=(0, (1, 1.5)))


def _at(hour: float) -> float:
    """Return where an hour stands on an axis on which noons are whole days."""
    return hour / 24 + 0.5


def _done(month: Month) -> Section:
    alarms = [alarm.fired.hour for alarm in month.alarms if alarm.reason in ("drift", "outage")]
    echoes, false = ([a.fired.hour for a in month.alarms if a.reason == reason] for reason in ("echo", "none"))
    rows = [
        ("promotions", [each.hour for each in month.course.deployed], "^", NOW),
        ("retrainings", month.retrained(), "|", NOW),
        ("false alarms", false, "x", SECOND),
        ("echoes", echoes, "o", BEFORE),
        ("alarms with reason", alarms, "o", NOW),
    ]

    def draw(axes: Any) -> None:
        _marks(axes, month)
        for place, (_, hours, marker, colour) in enumerate(rows):
            axes.plot([_at(hour) for hour in hours], [place] * len(hours), marker, color=colour, markersize=5)
        axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
        axes.set(xlabel="day", xlim=(0.5, len(month.noons) + 0.5), ylim=(-0.6, len(rows) - 0.4))
        axes.grid(visible=False, axis="y")

    title = "Alarms, retrainings and promotions"
    svg = draw_svg(draw, title=title, description="When alerts began to fire, models were trained and promoted.")
    told = [_alert(alarm) for alarm in month.alarms]
    names = ("day, hour", "alert", "of", "version", "reason", "what it says")
    columns = [Column(name, number=False) for name in names]
    return Section("What was done", [Plot(title, svg), Table("Alerts that began to fire", columns, told)])


def _alert(alarm: Alarm) -> list[str | Cell]:
    fired = alarm.fired
    at = f"{math.floor(fired.hour / 24) + 1}, {fired.hour % 24:02.0f}:00"
    return [at, fired.name, fired.subject, fired.version, _REASONS[alarm.reason], fired.sentence]


def _days(month: Month) -> Section:
    rows = [
        [str(noon.day), noon.version, *_told(noon.auc), *_told(noon.ctr), f"{clicked:.1%}",
         "" if noon.gain is None else f"{noon.gain:+.4f}"]
        for noon, clicked in zip(month.noons, month.course.clicked, strict=True)
    ]  # fmt: skip
    both = [f"{figure} {whose}" for figure in ("AUC", "CTR") for whose in ("champion", "oracle", "share")]
    columns = [Column("day"), Column("version", number=False), *map(Column, both), Column("clicked")]
    return Section("Every noon", [Table("Measured", [*columns, Column("gain of AUC")], rows, folded=True)])


def _told(measured: Measured) -> list[str]:
    return [f"{measured.champion:.4f}", f"{measured.oracle:.4f}", f"{measured.ratio:.1%}"]
