"""The rows on which a registered model is judged: those of a training set, with the features that the model reads.

What the model reads otherwise than the set has it, such as an earlier version of a feature, is computed from history,
from the tables of which the set was made; so a model of new features and one of old ones are judged on the same rows.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orita.core.errors import NotFound, UserError
from orita.events.engine import open_engine
from orita.events.lake import Lake, Snapshot
from orita.features.history import compute_history, feature_rows
from orita.features.plan import Plan, plan_of
from orita.features.registry.registry import FeatureRegistry
from orita.features.schema import FeatureSchema
from orita.features.system import System
from orita.features.training_sets.training_set import TrainingSet
from orita.models.examples import Examples
from orita.models.reading import read_examples
from orita.pipelines.workspace import Workspace

__all__ = ["judged_rows", "system_for"]

_EVENT, _TIME = "event_id", "timestamp"


def judged_rows(
    workspace: Workspace, training_set: TrainingSet, part: str, schema: FeatureSchema, reader: str
) -> Examples:
    """Return the rows of a part of *training_set* with the features of *schema*, in the order of the part's file.

    Args:
        workspace: where everything is.
        training_set: whose rows.
        part: ``train``, ``val`` or ``test``.
        schema: what the model reads, of whatever versions.
        reader: whose schema it is, for sentences, such as ``model v1.2.0``.

    Raises:
        UserError: a feature that it reads is declared otherwise now and is not kept, or its tables are gone.
    """
    stored = {column.name: column.meaning for column in training_set.schema.columns}
    lacking = [c for c in schema.columns if c.name not in stored or c.meaning not in ("", stored[c.name])]
    if not lacking:
        return read_examples(training_set.file(part), schema)
    lacked = FeatureSchema(tuple(lacking))
    return read_examples(training_set.file(part), schema, _computed(workspace, training_set, part, lacked, reader))


def system_for(workspace: Workspace, schema: FeatureSchema, reader: str) -> tuple[System, tuple[str, ...]]:
    """Return the system with every version of its features that *schema* reads, and what it calls those columns.

    Raises:
        UserError: a feature that is read is declared otherwise now, and was not kept.
    """
    system = workspace.system
    kept = FeatureRegistry.of(workspace.home, system.name).kept_for(system, [schema])
    return kept, kept.check(schema, reader)


def _computed(
    workspace: Workspace, training_set: TrainingSet, part: str, lacking: FeatureSchema, reader: str
) -> pa.Table:
    """Return the columns *lacking* for the rows of a part."""
    system, names = system_for(workspace, lacking, reader)
    called = FeatureSchema(tuple(replace(c, name=name) for c, name in zip(lacking.columns, names, strict=True)))
    plan = plan_of(system).narrowed(names)
    snapshots = _tables(workspace, plan.system, training_set, reader)
    with workspace.progress.bar(f"Compute what {reader} reads") as bar:
        if workspace.data.feature_engineering.engine == "spark":
            made = _by_spark(workspace, plan, snapshots, called, training_set, part)
        else:
            with open_engine(workspace.home.staging, workspace.data.validation.memory_mb) as connection:
                relations = {name: snapshot.sql for name, snapshot in snapshots.items()}
                made = feature_rows(plan, compute_history(plan, connection, relations, unique=True), called)
        bar.advance()
    asked = pq.read_table(training_set.file(part), columns=[_EVENT])[_EVENT]
    place_N = pc.index_in(asked, value_set=made[_EVENT].cast(asked.type), skip_nulls=True)
    if place_N.null_count:
        raise UserError(
            f"{place_N.null_count} rows of training set {training_set.id} are of events that the lake does not have: "
            "run 'orita run etl' for a new one."
        )
    return made.select(names).take(place_N).rename_columns(lacking.names)


def _by_spark(
    workspace: Workspace,
    plan: Plan,
    snapshots: dict[str, Snapshot],
    schema: FeatureSchema,
    training_set: TrainingSet,
    part: str,
) -> pa.Table:
    from orita.features.spark import session_at_work, training_rows  # an optional part

    split = training_set.splits[part]
    start, end = (datetime.fromisoformat(at) for at in (split.start, split.end))
    with session_at_work(workspace.data.feature_engineering.spark) as session:
        rows = training_rows(plan, session, snapshots, schema)
        return rows.where(rows[_TIME].between(start, end)).toArrow()


def _tables(workspace: Workspace, system: System, training_set: TrainingSet, reader: str) -> dict[str, Snapshot]:
    """Return the tables of which the set was made as they were then, and those that it did not need as they are."""
    lake = Lake(workspace.home)
    try:
        return {name: lake.snapshot(name, training_set.tables.get(name)) for name in system.tables if lake.exists(name)}
    except NotFound as error:
        raise NotFound(
            f"what {reader} reads cannot be computed for training set {training_set.id}: {error} "
            "'orita run etl' makes a new set."
        ) from None
