"""Finds a project's files, reads them, and loads the system that they declare."""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import orita
from orita.core.clock import Clock, SystemClock
from orita.core.config import ENVIRONMENT_PREFIX, Loaded, Section, Setting, load
from orita.core.errors import NotFound, OritaError, UserError, closest
from orita.core.home import DEFAULT_TENANT, Home
from orita.core.progress import SILENT, Progress
from orita.events.log.log import EventLog
from orita.events.log.opening import EventLogConfig, open_log
from orita.features.api.feature_store import FeatureStore
from orita.features.generations.generations import Generations
from orita.features.generations.opening import OnlineConfig, open_generations
from orita.features.online.following import OnlineFeatures
from orita.features.plan import plan_of
from orita.features.registry.registry import FeatureRegistry
from orita.features.schema import FeatureSchema
from orita.features.system import System
from orita.models.package import Package, load_package, package_schema
from orita.monitoring.config import MonitoringConfig
from orita.pipelines.config import DataConfig, ModelConfig
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import Catalogue
from orita.registry.config import RegistryConfig
from orita.registry.trust import trust_of
from orita.serving.config import ServingConfig

__all__ = ["FILES", "OritaConfig", "Project", "builtin_systems", "open_project", "scaffold"]

FILES = ("data_config.yaml", "model_config.yaml", "monitoring_config.yaml")
_MAIN = "orita.yaml"
_DECLARATIONS = "features.py"


class OritaConfig(Section):
    """``orita.yaml``: what the project is about and where its parts run.

    Attributes:
        system: the name of a built-in system, or a Python file that declares one.
        tenant: whose data these are.
        events: the event log.
        online: the online store.
        registry: the catalogue of models.
        serving: the server.
    """

    system: str = "feed"
    tenant: str = DEFAULT_TENANT
    events: EventLogConfig = EventLogConfig()
    online: OnlineConfig = OnlineConfig()
    registry: RegistryConfig = RegistryConfig()
    serving: ServingConfig = ServingConfig()


