"""What servers of a cluster have in common: the queue of jobs, the key of feeds, passwords, and no rights.

A pod's files end with it, and the next request may come to another pod. So jobs are kept in the Redis of the online
state, and the key that signs the cursors of feeds comes from one secret.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from orita.deploy.compose import LOOPBACK
from orita.deploy.image import USER
from orita.deploy.site import Site
from orita.features.stores.redis_server import RedisConfig
from orita.serving.feed.cursor_key import KEY_FILE

__all__ = ["no_rights", "pod_security", "secrets", "shared_environment", "shared_mounts", "shared_volumes"]

_KEYS = "/keys"
_READABLE = 0o440  # by the pod's group, as by its fsGroup


def pod_security() -> dict[str, Any]:
    """Return as whom the containers of a pod run."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def no_rights() -> dict[str, Any]:
    """Return what a container may not do."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def secrets(site: Site) -> dict[str, Any]:
    """Return what gives a container the passwords of stores."""
    secret = site.deployment.kubernetes.secret
    return {"envFrom": [{"secretRef": {"name": secret}}]} if secret else {}


def shared_environment(site: Site) -> list[dict[str, str]]:
    """Return the environment variables of a server."""
    found = _redis("ORITA_ONLINE__REDIS", site.online.redis)
    jobs = site.serving.jobs
    if jobs.enabled and jobs.queue == "embedded":
        redis = site.online.redis
        found["ORITA_SERVING__JOBS__QUEUE"] = "redis"
        found["ORITA_SERVING__JOBS__REDIS__URL"] = _url(redis)
        found["ORITA_SERVING__JOBS__REDIS__PREFIX"] = redis.prefix
        if redis.password_variable:
            found["ORITA_SERVING__JOBS__REDIS__PASSWORD_VARIABLE"] = redis.password_variable
    elif jobs.enabled:
        found |= _redis("ORITA_SERVING__JOBS__REDIS", jobs.redis)
    if site.serving.cache.store == "redis":
        found |= _redis("ORITA_SERVING__CACHE__REDIS", site.serving.cache.redis)
    if _signs(site):
        found["ORITA_SERVING__FEED__CURSOR__KEY_FILE"] = f"{_KEYS}/{KEY_FILE}"
    return [{"name": name, "value": value} for name, value in found.items()]


def shared_mounts(site: Site) -> list[dict[str, Any]]:
    """Return the mounts of a server's container."""
    return [{"name": "cursor-key", "mountPath": _KEYS, "readOnly": True}] if _signs(site) else []


def shared_volumes(site: Site) -> list[dict[str, Any]]:
    """Return the volumes of its pod."""
    secret = {"secretName": site.deployment.kubernetes.cursor_secret, "defaultMode": _READABLE}
    return [{"name": "cursor-key", "secret": secret}] if _signs(site) else []


def _signs(site: Site) -> bool:
    """Tell whether servers sign cursors with the secret's key; one that the configuration names is found elsewhere."""
    return site.serving.feed.enabled and site.serving.feed.cursor.key_file is None


def _redis(prefix: str, config: RedisConfig) -> dict[str, str]:
    """Return where a Redis of this machine is in the cluster; others stay where they are."""
    return {f"{prefix}__URL": _url(config)} if urlsplit(config.url).hostname in LOOPBACK else {}


def _url(config: RedisConfig) -> str:
    url = urlsplit(config.url)
    return f"redis://redis:6379{url.path}" if url.hostname in LOOPBACK else config.url
