"""A project as one object: its configuration, and everything of its home at hand.

What trains and computes is imported where it is asked for: a server, which needs none of it, starts sooner.
"""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orita.control.config import ControlConfig
from orita.core.clock import Clock, SystemClock
from orita.core.config import Loaded, Section, Setting
from orita.core.errors import NotFound, UserError, closest
from orita.core.home import DEFAULT_TENANT, Home
from orita.core.progress import SILENT, Progress
from orita.deploy import DeploymentConfig, Site, own_files
from orita.events.log.log import EventLog
from orita.events.log.opening import EventLogConfig, open_log
from orita.features.api.feature_store import FeatureStore
from orita.features.generations.generations import Generations
from orita.features.generations.opening import OnlineConfig, open_generations
from orita.features.online.following import OnlineFeatures
from orita.features.plan import plan_of
from orita.features.system import System
from orita.models.package import Package, load_package
from orita.monitoring.config import MonitoringConfig
from orita.pipelines.config import DataConfig, ModelConfig
from orita.pipelines.runs_config import RunsConfig
from orita.registry.config import RegistryConfig
from orita.registry.trust import trust_of
from orita.serving.config import ServingConfig

if TYPE_CHECKING:
    from orita.events.lake import Snapshot
    from orita.features.training_sets.training_set import TrainingSet
    from orita.models.examples import Examples
    from orita.models.ranker import Ranker
    from orita.models.retrieval.package import RetrieverPackage
    from orita.pipelines.graph import RunReport
    from orita.pipelines.workspace import Workspace
    from orita.registry.catalogue import Catalogue

__all__ = ["FILES", "MAIN", "OritaConfig", "Project", "actor"]

MAIN = "orita.yaml"
FILES = ("data_config.yaml", "model_config.yaml", "monitoring_config.yaml")


class OritaConfig(Section):
    """``orita.yaml``: what the project is about and where its parts run.

    Attributes:
        system: the name of a built-in system, or a Python file that declares one.
        tenant: whose data these are.
        events: the event log.
        online: the online store.
        control: control state: who gets what.
        registry: the catalogue of models.
        serving: the server.
        runs: how pipelines are carried out.
        deployment: several servers behind one address, for ``orita render``.
    """

    system: str = "feed"
    tenant: str = DEFAULT_TENANT
    events: EventLogConfig = EventLogConfig()
    online: OnlineConfig = OnlineConfig()
    control: ControlConfig = ControlConfig()
    registry: RegistryConfig = RegistryConfig()
    serving: ServingConfig = ServingConfig()
    runs: RunsConfig = RunsConfig()
    deployment: DeploymentConfig = DeploymentConfig()


