"""Training sets: features of every event as of its own time, split in time, on disk with their lineage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from orita.core.errors import NotFound, UserError, closest
from orita.core.files import atomic_directory, atomic_file, remove_leftovers
from orita.core.progress import SILENT, Progress
from orita.core.sql import literal, quoted
from orita.events.engine import one_row
from orita.features.config import SplitSection
from orita.features.frame import Relations
from orita.features.history import compute_history, feature_rows
from orita.features.plan import Plan
from orita.features.schema import FeatureSchema
from orita.features.system import System

__all__ = [
    "LABEL",
    "SPLITS",
    "Split",
    "TrainingSet",
    "compute_rows",
    "cut_rows",
    "digests_of_files",
    "engine_name",
    "latest_training_set",
    "mark_latest",
    "named_versions",
    "open_training_set",
    "row_meaning",
    "save_rows",
    "take_rows",
    "training_set_id",
    "training_sets",
    "write_part",
]

SPLITS = ("train", "val", "test")
LABEL = "orita_label"
"""Under this key the metadata of a part's file says how the label is called."""

_MANIFEST = "manifest.json"
_LATEST = "LATEST"


@dataclass(frozen=True, slots=True)
class Split:
    """One part: its rows, the share of positive labels, and the times of its first and last row (ISO 8601).

    *digest* stands for the names, types and values of its rows, in whatever order; empty where it was not taken.
    """

    rows: int
    positive_share: float
    start: str
    end: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A training set on disk.

    Attributes:
        id: digest of everything it is made from; the same inputs give the same id.
        folder: where ``train.parquet``, ``val.parquet`` and ``test.parquet`` are.
        system: the system's name.
        schema: the feature columns.
        splits: what each part holds.
        tables: lake version of every table it was computed from.
        filled: share of rows in which each feature has a value.
        split: how the rows were parted.
        plan: version of the plan that computed it.
        rows: what a row was, see `row_meaning`.
        engine: what took the digests of the parts, see `engine_name`.
    """

    id: str
    folder: Path
    system: str
    schema: FeatureSchema
    splits: Mapping[str, Split]
    tables: Mapping[str, int]
    filled: Mapping[str, float]
    split: SplitSection
    plan: str = ""
    rows: Mapping[str, list[str]] = field(default_factory=dict)
    engine: str = ""

    def file(self, split: str) -> Path:
        """Return the Parquet file of one part."""
        return self.folder / f"{split}.parquet"

    @property
    def complete(self) -> bool:
        """Whether its files are there; those of older sets are let go, their description stays."""
        return all(self.file(split).exists() for split in SPLITS)

    @property
    def unfilled(self) -> list[str]:
        """Features without a single value: their columns are absent from the data."""
        return [name for name, share in self.filled.items() if share == 0]


def training_set_id(plan: Plan, schema: FeatureSchema, split: SplitSection, files: Iterable[str]) -> str:
    """Return the id of the training set that these inputs make; the same inputs give the same id.

    Args:
        plan, schema, split: what is computed, which of it is kept, and how it is parted.
        files: names of the lake files that hold the events and attributes; each file is written once, under a name
            of its own, so they stand for the content.
    """
    parts = [plan.system.name, plan.version, schema.version, split.model_dump(), sorted(files)]
    parts += [outcomes] if (outcomes := _outcomes(plan.system)) else []
    identity = json.dumps(parts)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def compute_rows(
    plan: Plan, schema: FeatureSchema, connection: duckdb.DuckDBPyConnection, relations: Relations
) -> dict[str, float]:
    """Make the table ``rows``: features of every event as of its own time; return the share filled of each feature.

    Every event id is in *relations* once, as in the lake.
    """
    computed = feature_rows(plan, compute_history(plan, connection, relations, unique=True), schema)
    connection.register("computed", computed)
    connection.execute("CREATE OR REPLACE TABLE rows AS SELECT * FROM computed")
    connection.unregister("computed")
    return _filled(connection, schema)


def take_rows(schema: FeatureSchema, connection: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, float]:
    """Make the table ``rows`` of the Parquet files in *folder*, which another engine computed; see `compute_rows`."""
    files = literal(str(folder / "*.parquet"))
    connection.execute(f"CREATE OR REPLACE TABLE rows AS SELECT * FROM read_parquet({files})")
    return _filled(connection, schema)


def _filled(connection: duckdb.DuckDBPyConnection, schema: FeatureSchema) -> dict[str, float]:
    counts = ", ".join(f"count({quoted(name)}) / count(*)" for name in schema.names)
    row = connection.execute(f"SELECT {counts} FROM rows").fetchone()
    assert row is not None
    return dict(zip(schema.names, (float(value or 0) for value in row), strict=True))


def cut_rows(connection: duckdb.DuckDBPyConnection, split: SplitSection) -> dict[str, Split]:
    """Make the view ``parted``, which says of every row to which part it belongs; return what each part holds.

    Raises:
        UserError: there are too few events for three parts.
    """
    part = _part_sql(split, connection)
    connection.execute(f"CREATE OR REPLACE VIEW parted AS SELECT *, {part} AS part FROM rows")
    columns, summed = _summed(connection, "rows")
    found = connection.execute(
        f"SELECT part, count(*), avg(target), min(timestamp), max(timestamp), {summed} FROM parted GROUP BY part"
    ).fetchall()
    splits = {
        name: Split(rows, share, _iso(start), _iso(end), _digest(columns, rows, total))
        for name, rows, share, start, end, total in found
    }
    empty = [name for name in SPLITS if name not in splits]
    if empty:
        rows = sum(split.rows for split in splits.values())
        raise UserError(
            f"the {empty[0]} part would be empty: {rows} events are too few, or too many share one time, to be split "
            "into training, validation and test rows. Ingest more events."
        )
    return {name: splits[name] for name in SPLITS}


def save_rows(
    plan: Plan,
    schema: FeatureSchema,
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    name: str,
    *,
    split: SplitSection,
    splits: Mapping[str, Split],
    filled: Mapping[str, float],
    tables: Mapping[str, int],
    progress: Progress = SILENT,
) -> TrainingSet:
    """Write the view ``parted`` as training set *name* below *folder*, whole or not at all, and mark it the latest."""
    system = plan.system.name
    remove_leftovers(folder / system)
    target = folder / system / name
    with progress.bar("Write split files", total=len(SPLITS)) as bar, atomic_directory(target) as partial:
        for part in SPLITS:
            write_part(connection, part, partial / f"{part}.parquet", plan.system.label.column.name)
            bar.advance()
        manifest = {
            "id": name,
            "system": system,
            "schema": schema.to_dict(),
            "splits": {part: asdict(description) for part, description in splits.items()},
            "split": split.model_dump(),
            "tables": dict(tables),
            "filled": dict(filled),
            "plan": plan.version,
            "rows": row_meaning(plan.system),
            "engine": engine_name(),
        }
        (partial / _MANIFEST).write_text(json.dumps(manifest, indent=2))
    mark_latest(folder, system, name)
    return open_training_set(folder, system, name)


def write_part(connection: duckdb.DuckDBPyConnection, part: str, file: Path, label: str) -> None:
    """Write the rows of one part of the view ``parted``, in the order of time; the file says which label it has."""
    connection.execute(
        f"COPY (SELECT * EXCLUDE (part) FROM parted WHERE part = '{part}' ORDER BY timestamp, event_id) "
        f"TO {literal(str(file))} (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{LABEL}: {literal(label)}}})"
    )


def row_meaning(system: System) -> dict[str, list[str]]:
    """Return what a row is: of which events, for which ids, with which label and (if any) which outcomes."""
    meaning = {
        "source": [system.source.name],
        "user": list(system.user.columns),
        "item": list(system.item.columns),
        "label": [system.label.column.name],
    }
    outcomes = _outcomes(system)
    return {**meaning, "outcomes": outcomes} if outcomes else meaning


def _outcomes(system: System) -> list[str]:
    return [f"{name}={told.column.name}" for name, told in system.outcomes.items()]


def engine_name() -> str:
    """Return what takes digests: another version of it may take others of the same rows."""
    return f"duckdb {duckdb.__version__}"


def digests_of_files(connection: duckdb.DuckDBPyConnection, training_set: TrainingSet) -> dict[str, str]:
    """Return the digest of each part as its file has it, for a set whose digests another engine took."""
    found = {}
    for part in SPLITS:
        relation = f"read_parquet({literal(str(training_set.file(part)))})"
        columns, summed = _summed(connection, relation)
        rows, total = one_row(connection, f"SELECT count(*), {summed} FROM {relation}")
        found[part] = _digest(columns, rows, total)
    return found


def open_training_set(folder: Path, system: str, name: str) -> TrainingSet:
    """Return the training set *name* of *system*.

    Raises:
        NotFound: there is none.
    """
    target = folder / system / name
    if not (target / _MANIFEST).exists():
        known = closest(name, (path.parent.name for path in _manifests(folder, system)))
        raise NotFound(
            f"training set {name!r} of system {system!r} does not exist. {known} 'orita run etl' makes a new one."
        )
    content = json.loads((target / _MANIFEST).read_text())
    return TrainingSet(
        id=content["id"],
        folder=target,
        system=content["system"],
        schema=FeatureSchema.from_dict(content["schema"]),
        splits={part: Split(**description) for part, description in content["splits"].items()},
        tables=content["tables"],
        filled=content["filled"],
        split=SplitSection.model_validate(content["split"]),
        plan=content.get("plan", ""),
        rows=content.get("rows", {}),
        engine=content.get("engine", ""),
    )


def training_sets(folder: Path, system: str) -> tuple[TrainingSet, ...]:
    """Return the training sets of *system*, the newest first, by when their files were written."""
    return tuple(open_training_set(folder, system, path.parent.name) for path in _manifests(folder, system))


def named_versions(folder: Path, table: str) -> dict[int, list[str]]:
    """Return the lake versions of *table* that training sets with files were made from, and which sets those are."""
    found: dict[int, list[str]] = {}
    for system in sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []:
        for each in training_sets(folder, system):
            if table in each.tables and each.complete:
                found.setdefault(each.tables[table], []).append(f"{system}/{each.id}")
    return found


def latest_training_set(folder: Path, system: str) -> TrainingSet:
    """Return the newest training set of *system*.

    Raises:
        NotFound: none was built yet.
    """
    pointer = folder / system / _LATEST
    if not pointer.exists():
        raise NotFound(f"system {system!r} has no training set yet: run 'orita run etl' first.")
    return open_training_set(folder, system, pointer.read_text().strip())


def mark_latest(folder: Path, system: str, name: str, keep: int = 5) -> None:
    """Make *name* what `latest_training_set` returns, and delete the files of all but the *keep* newest.

    What describes a set stays, so that it can be made again (`orita.features.training_sets.reproduction`).
    """
    with atomic_file(folder / system / _LATEST) as path:
        path.write_text(name)
    for stale in _manifests(folder, system)[keep:]:
        if stale.parent.name != name:
            for part in SPLITS:
                (stale.parent / f"{part}.parquet").unlink(missing_ok=True)


def _manifests(folder: Path, system: str) -> list[Path]:
    found = (folder / system).glob(f"[!.]*/{_MANIFEST}")
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.parent.name), reverse=True)


def _summed(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[list[list[str]], str]:
    """Return names and types of the columns of *relation*, and SQL of the sum of the hashes of its rows."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    names = ", ".join(quoted(row[0]) for row in described)
    return [[row[0], row[1]] for row in described], f"coalesce(sum(hash({names})), 0)"


def _digest(columns: list[list[str]], rows: int, total: int) -> str:
    return hashlib.sha256(json.dumps([columns, rows, str(total)]).encode()).hexdigest()[:32]


def _part_sql(split: SplitSection, connection: duckdb.DuckDBPyConnection) -> str:
    """Return SQL for the part of a row; a temporal cut never divides the events of one instant."""
    first, second = split.train, split.train + split.val
    if split.method == "random":
        share = "(hash(event_id) % 1000000) / 1000000.0"
        return f"CASE WHEN {share} < {first!r} THEN 'train' WHEN {share} < {second!r} THEN 'val' ELSE 'test' END"
    row = connection.execute(
        f"SELECT quantile_disc(timestamp, {first!r}), quantile_disc(timestamp, {second!r}) FROM rows"
    ).fetchone()
    assert row is not None
    cuts = [f"TIMESTAMP '{cut}'" if isinstance(cut, datetime) else "NULL" for cut in row]
    return f"CASE WHEN timestamp < {cuts[0]} THEN 'train' WHEN timestamp < {cuts[1]} THEN 'val' ELSE 'test' END"


def _iso(at: datetime) -> str:
    return f"{at.isoformat()}Z"
