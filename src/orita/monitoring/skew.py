"""Do models see in production what they were trained on? A sample of served rows, computed again from history.

Each sampled row has the values that the server used; history is asked for the same user, item and time, as known then.
Where the two differ, online state was late, stale or wrong.

Legend: N sampled rows, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import UserError
from orita.events.schema import Column
from orita.events.whole_ids import as_numbers
from orita.features.api.relations import Tables
from orita.features.declarations import ContextColumn, OneHot
from orita.features.declaring.columns import feature_columns
from orita.features.declaring.parts import context_in, entities_in
from orita.features.history import offline_features
from orita.features.plan import plan_of
from orita.features.schema import FeatureSchema
from orita.features.system import System
from orita.monitoring.skew_report import FeatureSkew, SkewReport

__all__ = ["COLUMNS", "asked_again", "measure_skew"]

COLUMNS = ("user_id", "item_id", "as_of", "features")
"""What of the prediction log is read."""

Floats = npt.NDArray[np.float64]

_RELATIVE = 1e-5


def measure_skew(
    system: System,
    schema: FeatureSchema,
    predictions: pa.Table,
    tables: Tables,
    connection: duckdb.DuckDBPyConnection,
    *,
    sample: int = 1000,
    seed: int = 0,
) -> SkewReport:
    """Compare served rows with history.

    Args:
        system: the declarations.
        schema: what the model reads.
        predictions: rows of the prediction log, with `COLUMNS`.
        tables: what history is computed from.
        connection: where it is computed.
        sample: how many rows are compared at most, drawn at random.
        seed: fixes the draw.

    Raises:
        UserError: nothing was predicted, or the system declares another feature under a name that the model reads.
    """
    if not len(predictions):
        raise UserError("nothing was predicted in this time: ask for a longer one, or serve first.")
    called = dict(zip(schema.names, system.check(schema, "the model"), strict=True))
    chosen_N = np.random.default_rng(seed).permutation(len(predictions))[:sample]
    served = predictions.take(pa.array(np.sort(chosen_N)))
    rows, left_out = asked_again(system, called, served, tables)
    compared = [column for column in schema.columns if column.name not in left_out]
    asked = FeatureSchema(tuple(replace(column, name=called[column.name]) for column in compared))
    made = offline_features(plan_of(system), connection, tables.relations, rows, asked, "known", unique=True)
    found = [_compared(column.name, served, made[called[column.name]]) for column in compared]
    found.sort(key=lambda feature: (-feature.share, feature.name))
    return SkewReport(len(served), tuple(found), left_out)


def asked_again(
    system: System, called: Mapping[str, str], served: pa.Table, tables: Tables
) -> tuple[pa.Table, dict[str, str]]:
    """Return served rows as rows that ask history, and the features that it cannot compute for them, with the reason.

    Args:
        system: the declarations.
        called: by the name that the model has for a feature, the one that engines have.
        served: rows of the prediction log, with `COLUMNS`.
        tables: what history is computed from.
    """
    told, left_out = _context(system, called, served)
    return pa.table(_rows(system, served, tables) | told), left_out


def _rows(system: System, served: pa.Table, tables: Tables) -> dict[str, pa.ChunkedArray]:
    """Return the columns by which history finds what was served."""
    source = system.source
    stored = tables.snapshots[source.name].schema
    columns = {source.schema.time or "": served["as_of"]}
    for name, entity in (("user_id", system.user), ("item_id", system.item)):
        column = entity.columns[0]
        columns[column] = _ids(served[name], stored.field(column).type)
    return columns


def _ids(ids: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return ids, which the log has as text, in the type that events have."""
    if not pa.types.is_integer(kind):
        return ids
    return as_numbers(ids)


