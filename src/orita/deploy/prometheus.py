"""Prometheus: whom to scrape, what to record, when to alarm, and which Alertmanager to tell."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from orita.deploy.alert_rules import JOB, alert_rules
from orita.deploy.alertmanager import receivers_of
from orita.deploy.rendered import RenderedFile, to_yaml
from orita.deploy.site import Site

__all__ = ["prometheus_files"]


def prometheus_files(site: Site, *, alertmanager: str | None = None) -> list[RenderedFile]:
    """Return configuration and rules.

    Args:
        site: whose servers are scraped, each by itself: a balancer would give the figures of any one.
        alertmanager: where Prometheus reaches Alertmanager, ``host:port`` or a URL; by default the sink of that name,
            else this machine's where there is somebody that it could tell.
    """
    told = alertmanager or site.alerting.alertmanager or ("127.0.0.1:9093" if receivers_of(site.alerting) else None)
    config = {
        "global": {"scrape_interval": "15s", "scrape_timeout": "5s", "evaluation_interval": "15s"},
        "rule_files": ["rules/*.yaml"],
        **({"alerting": {"alertmanagers": [_alertmanager(told)]}} if told else {}),
        "scrape_configs": [
            {
                "job_name": JOB,
                "metrics_path": "/metrics",
                "static_configs": [{"targets": [replica.address for replica in site.deployment.replicas]}],
            }
        ],
    }
    return [
        RenderedFile("prometheus/prometheus.yaml", to_yaml("Check it with promtool check config.", config)),
        RenderedFile("prometheus/rules/orita.yaml", to_yaml("Check it with promtool check rules.", alert_rules(site))),
    ]


def _alertmanager(address: str) -> dict[str, Any]:
    url = urlsplit(address if "://" in address else f"http://{address}")
    path = {"path_prefix": url.path} if url.path.strip("/") else {}
    return {"scheme": url.scheme, **path, "static_configs": [{"targets": [url.netloc.rpartition("@")[2]]}]}
