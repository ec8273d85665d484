"""Training rows: the features of rows that asked, as a table.

Legend: N rows, F features.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orita.events.schema import Column
from orita.features.batch import Floats, column_values
from orita.features.declarations import Aggregate, Entity
from orita.features.expressions import Evaluator, Reads, evaluators
from orita.features.frame import Relations
from orita.features.history.engine import History, compute_history
from orita.features.history.keyed import AsOf
from orita.features.plan import Plan
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.features.system import OUTCOME

__all__ = ["feature_arrays", "feature_rows", "feature_values", "offline_features"]


def feature_rows(plan: Plan, history: History, schema: FeatureSchema) -> pa.Table:
    """Return one row an event: event_id, user_id, item_id, timestamp, target, outcomes, *schema*'s columns.

    Args:
        plan: of the system whose events the rows are.
        history: what `compute_history` computed for them.
        schema: which features.
    """
    system, rows = plan.system, history.rows
    columns = {
        "event_id": rows.column(system.source.schema.key),
        "user_id": _ids(history, system.user),
        "item_id": _ids(history, system.item),
        "timestamp": pa.array(history.at).cast(pa.timestamp("us")),
        "target": rows.column(system.label.column.name).cast(pa.int8()),
    }
    outcomes = {
        f"{OUTCOME}{name}": rows.column(told.column.name).cast(pa.float32()) for name, told in system.outcomes.items()
    }
    return pa.table({**columns, **outcomes, **feature_arrays(plan, history, schema)})


def offline_features(
    plan: Plan,
    connection: duckdb.DuckDBPyConnection,
    relations: Relations,
    rows: pa.Table,
    schema: FeatureSchema,
    as_of: AsOf = "known",
    *,
    unique: bool = False,
) -> pa.Table:
    """Return *rows* with *schema*'s columns, each as of the row's own time; arguments as of `compute_history`."""
    history = compute_history(plan, connection, relations, rows=rows, as_of=as_of, unique=unique)
    columns = {name: rows[name] for name in rows.column_names}
    return pa.table({**columns, **feature_arrays(plan, history, schema)})


def feature_values(plan: Plan, history: History, schema: FeatureSchema) -> dict[str, Floats]:
    """Return *schema*'s columns as they are computed: float64, [N], NaN where missing."""
    made = evaluators(plan.system, _reads())
    return {column.name: _value(made[column.name], history) for column in schema.columns}


def feature_arrays(plan: Plan, history: History, schema: FeatureSchema) -> dict[str, pa.Array]:
    """Return *schema*'s columns as tables hold them: each of its declared type, null where missing."""
    made = evaluators(plan.system, _reads())
    return {column.name: _typed(_value(made[column.name], history), column) for column in schema.columns}


def _value(evaluator: Evaluator[History], history: History) -> Floats:
    return np.broadcast_to(np.asarray(evaluator(history), np.float64), len(history.rows))


def _typed(value_N: Floats, column: FeatureColumn) -> pa.Array:
    missing_N = np.isnan(value_N)
    kind = pa.type_for_alias(column.arrow)
    if not missing_N.any():
        return pa.array(value_N.astype(kind.to_pandas_dtype()), kind)
    if pa.types.is_integer(kind):
        value_N = np.where(missing_N, 0, value_N)
    return pa.array(value_N.astype(kind.to_pandas_dtype()), kind, mask=missing_N)


def _ids(history: History, entity: Entity) -> pa.ChunkedArray:
    """Return the ids of an entity; a key of several columns as one text, in which different keys differ."""
    parts = [history.rows.column(name) for name in entity.columns]
    if len(parts) == 1:
        return parts[0]
    texts = (pc.replace_substring(part.cast(pa.string()), "\\", "\\\\") for part in parts)
    return pc.binary_join_element_wise(*(pc.replace_substring(text, "/", "\\/") for text in texts), "/")


def _reads() -> Reads[History]:
    def aggregate(wanted: Aggregate) -> Evaluator[History]:
        return lambda history: history.values[wanted]

    def equals(column: Column, value: str) -> Evaluator[History]:
        def evaluate(history: History) -> Floats:
            found = pc.equal(history.rows.column(column.name).cast(pa.string()), value)
            return np.asarray(pc.fill_null(found, False).to_numpy()).astype(np.float64)

        return evaluate

    def context(column: Column) -> Evaluator[History]:
        return lambda history: column_values(history.rows.table, column).astype(np.float64)

    return Reads(aggregate, lambda attribute: lambda history: history.rows.flags(attribute), equals, context)
