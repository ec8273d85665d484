"""Manifests for Kubernetes: servers without state of their own, scaled by use of processors.

A pod's home is its own and ends with it. What it needs of the home that pipelines write (packages, deployments,
declarations) is copied there before its server starts, and followed from then on (`orita.deploy.following`): control
state is SQLite, whose write-ahead log no two machines can share, unless it is in PostgreSQL, where servers read it
themselves. Predictions are written to the shared claim.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any
from urllib.parse import urlsplit

from orita.core.errors import UserError
from orita.deploy.image import HOME, PORT, PROJECT
from orita.deploy.kubernetes_controller import controller
from orita.deploy.kubernetes_policies import autoscaler, disruption_budget, network_policy
from orita.deploy.kubernetes_shared import (
    no_rights,
    pod_security,
    secrets,
    shared_environment,
    shared_mounts,
    shared_volumes,
)
from orita.deploy.rendered import RenderedFile, to_yaml
from orita.deploy.site import Site

__all__ = ["kubernetes_files"]

_SHARED = "/shared"
_FOLLOW_SECONDS = 2
_SLEEP_SECONDS = 5  # until every node has heard that a pod takes no more requests
_SPARE_SECONDS = 5
_MOST_BYTES = 900_000  # of a ConfigMap: Kubernetes takes 1 MiB, the rest is for names


def kubernetes_files(site: Site) -> list[RenderedFile]:
    """Return the manifests; ``kubectl apply -f`` takes them in the order of their names.

    Raises:
        UserError: the online features are in files of one machine, or the project's files are too long.
    """
    if site.online.store != "redis":
        raise UserError(
            f"online.store is {site.online.store!r}, whose files are one machine's: servers in Kubernetes share their "
            "state by Redis; set online.store: redis."
        )
    manifests: list[tuple[str, str, dict[str, Any]]] = [
        ("00-namespace", "Where everything is; its pods have no rights over their node.", _namespace(site)),
        ("10-project", "The project's files, as servers read them.", _project(site)),
        ("20-claim", "The home that pipelines write; give it a storage class with ReadWriteMany.", _claim(site)),
        ("30-account", "Servers ask nothing of Kubernetes.", _account(site)),
        ("40-deployment", "The servers; how many there are is the autoscaler's to say.", _deployment(site)),
        ("50-service", "One address for all of them.", _service(site)),
        (
            "60-autoscaler",
            "How many servers there are; docs/deployment.md says how its limits are met.",
            autoscaler(site),
        ),
        ("70-budget", "One server at a time may be taken away on purpose.", disruption_budget(site)),
        ("80-network", "Who may ask, and whom servers may ask.", network_policy(site, redis_port(site))),
    ]
    if site.control.url:
        manifests.insert(5, ("45-controller", "What judges rollouts; one acts at a time.", controller(site)))
    return [RenderedFile(f"kubernetes/{name}.yaml", to_yaml(about, manifest)) for name, about, manifest in manifests]


def redis_port(site: Site) -> int:
    """Return the port of the Redis that servers read from."""
    return urlsplit(site.online.redis.url).port or 6379


def _named(site: Site, kind: str, version: str, name: str | None = None) -> dict[str, Any]:
    names = site.deployment.kubernetes
    about = {"name": name or names.name, "namespace": names.namespace, "labels": _labels(site)}
    return {"apiVersion": version, "kind": kind, "metadata": about}


def _labels(site: Site) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": site.deployment.kubernetes.name,
        "app.kubernetes.io/component": "server",
        "app.kubernetes.io/part-of": "orita",
    }


def _chosen(site: Site) -> dict[str, Any]:
    return {"matchLabels": {"app.kubernetes.io/name": site.deployment.kubernetes.name}}


def _namespace(site: Site) -> dict[str, Any]:
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    metadata = {"name": site.deployment.kubernetes.namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _project(site: Site) -> dict[str, Any]:
    _refuse_passwords(site)
    length = sum(len(name) + len(text.encode()) for name, text in site.files.items())
    if length > _MOST_BYTES:
        raise UserError(
            f"the project's files have {length:,} bytes, and a ConfigMap takes {_MOST_BYTES:,}: put declarations that "
            "are not this system's elsewhere."
        )
    return {**_named(site, "ConfigMap", "v1", f"{site.deployment.kubernetes.name}-project"), "data": dict(site.files)}


def _refuse_passwords(site: Site) -> None:
    """Whoever may read a namespace reads its ConfigMaps."""
    for key, address in (
        ("online.redis.url", site.online.redis.url),
        ("serving.jobs.redis.url", site.serving.jobs.redis.url),
        ("serving.cache.redis.url", site.serving.cache.redis.url),
        ("registry.tracking_uri", site.registry.tracking_uri),
        ("control.url", site.control.url),
    ):
        if address and urlsplit(address).password:
            raise UserError(
                f"{key} holds a password, which a ConfigMap would show: leave it out, and give it by an environment "
                "variable (of Redis, redis.password_variable) from a secret, which deployment.kubernetes.secret names."
            )
    shown = next((name for name in site.events.settings if "password" in name or "secret" in name), None)
    if shown:
        raise UserError(
            f"events.settings has {shown!r}, which a ConfigMap would show: servers push nothing, so leave it out of "
            "what is deployed, or give ORITA_EVENTS__SETTINGS from a secret, which deployment.kubernetes.secret names."
        )


def _claim(site: Site) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "20Gi"}}}
    return {**_named(site, "PersistentVolumeClaim", "v1", site.deployment.kubernetes.home_claim), "spec": spec}


def _account(site: Site) -> dict[str, Any]:
    return {**_named(site, "ServiceAccount", "v1"), "automountServiceAccountToken": False}


def _service(site: Site) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}]
    spec = {"type": "ClusterIP", "selector": _chosen(site)["matchLabels"], "ports": ports}
    return {**_named(site, "Service", "v1"), "spec": spec}


def _deployment(site: Site) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps(dict(site.files), sort_keys=True).encode()).hexdigest()
    told = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT), "orita/project-sha256": digest}
    spec = {
        "selector": _chosen(site),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "minReadySeconds": 5,
        "revisionHistoryLimit": 5,
        "template": {"metadata": {"labels": _labels(site), "annotations": told}, "spec": _pod(site)},
    }
    return {**_named(site, "Deployment", "apps/v1"), "spec": spec}


def _pod(site: Site) -> dict[str, Any]:
    names = site.deployment.kubernetes
    take = ["python", "-m", "orita.deploy.following", _SHARED, HOME, "--system", site.system, "--tenant", site.tenant]
    take += ["--control", site.control.url] if site.control.url else []
    return {
        "serviceAccountName": names.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _SLEEP_SECONDS
        + math.ceil(site.serving.drain_seconds)
        + site.serving.shutdown_seconds
        + _SPARE_SECONDS,
        "securityContext": pod_security(),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": _chosen(site),
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
        "initContainers": [
            _beside(site, "take", [*take, "--once"]),
            {**_beside(site, "follow", [*take, "--every", str(_FOLLOW_SECONDS)]), "restartPolicy": "Always"},
        ],
        "containers": [_server(site)],
        "volumes": [
            {"name": "home", "emptyDir": {}},
            {"name": "temporary", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
            {"name": "shared", "persistentVolumeClaim": {"claimName": names.home_claim}},
            {"name": "project", "configMap": {"name": f"{names.name}-project"}},
            *shared_volumes(site),
        ],
    }


def _server(site: Site) -> dict[str, Any]:
    resources = site.deployment.resources
    limits = {"memory": resources.memory_limit, **({"cpu": resources.cpu_limit} if resources.cpu_limit else {})}
    shared = shared_environment(site)
    return {
        "name": "server",
        "image": site.deployment.images.orita,
        "args": ["serve"],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        **({"env": shared} if shared else {}),
        **secrets(site),
        "resources": {"requests": {"cpu": resources.cpu, "memory": resources.memory}, "limits": limits},
        "startupProbe": _probe("/health/live", every=1, failures=60),
        "livenessProbe": _probe("/health/live", every=10, failures=3),
        "readinessProbe": _probe("/health/ready", every=2, failures=2),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_SLEEP_SECONDS)]}}},
        "securityContext": no_rights(),
        "volumeMounts": [
            {"name": "home", "mountPath": HOME},
            {"name": "shared", "mountPath": f"{HOME}/predictions", "subPath": "predictions"},
            {"name": "project", "mountPath": PROJECT, "readOnly": True},
            {"name": "temporary", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
            *shared_mounts(site),
        ],
    }


def _beside(site: Site, name: str, command: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "image": site.deployment.images.orita,
        "command": command,
        **(secrets(site) if site.control.url else {}),
        "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": no_rights(),
        "volumeMounts": [
            {"name": "shared", "mountPath": _SHARED, "readOnly": True},
            {"name": "home", "mountPath": HOME},
            {"name": "temporary", "mountPath": "/tmp"},  # noqa: S108
        ],
    }


def _probe(path: str, *, every: int, failures: int) -> dict[str, Any]:
    request = {"path": path, "port": "http"}
    return {"httpGet": request, "periodSeconds": every, "timeoutSeconds": 2, "failureThreshold": failures}
