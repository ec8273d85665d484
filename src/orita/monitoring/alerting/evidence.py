"""The page that an alert of the metrics links to: what was measured before it fired, and what it was held against."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from pathlib import Path

from orita.core.files import atomic_file
from orita.monitoring.alerting.evaluation import Evaluation
from orita.monitoring.alerting.rules import AnomalyRule, BudgetRule, Rule, ThresholdRule
from orita.monitoring.alerting.states import Signal
from orita.monitoring.html_style import STYLE
from orita.monitoring.plots import line_svg

__all__ = ["write_evidence"]

_POINTS = 40
_FEWEST_SECONDS = 15.0


def write_evidence(signal: Signal, rule: Rule | None, evaluation: Evaluation) -> Path:
    """Write the page of *signal*, in the place of an earlier one of the same alert; return where it is."""
    alert = signal.alert
    facts = {
        "severity": alert.severity,
        "at": f"{alert.at:%Y-%m-%d %H:%M:%S} UTC",
        "value": "" if alert.value is None else f"{alert.value:.6g}",
        "held against": "" if alert.threshold is None else f"{alert.threshold:.6g}",
        "what to do": alert.runbook,
        **{f"label {name}": value for name, value in sorted(signal.all_labels.items())},
    }
    rows = "".join(f"<li><b>{escape(name)}</b> {escape(str(value))}</li>" for name, value in facts.items() if value)
    plot = _plot(signal, rule, evaluation)
    title = escape(f"{alert.name} {alert.subject}")
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body><main>'
        f"<header><h1>{title}</h1><p>{escape(alert.summary)}</p></header>"
        f'<section><h2>When it fired</h2><ul class="plain">{rows}</ul></section>'
        f"{f'<section><h2>Before</h2>{plot}</section>' if plot else ''}</main></body></html>\n"
    )
    path = Path(alert.evidence)
    with atomic_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _plot(signal: Signal, rule: Rule | None, evaluation: Evaluation) -> str:
    if not isinstance(rule, ThresholdRule | BudgetRule | AnomalyRule) or rule.measure.source == "log":
        return ""
    now = evaluation.now.timestamp()
    step = max(rule.step if isinstance(rule, AnomalyRule) else rule.measure.over / 10, _FEWEST_SECONDS)
    points = []
    for number in range(_POINTS - 1, -1, -1):
        at = now - number * step
        mine = [each for each in evaluation.read(rule.measure, at) if each.labels.items() <= signal.labels.items()]
        points += [(f"{datetime.fromtimestamp(at, UTC):%d %b %H:%M}", each.value) for each in mine]
    return line_svg(
        points, f"{rule.measure.words}, {signal.alert.subject}", form="{:.3g}", level=signal.alert.threshold
    )
