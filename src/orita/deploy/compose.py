"""Containers on one machine: servers, nginx before them, what judges rollouts, stores, and what watches them all.

A store of the project's configuration that is at this machine (``127.0.0.1``) becomes a service here, and servers find
it by its name; one that is elsewhere stays there.
"""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from orita.deploy.alertmanager import alertmanager_file, receivers_of
from orita.deploy.grafana import DASHBOARDS, grafana_files
from orita.deploy.image import HEALTH_CHECK, HOME, PORT, PROJECT, image_files
from orita.deploy.nginx import HEALTH_PATH, Place, nginx_file
from orita.deploy.prometheus import prometheus_files
from orita.deploy.rendered import RenderedFile, to_yaml
from orita.deploy.site import Site

__all__ = ["LOOPBACK", "NGINX_PORT", "compose_files"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
NGINX_PORT = 8080
"""Where nginx listens in its container: without root, no port below 1024."""

_GRACE = 5
_POSTGRES_PASSWORD = "${ORITA_POSTGRES_PASSWORD:?choose one}"  # noqa: S105 - a name of the environment, no password
_GRAFANA_PASSWORD = "${ORITA_GRAFANA_PASSWORD:?choose one}"  # noqa: S105
_ABOUT = """\
Containers on one machine. ORITA_PROJECT is the folder of your project, by default this one; ORITA_SOURCE that of
Orita's sources, by default the one above. Choose passwords: ORITA_POSTGRES_PASSWORD, ORITA_GRAFANA_PASSWORD.
  docker compose up --detach                            everything; without a model, requests get 503
  docker compose run --rm pipelines run all             a first model, from data to champion
  docker compose run --rm pipelines models promote …    another"""


def compose_files(site: Site) -> list[RenderedFile]:
    """Return ``compose.yaml``, the image's files, and the configuration of nginx, Prometheus and Grafana beside it."""
    within = site.in_containers(PORT)
    # What only this container writes to may have names that others could guess.
    place = Place("0.0.0.0", NGINX_PORT, site.deployment.port, state="/tmp/", access_log="/dev/stdout")  # noqa: S108
    return [
        RenderedFile("compose.yaml", to_yaml(_ABOUT, _compose(site))),
        *image_files(site),
        nginx_file(within, "nginx/nginx.conf", place),
        *prometheus_files(within, alertmanager="alertmanager:9093" if _tells(site) else None),
        *([alertmanager_file(within)] if _tells(site) else []),
        *grafana_files(within, address="http://prometheus:9090"),
    ]


def _compose(site: Site) -> dict[str, Any]:
    count = len(site.deployment.replicas)
    services = {f"server-{number}": _server(site) for number in range(1, count + 1)}
    services["nginx"] = _nginx(site, list(services))
    volumes = ["home", "prometheus", "grafana"]
    if _redis_here(site):
        services["redis"] = _redis(site)
        volumes.append("redis")
    if _postgres_here(site):
        services["postgres"] = _postgres(site)
        volumes.append("postgres")
    services["controller"] = _beside(site, "controller")
    services["shadow"] = _beside(site, "shadow", "run")
    services["pipelines"] = _pipelines(site)
    services["prometheus"] = _prometheus(site)
    if _tells(site):
        services["alertmanager"] = _alertmanager(site)
        volumes.append("alertmanager")
    services["grafana"] = _grafana(site)
    return {
        "name": "orita",
        "services": services,
        "volumes": {name: {} for name in volumes},
        # Servers and stores cannot be reached from outside, and reach nobody there, unless a store is elsewhere.
        "networks": {"outside": {}, "inside": {"internal": True}},
    }


def _redis_here(site: Site) -> bool:
    return site.online.store == "redis" and urlsplit(site.online.redis.url).hostname in LOOPBACK


def _all_here(site: Site) -> bool:
    """Tell whether servers reach all that they need within."""
    return (site.online.store != "redis" or _redis_here(site)) and site.events.log == "embedded"


def _postgres_here(site: Site) -> bool:
    uri = urlsplit(site.registry.tracking_uri or "")
    return uri.scheme.startswith("postgresql") and uri.hostname in LOOPBACK


def _locked_down(**service: Any) -> dict[str, Any]:
    """Return a service that cannot gain rights, nor write but to its volumes and a temporary folder in memory."""
    return {
        **service,
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
    }


def _orita(site: Site, target: str) -> dict[str, Any]:
    environment: dict[str, str] = {}
    needs: dict[str, Any] = {}
    if _redis_here(site):
        url = urlsplit(site.online.redis.url)
        environment["ORITA_ONLINE__REDIS__URL"] = urlunsplit(("redis", "redis:6379", url.path, "", ""))
        needs["redis"] = {"condition": "service_healthy"}
    if _postgres_here(site) and target == "pipelines":
        base = urlsplit(site.registry.tracking_uri or "").path or "/orita"
        environment["ORITA_REGISTRY__TRACKING_URI"] = f"postgresql://orita:{_POSTGRES_PASSWORD}@postgres:5432{base}"
        needs["postgres"] = {"condition": "service_healthy"}
    image = site.deployment.images.orita
    project = {"type": "bind", "source": "${ORITA_PROJECT:-.}", "target": PROJECT, "read_only": True}
    return {
        "image": image if target == "server" else f"{_bare(image)}-{target}:{_tag(image)}",
        "build": {
            "context": "${ORITA_SOURCE:-..}",
            "dockerfile": "${ORITA_DOCKERFILE:-deploy/Dockerfile}",
            "target": target,
        },
        **({"environment": environment} if environment else {}),
        **({"depends_on": needs} if needs else {}),
        "volumes": [f"home:{HOME}", project],
        "init": True,
    }


def _bare(image: str) -> str:
    name = image.partition("@")[0]
    return name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name


def _tag(image: str) -> str:
    last = image.partition("@")[0].rpartition("/")[2]
    return last.partition(":")[2] or "latest"


def _server(site: Site) -> dict[str, Any]:
    resources = site.deployment.resources
    return _locked_down(
        **_orita(site, "server"),
        healthcheck=_health(["CMD", *HEALTH_CHECK]),
        stop_grace_period=f"{math.ceil(site.serving.drain_seconds) + site.serving.shutdown_seconds + _GRACE}s",
        deploy={"resources": {"limits": {"memory": _bytes(resources.memory_limit)}}},
        networks=["inside"] if _all_here(site) else ["outside", "inside"],
    )


def _beside(site: Site, *command: str) -> dict[str, Any]:
    """Return what judges rollouts, or scores copies of requests: it reads the log that the servers write."""
    return _locked_down(
        **_orita(site, "server"),
        command=list(command),
        healthcheck={"disable": True},  # it answers nothing
        networks=["inside"] if _all_here(site) else ["outside", "inside"],
    )


def _pipelines(site: Site) -> dict[str, Any]:
    service = _locked_down(**_orita(site, "pipelines"), profiles=["pipelines"], networks=["outside", "inside"])
    return {**service, "restart": "no"}


def _nginx(site: Site, servers: list[str]) -> dict[str, Any]:
    tls, port = site.deployment.tls, site.deployment.port
    mounts = [_bind("./nginx/nginx.conf", "/etc/nginx/nginx.conf")]
    ports = [f"{port}:{NGINX_PORT}"]
    if tls:
        mounts += [_bind(str(file), str(file)) for file in (tls.certificate, tls.key)]
        ports += [f"{tls.redirect_port}:{tls.redirect_port}"] if tls.redirect_port else []
    return _locked_down(
        image=site.deployment.images.nginx,
        # A server that was made anew has another address, which nginx asks for when it starts.
        depends_on={server: {"condition": "service_started", "restart": True} for server in servers},
        volumes=mounts,
        ports=ports,
        healthcheck=_health(["CMD", "wget", "-q", "--no-check-certificate", "-O", "-", _nginx_url(site)]),
        networks=["outside", "inside"],
    )


def _nginx_url(site: Site) -> str:
    return f"{'https' if site.deployment.tls else 'http'}://127.0.0.1:{NGINX_PORT}{HEALTH_PATH}"


def _redis(site: Site) -> dict[str, Any]:
    # What a batch says is durable has to be: see the online stores' decision. Nothing may be evicted.
    settings = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]
    return {
        **_locked_down(
            image=site.deployment.images.redis,
            command=["redis-server", *settings],
            volumes=["redis:/data"],
            healthcheck=_health(["CMD", "redis-cli", "ping"]),
            networks=["inside"],
        ),
        "cap_add": ["SETGID", "SETUID", "CHOWN"],  # it begins as root, and becomes its own user
    }


