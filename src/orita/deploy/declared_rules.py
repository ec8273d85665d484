"""The project's own alerts and promises as rules of Prometheus: the same declarations that Orita's loop judges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from orita.deploy.site import Site
from orita.monitoring.alerting.declaring import read_rules
from orita.monitoring.alerting.durations import to_prometheus, to_words
from orita.monitoring.alerting.measures import to_promql
from orita.monitoring.alerting.rules import (
    AnomalyRule,
    BudgetRule,
    BurnRateRule,
    Rule,
    ThresholdRule,
    burn_rules,
    runbook_of,
)
from orita.monitoring.alerting.slos import BurnWindow, Slo, bad_share_promql, bad_share_record

__all__ = ["anomaly_record", "budget_left_record", "changed_rules", "declared_groups", "is_of_prometheus"]

_INTERVAL = "15s"
_SLOW_INTERVAL = "5m"


def changed_rules(site: Site) -> dict[str, Rule | None]:
    """Return the rules that are other than the shipped ones; None: one that is switched off."""
    shipped = read_rules({})
    return {name: rule for name, rule in site.alerting.rules.items() if name not in shipped or rule != shipped[name]}


def is_of_prometheus(rule: Rule) -> bool:
    """Tell whether Prometheus can judge *rule*: not what needs the prediction log, a report, or weeks of hours."""
    if isinstance(rule, AnomalyRule):
        return rule.measure.source == "metrics" and rule.method == "z_score"
    return isinstance(rule, ThresholdRule | BudgetRule) and rule.measure.source == "metrics"


def declared_groups(site: Site, job: str) -> list[dict[str, Any]]:
    """Return groups of rules: what anomalies and promises need recorded, then the alerts; no group is empty."""
    rules = {name: rule for name, rule in changed_rules(site).items() if rule is not None and is_of_prometheus(rule)}
    slos, burn = site.alerting.slos, burn_rules(site.alerting.rules_on, site.alerting.slos)
    windows = {name: {over for _, rule in burn for over in _windows(rule, name, slo)} for name, slo in slos.items()}
    groups = {
        "orita-anomalies": (_INTERVAL, [_anomaly_value(name, rule, job) for name, rule in _anomalies(rules)]),
        "orita-declared": (_INTERVAL, [_alert(name, rule, job) for name, rule in rules.items()]),
        "orita-slos": (
            _INTERVAL,
            [
                {"record": bad_share_record(name, over), "expr": bad_share_promql(slos[name], job, over)}
                for name, overs in windows.items()
                for over in sorted(overs)
            ],
        ),
        "orita-budgets": (_SLOW_INTERVAL, [_budget_left(name, slo, job) for name, slo in slos.items()]),
        "orita-burn-rates": (_INTERVAL, [each for name, rule in burn for each in _burns(name, rule, slos[rule.slo])]),
    }
    return [{"name": name, "interval": interval, "rules": found} for name, (interval, found) in groups.items() if found]


def budget_left_record(name: str) -> str:
    """Return the name under which the share of the error budget that is left is recorded."""
    return f"orita:slo_{name}:budget_left"


def anomaly_record(name: str) -> str:
    """Return the name under which what an anomaly rule looks at is recorded."""
    return f"orita:anomaly_{name.lower()}:value"


def _windows(rule: BurnRateRule, name: str, slo: Slo) -> list[float]:
    return [over for pair in rule.windows or slo.burn for over in (pair.long, pair.short)] if rule.slo == name else []


def _anomalies(rules: dict[str, Rule]) -> list[tuple[str, AnomalyRule]]:
    return [(name, rule) for name, rule in rules.items() if isinstance(rule, AnomalyRule)]


def _anomaly_value(name: str, rule: AnomalyRule, job: str) -> dict[str, Any]:
    return {"record": anomaly_record(name), "expr": to_promql(rule.measure, job, rule.step)}


def _budget_left(name: str, slo: Slo, job: str) -> dict[str, Any]:
    spent = bad_share_promql(slo, job, slo.window)
    return {"record": budget_left_record(name), "expr": f"1 - ({spent}) / {slo.budget:.10g}"}


def _alert(name: str, rule: Rule, job: str) -> dict[str, Any]:
    if isinstance(rule, ThresholdRule):
        sign, limit = (">", rule.above) if rule.above is not None else ("<", rule.below)
        return _rule(name, rule, f"{to_promql(rule.measure, job)} {sign} {limit:.10g}", _words(rule.measure.words))
    if isinstance(rule, BudgetRule):
        expression = f"{to_promql(rule.measure, job)} >= {rule.limit * rule.share:.10g}"
        return _rule(
            name, rule, expression, f"{{{{ $value | humanize }}}} of {rule.limit:g} is spent: {rule.measure.metric}"
        )
    assert isinstance(rule, AnomalyRule)
    return _rule(
        name, rule, _z_score(name, rule), f"{rule.measure.words} is {{{{ $value | humanize }}}} away from what it was"
    )


def _words(measured: str) -> str:
    return f"{measured} is {{{{ $value | humanize }}}}"


def _z_score(name: str, rule: AnomalyRule) -> str:
    step = to_prometheus(rule.step)
    past = f"{anomaly_record(name)}[{to_prometheus(rule.step * rule.window)}:{step}] offset {step}"
    away = f"({anomaly_record(name)} - avg_over_time({past}))"
    away = {"both": f"abs{away}", "above": away, "below": f"-{away}"}[rule.direction]
    # Prometheus divides by n, the loop by n - 1.
    limit = rule.z * math.sqrt(rule.window / (rule.window - 1))
    # More than, so that what never varies and does not is none.
    return f"{away} > {limit:.6g} * stddev_over_time({past}) and count_over_time({past}) >= {rule.window}"


def _burns(name: str, rule: BurnRateRule, slo: Slo) -> Iterator[dict[str, Any]]:
    pairs = rule.windows or slo.burn
    for severity in dict.fromkeys(pair.severity for pair in pairs):
        mine = [pair for pair in pairs if pair.severity == severity]
        expression = " or ".join(f"({_burning(rule.slo, slo, pair)})" for pair in mine)
        fastest = max(mine, key=lambda pair: pair.factor)
        said = (
            f"{{{{ $value | humanizePercentage }}}} of events break {rule.slo} ({slo.objective:.6g} over "
            f"{to_words(slo.window)}): its error budget burns {fastest.factor:g} times as fast as it may, or nearly"
        )
        found = _rule(name, rule, expression, said)
        found["labels"] = {**found["labels"], "severity": severity, "slo": rule.slo}
        yield found


def _burning(name: str, slo: Slo, pair: BurnWindow) -> str:
    limit = f"{pair.factor * slo.budget:.10g}"
    return " and ".join(f"{bad_share_record(name, over)} > {limit}" for over in (pair.long, pair.short))


def _rule(name: str, rule: Rule, expression: str, summary: str) -> dict[str, Any]:
    told = {"sinks": ",".join(rule.sinks)} if rule.sinks else {}
    keep = {"keep_firing_for": to_prometheus(rule.keep)} if rule.keep else {}
    return {
        "alert": name,
        "expr": expression,
        "for": to_prometheus(rule.wait),
        **keep,
        "labels": {**rule.labels, **told, "severity": rule.severity},
        "annotations": {
            "summary": _template(rule.summary) or summary,
            "runbook_url": rule.runbook or runbook_of(rule.entry),
        },
    }


def _template(summary: str) -> str:
    """Return a rule's own sentence as Prometheus' template: ``{instance}`` is a label, ``{value}`` the value."""
    text = summary.replace("{value}", "{{ $value | humanize }}")
    parts = []
    for piece in text.split("{{ $value | humanize }}"):
        for_labels = piece.replace("{", "{{ $labels.").replace("}", " }}")
        parts.append(for_labels)
    return "{{ $value | humanize }}".join(parts)
