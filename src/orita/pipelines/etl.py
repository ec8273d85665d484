"""etl_and_feature_engineering: raw events to a lake table, split feature files, and online features."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import duckdb

from orita.core.clock import to_micros
from orita.core.errors import NotFound, UserError
from orita.events.lake import Lake, Snapshot
from orita.features.generations.generation import Generation
from orita.features.generations.publish import publish
from orita.features.registry.registry import FeatureRegistry
from orita.features.stream.intake import offset_name
from orita.features.training_sets.training_set import (
    Split,
    TrainingSet,
    compute_rows,
    cut_rows,
    latest_training_set,
    mark_latest,
    open_training_set,
    save_rows,
    take_rows,
)
from orita.pipelines.components.artifact import Artifact
from orita.pipelines.components.cache import carry_out, given, identity, recall
from orita.pipelines.components.ingester import Ingester, read_report
from orita.pipelines.components.lake_events import LakeEvents
from orita.pipelines.components.source_files import SourceFinder
from orita.pipelines.components.task import artifacts_of, component_task
from orita.pipelines.components.transform import Transform, sound_training_set, wanted_training_set
from orita.pipelines.components.world import WorldGenerator, generated_folder, world_name
from orita.pipelines.declared_quality import declared_quality
from orita.pipelines.graph import Graph, Result, Task
from orita.pipelines.quality_record import read_record
from orita.pipelines.workspace import Workspace

__all__ = ["etl_graph", "generated_folder", "holds_real_data", "publish_online", "record_features"]


def etl_graph(workspace: Workspace) -> Graph:
    """Return the graph; its first task generates data, or takes those that the workspace names."""
    generated = Task("generate_data", generate_data, lambda w: () if _goes_on(w) else (WorldGenerator(),))
    ingested = component_task("ingest_data", lambda _: (SourceFinder(),), _source)
    return Graph(
        "etl_and_feature_engineering",
        "0 2 * * *",
        (
            ingested if workspace.source else generated,
            Task("validate_data", validate_data, lambda w: () if _goes_on(w) else (Ingester(),)),
            Task("compute_features", compute_features, lambda _: (LakeEvents(), Transform())),
            Task("create_train_val_test_splits", create_splits),
            Task("save_features", save_features),
        ),
        alone=True,
    )


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
    if _goes_on(workspace):
        rows = Lake(workspace.home).snapshot(workspace.system.source.name).rows
        return {"folder": None, "rows": rows, "skipped": "the lake holds events that were ingested"}
    step = carry_out(WorldGenerator(), workspace, {})
    return {**_source(workspace, step.outputs), "steps": [step.to_dict()]}


def _goes_on(workspace: Workspace) -> bool:
    """Tell whether a run that is given no data goes on with those that were ingested before.

    Raises:
        UserError: the lake holds the world of another configuration than the one to generate.
    """
    if workspace.source is not None:
        return False
    if holds_real_data(workspace):
        return True
    lake, events = Lake(workspace.home), workspace.system.source.name
    if lake.exists(events) and lake.origin(events)["world"] != world_name(workspace.data.data_generation):
        raise UserError(
            f"the home {workspace.home.root} holds the synthetic world of another configuration (data_generation), and "
            "two worlds do not mix: give --home another folder, or go back to that configuration."
        )
    return False


def _source(workspace: Workspace, artifacts: Mapping[str, Artifact]) -> Result:
    source = artifacts["source"]
    return {"folder": str(source.path(workspace.home)), **source.facts}


def validate_data(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Judge every row; good rows are committed to the lake once, bad ones go to quarantine with their reason.

    What came since the last run is held against ``quality.yaml`` too, where the project has one: what it finds is told.
    """
    if results.get("generate_data", {}).get("folder", "") is None:
        return {"skipped": "the events in the lake were judged when they came in", **_quality(workspace)}
    step = carry_out(Ingester(), workspace, artifacts_of(results))
    report = read_report(step.outputs["ingested"].path(workspace.home))
    told = _known_already(report, step.seconds) if step.status == "cached" else report
    return {**told, **_quality(workspace), "steps": [step.to_dict()]}


