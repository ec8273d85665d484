"""A check as one HTML page: what was found, and each figure that left the envelope beside its history."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from orita.monitoring.expectations.envelope import Envelope, Tested, level_shares
from orita.monitoring.expectations.findings import Checked, Finding
from orita.monitoring.expectations.words import envelope_sentence
from orita.monitoring.html_style import STYLE
from orita.monitoring.plots import line_svg

__all__ = ["render_page"]

_MOST_PLOTS, _MOST_POINTS = 24, 60


def render_page(checked: Checked, envelope: Envelope | None = None, result: Tested | None = None) -> str:
    """Return a page that loads nothing from elsewhere.

    Args:
        checked: what was found.
        envelope, result: what history expects, and how the batch compares; None where only the declaration was checked.
    """
    title = f"Quality of {checked.source}"
    badge = '<span class="badge bad">failed</span>' if checked.failed else '<span class="badge good">passed</span>'
    tiles = [
        (f"{checked.rows:,}", "rows"),
        (f"{checked.passed_rows:,}", "rows pass"),
        (f"{checked.rows - checked.passed_rows:,}", "rows for quarantine"),
        (f"{len(checked.findings):,}", "findings"),
        (f"{checked.tests:,}", "figures held against history"),
    ]
    cells = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in tiles)
    plots = _plots(checked, envelope, result) if envelope is not None and result is not None else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main>"
        f"<header><h1>{escape(title)} {badge}</h1><p>{checked.at:%Y-%m-%d %H:%M} UTC</p></header>"
        f'<section class="tiles">{cells}</section>{_found(checked.findings)}{plots}</main></body></html>\n'
    )


def _found(findings: Sequence[Finding]) -> str:
    if not findings:
        return "<section><h2>Findings</h2><p>All is as expected.</p></section>"
    lines = "".join(
        f'<li><span class="badge {"bad" if finding.severity == "error" else "warn"}">{finding.severity}</span> '
        f"{escape(finding.sentence)}</li>"
        for finding in findings
    )
    return f"<section><h2>Findings</h2><ul class=plain>{lines}</ul></section>"


def _plots(checked: Checked, envelope: Envelope, result: Tested) -> str:
    """Draw each figure that left the envelope over the batches of history, the checked one last."""
    level_K = (checked.false_alarm_rate or 0.0) * level_shares(result)
    order = np.argsort(result.p_K, kind="stable")[:_MOST_PLOTS]
    figures = "".join(_figure(checked, envelope, result, at) for at in order.tolist() if result.p_K[at] <= level_K[at])
    if not figures:
        return ""
    return (
        "<section><h2>Beside history</h2><p>The last point is the checked batch, the dashed line what was expected."
        f"</p><div class=plots>{figures}</div></section>"
    )


def _figure(checked: Checked, envelope: Envelope, result: Tested, at: int) -> str:
    signal = result.signals[at]
    counts, of = envelope.counts_HK[:, at], envelope.of_HK[:, at]
    with np.errstate(invalid="ignore", divide="ignore"):
        past = envelope.y_HK[:, at] if np.isnan(counts).all() else counts / of
    points = [
        (f"{end:%Y-%m-%d}", float(value)) for end, value in zip(envelope.ends, past, strict=True) if not np.isnan(value)
    ][-_MOST_POINTS:]
    points.append((f"{checked.at:%Y-%m-%d}", float(result.figures_K[at])))
    expected = float(result.expected_K[at])
    plot = line_svg(points, f"{signal.column} {signal.what}", form="{:.4g}", level=expected)
    name = escape(signal.column or "all rows")
    return f"<figure><figcaption>{name}</figcaption>{plot}<p>{escape(envelope_sentence(result, at))}</p></figure>"