def _postgres(site: Site) -> dict[str, Any]:
    base = urlsplit(site.registry.tracking_uri or "").path.strip("/") or "orita"
    return {
        **_locked_down(
            image=site.deployment.images.postgres,
            environment={"POSTGRES_USER": "orita", "POSTGRES_DB": base, "POSTGRES_PASSWORD": _POSTGRES_PASSWORD},
            volumes=["postgres:/var/lib/postgresql/data"],
            healthcheck=_health(["CMD", "pg_isready", "-q", "-U", "orita", "-d", base]),
            networks=["inside"],
        ),
        "tmpfs": ["/tmp", "/run/postgresql"],  # noqa: S108
        "cap_add": ["SETGID", "SETUID", "CHOWN", "FOWNER", "DAC_READ_SEARCH"],
    }


def _prometheus(site: Site) -> dict[str, Any]:
    return _locked_down(
        image=site.deployment.images.prometheus,
        command=["--config.file=/etc/prometheus/prometheus.yaml", "--storage.tsdb.path=/prometheus"],
        volumes=[_bind("./prometheus", "/etc/prometheus"), "prometheus:/prometheus"],
        ports=["127.0.0.1:9090:9090"],
        networks=["outside", "inside"],
    )


def _tells(site: Site) -> bool:
    """Tell whether there is an Alertmanager here: somebody is to be told, and no other Alertmanager does it."""
    return bool(receivers_of(site.alerting)) and site.alerting.alertmanager is None


