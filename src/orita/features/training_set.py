"""Training sets: features of every event as of its own time, split in time, on disk with their lineage."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from orita.core.errors import NotFound, UserError
from orita.core.files import atomic_directory, atomic_file, remove_leftovers
from orita.core.progress import SILENT, Progress
from orita.events.engine import quoted
from orita.features.config import SplitSection
from orita.features.frame import Relations
from orita.features.history import compute_history, feature_rows
from orita.features.plan import Plan
from orita.features.schema import FeatureSchema

__all__ = [
    "SPLITS",
    "Split",
    "TrainingSet",
    "compute_rows",
    "cut_rows",
    "latest_training_set",
    "mark_latest",
    "open_training_set",
    "save_rows",
    "training_set_id",
]

SPLITS = ("train", "val", "test")
_MANIFEST = "manifest.json"
_LATEST = "LATEST"


@dataclass(frozen=True, slots=True)
class Split:
    """One part: its rows, the share of positive labels, and the times of its first and last row (ISO 8601)."""

    rows: int
    positive_share: float
    start: str
    end: str


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
    """

    id: str
    folder: Path
    system: str
    schema: FeatureSchema
    splits: Mapping[str, Split]
    tables: Mapping[str, int]
    filled: Mapping[str, float]

    def file(self, split: str) -> Path:
        """Return the Parquet file of one part."""
        return self.folder / f"{split}.parquet"

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
    identity = json.dumps(parts)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def compute_rows(
    plan: Plan, schema: FeatureSchema, connection: duckdb.DuckDBPyConnection, relations: Relations
) -> dict[str, float]:
    """Make the table ``rows``: features of every event as of its own time; return the share filled of each feature."""
    computed = feature_rows(plan, compute_history(plan, connection, relations), schema)
    connection.register("computed", computed)
    connection.execute("CREATE OR REPLACE TABLE rows AS SELECT * FROM computed")
    connection.unregister("computed")
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
    found = connection.execute(
        "SELECT part, count(*), avg(target), min(timestamp), max(timestamp) FROM parted GROUP BY part"
    ).fetchall()
    splits = {name: Split(rows, share, _iso(start), _iso(end)) for name, rows, share, start, end in found}
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
    with (
        progress.bar("Write split files", total=len(SPLITS)) as bar,
        atomic_directory(folder / system / name) as partial,
    ):
        for part in SPLITS:
            target = str(partial / f"{part}.parquet").replace("'", "''")
            connection.execute(
                f"COPY (SELECT * EXCLUDE (part) FROM parted WHERE part = '{part}' ORDER BY timestamp, event_id) "
                f"TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
            )
            bar.advance()
        manifest = {
            "id": name,
            "system": system,
            "schema": schema.to_dict(),
            "splits": {part: asdict(description) for part, description in splits.items()},
            "split": split.model_dump(),
            "tables": dict(tables),
            "filled": dict(filled),
        }
        (partial / _MANIFEST).write_text(json.dumps(manifest, indent=2))
    mark_latest(folder, system, name)
    return open_training_set(folder, system, name)


def open_training_set(folder: Path, system: str, name: str) -> TrainingSet:
    """Return the training set *name* of *system*.

    Raises:
        NotFound: there is none.
    """
    target = folder / system / name
    if not (target / _MANIFEST).exists():
        raise NotFound(f"training set {name!r} of system {system!r} does not exist: run 'orita run etl' first.")
    content = json.loads((target / _MANIFEST).read_text())
    return TrainingSet(
        id=content["id"],
        folder=target,
        system=content["system"],
        schema=FeatureSchema.from_dict(content["schema"]),
        splits={part: Split(**description) for part, description in content["splits"].items()},
        tables=content["tables"],
        filled=content["filled"],
    )


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
    """Make *name* what `latest_training_set` returns, and delete all but the *keep* newest."""
    with atomic_file(folder / system / _LATEST) as path:
        path.write_text(name)
    manifests = sorted((folder / system).glob(f"*/{_MANIFEST}"), key=lambda p: p.stat().st_mtime, reverse=True)
    for stale in manifests[keep:]:
        if stale.parent.name != name:
            shutil.rmtree(stale.parent)


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
