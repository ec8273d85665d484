"""Alerts and promises of a project as files of Prometheus, Alertmanager and Grafana, judged by their own programs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from tests.deploy.sites import site_of

from orita.deploy import Site, render, write
from orita.monitoring.config import AlertingConfig

_ALERTING = {
    "email": "ops@example.org, other@example.org",
    "slack_webhook": "https://hooks.slack.com/services/secret",
    "webhook": "http://127.0.0.1:9999/hook",
    "smtp": {"host": "mail.example.org", "port": 587, "security": "starttls", "username": "orita"},
    "group_by": ["alertname", "instance"],
    "slos": {
        "availability": {"objective": 0.999, "bad": "prediction_errors_total", "total": "requests_total"},
        "speed": {"objective": 0.99, "histogram": "prediction_latency", "within": "250ms"},
    },
    "rules": {
        "HIGH_ERROR_RATE": {"above": 0.02, "for": "1m"},
        "LOW_THROUGHPUT": None,
        "LONG_QUEUE": {
            "kind": "threshold",
            "measure": {"metric": "jobs_oldest_seconds", "aggregate": "max", "by": ["instance"]},
            "above": 600,
            "keep": "10m",
            "sinks": ["slack", "email"],
            "summary": "{instance} has a job of {value} s",
            "labels": {"team": "ranking"},
        },
        "ODD_QUEUE": {"kind": "anomaly", "measure": {"metric": "jobs_oldest_seconds"}, "step": "5m", "window": 6},
        "COST": {
            "kind": "budget",
            "measure": {"metric": "predictions_total", "stat": "increase", "over": "30m"},
            "limit": 100_000,
            "share": 0.8,
            "severity": "critical",
        },
        "ODD_WEEK": {"kind": "anomaly", "method": "seasonal", "measure": {"metric": "up"}},
        "SLOW_LOG": {
            "kind": "threshold",
            "measure": {"source": "log", "metric": "latency_ms", "stat": "p99"},
            "above": 9,
        },
        "FEATURE_DRIFT": {"kind": "drift", "severity": "info"},
    },
}


def _site(**changes: Any) -> Site:
    return replace(site_of(), alerting=AlertingConfig.model_validate({**_ALERTING, **changes}))


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} here: sudo apt-get install {package}")
    return found


def _judged(*command: str, cwd: Path | None = None) -> str:
    judged = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    return judged.stdout + judged.stderr


def _rules(site: Site) -> list[dict[str, Any]]:
    text = next(file.text for file in render("prometheus", site) if "rules" in file.path)
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def test_promtool_takes_what_is_declared(tmp_path: Path) -> None:
    """Rules of every kind, and the address of Alertmanager."""
    promtool, site = _program("promtool", "prometheus"), _site(alertmanager="https://alerts.example.org:9093/prefix")
    write(render("prometheus", site), tmp_path)
    said = _judged(promtool, "check", "config", str(tmp_path / "prometheus/prometheus.yaml"))
    assert f"SUCCESS: {len(_rules(site))} rules found" in said
    config = yaml.safe_load((tmp_path / "prometheus/prometheus.yaml").read_text())
    (alertmanager,) = config["alerting"]["alertmanagers"]
    assert alertmanager["static_configs"] == [{"targets": ["alerts.example.org:9093"]}]
    assert (alertmanager["scheme"], alertmanager["path_prefix"]) == ("https", "/prefix")


def test_a_declared_alert_takes_the_place_of_a_shipped_one() -> None:
    """Once changed it is there once, once switched off not at all; what only the loop can judge is not there."""
    alerts = [rule["alert"] for rule in _rules(_site()) if "alert" in rule]
    assert alerts.count("HIGH_ERROR_RATE") == 1
    assert {"LOW_THROUGHPUT", "ODD_WEEK", "SLOW_LOG", "FEATURE_DRIFT"}.isdisjoint(alerts)
    assert {"HIGH_LATENCY", "SERVER_DOWN", "LONG_QUEUE", "ODD_QUEUE", "COST", "ERROR_BUDGET_BURN"} <= set(alerts)
    burns = [rule for rule in _rules(_site()) if rule.get("alert") == "ERROR_BUDGET_BURN"]
    assert [(each["labels"]["slo"], each["labels"]["severity"]) for each in burns] == [
        (slo, severity) for slo in ("availability", "speed") for severity in ("critical", "warning")
    ]
    assert "bad_share_1h > 0.0144" in burns[0]["expr"] and "bad_share_5m > 0.0144" in burns[0]["expr"]


def test_declared_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    """By promtool's own simulation: each on series that deserve it, none on those of a sound system."""
    promtool = _program("promtool", "prometheus")
    write(render("prometheus", _site()), tmp_path)
    content = {"rule_files": ["prometheus/rules/orita.yaml"], "tests": list(_cases())}
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump(content))
    _judged(promtool, "test", "rules", "cases.yaml", cwd=tmp_path)


