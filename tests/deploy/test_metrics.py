"""What rules and dashboards ask for, against what a real server says."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.openmetrics import parser
from tests.deploy.sites import Replica, ask, replicas, site_of

from orita.deploy import Target, render
from orita.deploy.image import HEALTH_CHECK
from orita.monitoring.skew_report import FeatureSkew, SkewReport, write_skew

_WORDS = {"sum", "count", "by", "on", "le", "or", "unless", "and", "vector", "rate", "increase", "topk", "max"}
_WORDS |= {"histogram_quantile"}
_TARGETS: tuple[Target, ...] = ("prometheus", "grafana")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A server that has answered one request, and has a skew report."""
    with replicas(tmp_path_factory.mktemp("one"), count=1, cache={"enabled": True}) as (started,):
        found = FeatureSkew("item_ctr", 8, 2, 0.25, 0.5, None)
        write_skew(started.home, SkewReport(8, (found,), {}, "feed", "v1.0.0", "2024-11-15T10:00:00+00:00"))
        assert ask(started.port)[0] == 200
        yield started


def _panels(text: str) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(text)["panels"]
    return panels


def _expressions() -> dict[str, str]:
    files = {file.path: file.text for target in _TARGETS for file in render(target, site_of())}
    rules = yaml.safe_load(files["prometheus/rules/orita.yaml"])["groups"]
    panels = [
        panel for name in ("orita", "orita-alerts") for panel in _panels(files[f"grafana/dashboards/{name}.json"])
    ]
    asked = {rule.get("record", rule.get("alert")): rule["expr"] for group in rules for rule in group["rules"]}
    for panel in panels:
        for target in panel["targets"]:
            asked[f"{panel['title']} {target['refId']}"] = target["expr"]
    return asked


def _names(expression: str) -> dict[str, set[str]]:
    """Return the metrics of an expression, each with the labels that it is chosen by."""
    grouped = re.compile(r"\b(?:by|on)\s*\([^)]*\)")
    bare = grouped.sub("", expression)
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"([A-Za-z_:][\w:]*)(\{[^}]*\})?", re.sub(r"\[[^\]]*\]|\"[^\"]*\"", "", bare)):
        if name not in _WORDS:
            found.setdefault(name, set()).update(re.findall(r"(\w+)\s*[!=]", labels))
    return found


def _families(server: Replica) -> list[Metric]:
    connection = http.client.HTTPConnection(server.address, timeout=30)
    connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
    text = connection.getresponse().read().decode()
    connection.close()
    return list(parser.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def test_every_metric_is_one_that_a_server_exposes(server: Replica) -> None:
    """Each metric of a rule or a dashboard is in a server's ``/metrics``, recorded by a rule, or Prometheus' own."""
    families = _families(server)
    exposed = {sample.name for family in families for sample in family.samples}
    # What is counted by label has no samples before its first event; its type stands there all the same.
    exposed |= {f"{family.name}_total" for family in families if family.type == "counter"}
    exposed |= {f"{family.name}_bucket" for family in families if family.type == "histogram"}
    expressions = _expressions()
    recorded = {name for name in expressions if ":" in name}
    asked = {name: labels for expression in expressions.values() for name, labels in _names(expression).items()}
    assert len(asked) > 12
    assert {name: labels for name, labels in asked.items() if name not in exposed | recorded | {"up", "ALERTS"}} == {}
    own = {(sample.name, label) for family in families for sample in family.samples for label in sample.labels}
    own |= {("ALERTS", label) for label in ("alertname", "alertstate", "severity")}  # Prometheus' own, as job is
    chosen = {(name, label) for name, labels in asked.items() for label in labels if label != "job"}
    assert chosen <= own, "labels that the metric does not have"


def test_what_panels_group_by_is_a_label_of_the_metric(server: Replica) -> None:
    """The labels that alerts and panels group by or show are those of the metric, or Prometheus' own."""
    labels: set[str] = {label for family in _families(server) for sample in family.samples for label in sample.labels}
    labels |= {"instance", "job", "alertname", "route", "code"}  # the last two of what this server was not asked for
    grouped = {
        label.strip()
        for expression in _expressions().values()
        for found in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression)
        for label in found.split(",")
    }
    assert grouped <= labels


def test_panels_do_not_overlap() -> None:
    """Every panel has a place of its own within 24 columns, and a title."""
    drawn: dict[str, Any] = json.loads(next(f.text for f in render("grafana", site_of()) if f.path.endswith(".json")))
    taken: set[tuple[int, int]] = set()
    for panel in drawn["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert panel["title"] and not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in drawn["panels"]}) == len(drawn["panels"])


def test_probes_ask_for_paths_that_exist(server: Replica) -> None:
    """What Kubernetes and Docker ask a server for is answered with 200 by one that is well."""
    spec = next(yaml.safe_load(f.text) for f in render("kubernetes", site_of(redis=True)) if "deployment" in f.path)
    (container,) = spec["spec"]["template"]["spec"]["containers"]
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    paths |= set(re.findall(r"/health\w*(?:/\w+)?", HEALTH_CHECK[-1]))
    assert paths == {"/health/live", "/health/ready"}
    statuses = {}
    for path in paths:
        connection = http.client.HTTPConnection(server.address, timeout=30)
        connection.request("GET", path)
        statuses[path] = connection.getresponse().status
        connection.close()
    assert statuses == {"/health/live": 200, "/health/ready": 200}
