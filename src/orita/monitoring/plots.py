"""Small plots as SVG text: histograms of two samples, and a line over time. Colours come from the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from orita.monitoring.histogram import Histogram

__all__ = ["histogram_svg", "line_svg"]

_WIDTH, _HEIGHT = 360, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 10, 10, 26
_MISSING = 62


def histogram_svg(histogram: Histogram, title: str) -> str:
    """Return both samples over one axis: the reference filled, the recent outlined; missing values stand apart.

    Args:
        histogram: the shares.
        title: what a screen reader says.
    """
    bins = len(histogram.reference)
    missing = histogram.reference_missing > 0 or histogram.recent_missing > 0
    if not bins and not missing:
        return ""
    top = max([*histogram.reference, *histogram.recent, histogram.reference_missing, histogram.recent_missing, 1e-9])
    room = _WIDTH - _LEFT - _RIGHT - (_MISSING if missing else 0)
    step = room / max(bins, 1)
    gap = step * 0.15 if histogram.discrete else 0.0
    parts = [_grid(top, "{:.0%}" if top >= 0.04 else "{:.1%}")]
    for b, (before, now) in enumerate(zip(histogram.reference, histogram.recent, strict=True)):
        parts.append(_bar(_LEFT + b * step + gap, step - 2 * gap, before, now, top=top, outlined=histogram.discrete))
    if not histogram.discrete:
        parts.append(_outline(histogram.recent, step, top))
    if missing:
        x = _LEFT + room + _MISSING * 0.35
        before, now = histogram.reference_missing, histogram.recent_missing
        parts.append(_bar(x, _MISSING * 0.5, before, now, top=top, outlined=True, what="missing"))
        parts.append(_text(x + _MISSING * 0.25, _HEIGHT - 8, "missing", "middle"))
    parts.append(_axis_labels(histogram, step))
    return _frame(parts, title)


def line_svg(
    points: Sequence[tuple[str, float]], title: str, *, form: str = "{:.1%}", level: float | None = None
) -> str:
    """Return a line through *points* (label, value), scaled to their range, with a dashed line at *level*."""
    if not points:
        return ""
    values = [value for _, value in points] + ([level] if level is not None else [])
    low, high = min(values), max(values)
    margin = (high - low) * 0.15 or abs(high) * 0.1 or 0.1
    low, high = max(0.0, low - margin), high + margin
    width = _WIDTH - _LEFT - _RIGHT

    def place(i: int, value: float) -> tuple[float, float]:
        across = i / (len(points) - 1) if len(points) > 1 else 0.5
        return _LEFT + across * width, _y((value - low) / (high - low))

    parts = [_grid(high, form, low)]
    if level is not None:
        y = _y((level - low) / (high - low))
        parts.append(f'<line class="level" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    places = [place(i, value) for i, (_, value) in enumerate(points)]
    parts.append(f'<polyline class="now" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
    for (x, y), (label, value) in zip(places, points, strict=True):
        tip = escape(f"{label}: {form.format(value)}")
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{tip}</title></circle>')
    parts.append(_text(places[0][0], _HEIGHT - 8, points[0][0], "start" if len(points) > 1 else "middle"))
    if len(points) > 1:
        parts.append(_text(places[-1][0], _HEIGHT - 8, points[-1][0], "end"))
    return _frame(parts, title)


def _frame(parts: Sequence[str], title: str) -> str:
    name = escape(title, quote=True)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">{"".join(parts)}</svg>'


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _grid(high: float, form: str, low: float = 0.0) -> str:
    lines = []
    for share in (0.0, 0.5, 1.0):
        y = _y(share)
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(_text(_LEFT - 5, y + 3.5, form.format(low + share * (high - low)), "end"))
    return "".join(lines)


def _bar(x: float, width: float, before: float, now: float, *, top: float, outlined: bool, what: str = "") -> str:
    tip = escape(f"{what} before {before:.2%}, now {now:.2%}".strip())
    height, base = _y(0) - _y(before / top), _y(0)
    bar = f'<rect class="before" x="{x:.1f}" y="{base - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    if outlined:
        y = _y(now / top)
        bar += f'<rect class="now" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{base - y:.1f}"/>'
    return f"<g><title>{tip}</title>{bar}</g>"


def _outline(shares: Sequence[float], step: float, top: float) -> str:
    corners = [(float(_LEFT), _y(0))]
    for b, share in enumerate(shares):
        y = _y(share / top)
        corners += [(_LEFT + b * step, y), (_LEFT + (b + 1) * step, y)]
    corners.append((_LEFT + len(shares) * step, _y(0)))
    return f'<polyline class="now" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in corners)}"/>'


def _axis_labels(histogram: Histogram, step: float) -> str:
    labels, y = histogram.labels, _HEIGHT - 8
    if not labels:
        return ""
    if histogram.discrete:
        every = max(1, len(labels) // 8)
        return "".join(
            _text(_LEFT + (b + 0.5) * step, y, f"{label:.4g}", "middle")
            for b, label in enumerate(labels)
            if b % every == 0
        )
    right = _LEFT + len(labels) * step
    middle = (labels[0] + histogram.upper) / 2
    return (
        _text(_LEFT, y, f"≤ {labels[0]:.3g}", "start")
        + _text((_LEFT + right) / 2, y, f"{middle:.3g}", "middle")
        + _text(right, y, f"≥ {histogram.upper:.3g}", "end")
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
