"""A profile as one HTML page: each column's shape, beside a reference where there is one, and over time.

Legend: B bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from orita.core.clock import from_micros
from orita.monitoring.histogram import Histogram
from orita.monitoring.html_style import STYLE
from orita.monitoring.plots import histogram_svg, line_svg
from orita.monitoring.profiles.column import ColumnProfile
from orita.monitoring.profiles.compare import Difference
from orita.monitoring.profiles.profiler import Key
from orita.monitoring.profiles.table import TableProfile, merged
from orita.monitoring.profiles.words import day_text, distinct_text, number_text, value_text

__all__ = ["render_page"]

_BARS = 24
_TOP = 6
_LEGEND = '<p class="legend"><span class="key before"></span>{0}<span class="key now"></span>{1}</p>'
_STYLE = ".bar{background:var(--before);height:9px;border-radius:2px}.bars td{border:0;padding:1px 8px 1px 0}"


def render_page(
    title: str,
    parts: Mapping[Key, TableProfile],
    whole: TableProfile,
    *,
    reference: TableProfile | None = None,
    differences: Sequence[Difference] = (),
) -> str:
    """Return a page that loads nothing from elsewhere.

    Args:
        title: what was profiled.
        parts: the profiles of its slices and segments.
        whole: of all its rows.
        reference: what it is compared with.
        differences: as `orita.monitoring.profiles.compare.compared` returns them.
    """
    slices = _by_slice(parts)
    told = {difference.name: difference for difference in differences}
    legend = _LEGEND.format("reference", "profiled rows") if reference is not None else ""
    order = [each.name for each in differences if each.name in whole.columns] or list(whole.columns)
    figures = "".join(
        _figure(whole.columns[name], reference.columns.get(name) if reference else None, told.get(name), slices)
        for name in order
    )
    sections = [
        f"<header><h1>{escape(title)}</h1><p>{whole.rows:,} rows, {len(whole.columns):,} columns</p></header>",
        f"<section><h2>Columns</h2>{legend}<div class='plots'>{figures}</div></section>",
        _correlations(whole),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}{_STYLE}</style></head><body><main>{''.join(sections)}</main></body></html>\n"
    )


def _by_slice(parts: Mapping[Key, TableProfile]) -> dict[int, TableProfile]:
    """Return the profile of each slice of time, its segments together, in order."""
    several: dict[int, list[TableProfile]] = {}
    for key, part in parts.items():
        if key.slice is not None:
            several.setdefault(key.slice, []).append(part)
    return {at: merged(several[at]) for at in sorted(several)}


def _figure(
    column: ColumnProfile,
    before: ColumnProfile | None,
    difference: Difference | None,
    slices: Mapping[int, TableProfile],
) -> str:
    if column.kind == "text":
        plot = _top_values(column, before)
    elif column.kind in ("number", "time") and column.moments.count:
        plot = histogram_svg(_histogram(column, before), f"values of {column.name}")
    else:
        plot = ""
    words = [f"{escape(column.kind)}", f"{distinct_text(column)} distinct", f"{_rate(column):.2%} missing"]
    if column.moments.count and column.kind == "number":
        moments = column.moments
        low, high = number_text(moments.minimum), number_text(moments.maximum)
        words.append(f"mean {number_text(moments.mean)}, {low} to {high}")
    if column.moments.count and column.kind == "time":
        words.append(f"{day_text(column.moments.minimum)} to {day_text(column.moments.maximum)}")
    return (
        f"<figure><figcaption>{escape(column.name)} {_badge(difference)}</figcaption>{plot}"
        f"<p>{', '.join(words)}</p>{_over_time(column.name, slices)}</figure>"
    )


def _histogram(column: ColumnProfile, before: ColumnProfile | None) -> Histogram:
    edges = _edges(column, before)
    mine = _shares(column, edges)
    theirs = _shares(before, edges) if before is not None and before.moments.count else mine
    return Histogram(
        labels=() if column.kind == "time" else tuple(edges[:-1]),
        reference=theirs,
        recent=mine if before is not None else (0.0,) * len(mine),
        reference_missing=_rate(before) if before is not None else _rate(column),
        recent_missing=_rate(column) if before is not None else 0.0,
        discrete=False,
        upper=edges[-1],
    )


def _edges(column: ColumnProfile, before: ColumnProfile | None) -> list[float]:
    """Return equal steps from the first to the 99th hundredth of both: an outlier does not squeeze all else."""
    sides = [side for side in (column, before) if side is not None and side.moments.count]
    ends = [side.quantiles.quantiles([0.01, 0.99]) for side in sides]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return [float(edge) for edge in np.linspace(low, high, _BARS + 1)]


def _shares(column: ColumnProfile, edges: Sequence[float]) -> tuple[float, ...]:
    """Return the share of rows in each bar; the outermost ones hold what lies beyond."""
    present = column.moments.count / column.rows
    below = [0.0, *column.quantiles.ranks(list(edges[1:-1])), 1.0]
    return tuple((np.diff(below) * present).tolist())


def _top_values(column: ColumnProfile, before: ColumnProfile | None) -> str:
    earlier = {item.value: item.low / before.rows for item in before.frequent.top(1_000)} if before else {}
    lines = []
    for item in column.frequent.top(_TOP):
        share = item.low / column.rows
        was = f"<small>{earlier.get(item.value, 0.0):.1%} before</small>" if before else ""
        lines.append(
            f"<tr><td>{escape(value_text(item.value))}</td><td style='width:45%'><div class=bar "
            f"style='width:{share:.1%}'></div></td><td class=n>{share:.1%} {was}</td></tr>"
        )
    return f"<table class=bars>{''.join(lines)}</table>"


def _over_time(name: str, slices: Mapping[int, TableProfile]) -> str:
    there = [(at, part.columns[name]) for at, part in slices.items() if name in part.columns]
    if len(there) < 2:
        return ""
    labels = [f"{from_micros(at):%m-%d %H:%M}" for at, _ in there]
    missing = [_rate(column) for _, column in there]
    plots = []
    if any(missing):
        plots.append(("missing over time", line_svg(list(zip(labels, missing, strict=True)), f"missing {name}")))
    means = [(label, column.moments.mean) for label, (_, column) in zip(labels, there, strict=True)]
    known = [(label, mean) for label, mean in means if mean == mean]  # noqa: PLR0124 - NaN is unlike itself
    if known and there[0][1].kind == "number":
        plots.append(("mean over time", line_svg(known, f"mean of {name}", form="{:.3g}")))
    return "".join(f"<p>{what}</p>{plot}" for what, plot in plots)


def _badge(difference: Difference | None) -> str:
    if difference is None:
        return ""
    if difference.status != "both":
        return f'<span class="badge warn">{escape(difference.status)}</span>'
    figure = f"PSI {difference.psi:.3f}" if difference.psi is not None else ""
    if difference.ks is not None:
        figure = f"KS {difference.ks:.3f} {figure}".strip()
    return f'<span class="badge quiet">{figure}</span>' if figure else ""


def _correlations(whole: TableProfile) -> str:
    rows = "".join(
        f"<tr><td>{escape(a)}</td><td>{escape(b)}</td><td class=n>{r:+.3f}</td></tr>"
        for a, b, r in whole.strongest_correlations(20)
    )
    if not rows:
        return ""
    head = "<table><thead><tr><th>column<th>column<th class=n>r</tr></thead>"
    table = f"<div class=scroll>{head}<tbody>{rows}</tbody></table></div>"
    return f"<section><h2>Strongest correlations</h2>{table}</section>"


def _rate(column: ColumnProfile) -> float:
    return column.missing / column.rows if column.rows else 0.0
