"""nginx before several servers: a whole ``nginx.conf``, in blocks.

Two rules decide what is tried again at a second server. A request whose connection failed before it was sent always
is. One that a server may have begun to answer is only if its path is among ``deployment.nginx.repeat``: predictions
change nothing but the log, so asking twice is safe. A 503 is never tried again: it says that a server sheds load, and
its neighbour would get it twice.

Everybody may ask for the paths of ``deployment.nginx.public``, and internal networks alone for all others, so that a
path which a later version has is not public by itself. Which rule holds is decided by the path without its odd
spellings, and a public path is passed on as it is written here: a server cannot read another one from it. Servers are
asked by a constant ``Host``, and are always told that somebody passed the request on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from orita.deploy.config import DeploymentConfig, NginxConfig
from orita.deploy.nginx_text import block, seconds
from orita.deploy.nginx_upstream import upstream, users
from orita.deploy.rendered import MARK, RenderedFile
from orita.deploy.site import Site

__all__ = ["HEALTH_PATH", "Place", "nginx_file"]

HEALTH_PATH = "/balancer/health"
"""Answers 200 while nginx itself does, whatever the servers do."""

_FEATURES, _JOBS, _BATCH = "/api/v1/features", "/api/v1/jobs", "/predict/batch"
_SMALLEST_GZIP = 1024
_MOST_IN_MEMORY = 1024 * 1024  # of a body; longer ones go through a file in the temporary folder


@dataclass(frozen=True, slots=True)
class Place:
    """Where nginx runs.

    Attributes:
        host: address that it listens on.
        port: its port.
        public_port: the port by which callers reach it; None: the same.
        state: what paths of its process id and temporary files begin with; by default they lie in the folder that
            ``nginx -p`` names.
        access_log: where it tells of requests.
        error_log: where it tells of faults.
    """

    host: str
    port: int
    public_port: int | None = None
    state: str = ""
    access_log: str = "off"
    error_log: str = "stderr"


def nginx_file(site: Site, path: str = "nginx.conf", place: Place | None = None) -> RenderedFile:
    """Return ``nginx.conf`` for *site*; *place*: by default the host and port of its deployment."""
    deployment = site.deployment
    where = place or Place(deployment.host, deployment.port)
    lines = [
        f"# {MARK} from orita.yaml; run it with nginx -e stderr -p FOLDER -c nginx.conf, FOLDER being where it lies.",
        f"# {len(deployment.replicas)} servers of the system {site.system}, policy {deployment.policy}.",
        "worker_processes auto;",
        f"error_log {where.error_log} warn;",
        f"pid {where.state}nginx.pid;",
        *block("events", ["worker_connections 4096;"]),
        *block(
            "http",
            [*_basics(where), *_limits(site), *_names(deployment), *upstream(deployment), *_servers(site, where)],
        ),
    ]
    return RenderedFile(path, "\n".join(lines) + "\n")


def _basics(place: Place) -> Iterator[str]:
    yield "default_type application/octet-stream;"
    yield "server_tokens off;"
    yield "absolute_redirect off;"
    if place.access_log == "off":
        yield "access_log off;"
    else:
        yield (
            'log_format orita escape=json \'{"at":"$time_iso8601","request_id":"$orita_safe_id",'
            '"request":"$request","status":"$status","bytes":"$body_bytes_sent","seconds":"$request_time",'
            '"server":"$upstream_addr","server_status":"$upstream_status","server_seconds":"$upstream_response_time"}\';'
        )
        yield f"access_log {place.access_log} orita;"
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        yield f"{kind}_temp_path {place.state}{kind};"
    yield "keepalive_timeout 75s;"
    yield "gzip on;"
    yield "gzip_proxied any;"
    yield "gzip_vary on;"
    yield f"gzip_min_length {_SMALLEST_GZIP};"
    yield "gzip_types application/json application/openmetrics-text text/plain;"
    yield ""


def _limits(site: Site) -> Iterator[str]:
    """A caller that sends slowly, much, or nothing holds nginx only, and not for long."""
    longest, patience = site.serving.max_body_bytes, seconds(site.deployment.nginx.client_seconds)
    yield f"client_max_body_size {longest};"
    yield f"client_body_buffer_size {min(longest, _MOST_IN_MEMORY)};"
    yield "large_client_header_buffers 4 8k;"
    yield f"client_header_timeout {patience};"
    yield f"client_body_timeout {patience};"
    yield f"send_timeout {patience};"
    yield "reset_timedout_connection on;"
    yield ""


def _names(deployment: DeploymentConfig) -> Iterator[str]:
    yield "# A caller's request id is passed on, else one is made. Only what is safe in JSON is repeated there."
    yield from block("map $http_x_request_id $orita_request_id", ["default $http_x_request_id;", '"" $request_id;'])
    safe = '"~^[A-Za-z0-9._:/+=-]{1,128}$" $http_x_request_id;'
    yield from block("map $http_x_request_id $orita_safe_id", ["default $request_id;", safe])
    yield from users(deployment)
    yield ""


def _servers(site: Site, place: Place) -> Iterator[str]:
    tls = site.deployment.tls
    host = f"[{place.host}]" if ":" in place.host else place.host
    lines = [f"listen {host}:{place.port}{' ssl http2' if tls else ''};", "server_name _;"]
    if tls:
        lines += [
            f"ssl_certificate {tls.certificate};",
            f"ssl_certificate_key {tls.key};",
            "ssl_protocols TLSv1.2 TLSv1.3;",
            # Mozilla's intermediate set: forward secrecy and authenticated encryption only.
            "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
            "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;",
            "ssl_prefer_server_ciphers off;",
            "ssl_session_cache shared:orita_tls:10m;",
            "ssl_session_timeout 1d;",
            "ssl_session_tickets off;",
            'add_header Strict-Transport-Security "max-age=63072000" always;',
        ]
    yield from block("server", [*lines, "", *_proxying(site), *_locations(site), *_errors(site)])
    if tls and tls.redirect_port:
        public = place.public_port or place.port
        port = "" if public == 443 else f":{public}"
        moved = [f"listen {host}:{tls.redirect_port};", f"return 308 https://$host{port}$request_uri;"]
        yield from ["", *block("server", moved)]


def _proxying(site: Site) -> Iterator[str]:
    nginx = site.deployment.nginx
    yield "proxy_http_version 1.1;"
    yield 'proxy_set_header Connection "";'
    yield "proxy_set_header Host localhost;"
    yield "proxy_set_header X-Request-Id $orita_request_id;"
    yield "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    yield "proxy_set_header X-Forwarded-Proto $scheme;"
    yield f"proxy_connect_timeout {seconds(nginx.connect_seconds)};"
    yield from _patience(nginx.read_seconds)
    yield "proxy_max_temp_file_size 0;"
    yield "proxy_next_upstream error timeout;  # a POST: only if it was not sent yet"
    yield f"proxy_next_upstream_tries {nginx.tries};"
    yield ""


def _patience(longest: float) -> Iterator[str]:
    yield f"proxy_send_timeout {seconds(longest)};"
    yield f"proxy_read_timeout {seconds(longest)};"
    yield f"proxy_next_upstream_timeout {seconds(2 * longest)};"


def _locations(site: Site) -> Iterator[str]:
    nginx, serving = site.deployment.nginx, site.serving
    allowed = [*(f"allow {network};" for network in nginx.internal_networks), "deny all;"]
    yield from block("location /", [*allowed, "proxy_pass http://orita;"])
    own = {
        _BATCH: [*_patience(max(nginx.read_seconds, serving.resilience.deadline.most_ms / 1000))],
        _JOBS: [f"client_max_body_size {serving.jobs.max_body_bytes};"],
    }
    for path in dict.fromkeys((*nginx.public, *nginx.repeat, *own)):
        again = ["proxy_next_upstream error timeout invalid_header non_idempotent;"] if path in nginx.repeat else []
        mine = [] if _is_public(nginx, path) else allowed
        yield from block(f"location = {path}", [*mine, *again, *own.get(path, ()), f"proxy_pass http://orita{path};"])
    for path in nginx.public:
        if path != _FEATURES:
            yield from block(f"location {path}/", [f"proxy_pass http://orita{path}/;"])
    features = [
        *([] if _is_public(nginx, _FEATURES) else allowed),
        f"client_max_body_size {serving.features.max_body_bytes};",
        *_patience(nginx.feature_seconds),
        "proxy_pass http://orita;",
    ]
    yield from block(f"location {_FEATURES}", features)
    health = ["access_log off;", "default_type text/plain;", 'return 200 "ok\\n";']
    yield from block(f"location = {HEALTH_PATH}", health)
    yield ""


def _is_public(nginx: NginxConfig, path: str) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in nginx.public)


_Error = tuple[str, int, str, str]


def _errors(site: Site) -> Iterator[str]:
    """What nginx itself refuses has the form of a server's errors."""
    longest = f"the body is longer than {site.serving.max_body_bytes} bytes, or than this path allows: send less."
    cases: list[_Error] = [
        ("400 414 494 495 496 497", 400, "bad_request", "the request is not HTTP as it is understood here."),
        ("403", 403, "internal_path", "this path is for internal networks: ask a server itself."),
        ("413", 413, "body_too_large", longest),
        ("502 504", 503, "no_server", "no server answered: ask again in a moment."),
    ]
    for statuses, _, code, _ in cases:
        yield f"error_page {statuses} = @{code};"
    for _, status, code, message in cases:
        yield from block(f"location @{code}", _answer(status, code, message, again=code == "no_server"))


def _answer(status: int, code: str, message: str, *, again: bool) -> list[str]:
    fields: tuple[tuple[Literal["status", "code", "message", "request_id"], str], ...] = (
        ("status", "error"),
        ("code", code),
        ("message", message),
        ("request_id", "$orita_safe_id"),
    )
    body = ", ".join(f'"{name}": "{value}"' for name, value in fields)
    retry = ["add_header Retry-After 1 always;"] if again else []
    return [
        "default_type application/json;",
        "add_header X-Request-Id $orita_safe_id always;",
        *retry,
        f"return {status} '{{{body}}}';",
    ]
