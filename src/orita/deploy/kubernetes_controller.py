"""What judges rollouts in a cluster: one pod that reads what all servers log, and decides in their database.

It is there where control state is in PostgreSQL. Where it is a file of the shared home, the controller runs where
pipelines do: no two machines can share that file.
"""

from __future__ import annotations

from typing import Any

from orita.deploy.image import HOME, PROJECT
from orita.deploy.kubernetes_shared import no_rights, pod_security, secrets
from orita.deploy.site import Site

__all__ = ["controller"]


def controller(site: Site) -> dict[str, Any]:
    """Return the Deployment of the controller; a second pod would wait for the first one's lease."""
    names = site.deployment.kubernetes
    name = f"{names.name}-controller"
    labels = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/component": "controller",
        "app.kubernetes.io/part-of": "orita",
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": names.namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "template": {"metadata": {"labels": labels}, "spec": _pod(site)},
        },
    }


def _pod(site: Site) -> dict[str, Any]:
    names = site.deployment.kubernetes
    return {
        "serviceAccountName": names.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [
            {
                "name": "controller",
                "image": site.deployment.images.orita,
                "args": ["controller"],
                **secrets(site),
                "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
                "securityContext": no_rights(),
                "volumeMounts": [
                    {"name": "shared", "mountPath": HOME},
                    {"name": "project", "mountPath": PROJECT, "readOnly": True},
                    {"name": "temporary", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
                ],
            }
        ],
        "volumes": [
            {"name": "temporary", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
            {"name": "shared", "persistentVolumeClaim": {"claimName": names.home_claim}},
            {"name": "project", "configMap": {"name": f"{names.name}-project"}},
        ],
    }
