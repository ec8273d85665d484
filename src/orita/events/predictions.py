"""What was answered: one view over the prediction log, whether its rows are Parquet yet or not.

Ids are text in the log (``"123"`` for 123), so one type holds the ids of any table: join a table of integer
ids with ``ids="int64"``, or in SQL with ``CAST(item_id AS BIGINT)``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from orita.core.clock import to_micros
from orita.core.errors import NotFound, UserError, closest
from orita.core.files import atomic_file
from orita.core.home import Home
from orita.events.prediction_files import parts_of_day, prediction_days, prediction_parts
from orita.events.prediction_segment import prediction_schema
from orita.events.whole_ids import as_numbers

__all__ = ["IdType", "condition", "export_csv", "prediction_days", "prediction_log", "prediction_schema"]

IdType = Literal["string", "int64"]

_ID_COLUMNS = ("user_id", "item_id")


def prediction_log(
    home: Home,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    model_version: str | None = None,
    system: str | None = None,
    levels: Collection[int] | None = None,
    columns: Sequence[str] | None = None,
    ids: IdType = "string",
) -> pa.Table:
    """Return the logged predictions, one row a scored item, each once, while servers go on writing.

    Args:
        home: whose log.
        start: rows with ``timestamp`` at or after it; a time without an offset is UTC.
        end: rows with ``timestamp`` before it.
        model_version: rows of this version only.
        system: rows of this system only.
        levels: rows of answers of these levels only; ``(1,)`` are those that the model itself gave.
        columns: the columns wanted, by default all of `prediction_schema`.
        ids: ``string``, or ``int64`` to join tables of integer ids (an id that is no integer becomes null).

    ``features`` has every feature that a model in the answer used, null where a row's model did not, and where the
    answer is below level 1.

    Raises:
        UserError: a column or id type is unknown.
    """
    names = _checked_columns(columns)
    if ids not in ("string", "int64"):
        raise UserError(f"ids {ids!r} is not an id type: use 'string' or 'int64'.")
    wanted = condition(start, end, model_version, system, levels)
    tables = [
        _with_ids(part.read(names, wanted), ids)
        for part in prediction_parts(home, start, end)
        if part.model_version is None or model_version in (None, part.model_version)
    ]
    return _unified([table for table in tables if len(table)], names, ids)


def export_csv(home: Home, day: date, folder: Path) -> Path:
    """Write the predictions of *day* (UTC) to ``predictions_<day>.csv`` in *folder*; return its path.

    ``features`` is a JSON column, with the features of the row's own model; times are ISO 8601 in UTC.

    Raises:
        NotFound: there are none; the sentence lists the days that have some.
    """
    path = folder / f"predictions_{day.isoformat()}.csv"
    parts = parts_of_day(home, day)
    if not parts:
        known = closest(day.isoformat(), [each.isoformat() for each in prediction_days(home)])
        raise NotFound(f"no predictions were logged on {day.isoformat()} (UTC). {known}")
    with atomic_file(path) as partial:
        writer: pa.csv.CSVWriter | None = None
        for part in parts:
            rows = _as_text(part.read(prediction_schema(()).names))
            writer = writer or pa.csv.CSVWriter(partial, rows.schema)
            writer.write_table(rows)
        assert writer is not None
        writer.close()
    return path


def condition(
    start: datetime | None,
    end: datetime | None,
    model_version: str | None,
    system: str | None,
    levels: Collection[int] | None,
) -> pc.Expression | None:
    """Return what rows of the log satisfy that `prediction_log` would return; None: every row does."""
    micros = pa.timestamp("us", tz="UTC")
    conditions = []
    if start is not None:
        conditions.append(pc.field("timestamp") >= pa.scalar(to_micros(start), micros))
    if end is not None:
        conditions.append(pc.field("timestamp") < pa.scalar(to_micros(end), micros))
    if model_version is not None:
        conditions.append(pc.field("model_version") == model_version)
    if system is not None:
        conditions.append(pc.field("system") == system)
    if levels is not None:
        conditions.append(pc.field("level").isin(pa.array(levels, pa.int8())))
    wanted = None
    for condition in conditions:
        wanted = condition if wanted is None else wanted & condition
    return wanted


def _checked_columns(columns: Sequence[str] | None) -> list[str]:
    known = prediction_schema(()).names
    for name in columns or ():
        if name not in known:
            raise UserError(f"column {name!r} is not in the prediction log. {closest(name, known)}")
    return list(columns) if columns is not None else list(known)


def _with_ids(rows: pa.Table, ids: IdType) -> pa.Table:
    if ids == "string":
        return rows
    for name in _ID_COLUMNS:
        if name in rows.column_names:
            rows = rows.set_column(rows.column_names.index(name), name, as_numbers(rows[name]))
    return rows


def _unified(tables: list[pa.Table], names: list[str], ids: IdType) -> pa.Table:
    features: dict[str, None] = {}
    for table in tables:
        if "features" in names:
            features.update(dict.fromkeys(field.name for field in table.schema.field("features").type))
    schema = prediction_schema(tuple(features))
    fields = [
        pa.field(name, pa.int64()) if ids == "int64" and name in _ID_COLUMNS else schema.field(name) for name in names
    ]
    target = pa.schema(fields)
    return (
        pa.concat_tables([_widened(table, target) for table in tables], promote_options="none")
        if tables
        else target.empty_table()
    )


def _widened(table: pa.Table, target: pa.Schema) -> pa.Table:
    if "features" not in target.names or table.schema.equals(target):
        return table
    values = table["features"].combine_chunks()
    there = {field.name: i for i, field in enumerate(values.type)}
    kind = target.field("features").type
    children = [
        values.field(there[field.name]) if field.name in there else pa.nulls(len(table), field.type) for field in kind
    ]
    wide = pa.StructArray.from_arrays(children, fields=list(kind)) if children else values
    return table.set_column(table.column_names.index("features"), target.field("features"), wide)


def _as_text(rows: pa.Table) -> pa.Table:
    import duckdb  # here, because a server reads the log's layout and never exports

    for name in ("timestamp", "as_of"):
        naive = rows[name].cast(pa.timestamp("us"))
        rows = rows.set_column(rows.column_names.index(name), name, naive)
    features = "CAST(to_json(features) AS VARCHAR)"
    if not rows.schema.field("features").type.num_fields:  # DuckDB has no struct without fields
        rows, features = (
            rows.set_column(rows.column_names.index("features"), "features", pa.nulls(len(rows))),
            "'{}'",
        )
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        return connection.sql(
            f"""SELECT * REPLACE (
                 strftime(timestamp, '%Y-%m-%dT%H:%M:%S.%fZ') AS timestamp,
                 strftime(as_of, '%Y-%m-%dT%H:%M:%S.%fZ') AS as_of,
                 {features} AS features)
               FROM rows"""
        ).to_arrow_table()
