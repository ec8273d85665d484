"""What can be set about several servers behind one address: the ``deployment`` section."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from orita.core.config import Section
from orita.deploy.container_config import AutoscalingConfig, ImagesConfig, KubernetesConfig, ResourcesConfig

__all__ = ["AlertsConfig", "DeploymentConfig", "NginxConfig", "ReplicaConfig", "TlsConfig", "UserKeyConfig"]

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_PATH = re.compile(r"/[A-Za-z0-9/_.~-]*")
_FILE = re.compile(r"/[\w./@+-]+")
_Seconds = Annotated[float, Field(gt=0, le=3600)]
_WRITES = ("/api/v1/features/", "/api/v1/jobs/", "/api/v1/models/", "/graphql/")
_Port = Annotated[int, Field(ge=1, le=65535)]


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not _HOST.fullmatch(host) or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError("expected host:port, such as 10.0.0.5:8080, server-1:8080 or [::1]:8080")
    return text


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError("expected a network without host bits, such as 10.0.0.0/8 or 192.0.2.7") from None


def _path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise ValueError("expected a path such as /predict: a slash, then letters, digits and / _ . ~ -")
    return text


def _file(path: Path) -> Path:
    if not _FILE.fullmatch(str(path)):
        raise ValueError("expected an absolute path of letters, digits and . _ / @ + -, where nginx finds the file")
    return path


class ReplicaConfig(Section):
    """One server; ``host:port`` alone stands for its address.

    Attributes:
        address: ``host:port`` where nginx reaches it.
        weight: its share of requests beside the others' weights.
        backup: it answers only while none of the others does.
    """

    address: Annotated[str, AfterValidator(_address)]
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    backup: bool = False


class UserKeyConfig(Section):
    """By what requests of one user are known, for ``consistent_hash``: nginx does not look into bodies.

    Attributes:
        source: where the user's id is.
        name: of the header, the parameter of the query, or the cookie.
    """

    source: Literal["header", "query", "cookie"] = "header"
    name: str = "X-User-Id"

    @model_validator(mode="after")
    def _is_a_name(self) -> Self:
        letters = r"[A-Za-z][A-Za-z0-9-]*" if self.source == "header" else r"[A-Za-z][A-Za-z0-9_]*"
        if not re.fullmatch(letters, self.name):
            also = "-" if self.source == "header" else "_"
            raise ValueError(f"name is {self.name!r}: of a {self.source} take letters, digits and '{also}'")
        return self


class TlsConfig(Section):
    """Certificate of the public address; TLS 1.2 and 1.3 are spoken.

    Attributes:
        certificate: file with the chain, PEM, as nginx finds it.
        key: file of its private key.
        redirect_port: a port that sends plain HTTP here; null: there is none.
    """

    certificate: Annotated[Path, AfterValidator(_file)]
    key: Annotated[Path, AfterValidator(_file)]
    redirect_port: _Port | None = None


class NginxConfig(Section):
    """How nginx waits, keeps connections, and what it tries again.

    Attributes:
        connect_seconds: until a server that takes no connection counts as failed.
        read_seconds: until one that sends nothing does; where a request may be tried again, twice as long in all.
        feature_seconds: the same for ``/api/v1/features``, whose answers may come from history.
        client_seconds: how long a caller may pause within a request.
        keep_alive: idle connections that a worker of nginx keeps to the servers.
        keep_alive_seconds: for how long; shorter than a server keeps them (5 s), so that the server is not first.
        failures: failures within *failure_seconds* after which a server is left out.
        failure_seconds: for so long; then a request tries it again.
        tries: how often one request is given to a server at most.
        repeat: paths whose POST may be given to a second server although the first may have begun to answer.
        public: paths, with all below them, that everybody may ask; all others are for internal networks only.
        internal_networks: who may ask those by this address; by default nobody.
    """

    connect_seconds: _Seconds = 0.5
    read_seconds: _Seconds = 5.0
    feature_seconds: _Seconds = 120.0
    client_seconds: _Seconds = 10.0
    keep_alive: Annotated[int, Field(ge=1, le=10_000)] = 64
    keep_alive_seconds: Annotated[float, Field(gt=0, lt=5)] = 4.0
    failures: Annotated[int, Field(ge=1, le=1000)] = 2
    failure_seconds: Annotated[int, Field(ge=1, le=3600)] = 5
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    repeat: tuple[Annotated[str, AfterValidator(_path)], ...] = ("/predict", "/api/v1/feed")
    public: tuple[Annotated[str, AfterValidator(_path)], ...] = ("/predict", "/api/v1/feed", "/health")
    internal_networks: tuple[Annotated[str, AfterValidator(_network)], ...] = ()

    @model_validator(mode="after")
    def _paths_are_apart(self) -> Self:
        for name, paths in (("repeat", self.repeat), ("public", self.public)):
            own = [
                path for path in paths if path.endswith("/") or path.startswith("/balancer") or paths.count(path) > 1
            ]
            if own:
                raise ValueError(f"{name} has {own[0]}: give each path once, without a slash at its end, not /balancer")
        writes = [path for path in self.repeat if f"{path}/".startswith(_WRITES)]
        if writes:
            raise ValueError(f"repeat has {writes[0]}, which writes; take it out")
        return self


class AlertsConfig(Section):
    """When Prometheus alarms; null: never.

    Attributes:
        error_rate: share of requests that failed (5xx), over five minutes.
        latency_p99_ms: 99th percentile of latency, likewise; by default what
            ``performance_monitoring.latency_p99_threshold_ms`` says.
        throughput_per_minute: fewest requests a minute to all servers together.
    """

    error_rate: Annotated[float, Field(gt=0, lt=1)] | None = 0.05
    latency_p99_ms: Annotated[float, Field(gt=0)] | None = None
    throughput_per_minute: Annotated[float, Field(gt=0)] | None = 100


class DeploymentConfig(Section):
    """What ``orita render`` renders.

    Attributes:
        replicas: the servers, each an address or an address with a weight, or as a backup.
        policy: which of them gets a request: in turn, in turn by weight, the one with the fewest requests under way, or
            always the same one for a user.
        user_key: what ``consistent_hash`` knows a user by.
        host: address that nginx listens on.
        port: its port.
        tls: certificate of that address; null: plain HTTP, for a private network.
        nginx: how it waits, and what it tries again.
        alerts: when Prometheus alarms.
        images: names of container images.
        resources: what a server's container gets.
        autoscaling: how many servers there are.
        kubernetes: names in the cluster.
    """

    replicas: Annotated[tuple[ReplicaConfig, ...], Field(min_length=1, max_length=256)] = (
        ReplicaConfig(address="127.0.0.1:8081"),
        ReplicaConfig(address="127.0.0.1:8082"),
    )
    policy: Literal["round_robin", "weighted", "least_connections", "consistent_hash"] = "round_robin"
    user_key: UserKeyConfig = UserKeyConfig()
    host: str = "0.0.0.0"
    port: _Port = 8000
    tls: TlsConfig | None = None
    nginx: NginxConfig = NginxConfig()
    alerts: AlertsConfig = AlertsConfig()
    images: ImagesConfig = ImagesConfig()
    resources: ResourcesConfig = ResourcesConfig()
    autoscaling: AutoscalingConfig = AutoscalingConfig()
    kubernetes: KubernetesConfig = KubernetesConfig()

    @field_validator("replicas", mode="before")
    @classmethod
    def _addresses_alone(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return [{"address": replica} if isinstance(replica, str) else replica for replica in value]

    @field_validator("host")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise ValueError("expected an address of this machine, such as 0.0.0.0, 127.0.0.1 or ::") from None
        return value

    @model_validator(mode="after")
    def _policy_can_be_kept(self) -> Self:
        addresses = [replica.address for replica in self.replicas]
        twice = next((address for address in addresses if addresses.count(address) > 1), None)
        if twice:
            raise ValueError(f"replicas names {twice} twice; give each server once, with a weight")
        if all(replica.backup for replica in self.replicas):
            raise ValueError("replicas are all a backup; at least one must answer by itself")
        if self.policy == "consistent_hash" and any(replica.backup for replica in self.replicas):
            raise ValueError(
                "replicas: nginx has no backup with the policy consistent_hash, where the next server on the ring "
                "steps in; leave backup out, or take another policy"
            )
        if self.policy == "round_robin" and any(replica.weight != 1 for replica in self.replicas):
            raise ValueError("replicas have weights, which the policy round_robin gives no heed; take policy: weighted")
        if self.tls and self.tls.redirect_port == self.port:
            raise ValueError(f"tls.redirect_port is {self.port}, which is the port itself; choose another, such as 80")
        return self