def _quality(workspace: Workspace) -> Result:
    """Hold what came against what is declared of it, and tell who is to know: after every run, whatever was told."""
    found = declared_quality(workspace)
    if read_record(workspace):
        # Here, as it brings SciPy, for which a run without declarations need not wait.
        from orita.pipelines.quality_alerts import tell_quality

        tell_quality(workspace)
    return {"quality": found} if found else {}


def _known_already(report: Mapping[str, Any], seconds: float) -> Result:
    """Return what ingesting the same source again would say: every row that it brought is known."""
    tables = {
        name: {
            **table,
            "rows_new": 0,
            "rows_updated": 0,
            "rows_duplicate": table["rows_duplicate"] + table["rows_new"] + table["rows_updated"],
            "version": None,
        }
        for name, table in report["tables"].items()
    }
    return {**report, "tables": tables, "seconds": seconds}


def compute_features(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Compute the features of every event as of its own time, unless this training set exists already."""
    found = workspace.tables()
    events = carry_out(LakeEvents(found), workspace, {})
    name = wanted_training_set(workspace, found)
    transform = Transform(name)
    wanted = identity(transform, workspace, given(transform, events.outputs))
    record, why = recall(transform, workspace, wanted)
    told = {"training_set": name, "tables": found.versions, "steps": [events.to_dict()]}
    if record or sound_training_set(workspace, name):
        return {**told, "cached": True}
    workspace.workfile.unlink(missing_ok=True)
    with workspace.progress.bar("Compute features") as bar, workspace.engine() as connection:
        if workspace.data.feature_engineering.engine == "spark":
            filled = _computed_by_spark(workspace, found.snapshots, connection)
        else:
            filled = compute_rows(workspace.plan, workspace.schema, connection, found.relations)
        bar.advance()
    return {**told, "cached": False, "why": why, "filled": filled}


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
        return {"splits": {name: _plain(split) for name, split in training_set.splits.items()}, "cached": True}
    with workspace.engine() as connection:
        splits = cut_rows(connection, workspace.data.split)
    return {"splits": {name: _plain(split) for name, split in splits.items()}}


def save_features(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Write the split files, then publish the state after the last event to the online store."""
    computed = results["compute_features"]
    begun = workspace.clock.monotonic()
    # A run that was killed after this may be gone on with: then the rows are saved, and their file is gone.
    if computed["cached"] or sound_training_set(workspace, computed["training_set"]):
        training_set = _open(workspace, computed["training_set"])
        _mark_latest(workspace, training_set.id)
    else:
        training_set = _save(workspace, results)
    step = carry_out(Transform(training_set.id), workspace, artifacts_of(results))
    files_seconds = workspace.clock.monotonic() - begun
    before = _current(workspace)
    generation = publish_online(workspace)
    recorded = record_features(workspace)
    workspace.workfile.unlink(missing_ok=True)
    same = step.status == "cached" and before == generation.name and not recorded
    return {
        "training_set": training_set.id,
        "folder": str(training_set.folder),
        "unfilled": training_set.unfilled,
        "files_seconds": files_seconds,
        "online": {"generation": generation.name, "records": generation.records, "events": generation.events},
        "recorded": list(recorded),
        "cached": computed["cached"] and same,
        "steps": [step.to_dict()],
    }


def _save(workspace: Workspace, results: Mapping[str, Result]) -> TrainingSet:
    computed, cut = results["compute_features"], results["create_train_val_test_splits"]
    with workspace.engine() as connection:
        return save_rows(
            workspace.plan,
            workspace.schema,
            connection,
            workspace.home.training_sets,
            computed["training_set"],
            split=workspace.data.split,
            splits={name: Split(**split) for name, split in cut["splits"].items()},
            filled=computed["filled"],
            tables=computed["tables"],
            progress=workspace.progress,
        )


def _mark_latest(workspace: Workspace, name: str) -> None:
    folder, system = workspace.home.training_sets, workspace.system.name
    try:
        latest = latest_training_set(folder, system).id
    except NotFound:  # a run was killed before it said so
        latest = None
    if latest != name:
        mark_latest(folder, system, name)


def _current(workspace: Workspace) -> str | None:
    """Return the name of the online features in use."""
    with closing(workspace.generations()) as generations:
        current = generations.current()
    return current.name if current else None


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
