"""etl_and_feature_engineering: raw events to a lake table, split feature files, and online features."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import duckdb

from orita.core.clock import to_micros
from orita.core.errors import UserError
from orita.core.home import Home
from orita.events.ingest import ingest
from orita.events.lake import Lake, Snapshot
from orita.events.world.config import WorldConfig
from orita.events.world.generation import generate
from orita.features.generations.generation import Generation
from orita.features.generations.publish import publish
from orita.features.registry.registry import FeatureRegistry
from orita.features.stream.intake import offset_name
from orita.features.training_sets.training_set import (
    Split,
    TrainingSet,
    compute_rows,
    cut_rows,
    mark_latest,
    open_training_set,
    save_rows,
    take_rows,
    training_set_id,
)
from orita.pipelines.graph import Graph, Result, Task
from orita.pipelines.workspace import Workspace

__all__ = ["etl_graph", "generated_folder", "holds_real_data", "publish_online", "record_features"]


def etl_graph(workspace: Workspace) -> Graph:
    """Return the graph; its first task generates data, or takes those that the workspace names."""
    first = Task("ingest_data", ingest_data) if workspace.source else Task("generate_data", generate_data)
    return Graph(
        "etl_and_feature_engineering",
        "0 2 * * *",
        (
            first,
            Task("validate_data", validate_data),
            Task("compute_features", compute_features),
            Task("create_train_val_test_splits", create_splits),
            Task("save_features", save_features),
        ),
        alone=True,
    )


def generated_folder(home: Home, config: WorldConfig) -> Path:
    """Return where the world of *config* is generated; another configuration has another folder."""
    return home.generated / _world(config)


def holds_real_data(workspace: Workspace) -> bool:
    """Tell whether the lake holds events that were ingested from elsewhere, not those of a synthetic world."""
    lake, events = Lake(workspace.home), workspace.system.source.name
    return lake.exists(events) and "world" not in lake.origin(events)


def generate_data(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Generate the synthetic world, unless it is there already: the same configuration gives the same bytes.

    Where the lake holds events that were ingested, nothing is generated: the run goes on with those.

    Raises:
        UserError: the lake holds the world of another configuration.
    """
    config, lake, events = workspace.data.data_generation, Lake(workspace.home), workspace.system.source.name
    if holds_real_data(workspace):
        return {"folder": None, "rows": lake.snapshot(events).rows, "kept": "the events that were ingested"}
    world = lake.origin(events)["world"] if lake.exists(events) else _world(config)
    if world != _world(config):
        raise UserError(
            f"the home {workspace.home.root} holds the synthetic world of another configuration (data_generation), and "
            "two worlds do not mix: give --home another folder, or go back to that configuration."
        )
    folder = generated_folder(workspace.home, config)
    if not folder.exists():
        generate(config, folder, progress=workspace.progress)
    return {"folder": str(folder), "rows": config.num_interactions, "world": world}