def _cases() -> Iterator[dict[str, Any]]:
    at = 'job="orita",instance="a:1"'
    sound = {  # 10 requests a second for two hours
        f"up{{{at}}}": "1+0x120",
        f'requests_total{{{at},status="200"}}': "0+600x120",
        f"prediction_errors_total{{{at}}}": "0+0x120",
        f'prediction_latency_bucket{{{at},le="0.25"}}': "0+600x120",
        f'prediction_latency_bucket{{{at},le="+Inf"}}': "0+600x120",
        f"prediction_latency_count{{{at}}}": "0+600x120",
        f"predictions_total{{{at}}}": "0+600x120",
        f"jobs_oldest_seconds{{{at}}}": " ".join(str(10 + n % 3) for n in range(121)),
    }
    queue = f"jobs_oldest_seconds{{{at}}}"
    sick = {
        "HIGH_ERROR_RATE": {f"prediction_errors_total{{{at}}}": "0+18x120"},  # 3 %; the budget burns as well
        "LONG_QUEUE": {queue: "601+0x120"},
        "ODD_QUEUE": {queue: f"{' '.join(str(10 + n % 3) for n in range(119))} 90 90"},
        "COST": {f"predictions_total{{{at}}}": "0+2700x120"},
    }
    burn = {f'prediction_latency_bucket{{{at},le="0.25"}}': "0+480x120"}  # a fifth is slow, 1 % may be
    beside = {"HIGH_ERROR_RATE": ["ERROR_BUDGET_BURN"]}
    names = [*sick, "ERROR_BUDGET_BURN"]
    once = "count by (alertname) (count by (alertname, severity) (ALERTS{%s})) > bool 0"
    for name, changes in [("", {}), *sick.items(), ("ERROR_BUDGET_BURN", burn)]:
        expected = {name, *beside.get(name, [])}
        series = {**sound, **changes}
        yield {
            "name": name or "sound",
            "interval": "1m",
            "input_series": [{"series": each, "values": values} for each, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": once % f'alertstate="firing",alertname="{each}"',
                    "eval_time": "120m",
                    "exp_samples": [{"labels": f'{{alertname="{each}"}}', "value": 1}] if each in expected else [],
                }
                for each in names
            ],
        }


def test_amtool_takes_its_configuration(tmp_path: Path) -> None:
    """With all sinks, with some, with none; and no secret is in the file."""
    amtool = _program("amtool", "prometheus-alertmanager")
    for number, site in enumerate((_site(), _site(email=None, webhook=None), site_of())):
        (file,) = render("alertmanager", site)
        assert "services/secret" not in file.text
        write([file], tmp_path / str(number))
        said = _judged(amtool, "check-config", str(tmp_path / str(number) / file.path))
        assert "SUCCESS" in said
    routes = str(tmp_path / "0" / file.path)
    for labels, receiver in ((("sinks=slack,email",), "slack-and-email"), ((), "everybody")):
        said = _judged(amtool, "config", "routes", "test", f"--config.file={routes}", "alertname=X1", *labels)
        assert said.split()[0] == receiver


def test_compose_has_an_alertmanager_where_somebody_is_told() -> None:
    """With sinks there is one, Prometheus knows it, and its configuration is rendered; without, none of it."""
    files = {file.path: file.text for file in render("compose", _site())}
    assert "alertmanager" in yaml.safe_load(files["compose.yaml"])["services"]
    assert "alertmanager:9093" in files["prometheus/prometheus.yaml"]
    assert "alertmanager/alertmanager.yaml" in files
    without = {file.path: file.text for file in render("compose", site_of())}
    assert "alertmanager" not in without["compose.yaml"] + without["prometheus/prometheus.yaml"]
    assert "alertmanager/alertmanager.yaml" not in without


def _dashboards(site: Site) -> dict[str, dict[str, Any]]:
    return {f.path: json.loads(f.text) for f in render("grafana", site) if f.path.endswith(".json")}


def test_panels_have_a_place_each_and_promises_are_drawn() -> None:
    """No two panels overlap; each promise has its budget and its burn, each declared number its limit."""
    drawn = _dashboards(_site())["grafana/dashboards/orita-alerts.json"]
    taken: set[tuple[int, int]] = set()
    for panel in drawn["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + 8)}
        assert taken.isdisjoint(cells) and place["x"] + place["w"] <= 24
        taken |= cells
    titles = [panel["title"] for panel in drawn["panels"]]
    assert "availability: 0.999 over 30d, budget left" in titles and "speed: 0.99 over 30d, burn rate" in titles
    assert {"LONG_QUEUE", "ODD_QUEUE", "COST"} <= set(titles)


def test_grafana_s_schema_takes_the_dashboards() -> None:
    """Read by Grafana's own library and written again, nothing is lost and nothing has another type."""
    for path, content in _dashboards(_site()).items():
        read = Dashboard.from_json(content)
        again = json.loads(JSONEncoder(sort_keys=True).encode(read))
        assert _lost(content, again) == [], path


def _lost(before: Any, after: Any, at: str = "") -> list[str]:
    """Return what *before* says and *after* does not; what was null may be left out."""
    if isinstance(before, dict):
        pairs = [(f"{at}.{key}", value, (after or {}).get(key)) for key, value in before.items() if value is not None]
    elif isinstance(before, list):
        if len(before) != len(after or []):
            return [at]
        pairs = [(f"{at}[{n}]", value, after[n]) for n, value in enumerate(before)]
    else:
        return [] if before == after else [f"{at}: {before!r} became {after!r}"]
    return [lost for where, one, other in pairs for lost in _lost(one, other, where)]
