"""How does a report look? One HTML file with its style and plots inside, for light and dark screens and for paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from orita.monitoring.alerts import TableQuality
from orita.monitoring.findings import DriftFinding, DriftReport
from orita.monitoring.html_style import STYLE
from orita.monitoring.performance import PerformanceReport
from orita.monitoring.plots import histogram_svg, line_svg
from orita.stats.intervals import Interval

if TYPE_CHECKING:
    from orita.monitoring.report import MonitoringReport

__all__ = ["render_html"]

_LEGEND = '<p class="legend"><span class="key before"></span>reference <span class="key now"></span>recent requests</p>'
_STATES = {
    "ok": ("good", "ok"),
    "degraded": ("bad", "degraded"),
    "suspected": ("warn", "suspected"),
    "not_enough_labels": ("quiet", "not enough labels"),
    "no_baseline": ("quiet", "no baseline"),
}


def render_html(report: MonitoringReport) -> str:
    """Return *report* as one HTML page that loads nothing from elsewhere."""
    sections = [
        _head(report),
        _tiles(report),
        _alerts(report),
        _decision(report),
        *(_drift(drift) for drift in report.drift),
        _performance(report.performance),
        _quality(report.quality),
    ]
    if not report.drift:
        sections.insert(4, "<section><h2>Drift</h2><p>Not looked at: there is no reference yet.</p></section>")
    title = escape(f"{report.system}: monitoring, {report.at:%Y-%m-%d %H:%M} UTC")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main>{''.join(sections)}</main></body></html>\n"
    )


def _head(report: MonitoringReport) -> str:
    window = (
        f"{report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC"
        if report.start and report.end
        else ("no predictions")
    )
    version = f" · reference of {escape(report.model_version)}" if report.model_version else ""
    if not report.alerts:
        badge = _badge("good", "nothing to do")
    else:
        worst = "bad" if any(alert.severity == "critical" for alert in report.alerts) else "warn"
        badge = _badge(worst, f"{len(report.alerts)} alert{'s' if len(report.alerts) > 1 else ''}")
    return f"<header><h1>{escape(report.system)} {badge}</h1><p>{window}{version}</p></header>"


def _tiles(report: MonitoringReport) -> str:
    performance = report.performance
    latency = performance.latency
    tiles = [(f"{performance.joined.predictions:,}", "predictions"), (f"{latency.requests:,}", "requests")]
    if report.features is not None:
        alarming = len(report.features.alarming)
        tiles.append((f"{alarming} of {len(report.features.findings)}", "features alarm"))
    judged = [version for version in performance.versions if version.auc is not None]
    if judged and judged[-1].auc and judged[-1].ctr:
        tiles.append((f"{judged[-1].auc.value:.3f}", f"AUC online, {judged[-1].model_version}"))
        tiles.append((f"{judged[-1].ctr.value:.1%}", f"CTR, {judged[-1].model_version}"))
    if latency.p99_ms is not None:
        tiles.append((f"{latency.p99_ms:.1f} ms", f"p99 latency, limit {latency.limit_ms:g} ms"))
    cells = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in tiles)
    return f'<section class="tiles">{cells}</section>'


def _alerts(report: MonitoringReport) -> str:
    if not report.alerts:
        return ""
    rows = "".join(
        f"<li>{_badge('bad' if alert.severity == 'critical' else 'warn', alert.name)} "
        f"{escape(alert.summary)} <small>What to do: {escape(alert.runbook)}</small></li>"
        for alert in report.alerts
    )
    told = ""
    if report.told is not None and report.told.failed:
        lost = "; ".join(f"{delivery.sink}: {delivery.error}" for delivery in report.told.failed)
        told = f'<p class="lost">Not delivered, and tried again by the next run: {escape(lost)}</p>'
    return f'<section><h2>Alerts</h2><ul class="plain">{rows}</ul>{told}</section>'


def _decision(report: MonitoringReport) -> str:
    decision = report.decision
    word = "Retrain" if decision.retrain else "Do not retrain"
    reasons = decision.reasons + decision.held or ("No condition holds.",)
    items = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return f'<section><h2>Decision: {word}</h2><ul class="plain">{items}</ul></section>'


def _drift(report: DriftReport) -> str:
    title = "Features" if report.about == "features" else "Predictions"
    shown = [finding for finding in report.findings if finding.drifted or report.about == "predictions"]
    shown.sort(key=lambda finding: -(finding.impact or 0.0))
    plots = "".join(
        f"<figure><figcaption>{escape(finding.name)} {_finding_badge(finding)}</figcaption>"
        f"{histogram_svg(finding.histogram, finding.sentence)}<p>{escape(finding.sentence)}</p></figure>"
        for finding in shown
    )
    requests = (
        f"{report.recent_requests:,} recent requests against {report.reference_requests:,} "
        f"of the reference ({escape(report.reference_source)})."
    )
    legend = _LEGEND if plots else ""
    table = _together(report) + _finding_table(report) if report.about == "features" else ""
    return (
        f"<section><h2>{title}</h2><p>{requests} {escape(report.note)}</p>{legend}"
        f'<div class="plots">{plots}</div>{table}</section>'
    )


def _together(report: DriftReport) -> str:
    items = "".join(
        f"<li>{_badge('warn', 'drifted') if one.drifted else _badge('good', 'steady')} {escape(one.name)}: "
        f"{escape(one.sentence)}, p {_chance(one.p_value)}</li>"
        for one in report.together
    )
    return f'<ul class="plain">{items}</ul>' if items else ""


def _quality(tables: Sequence[TableQuality]) -> str:
    rows = "".join(
        f"<li>{_badge('bad', 'failed') if table.errors else _badge('good', 'as expected')} {escape(table.table)}, "
        f"{table.rows:,} new rows on {table.at:%Y-%m-%d %H:%M} UTC"
        f"{''.join(f'<p>{escape(sentence)}</p>' for sentence in (*table.errors, *table.warnings))}</li>"
        for table in tables
    )
    return f'<section><h2>Data</h2><ul class="plain">{rows}</ul></section>' if rows else ""


def _finding_table(report: DriftReport) -> str:
    rows = "".join(
        f"<tr><td>{escape(finding.name)}</td><td>{_finding_badge(finding)}</td><td>{escape(finding.test)}</td>"
        f"<td>{escape(finding.change)}</td>"
        f"<td class=n>{_number(finding.statistic)}</td><td class=n>{finding.threshold:g}</td>"
        f"<td class=n>{_chance(finding.p_value)}</td><td class=n>{_number(finding.visible_effect)}</td>"
        f"<td class=n>{_number(finding.impact)}</td>"
        f"<td class=n>{finding.design_effect:.1f}</td></tr>"
        for finding in report.findings
    )
    return (
        "<details open><summary>All features</summary><div class=scroll><table><thead><tr><th>feature<th><th>test"
        "<th>change<th class=n>statistic<th class=n>limit<th class=n>p<th class=n>visible from<th class=n>impact"
        "<th class=n>design effect</tr>"
        f"</thead><tbody>{rows}</tbody></table></div></details>"
    )


def _performance(performance: PerformanceReport) -> str:
    rows = "".join(
        f"<tr><td>{escape(v.model_version)}</td><td>{_badge(*_STATES[v.state])}</td><td class=n>{v.rows:,}</td>"
        f"<td class=n>{_interval(v.ctr, 1)}</td><td class=n>{_interval(v.auc, 3)}</td>"
        f"<td class=n>{_number(v.test_auc)}</td>"
        f"<td class=n>{_number(v.log_loss)}</td><td class=n>{_number(v.calibration_error)}</td></tr>"
        for v in performance.versions
    )
    sentences = "".join(f"<li>{escape(version.sentence)}</li>" for version in performance.versions)
    joined = performance.joined
    matched = (
        f"{joined.joined:,} of {joined.predictions:,} predictions got feedback; {joined.feedback_without_prediction:,} "
        f"answers had no prediction; {joined.duplicate_feedback:,} were duplicates."
    )
    table = (
        "<div class=scroll><table><thead><tr><th>model<th><th class=n>rows<th class=n>CTR<th class=n>AUC"
        "<th class=n>test AUC<th class=n>log loss<th class=n>calibration error</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
        if rows
        else ""
    )
    return (
        f"<section><h2>Quality and speed</h2><p>{escape(matched)} {escape(performance.note)}</p>{table}"
        f'<ul class="plain">{sentences}<li>{escape(performance.latency.sentence)}</li></ul>'
        f'<div class="plots">{_over_time(performance)}</div></section>'
    )


def _over_time(performance: PerformanceReport) -> str:
    figures = []
    for version in performance.versions:
        days = [day for day in performance.days if day.model_version == version.model_version]
        ctr = line_svg([(day.day.isoformat(), day.ctr) for day in days], f"CTR of {version.model_version} by day")
        measured = [(day.day.isoformat(), day.auc) for day in days if day.auc is not None]
        auc = line_svg(measured, f"AUC of {version.model_version} by day", form="{:.3f}", level=version.test_auc)
        for plot, what in ((ctr, "CTR by day"), (auc, "AUC by day, dashed: its test AUC")):
            if plot:
                name = escape(version.model_version)
                figures.append(f"<figure><figcaption>{name}: {what}</figcaption>{plot}</figure>")
    return "".join(figures)


def _finding_badge(finding: DriftFinding) -> str:
    if not finding.judged:
        return _badge("quiet", "not judged")
    if finding.by_nature:
        return _badge("quiet", "grows by nature" if finding.grows_by_nature else "follows the clock")
    return _badge("warn", "drifted") if finding.drifted else _badge("good", "steady")


def _badge(mood: str, text: str) -> str:
    return f'<span class="badge {mood}">{escape(text)}</span>'


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _chance(value: float | None) -> str:
    if value is None:
        return "–"
    return "&lt; 0.0001" if value < 0.0001 else f"{value:.2g}"


def _interval(value: Interval | None, digits: int) -> str:
    if value is None:
        return "–"
    if digits == 1:
        return f"{value.value:.1%} <small>{value.low:.1%}–{value.high:.1%}</small>"
    return f"{value.value:.3f} <small>{value.low:.3f}–{value.high:.3f}</small>"