def ingest_data(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Find the file or folder that the workspace names."""
    source = workspace.source
    if source is None or not source.exists():
        raise UserError(f"{source} does not exist: give a file or folder that Orita can read with --data.")
    return {"folder": str(source)}


def validate_data(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Judge every row; good rows are committed to the lake once, bad ones go to quarantine with their reason."""
    found = results.get("generate_data") or results["ingest_data"]
    if found["folder"] is None:
        return {"skipped": "the events in the lake were judged when they came in"}
    origin = {"system": workspace.system.name} | ({"world": found["world"]} if "world" in found else {})
    with closing(workspace.event_log()) as log:
        report = ingest(
            workspace.home,
            Path(found["folder"]),
            config=workspace.data.validation,
            schemas=workspace.system.tables,
            origin=origin,
            log=log,
            clock=workspace.clock,
            progress=workspace.progress,
        )
    return report.to_dict()


def compute_features(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Compute the features of every event as of its own time, unless this training set exists already."""
    found, schema = workspace.tables(), workspace.schema
    tables = found.versions
    files = [Path(file).name for snapshot in found.snapshots.values() for file in snapshot.files]
    name = training_set_id(workspace.plan, schema, workspace.data.split, files)
    folder = workspace.home.training_sets / workspace.system.name / name
    if folder.exists() and _open(workspace, name).complete:
        return {"training_set": name, "tables": tables, "cached": True}
    workspace.workfile.unlink(missing_ok=True)
    with workspace.progress.bar("Compute features") as bar, workspace.engine() as connection:
        if workspace.data.feature_engineering.engine == "spark":
            filled = _computed_by_spark(workspace, found.snapshots, connection)
        else:
            filled = compute_rows(workspace.plan, schema, connection, found.relations)
        bar.advance()
    return {"training_set": name, "tables": tables, "cached": False, "filled": filled}


def _computed_by_spark(
    workspace: Workspace, snapshots: Mapping[str, Snapshot], connection: duckdb.DuckDBPyConnection
) -> dict[str, float]:
    from orita.features.spark import spark_session, training_rows  # an optional part

    session = spark_session(workspace.data.feature_engineering.spark)
    folder = workspace.home.staging / f"spark-{workspace.system.name}"
    rows = training_rows(workspace.plan, session, snapshots, workspace.schema)
    try:
        rows.write.mode("overwrite").parquet(str(folder))
        return take_rows(workspace.schema, connection, folder)
    finally:
        session.stop()
        shutil.rmtree(folder, ignore_errors=True)


def create_splits(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Cut the rows in time: training before validation before test."""
    computed = results["compute_features"]
    if computed["cached"]:
        training_set = _open(workspace, computed["training_set"])
        return {"splits": {name: _plain(split) for name, split in training_set.splits.items()}}
    with workspace.engine() as connection:
        splits = cut_rows(connection, workspace.data.split)
    return {"splits": {name: _plain(split) for name, split in splits.items()}}


def save_features(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Write the split files, then publish the state after the last event to the online store."""
    computed = results["compute_features"]
    begun = workspace.clock.monotonic()
    if computed["cached"]:
        training_set = _open(workspace, computed["training_set"])
        mark_latest(workspace.home.training_sets, workspace.system.name, training_set.id)
    else:
        with workspace.engine() as connection:
            training_set = save_rows(
                workspace.plan,
                workspace.schema,
                connection,
                workspace.home.training_sets,
                computed["training_set"],
                split=workspace.data.split,
                splits={
                    name: Split(**split) for name, split in results["create_train_val_test_splits"]["splits"].items()
                },
                filled=computed["filled"],
                tables=computed["tables"],
                progress=workspace.progress,
            )
    files_seconds = workspace.clock.monotonic() - begun
    generation = publish_online(workspace)
    recorded = record_features(workspace)
    workspace.workfile.unlink(missing_ok=True)
    return {
        "training_set": training_set.id,
        "folder": str(training_set.folder),
        "unfilled": training_set.unfilled,
        "files_seconds": files_seconds,
        "online": {"generation": generation.name, "records": generation.records, "events": generation.events},
        "recorded": list(recorded),
    }


def publish_online(workspace: Workspace) -> Generation:
    """Publish online features for the newest events, none where there are none yet; what is there for them stays."""
    found, now = workspace.tables(begun=False), to_micros(workspace.clock.now())
    tables = found.versions
    with closing(workspace.generations()) as generations:
        current = generations.current()
        same = current is not None and (current.tables, current.plan) == (tables, workspace.plan.version)
        if current and same and (current.due is None or current.due > now):
            return current
        with workspace.engine() as connection:
            return publish(
                workspace.plan,
                connection,
                found.relations,
                generations,
                tables=tables,
                offsets=_log_offsets(workspace, tables),
                unique=True,
                known_by=now,
                progress=workspace.progress,
            )


def _log_offsets(workspace: Workspace, tables: Mapping[str, int]) -> dict[str, int]:
    """Return up to where these tables hold the event log, as the stream engine names it."""
    lake, sources = Lake(workspace.home), dict.fromkeys(record.source for record in workspace.plan.records)
    return {
        offset_name(source, partition): offset
        for source in sources
        if source.name in tables
        for partition, offset in lake.offsets(source.name, tables[source.name]).items()
    }


def record_features(workspace: Workspace) -> tuple[str, ...]:
    """Record what is declared in the feature registry; return the names that are new or changed."""
    return FeatureRegistry.of(workspace.home, workspace.system.name).record(workspace.system, workspace.clock)


def _world(config: WorldConfig) -> str:
    """Return a short name that stands for a world's configuration, and so for its bytes."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]


def _open(workspace: Workspace, name: str) -> TrainingSet:
    return open_training_set(workspace.home.training_sets, workspace.system.name, name)


def _plain(split: Split) -> dict[str, object]:
    return {
        "rows": split.rows,
        "positive_share": split.positive_share,
        "start": split.start,
        "end": split.end,
        "digest": split.digest,
    }
