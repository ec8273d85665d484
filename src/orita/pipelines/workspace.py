"""What every task is given: the home, the system, the configuration, the clock, and where to draw progress."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from orita.core.clock import Clock, SystemClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.core.progress import SILENT, Progress
from orita.events.engine import draw_nothing
from orita.events.lake import Lake
from orita.events.log.log import EventLog
from orita.events.log.opening import EventLogConfig, open_log
from orita.features.api.relations import Tables, system_tables
from orita.features.generations.generations import Generations
from orita.features.generations.opening import OnlineConfig, open_generations
from orita.features.plan import Plan, plan_of
from orita.features.schema import FeatureSchema
from orita.features.system import System
from orita.monitoring.config import MonitoringConfig
from orita.pipelines.attempt import Attempt
from orita.pipelines.config import DataConfig, ModelConfig
from orita.pipelines.runs_config import RunsConfig
from orita.registry.catalogue import Catalogue
from orita.registry.config import RegistryConfig

__all__ = ["Workspace"]


@dataclass(frozen=True, slots=True)
class Workspace:
    """The surroundings of a run.

    Attributes:
        home: where state lives.
        system: what is trained and watched.
        data, model, monitoring: the three configuration files.
        events: which event log.
        online: which online store.
        registry: which catalogue of models.
        runs: how graphs are carried out, and how long their history stays.
        folder: of the project, where it is one.
        code: digest of the project's own Python files, empty where the system was not read from a file.
        source: a file or folder to ingest; None: the synthetic world is generated.
        actor: who runs this, for the audit trail.
        clock: tells the time.
        progress: where to draw progress.
        attempt: which run and task this is given to; None outside of a task.
    """

    home: Home
    system: System
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    monitoring: MonitoringConfig = field(default_factory=MonitoringConfig)
    events: EventLogConfig = field(default_factory=EventLogConfig)
    online: OnlineConfig = field(default_factory=OnlineConfig)
    registry: RegistryConfig = field(default_factory=RegistryConfig)
    runs: RunsConfig = field(default_factory=RunsConfig)
    folder: Path | None = None
    code: str = ""
    source: Path | None = None
    actor: str = "orita"
    clock: Clock = field(default_factory=SystemClock)
    progress: Progress = SILENT
    attempt: Attempt | None = None

    @property
    def plan(self) -> Plan:
        """The plan of the system's features."""
        return plan_of(self.system)

    @property
    def schema(self) -> FeatureSchema:
        """The features that a model is given."""
        return self.system.schema(self.data.feature_engineering.selected)

    def event_log(self) -> EventLog:
        """Open the event log; who opens it closes it."""
        return open_log(self.events, self.home, self.clock)

    def generations(self) -> Generations:
        """Return the generations of the online state; who asks for them closes them."""
        return open_generations(self.online, self.home, self.system.name)

    def catalogue(self) -> Catalogue:
        """Return the catalogue of models."""
        return Catalogue(self.home, self.clock, self.registry)

    def tables(self, *, begun: bool = True) -> Tables:
        """Return every lake table that the system reads, as it is now; *begun*: there must be events.

        Raises:
            UserError: there are no events yet, and there must be.
        """
        return system_tables(Lake(self.home), self.system, begun=begun)

    @property
    def workfile(self) -> Path:
        """The DuckDB file in which one task of the ETL leaves rows for the next."""
        return self.home.staging / f"etl-{self.system.name}.duckdb"

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Hold the lock *name* of this home and system; the system lets go of it when the process ends, however.

        Raises:
            UserError: another process holds it.
        """
        self.home.staging.mkdir(parents=True, exist_ok=True)
        with (self.home.staging / f"{self.system.name}-{name}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another run of {name} for system {self.system.name!r} is at work in {self.home.root}: "
                    "wait until it ends, or use another home."
                ) from None
            yield

    @contextmanager
    def engine(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the ETL's DuckDB file; what does not fit in memory spills beside it."""
        self.home.staging.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(self.workfile, config={"temp_directory": str(self.home.staging / "spill")})
        try:
            draw_nothing(connection)
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()
