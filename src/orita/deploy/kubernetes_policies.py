"""What Kubernetes keeps to: how many servers, how many may be away, who may reach whom."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlsplit

from orita.deploy.image import PORT
from orita.deploy.site import Site

__all__ = ["autoscaler", "disruption_budget", "down_tolerance", "network_policy"]


def down_tolerance(low: int, high: int) -> str:
    """Return the tolerance with which an autoscaler of the target *high* removes servers only below *low* percent.

    Kubernetes compares use with the target, and does nothing while ``|1 − use ÷ target|`` is at most the tolerance. Use
    is whole percent, so that the thousandth above ``1 − low ÷ high`` parts *low* from *low* − 1.
    """
    return f"{math.ceil(1000 - 1000 * low / high)}m"


def autoscaler(site: Site) -> dict[str, Any]:
    """Return the HorizontalPodAutoscaler: more above *high_cpu*, fewer below *low_cpu*, a step each."""
    scaling, name = site.deployment.autoscaling, site.deployment.kubernetes.name

    def step(pods: int) -> list[dict[str, Any]]:
        return [{"type": "Pods", "value": pods, "periodSeconds": scaling.period_seconds}]

    target = {"type": "Utilization", "averageUtilization": scaling.high_cpu}
    # What the container of the server uses: the one that follows deployments beside it is idle, and would dilute it.
    used = {"name": "cpu", "container": "server", "target": target}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": scaling.min_instances,
        "maxReplicas": scaling.max_instances,
        "metrics": [{"type": "ContainerResource", "containerResource": used}],
        "behavior": {
            "scaleUp": {"stabilizationWindowSeconds": 0, "tolerance": "0", "policies": step(scaling.step_up)},
            "scaleDown": {
                "stabilizationWindowSeconds": scaling.calm_seconds,
                "tolerance": down_tolerance(scaling.low_cpu, scaling.high_cpu),
                "policies": step(scaling.step_down),
            },
        },
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": site.deployment.kubernetes.namespace},
        "spec": spec,
    }


def disruption_budget(site: Site) -> dict[str, Any]:
    """Return the PodDisruptionBudget: a node may be emptied, one server at a time; a broken one may always go."""
    names = site.deployment.kubernetes
    chosen = {"matchLabels": {"app.kubernetes.io/name": names.name}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": names.name, "namespace": names.namespace},
        "spec": {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": chosen},
    }


def network_policy(site: Site, redis_port: int) -> dict[str, Any]:
    """Return the NetworkPolicy: callers, Prometheus and the own namespace come in; names and stores are asked."""
    names = site.deployment.kubernetes
    spaces = [names.caller_namespace, names.monitoring_namespace]
    inside = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": spaces}]}
    stores = [
        {"protocol": "TCP", "port": port} for port in sorted({redis_port, *_broker_ports(site), *_control_ports(site)})
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": names.name, "namespace": names.namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": names.name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [{"namespaceSelector": inside}, {"podSelector": {}}],
                    "ports": [{"protocol": "TCP", "port": PORT}],
                }
            ],
            "egress": [
                {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
                {"ports": stores},
            ],
        },
    }


def _broker_ports(site: Site) -> list[int]:
    if site.events.log != "kafka":
        return []
    return [
        int(server.rpartition(":")[2])
        for server in site.events.servers.split(",")
        if server.rpartition(":")[2].isdigit()
    ]


def _control_ports(site: Site) -> list[int]:
    return [urlsplit(site.control.url).port or 5432] if site.control.url else []