@dataclass(frozen=True, slots=True)
class Project:
    """Everything that a command needs to know; *code* is the digest of the Python files that declare the system."""

    folder: Path
    home: Home
    system: System
    main: Loaded[OritaConfig]
    data: Loaded[DataConfig]
    model: Loaded[ModelConfig]
    monitoring: Loaded[MonitoringConfig]
    code: str = ""

    def workspace(
        self, *, source: Path | None = None, progress: Progress = SILENT, clock: Clock | None = None
    ) -> Workspace:
        """Return the surroundings of a pipeline run.

        Args:
            source: data to ingest; None: the synthetic world.
            progress: where to draw progress.
            clock: tells the time.
        """
        from orita.pipelines.workspace import Workspace

        return Workspace(
            home=self.home,
            system=self.system,
            data=self.data.value,
            model=self.model.value,
            monitoring=self.monitoring.value,
            events=self.main.value.events,
            online=self.main.value.online,
            registry=self.main.value.registry,
            runs=self.main.value.runs,
            folder=self.folder,
            code=self.code,
            source=source,
            actor=actor(),
            clock=clock or SystemClock(),
            progress=progress,
        )

    def run(self, pipeline: str, *, source: Path | None = None, progress: Progress = SILENT) -> list[RunReport]:
        """Run a pipeline, as ``orita run`` does; what has been done already is not done again.

        Args:
            pipeline: ``etl``, ``training``, ``monitoring``, ``retraining`` or ``all``.
            source: data to ingest; None: the synthetic world.
            progress: where to draw progress.

        Raises:
            NotFound: there is no such pipeline.
        """
        from orita.pipelines.runs import run_pipeline

        return run_pipeline(pipeline, self.workspace(source=source, progress=progress))

    def table(self, name: str) -> Snapshot:
        """Return a lake table as it is now, such as ``interactions``; its ``sql`` stands behind FROM in DuckDB.

        Raises:
            NotFound: there is no such table; the sentence lists those that exist.
        """
        from orita.events.lake import Lake

        return Lake(self.home).snapshot(name)

    def training_set(self, name: str | None = None) -> TrainingSet:
        """Return the training set of that id; None: the newest.

        Raises:
            NotFound: there is none.
        """
        from orita.features.training_sets.training_set import latest_training_set, open_training_set

        folder, system = self.home.training_sets, self.system.name
        return latest_training_set(folder, system) if name is None else open_training_set(folder, system, name)

    def examples(self, part: str, training_set: str | None = None) -> Examples:
        """Return the rows of one part of a training set, with all its features.

        Args:
            part: ``train``, ``val`` or ``test``.
            training_set: its id; None: the newest.

        Raises:
            NotFound: there is no such part, or no such training set.
            UserError: the files of the training set were let go.
        """
        from orita.features.training_sets.training_set import SPLITS
        from orita.models.reading import read_examples

        if part not in SPLITS:
            raise NotFound(f"a training set has no part {part!r}. {closest(part, SPLITS)}")
        made = self.training_set(training_set)
        if not made.complete:
            raise UserError(
                f"the files of training set {made.id} were let go: 'orita training-sets reproduce {made.id}' makes "
                "them again, or take the newest."
            )
        return read_examples(made.file(part), made.schema)

    def ranker(self, type_: str | None = None) -> Ranker:
        """Return a ranker of that type with the settings of ``model_config.yaml``, not yet fitted.

        Args:
            type_: such as ``lightgbm``; None: ``model.type``.

        Raises:
            UserError: there is no such type; the sentence lists those that exist.
            MissingExtra: the library that trains it is not installed.
        """
        from orita.models.build import build_ranker

        config = self.model.value
        own = self.system.own_rankers
        return build_ranker(config.model.type if type_ is None else type_, config.model, config.training, own)

    def package(self, version: str = "champion") -> Package:
        """Return a registered model as it would serve.

        Args:
            version: a version, or the alias ``champion`` or ``challenger``.

        Raises:
            NotFound: there is no such version; the sentence says what exists.
            UserError: its package is damaged, or not of who is trusted.
        """
        return self.load_package(self.catalogue().get(self.system.name, version).package)

    def feature_store(self, *, online: OnlineFeatures | None = None) -> FeatureStore:
        """Open the feature store; *online* is what reads the online state where this process has it open already."""
        events = self.main.value.events
        return FeatureStore(
            self.home,
            self.system,
            log=self.event_log(),
            partitions=events.partitions,
            generations=None if online else self.generations(),
            online=online,
            memory_mb=self.data.value.validation.memory_mb,
            validation=self.data.value.validation,
        )

    def catalogue(self) -> Catalogue:
        """Return the catalogue of models."""
        from orita.registry.catalogue import Catalogue

        return Catalogue(self.home, config=self.main.value.registry)

    def load_package(self, folder: Path) -> Package:
        """Open the package in *folder*.

        Raises:
            UserError: it is damaged, or not of who is trusted.
        """
        return load_package(folder, trust=trust_of(self.main.value.registry, self.home))

    def load_retriever(self, folder: Path) -> RetrieverPackage:
        """Open the retriever in *folder*.

        Raises:
            UserError: it is damaged, or not of who is trusted.
        """
        from orita.models.retrieval.package import load_retriever

        return load_retriever(folder, trust=trust_of(self.main.value.registry, self.home))

    def event_log(self) -> EventLog:
        """Open the event log; who opens it closes it."""
        return open_log(self.main.value.events, self.home)

    def generations(self) -> Generations:
        """Return the generations of the online state; who asks for them closes them."""
        return open_generations(self.main.value.online, self.home, self.system.name)

    def online_features(self, *, ahead: bool = False) -> OnlineFeatures:
        """Open what reads the online state and follows what is published; *ahead*: items are read into memory first."""
        return OnlineFeatures(plan_of(self.system), self.generations(), ahead=ahead)

    def site(self) -> Site:
        """Return what ``orita render`` renders: the parts of the configuration that a deployment depends on.

        Raises:
            UserError: a file of the project cannot be read.
        """
        main = self.main.value
        return Site(
            system=self.system.name,
            tenant=main.tenant,
            deployment=main.deployment,
            serving=main.serving,
            online=main.online,
            events=main.events,
            registry=main.registry,
            control=main.control,
            latency_p99_ms=self.monitoring.value.performance_monitoring.latency_p99_threshold_ms,
            files=own_files(self.folder, (MAIN, FILES[0], *([main.system] if main.system.endswith(".py") else []))),
        )

    def settings(self) -> dict[str, tuple[Setting, ...]]:
        """Return every effective value with its origin, by file."""
        return {
            MAIN: self.main.settings,
            FILES[0]: self.data.settings,
            FILES[1]: self.model.settings,
            FILES[2]: self.monitoring.settings,
        }


def actor() -> str:
    """Return who runs this process, for audit trails."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "unknown"
