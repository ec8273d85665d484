"""Prometheus: whom to scrape, what to record, when to alarm; and Grafana's dashboard over the same metrics."""

from __future__ import annotations

import json

from orita.deploy.alert_rules import JOB, alert_rules
from orita.deploy.dashboard import dashboard
from orita.deploy.rendered import RenderedFile, to_yaml
from orita.deploy.site import Site

__all__ = ["DASHBOARDS", "DATASOURCE", "prometheus_files"]

DATASOURCE = "orita-prometheus"
"""The name by which Grafana's dashboard asks for its data."""

DASHBOARDS = "/etc/orita/dashboards"
"""Where Grafana's container has the folder of dashboards."""


def prometheus_files(site: Site, *, address: str = "http://127.0.0.1:9090") -> list[RenderedFile]:
    """Return configuration, rules, provisioning of Grafana and its dashboard.

    Args:
        site: whose servers are scraped, each by itself: a balancer would give the figures of any one.
        address: where Grafana reaches Prometheus.
    """
    config = {
        "global": {"scrape_interval": "15s", "scrape_timeout": "5s", "evaluation_interval": "15s"},
        "rule_files": ["rules/*.yaml"],
        "scrape_configs": [
            {
                "job_name": JOB,
                "metrics_path": "/metrics",
                "static_configs": [{"targets": [replica.address for replica in site.deployment.replicas]}],
            }
        ],
    }
    source = {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Prometheus",
                "uid": DATASOURCE,
                "type": "prometheus",
                "access": "proxy",
                "url": address,
                "isDefault": True,
                "jsonData": {"timeInterval": "15s"},
            }
        ],
    }
    provider = {
        "apiVersion": 1,
        "providers": [{"name": "orita", "type": "file", "allowUiUpdates": False, "options": {"path": DASHBOARDS}}],
    }
    drawn = json.dumps(dashboard(site, DATASOURCE), indent=2) + "\n"
    return [
        RenderedFile("prometheus/prometheus.yaml", to_yaml("Check it with promtool check config.", config)),
        RenderedFile("prometheus/rules/orita.yaml", to_yaml("Check it with promtool check rules.", alert_rules(site))),
        RenderedFile("grafana/provisioning/datasources/prometheus.yaml", to_yaml("Where dashboards ask.", source)),
        RenderedFile("grafana/provisioning/dashboards/orita.yaml", to_yaml("Where dashboards lie.", provider)),
        RenderedFile("grafana/dashboards/orita.json", drawn),
    ]
