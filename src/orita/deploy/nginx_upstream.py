"""The servers behind nginx: who gets a request, who is left out for a while, and who is asked when all are."""

from __future__ import annotations

from collections.abc import Iterator

from orita.deploy.config import DeploymentConfig, UserKeyConfig
from orita.deploy.nginx_text import block, seconds

__all__ = ["upstream", "users"]


def users(deployment: DeploymentConfig) -> Iterator[str]:
    """Yield the variable that tells users apart, where the policy needs it."""
    if deployment.policy != "consistent_hash":
        return
    key = _user_variable(deployment.user_key)
    yield "# Requests that name no user are spread by their own id."
    yield from block(f"map {key} $orita_user", [f"default {key};", '"" $request_id;'])


def _user_variable(key: UserKeyConfig) -> str:
    match key.source:
        case "header":
            return f"$http_{key.name.lower().replace('-', '_')}"
        case "query":
            return f"$arg_{key.name}"
        case "cookie":
            return f"$cookie_{key.name}"


def upstream(deployment: DeploymentConfig) -> list[str]:
    """Return the block ``upstream orita``."""
    nginx = deployment.nginx
    lines = ["zone orita 256k;  # workers of nginx share what they know of the servers"]
    if deployment.policy == "least_connections":
        lines.append("least_conn;")
    if deployment.policy == "consistent_hash":
        lines.append("hash $orita_user consistent;")
    for replica in deployment.replicas:
        weight = f" weight={replica.weight}" if replica.weight != 1 else ""
        backup = " backup" if replica.backup else ""
        limits = f"max_fails={nginx.failures} fail_timeout={nginx.failure_seconds}s"
        lines.append(f"server {replica.address}{weight} {limits}{backup};")
    lines += _last_resort(deployment)
    lines.append(f"keepalive {nginx.keep_alive};")
    lines.append(f"keepalive_timeout {seconds(nginx.keep_alive_seconds)};  # before a server closes them, after 5 s")
    return [*block("upstream orita", lines), ""]


def _last_resort(deployment: DeploymentConfig) -> list[str]:
    """Return the servers once more, as backups that no failure takes out.

    nginx leaves a server that failed out for a while, and where all are left out, it asks none: of two, one that is
    back after a kill, and one that is killed just then, none would be asked though one could answer.
    """
    alone = len(deployment.replicas) == 1 or any(replica.backup for replica in deployment.replicas)
    if alone or deployment.policy == "consistent_hash":
        return []
    return [f"server {replica.address} max_fails=0 backup;  # last resort" for replica in deployment.replicas]
