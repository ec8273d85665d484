"""Grafana's dashboard: what comes, how it is answered, by which model, and whether it is logged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from orita.deploy.alert_rules import JOB
from orita.deploy.rendered import MARK
from orita.deploy.site import Site

__all__ = ["Panel", "assembled", "dashboard"]

_COLUMNS, _HEIGHT = 24, 8
_MINE = f'job="{JOB}"'


@dataclass(frozen=True, slots=True)
class Panel:
    """A figure: its title, what it draws (an expression and its legend each), the unit, and a limit that is drawn."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str
    limit: float | None = None
    kind: Literal["timeseries", "stat", "table"] = "timeseries"
    width: int = 8


def _rate(counter: str, labels: str) -> str:
    return f"sum by ({labels}) (rate({counter}{{{_MINE}}}[$__rate_interval]))"


_LEFT_ALONE = f'sum by (dependency, instance) (breaker_state{{{_MINE}, state!="CLOSED"}})'
_HITS = " / ".join(
    f'sum by (instance) (rate(cache_requests_total{{{_MINE}, outcome=~"{outcome}"}}[$__rate_interval]))'
    for outcome in ("hit", "hit|miss")
)
_TURNED_AWAY = (
    (_rate("requests_shed_total", "priority"), "no room: {{priority}}"),
    (_rate("turned_away_requests_total", "code"), "{{code}}"),
    (f"sum(rate(requests_expired_total{{{_MINE}}}[$__rate_interval]))", "too late"),
)


def _panels(site: Site) -> list[Panel]:
    requests, errors = f"rate(requests_total{{{_MINE}}}[$__rate_interval])", site.deployment.alerts.error_rate
    buckets = f"sum by (le) (rate(prediction_latency_bucket{{{_MINE}}}[$__rate_interval]))"
    quantiles = tuple((f"histogram_quantile({q}, {buckets})", f"p{100 * q:g}") for q in (0.5, 0.9, 0.99))
    skew = f"topk(10, feature_skew_share{{{_MINE}}})"
    return [
        Panel("Servers that answer", ((f"sum(up{{{_MINE}}})", "up"),), "none", kind="stat", width=6),
        Panel("Requests a second", (("orita:requests:rate5m", "now"),), "reqps", kind="stat", width=6),
        Panel("Failed", (("orita:error_rate:ratio5m", "now"),), "percentunit", errors, kind="stat", width=6),
        Panel("Latency, p99", (("orita:latency_p99:seconds5m", "now"),), "s", _limit(site), kind="stat", width=6),
        Panel("Requests by status", ((f"sum by (status) ({requests})", "{{status}}"),), "reqps"),
        Panel("Requests by server", ((f"sum by (instance) ({requests})", "{{instance}}"),), "reqps"),
        Panel("Latency", quantiles, "s", _limit(site)),
        Panel(
            "Items scored a second", ((f"sum(rate(predictions_total{{{_MINE}}}[$__rate_interval]))", "items"),), "ops"
        ),
        Panel("Failed requests", ((_failed(), "{{instance}}"),), "percentunit", errors),
        Panel("Answers by level", ((_rate("answers_total", "level"), "level {{level}}"),), "reqps"),
        Panel("Requests turned away", _TURNED_AWAY, "reqps"),
        Panel("Dependencies left alone", ((_LEFT_ALONE, "{{dependency}} {{instance}}"),), "none"),
        Panel("Latency by route, p99", ((_routes(), "{{route}}"),), "s"),
        Panel("Rows not durable yet", ((f"prediction_log_pending_rows{{{_MINE}}}", "{{instance}}"),), "short"),
        Panel(
            "Rows never logged",
            ((f"increase(prediction_log_dropped_rows_total{{{_MINE}}}[5m])", "{{instance}}"),),
            "short",
        ),
        Panel("Looks into the cache that found", ((_HITS, "{{instance}}"),), "percentunit"),
        Panel("Jobs that are open", ((f"max by (state) (jobs_open{{{_MINE}}})", "{{state}}"),), "short"),
        Panel("Age of the oldest job", ((f"max(jobs_oldest_seconds{{{_MINE}}})", "oldest"),), "s"),
        Panel("Jobs ended", ((_rate("jobs_ended_total", "outcome"), "{{outcome}}"),), "ops"),
        Panel(
            "Feature store by route",
            ((_rate("feature_requests_total", "route, status"), "{{route}} {{status}}"),),
            "reqps",
        ),
        Panel("Features that history does not confirm", ((skew, "{{feature}}"),), "percentunit"),
        Panel(
            "Model by server", ((f"model_info{{{_MINE}}}", "{{instance}} {{version}}"),), "none", kind="table", width=12
        ),
        Panel("Up since", ((f"uptime_seconds{{{_MINE}}}", "{{instance}}"),), "s", kind="stat", width=12),
    ]


def _limit(site: Site) -> float:
    return site.latency_limit_ms / 1000


def _failed() -> str:
    errors, requests = (
        f"rate({name}{{{_MINE}}}[$__rate_interval])" for name in ("prediction_errors_total", "requests_total")
    )
    return f"sum by (instance) ({errors}) / sum by (instance) ({requests})"


def _routes() -> str:
    return f"histogram_quantile(0.99, sum by (le, route) (rate(api_latency_bucket{{{_MINE}}}[$__rate_interval])))"


def dashboard(site: Site, datasource: str) -> dict[str, Any]:
    """Return the dashboard as Grafana's JSON (schema 39); *datasource* is the uid of Prometheus there."""
    return assembled(f"Orita: {site.system}", f"orita-{site.system}", _panels(site), datasource)


def assembled(title: str, uid: str, panels: list[Panel], datasource: str) -> dict[str, Any]:
    """Return a dashboard of *panels*, placed from left to right and then down."""
    source = {"type": "prometheus", "uid": datasource}
    return {
        "title": title,
        "description": f"{MARK} from orita.yaml. A copy may be changed; this one is replaced.",
        "uid": uid[:40],
        "tags": ["orita"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": _placed(panels, source),
    }


def _placed(panels: list[Panel], source: dict[str, str]) -> list[dict[str, Any]]:
    placed, x, y = [], 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > _COLUMNS:
            x, y = 0, y + _HEIGHT
        placed.append(_drawn(panel, number, {"x": x, "y": y, "w": panel.width, "h": _HEIGHT}, source))
        x += panel.width
    return placed


def _drawn(panel: Panel, number: int, place: dict[str, int], source: dict[str, str]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    at_once = panel.kind == "table"
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries" and panel.limit is not None:
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return {
        "id": number,
        "title": panel.title,
        "type": panel.kind,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + n),
                "datasource": source,
                "expr": expression,
                "legendFormat": legend,
                "instant": at_once,
                "range": not at_once,
                **({"format": "table"} if at_once else {}),
            }
            for n, (expression, legend) in enumerate(panel.queries)
        ],
    }
