"""Finds a project's files, reads them, and loads the system that they declare."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import orita
from orita.core.config import ENVIRONMENT_PREFIX, Loaded, Section, load
from orita.core.errors import NotFound, OritaError, UserError, closest
from orita.core.home import Home
from orita.features.registry.registry import FeatureRegistry
from orita.features.schema import FeatureSchema
from orita.features.system import System
from orita.models.config import with_own_types
from orita.models.own_rankers import check_names
from orita.models.package import package_schema
from orita.models.source_digest import file_digest
from orita.monitoring.config import MonitoringConfig
from orita.pipelines.config import DataConfig, ModelConfig
from orita.project.project import FILES, MAIN, OritaConfig, Project

__all__ = ["builtin_systems", "open_project", "scaffold"]

_DECLARATIONS = "features.py"


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
    main = load(OritaConfig, folder / MAIN, overrides=given)
    name = system or main.value.system
    file, defaults = _file_of(name, folder)
    declared = _load_system(file)
    root = Home.default(main.value.tenant, folder).root if home is None else home.absolute()
    opened = Home(root, main.value.tenant, main.value.control.url)
    return Project(
        folder=folder,
        home=opened,
        system=FeatureRegistry.of(opened, declared.name).kept_for(declared, _served(opened, declared.name)),
        main=main,
        data=_read(DataConfig, FILES[0], folder, defaults, given),
        model=_read(ModelConfig, FILES[1], folder, defaults, given, with_own_types(declared.own_rankers)),
        monitoring=_read(MonitoringConfig, FILES[2], folder, defaults, given),
        code=file_digest(file),
    )


def scaffold(folder: Path, system: str) -> list[Path]:
    """Write a project for a built-in system into *folder*; existing files are left as they are, as an error.

    Raises:
        NotFound: there is no such system.
        UserError: the folder has one of the files already; nothing is written.
    """
    source = _builtin(system)
    targets = [folder / name for name in (MAIN, _DECLARATIONS, *FILES)]
    taken = [path for path in targets if path.exists()]
    if taken:
        raise UserError(f"{taken[0]} exists already: choose another folder, or delete it first.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MAIN).write_text(
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


def _read(
    section: type[S],
    name: str,
    folder: Path,
    defaults: Path | None,
    given: list[str],
    known: Mapping[str, Any] | None = None,
) -> Loaded[S]:
    own = folder / name
    fallback = defaults / "config" / name if defaults else None
    return load(section, own if own.exists() or fallback is None else fallback, overrides=given, known=known)


def _file_of(name: str, folder: Path) -> tuple[Path, Path | None]:
    """Return the file of the system that *name* means, and the folder of what is shipped with it if it is built in."""
    if name.endswith(".py"):
        return folder / name, None
    builtin = _builtin(name)
    return builtin / "implementation" / "data_models.py", builtin


def _builtin(name: str) -> Path:
    systems = builtin_systems()
    if name not in systems:
        raise NotFound(f"system {name!r} is not built in. {closest(name, systems)} A file of your own ends in .py.")
    return systems[name]


def _load_system(file: Path) -> System:
    if not file.exists():
        raise UserError(f"{file} does not exist: 'system' in {MAIN} must name a Python file that declares a system.")
    # Dataclasses and inspection look a class up in its module, so the module is known by a name that no other file has.
    name = f"orita_project_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, OritaError):
            raise
        raise UserError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    found = {id(value): value for value in vars(module).values() if isinstance(value, System)}
    if len(found) != 1:
        raise UserError(f"{file} declares {len(found)} systems; exactly one 'system(…)' is needed.")
    declared = next(iter(found.values()))
    check_names(declared.own_rankers, str(file))
    return declared


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