def _alertmanager(site: Site) -> dict[str, Any]:
    return _locked_down(
        image=site.deployment.images.alertmanager,
        command=["--config.file=/etc/alertmanager/alertmanager.yaml", "--storage.path=/alertmanager"],
        volumes=[_bind("./alertmanager", "/etc/alertmanager"), "alertmanager:/alertmanager"],
        ports=["127.0.0.1:9093:9093"],
        networks=["outside", "inside"],
    )


def _grafana(site: Site) -> dict[str, Any]:
    return _locked_down(
        image=site.deployment.images.grafana,
        environment={
            "GF_SECURITY_ADMIN_PASSWORD": _GRAFANA_PASSWORD,
            "GF_USERS_ALLOW_SIGN_UP": "false",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        },
        depends_on={"prometheus": {"condition": "service_started"}},
        volumes=[
            _bind("./grafana/provisioning", "/etc/grafana/provisioning"),
            _bind("./grafana/dashboards", DASHBOARDS),
            "grafana:/var/lib/grafana",
        ],
        ports=["127.0.0.1:3000:3000"],
        networks=["outside", "inside"],
    )


def _bind(source: str, target: str) -> dict[str, Any]:
    return {"type": "bind", "source": source, "target": target, "read_only": True}


def _health(test: list[str]) -> dict[str, Any]:
    return {"test": test, "interval": "10s", "timeout": "3s", "retries": 3, "start_period": "30s"}


def _bytes(quantity: str) -> str:
    """Return memory of Kubernetes as compose writes it, for whom ``512m`` is 512 MiB."""
    return quantity.removesuffix("i").lower()