def _context(system: System, called: Mapping[str, str], served: pa.Table) -> tuple[dict[str, pa.Array], dict[str, str]]:
    """Return what the requests brought, as far as logged features tell, and the features for which they do not."""
    logged = {field.name for field in served["features"].type}
    told: dict[str, pa.Array] = {}
    partly: set[str] = set()
    for name, expression in system.declared.items():
        match expression:
            case OneHot(of=ContextColumn(column=column)) if all(f"{name}_{v}" in logged for v in expression.values):
                if column.name not in told:
                    told[column.name] = _category(served, name, expression.values)
                    if set(column.choices) - set(expression.values) or not column.choices:
                        partly.add(column.name)
            case ContextColumn(column=column) if name in logged:
                told[column.name] = _sent(served, name, column)
                partly.discard(column.name)
    left_out: dict[str, str] = {}
    for name, reason in _untold(system, set(told), partly).items():
        made = {each.name for each in feature_columns(name, system.kept[name], system.user, system.item)}
        left_out |= {plain: reason for plain, there in called.items() if there in made}
    return told, left_out


def _untold(system: System, told: set[str], partly: set[str]) -> dict[str, str]:
    """Return the features whose values depend on what of the requests was not logged, with the reason."""
    found = {}
    for name, expression in system.kept.items():
        enough = told if isinstance(expression, OneHot) else told - partly
        needed = list(context_in(expression))
        for entity in entities_in(expression):
            if entity not in (system.user, system.item):
                needed += entity.columns
        missing = [column for column in needed if column not in enough]
        if missing:
            found[name] = f"needs {missing[0]!r} of the request, which is not logged"
    return found


def _category(served: pa.Table, name: str, values: Sequence[str | int]) -> pa.Array:
    flags_NV = np.stack([_served(served, f"{name}_{value}") for value in values], axis=1)
    code_N = np.argmax(flags_NV == 1, axis=1)
    return pa.array(np.array(values, object)[code_N], pa.string(), mask=~(flags_NV == 1).any(axis=1))


def _sent(served: pa.Table, name: str, column: Column) -> pa.Array:
    """Return a column of the requests from the feature that passes it on."""
    value_N = _served(served, name)
    if column.type != "category":
        return pa.array(value_N, from_pandas=True)
    missing_N = np.isnan(value_N)
    code_N = np.where(missing_N, 0, value_N).astype(np.int64)
    return pa.array(np.array(column.choices, object)[code_N], pa.string(), mask=missing_N)


def _served(served: pa.Table, name: str) -> npt.NDArray[np.float32]:
    values = pc.struct_field(served["features"], name).cast(pa.float32())
    return np.asarray(pc.fill_null(values, np.nan).to_numpy())


def _compared(name: str, served: pa.Table, recomputed: pa.ChunkedArray) -> FeatureSkew:
    was_N = _served(served, name).astype(np.float64)
    is_N = np.asarray(pc.fill_null(recomputed.cast(pa.float32()), np.nan).to_numpy()).astype(np.float64)
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        gap_N = np.abs(was_N - is_N)
    allowed_N = _RELATIVE * np.maximum(np.abs(was_N), np.abs(is_N))
    same_N = (np.isnan(was_N) & np.isnan(is_N)) | (was_N == is_N) | (gap_N <= allowed_N)
    wrong_N = np.flatnonzero(~same_N)
    known_W = gap_N[wrong_N][np.isfinite(gap_N[wrong_N])]
    largest = float(known_W.max()) if len(known_W) else 0.0
    example = _example(served, int(wrong_N[0]), was_N, is_N) if len(wrong_N) else None
    return FeatureSkew(name, len(was_N), len(wrong_N), len(wrong_N) / len(was_N), largest, example)


def _example(served: pa.Table, at: int, was_N: Floats, is_N: Floats) -> dict[str, Any]:
    (row,) = served.slice(at, 1).select(["user_id", "item_id", "as_of"]).to_pylist()
    values = {"served": was_N[at], "recomputed": is_N[at]}
    shown = {name: float(value) if np.isfinite(value) else None for name, value in values.items()}
    return {**{name: str(value) for name, value in row.items()}, **shown}
