"""Grafana: dashboards over the metrics of servers, and where it finds them and Prometheus."""

from __future__ import annotations

import json

from orita.deploy.alert_dashboard import alert_dashboard
from orita.deploy.dashboard import dashboard
from orita.deploy.rendered import RenderedFile, to_yaml
from orita.deploy.site import Site

__all__ = ["DASHBOARDS", "DATASOURCE", "grafana_files"]

DATASOURCE = "orita-prometheus"
"""The name by which Grafana's dashboards ask for their data."""

DASHBOARDS = "/etc/orita/dashboards"
"""Where Grafana's container has the folder of dashboards."""


def grafana_files(site: Site, *, address: str = "http://127.0.0.1:9090") -> list[RenderedFile]:
    """Return provisioning and dashboards.

    Args:
        site: whose metrics and alerts are drawn.
        address: where Grafana reaches Prometheus.
    """
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
    drawn = {"orita": dashboard(site, DATASOURCE), "orita-alerts": alert_dashboard(site, DATASOURCE)}
    return [
        RenderedFile("grafana/provisioning/datasources/prometheus.yaml", to_yaml("Where dashboards ask.", source)),
        RenderedFile("grafana/provisioning/dashboards/orita.yaml", to_yaml("Where dashboards lie.", provider)),
        *(
            RenderedFile(f"grafana/dashboards/{name}.json", json.dumps(content, indent=2) + "\n")
            for name, content in drawn.items()
        ),
    ]
