"""What is deployed: the parts of a project's configuration that servers, and what stands before them, depend on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from orita.control.config import ControlConfig
from orita.core.errors import UserError
from orita.deploy.config import DeploymentConfig, ReplicaConfig
from orita.events.log.opening import EventLogConfig
from orita.features.generations.opening import OnlineConfig
from orita.monitoring.config import AlertingConfig
from orita.registry.config import RegistryConfig
from orita.serving.config import ServingConfig

__all__ = ["Site", "own_files"]


@dataclass(frozen=True, slots=True)
class Site:
    """A system as it is deployed.

    Attributes:
        system: its name.
        tenant: whose data it serves.
        deployment: how many servers, where, and what stands before them.
        serving: how a server answers.
        online: where its state is.
        events: where its events are.
        registry: where its models are registered.
        control: where control state is.
        latency_p99_ms: the limit of latency that monitoring holds it to.
        alerting: the project's alerts, promises to users, and who is told.
        files: the project's own files by name, without which a container would serve the built-in system.
    """

    system: str
    tenant: str
    deployment: DeploymentConfig
    serving: ServingConfig
    online: OnlineConfig
    events: EventLogConfig
    registry: RegistryConfig
    control: ControlConfig
    latency_p99_ms: float
    alerting: AlertingConfig = field(default_factory=AlertingConfig)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def latency_limit_ms(self) -> float:
        """The limit that Prometheus alarms at."""
        own = self.deployment.alerts.latency_p99_ms
        return self.latency_p99_ms if own is None else own

    def in_containers(self, port: int) -> Site:
        """Return this site with its servers at ``server-1:port``, ``server-2:port`` …, where compose has them."""
        replicas = tuple(
            ReplicaConfig(address=f"server-{number}:{port}", weight=replica.weight, backup=replica.backup)
            for number, replica in enumerate(self.deployment.replicas, 1)
        )
        return replace(self, deployment=self.deployment.model_copy(update={"replicas": replicas}))


def own_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the texts of those files among *names* that *folder* has, by name.

    Raises:
        UserError: a name leads out of the folder or below it, where a container would not find it, or is no text.
    """
    found = {}
    for name in names:
        file = folder / name
        if not file.exists():
            continue
        if file.name != name:
            raise UserError(
                f"system names {name!r}: to be deployed it must lie beside orita.yaml, such as features.py."
            )
        try:
            found[name] = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{file} is not text in UTF-8: {error}; save it as UTF-8.") from None
    return found
