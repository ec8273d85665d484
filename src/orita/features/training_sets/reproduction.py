"""A training set made again from its id alone: its description names the versions of the tables, and the features.

What these features were is in the registry: declarations may have changed since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from orita.core.errors import NotFound, UserError
from orita.core.files import atomic_directory
from orita.core.home import Home
from orita.core.progress import SILENT, Progress
from orita.events.engine import open_engine
from orita.events.lake import Lake
from orita.events.staging import work_folder
from orita.features.plan import plan_of
from orita.features.registry.registry import FeatureRegistry
from orita.features.system import System
from orita.features.training_sets.training_set import (
    SPLITS,
    TrainingSet,
    compute_rows,
    cut_rows,
    digests_of_files,
    engine_name,
    open_training_set,
    row_meaning,
    write_part,
)

__all__ = ["Reproduction", "reproduce"]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A training set beside itself.

    Attributes:
        id: which.
        expected: digest of each part as it was made.
        found: digest of each part as it was made again.
        rows: rows of each part, made again.
        folder: where the files are, None where none were asked for.
    """

    id: str
    expected: Mapping[str, str]
    found: Mapping[str, str]
    rows: Mapping[str, int]
    folder: Path | None

    @property
    def equal(self) -> bool:
        """Whether every part has the same rows: names, types and values."""
        return dict(self.expected) == dict(self.found)


def reproduce(
    home: Home,
    system: System,
    name: str,
    target: Path | None = None,
    *,
    memory_mb: int = 1024,
    progress: Progress = SILENT,
) -> Reproduction:
    """Make training set *name* of *system* again, from the tables as they were.

    Args:
        home: where its description and the tables are.
        system: the declarations of now; what was declared otherwise then is taken from the registry.
        name: its id.
        target: a new folder for ``train.parquet``, ``val.parquet`` and ``test.parquet``; None: only compare.
        memory_mb: memory of the query engine, MiB; larger work goes through the disk.
        progress: where to draw progress.

    Raises:
        NotFound: there is no such set, or a version that it needs was vacuumed.
        UserError: the label is another now, a feature is and was not recorded, there is nothing to compare with, or
            *target* is there already.
    """
    kept = open_training_set(home.training_sets, system.name, name)
    then = _as_it_was(home, kept, system)
    if target is not None and target.exists():
        raise UserError(f"{target} exists already: name a new folder for the files of training set {name}.")
    relations = _relations(home, kept)
    with work_folder(home) as folder, open_engine(folder, memory_mb) as connection:
        expected = _expected(kept, connection)
        with progress.bar(f"Make training set {name} again"):
            compute_rows(plan_of(then), kept.schema, connection, relations)
            splits = cut_rows(connection, kept.split)
            if target is not None:
                _write(connection, target, then.label.column.name)
    found = {part: split.digest for part, split in splits.items()}
    return Reproduction(name, expected, found, {part: split.rows for part, split in splits.items()}, target)


def _as_it_was(home: Home, kept: TrainingSet, system: System) -> System:
    """Return *system* with the features and outcomes of the set, as they were declared when it was made."""
    meaning = row_meaning(system)
    for role, names in kept.rows.items():
        if role != "outcomes" and meaning.get(role) != names:
            raise UserError(
                f"training set {kept.id} cannot be made again, as its {role} was {', '.join(names)} and is "
                f"{', '.join(meaning.get(role, ['nothing']))} now in system {system.name!r}: go back to the "
                "declarations that it was made with."
            )
    try:
        then = FeatureRegistry.of(home, system.name).as_it_was(system, kept.schema)
    except UserError as error:
        raise UserError(f"training set {kept.id} cannot be made again: {error}") from None
    found = {column.name: column.meaning for column in then.schema().columns}
    now = system.schema().names
    for column in kept.schema.columns:
        if found.get(column.name) != column.meaning:
            change = "is declared otherwise now" if column.name in now else "is not declared any more"
            raise UserError(
                f"training set {kept.id} cannot be made again, as feature {column.name!r} {change} in system "
                f"{system.name!r}, and the registry does not have what it was, as it was never recorded or is a Python "
                "function: go back to the declarations that it was made with."
            )
    told = dict(outcome.split("=") for outcome in kept.rows.get("outcomes", []))
    return replace(then, outcomes={name: then.source.column(column) for name, column in told.items()})


def _relations(home: Home, kept: TrainingSet) -> dict[str, str]:
    lake, found = Lake(home), {}
    for table, version in kept.tables.items():
        try:
            found[table] = lake.snapshot(table, version).sql
        except NotFound as error:
            raise NotFound(f"training set {kept.id} cannot be made again: {error}") from None
    return found


def _expected(kept: TrainingSet, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the digests that the set was made with; those of its files where another engine took them."""
    taken = {part: split.digest for part, split in kept.splits.items()}
    if kept.engine == engine_name() and all(taken.values()):
        return taken
    if not kept.complete:
        made = (
            f"its digests were taken by {kept.engine}, this is {engine_name()}" if kept.engine else "it has no digests"
        )
        raise UserError(
            f"training set {kept.id} cannot be compared, as its files are gone and {made}: use the engine of then, or "
            "run 'orita run etl' for a new set."
        )
    return digests_of_files(connection, kept)


def _write(connection: duckdb.DuckDBPyConnection, target: Path, label: str) -> None:
    with atomic_directory(target) as partial:
        for part in SPLITS:
            write_part(connection, part, partial / f"{part}.parquet", label)
