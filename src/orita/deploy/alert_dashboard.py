"""Grafana's dashboard of alerts: what fires, what is left of each promise, each declared number with its limit."""

from __future__ import annotations

from typing import Any

from orita.deploy.alert_rules import JOB
from orita.deploy.dashboard import Panel, assembled
from orita.deploy.declared_rules import anomaly_record, budget_left_record, changed_rules, is_of_prometheus
from orita.deploy.site import Site
from orita.monitoring.alerting.durations import to_prometheus
from orita.monitoring.alerting.measures import to_promql
from orita.monitoring.alerting.rules import AnomalyRule, BudgetRule, BurnRateRule, ThresholdRule
from orita.monitoring.alerting.slos import bad_share_record

__all__ = ["alert_dashboard"]


def alert_dashboard(site: Site, datasource: str) -> dict[str, Any]:
    """Return the dashboard as Grafana's JSON (schema 39); *datasource* is the uid of Prometheus there."""
    panels = [*_alerts(), *_promises(site), *_numbers(site)]
    return assembled(f"Orita alerts: {site.system}", f"orita-alerts-{site.system}", panels, datasource)


def _alerts() -> list[Panel]:
    firing, pending = ('ALERTS{alertstate="%s"}' % state for state in ("firing", "pending"))  # noqa: UP031 - braces
    count = f"count by (alertname) ({firing})"
    return [
        Panel(
            "Critical alerts",
            (('count(ALERTS{{alertstate="firing",severity="critical"}}) or vector(0)', "critical"),),
            "none",
            1,
            kind="stat",
            width=6,
        ),
        Panel("Alerts", ((f"count({firing}) or vector(0)", "firing"),), "none", 1, kind="stat", width=6),
        Panel("Firing", ((firing, "{{alertname}}"),), "none", kind="table", width=12),
        Panel("Firing over time", ((count, "{{alertname}}"),), "none", width=12),
        Panel("About to fire", ((f"count by (alertname) ({pending})", "{{alertname}}"),), "none", width=12),
    ]


def _promises(site: Site) -> list[Panel]:
    panels = []
    for name, slo in site.alerting.slos.items():
        own = [rule for rule in site.alerting.rules_on.values() if isinstance(rule, BurnRateRule) and rule.slo == name]
        pairs = [pair for rule in own for pair in rule.windows or slo.burn] or list(slo.burn)
        burn = tuple(
            (f"{bad_share_record(name, over)} / {slo.budget:.10g}", to_prometheus(over))
            for over in sorted({over for pair in pairs for over in (pair.long, pair.short)})
        )
        title = f"{name}: {slo.objective:.6g} over {to_prometheus(slo.window)}"
        panels += [
            Panel(f"{title}, budget left", ((budget_left_record(name), "left"),), "percentunit", kind="stat", width=6),
            Panel(f"{title}, burn rate", burn, "none", min(pair.factor for pair in pairs), width=18),
        ]
    return panels


def _numbers(site: Site) -> list[Panel]:
    panels = []
    for name, rule in changed_rules(site).items():
        if rule is None or not is_of_prometheus(rule):
            continue
        legend = " ".join(f"{{{{{label}}}}}" for label in rule.measure.by) if hasattr(rule, "measure") else ""
        if isinstance(rule, AnomalyRule):
            panels.append(Panel(name, ((anomaly_record(name), legend or "value"),), "none"))
        elif isinstance(rule, ThresholdRule):
            limit = rule.above if rule.above is not None else rule.below
            panels.append(Panel(name, ((to_promql(rule.measure, JOB), legend or "value"),), "none", limit))
        elif isinstance(rule, BudgetRule):
            limit = rule.limit * rule.share
            panels.append(Panel(name, ((to_promql(rule.measure, JOB), legend or "spent"),), "none", limit))
    return panels