@dataclass(frozen=True, slots=True)
class Project:
    """Everything that a command needs to know."""

    folder: Path
    home: Home
    system: System
    main: Loaded[OritaConfig]
    data: Loaded[DataConfig]
    model: Loaded[ModelConfig]
    monitoring: Loaded[MonitoringConfig]

    def workspace(
        self, *, source: Path | None = None, progress: Progress = SILENT, clock: Clock | None = None
    ) -> Workspace:
        """Return the surroundings of a pipeline run.

        Args:
            source: data to ingest; None: the synthetic world.
            progress: where to draw progress.
            clock: tells the time.
        """
        return Workspace(
            home=self.home,
            system=self.system,
            data=self.data.value,
            model=self.model.value,
            monitoring=self.monitoring.value,
            events=self.main.value.events,
            online=self.main.value.online,
            registry=self.main.value.registry,
            source=source,
            actor=actor(),
            clock=clock or SystemClock(),
            progress=progress,
        )

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
        return Catalogue(self.home, config=self.main.value.registry)

    def load_package(self, folder: Path) -> Package:
        """Open the package in *folder*.

        Raises:
            UserError: it is damaged, or not of who is trusted.
        """
        return load_package(folder, trust=trust_of(self.main.value.registry, self.home))

    def event_log(self) -> EventLog:
        """Open the event log; who opens it closes it."""
        return open_log(self.main.value.events, self.home)

    def generations(self) -> Generations:
        """Return the generations of the online state; who asks for them closes them."""
        return open_generations(self.main.value.online, self.home, self.system.name)

    def online_features(self, *, ahead: bool = False) -> OnlineFeatures:
        """Open what reads the online state and follows what is published; *ahead*: items are read into memory first."""
        return OnlineFeatures(plan_of(self.system), self.generations(), ahead=ahead)

    def settings(self) -> dict[str, tuple[Setting, ...]]:
        """Return every effective value with its origin, by file."""
        return {
            _MAIN: self.main.settings,
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


def builtin_systems() -> dict[str, Path]:
    """Return the folders of the systems that Orita ships, by name."""
    package = Path(orita.__file__).parent
    root = package / "_systems" if (package / "_systems").is_dir() else package.parents[1] / "systems"
    return {path.parents[1].name: path.parents[1] for path in sorted(root.glob("*/implementation/data_models.py"))}


def open_project(
    folder: Path | None = None,
    *,
    home: Path | None = None,
    system: str | None = None,
    overrides: Iterable[str] = (),
) -> Project:
    """Open the project in *folder*; a folder without project files is the built-in feed system.

    Args:
        folder: by default the current folder.
        home: where state lives, by default ``ORITA_HOME``, else ``.orita`` in the project's folder.
        system: a built-in system or a Python file, instead of what ``orita.yaml`` says.
        overrides: ``section.key=value`` items that win over every file.

    Raises:
        UserError: a file, key or value is wrong, or no system of that name exists.
    """
    folder = (folder or Path()).absolute()
    if not folder.is_dir():
        raise UserError(f"the project folder {folder} does not exist: 'orita init {folder.name}' makes one.")
    given = list(overrides)
    _refuse_unknown_roots(given)
    main = load(OritaConfig, folder / _MAIN, overrides=given)
    name = system or main.value.system
    declared, defaults = _declared(name, folder)
    root = Home.default(main.value.tenant, folder).root if home is None else home.absolute()
    opened = Home(root, main.value.tenant)
    return Project(
        folder=folder,
        home=opened,
        system=FeatureRegistry.of(opened, declared.name).kept_for(declared, _served(opened, declared.name)),
        main=main,
        data=_read(DataConfig, FILES[0], folder, defaults, given),
        model=_read(ModelConfig, FILES[1], folder, defaults, given),
        monitoring=_read(MonitoringConfig, FILES[2], folder, defaults, given),
    )


def scaffold(folder: Path, system: str) -> list[Path]:
    """Write a project for a built-in system into *folder*; existing files are left as they are, as an error.

    Raises:
        NotFound: there is no such system.
        UserError: the folder has one of the files already; nothing is written.
    """
    source = _builtin(system)
    targets = [folder / name for name in (_MAIN, _DECLARATIONS, *FILES)]
    taken = [path for path in targets if path.exists()]
    if taken:
        raise UserError(f"{taken[0]} exists already: choose another folder, or delete it first.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MAIN).write_text(
        "# What this project is about. `orita config` shows every key and where its value comes from.\n"
        f"system: {_DECLARATIONS}\n"
    )
    shutil.copyfile(source / "implementation" / "data_models.py", folder / _DECLARATIONS)
    for name in FILES:
        shutil.copyfile(source / "config" / name, folder / name)
    return targets


S = TypeVar("S", bound=Section)


def _served(home: Home, system: str) -> Iterator[FeatureSchema]:
    """Yield the schemas of the packages that serve, or may after a rollback."""
    for file in sorted((home.packages / system).glob("*/schema.json")):
        yield package_schema(file.parent)


def _read(section: type[S], name: str, folder: Path, defaults: Path | None, given: list[str]) -> Loaded[S]:
    own = folder / name
    fallback = defaults / "config" / name if defaults else None
    return load(section, own if own.exists() or fallback is None else fallback, overrides=given)


def _declared(name: str, folder: Path) -> tuple[System, Path | None]:
    """Return the system that *name* means, and the folder of its shipped configuration if it is built in."""
    if name.endswith(".py"):
        return _load_system(folder / name), None
    builtin = _builtin(name)
    return _load_system(builtin / "implementation" / "data_models.py"), builtin


def _builtin(name: str) -> Path:
    systems = builtin_systems()
    if name not in systems:
        raise NotFound(f"system {name!r} is not built in. {closest(name, systems)} A file of your own ends in .py.")
    return systems[name]


def _load_system(file: Path) -> System:
    if not file.exists():
        raise UserError(f"{file} does not exist: 'system' in {_MAIN} must name a Python file that declares a system.")
    spec = importlib.util.spec_from_file_location(f"orita_project_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except OritaError:
        raise
    except Exception as error:
        raise UserError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    found = {id(value): value for value in vars(module).values() if isinstance(value, System)}
    if len(found) != 1:
        raise UserError(f"{file} declares {len(found)} systems; exactly one 'system(…)' is needed.")
    return next(iter(found.values()))


def _refuse_unknown_roots(overrides: list[str]) -> None:
    roots = [
        name for section in (OritaConfig, DataConfig, ModelConfig, MonitoringConfig) for name in section.model_fields
    ]
    for item in overrides:
        root = item.partition("=")[0].partition(".")[0].strip()
        if root not in roots:
            raise UserError(f"option --set {item!r}: {root!r} is not a known key. {closest(root, roots)}")
    for name in sorted(os.environ):
        root, nested, _ = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if name.startswith(ENVIRONMENT_PREFIX) and nested and root not in roots:
            raise UserError(f"environment {name}: {root!r} is not a known section. {closest(root, roots)}")
