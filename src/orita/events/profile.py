"""What earlier data looked like: a profile of each table, and what a new batch is told against it.

A profile is cumulative: rows, nulls, minima, maxima and category counts are exact sums over all batches; quantiles
are the mean of the batches' own, weighted by rows; distinct values are the largest batch's. It belongs to a version
of its table and is made again from the table when the two differ, so a kill between them costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from orita.core.files import atomic_file
from orita.core.home import Home
from orita.core.sql import quoted
from orita.events.engine import one_row
from orita.events.schema import Column, TableSchema

__all__ = ["QUANTILES", "ColumnProfile", "TableProfile", "measure", "read_profile", "write_profile"]

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
_MOST_CATEGORIES = 1000
_MOST_BATCHES = 50


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column: nulls, bounds of numbers, flags and times, quantiles of numbers at `QUANTILES`, counts of categories
    and flags, and about how many distinct values ids, categories and texts have.

    Times are microseconds since the Unix epoch. *complete* tells that *categories* holds every value seen.
    """

    nulls: int
    minimum: float | None = None
    maximum: float | None = None
    quantiles: tuple[float, ...] = ()
    categories: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True
    distinct: int = 0


@dataclass(frozen=True, slots=True)
class TableProfile:
    """A table up to *version*: its rows, the sizes of its latest batches (at most 50), and its columns.

    Commits from the event log are no batches.
    """

    table: str
    version: int
    rows: int
    batches: tuple[int, ...]
    columns: Mapping[str, ColumnProfile]

    def ranges(self, factor: float) -> dict[str, tuple[float, float]]:
        """Return the earlier range of each numeric column, widened on both sides by *factor* times its width."""
        found = {}
        for name, column in self.columns.items():
            if column.minimum is not None and column.maximum is not None and column.maximum > column.minimum:
                width = (column.maximum - column.minimum) * factor
                found[name] = (column.minimum - width, column.maximum + width)
        return found

    def merged(self, batch: TableProfile) -> TableProfile:
        """Return the profile of this table with *batch* added."""
        names = {**self.columns, **batch.columns}
        columns = {name: _merge_column(name, self, batch) for name in names}
        batches = (*self.batches, *batch.batches)[-_MOST_BATCHES:]
        return TableProfile(self.table, batch.version, self.rows + batch.rows, batches, columns)


def measure(connection: duckdb.DuckDBPyConnection, sql: str, schema: TableSchema, version: int) -> TableProfile:
    """Return the profile of the rows behind *sql* as one batch; of the declared columns it has, without the key."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {sql}").fetchall()
    present = {str(row[0]): str(row[1]) for row in described}
    names = [name for name in schema.names if name in present and name != schema.key]
    parts = ["count(*)"]
    for name in names:
        parts += _measures(schema.column(name), present[name])
    row = list(one_row(connection, f"SELECT {', '.join(parts)} FROM {sql}"))
    rows = int(row.pop(0))
    columns = {}
    for name in names:
        known, low, high, quantiles, distinct = (row.pop(0) for _ in range(5))
        categories: dict[str, int] = {}
        if schema.column(name).type in ("category", "flag"):
            categories = _categories(connection, sql, name)
        columns[name] = ColumnProfile(
            nulls=rows - int(known),
            minimum=None if low is None else float(low),
            maximum=None if high is None else float(high),
            quantiles=tuple(float(q) for q in quantiles or ()),
            categories=categories,
            complete=len(categories) <= _MOST_CATEGORIES,
            distinct=int(distinct or 0),
        )
    return TableProfile(schema.name, version, rows, (rows,), columns)


def read_profile(home: Home, table: str) -> TableProfile | None:
    """Return the kept profile of *table*, or None before the first."""
    path = _path(home, table)
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    columns = {
        name: ColumnProfile(**{**column, "quantiles": tuple(column["quantiles"])})
        for name, column in content["columns"].items()
    }
    return TableProfile(table, content["version"], content["rows"], tuple(content["batches"]), columns)


def write_profile(home: Home, profile: TableProfile) -> Path:
    """Keep *profile*, whole or not at all; return where."""
    path = _path(home, profile.table)
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(asdict(profile), indent=1, sort_keys=True), encoding="utf-8")
    return path


def _path(home: Home, table: str) -> Path:
    return home.profiles / f"{table}.json"


def _measures(column: Column, kind: str) -> list[str]:
    """Return SQL of: known values, minimum, maximum, quantiles, distinct values; null where it says nothing."""
    name = quoted(column.name)
    known, distinct = f"count({name})", f"approx_count_distinct({name})"
    if column.type == "time":
        return [known, f"min(epoch_us({name}))", f"max(epoch_us({name}))", "NULL", "NULL"]
    if column.type in ("int", "float", "flag") and kind != "VARCHAR":
        quantiles = "NULL" if column.type == "flag" else f"approx_quantile(CAST({name} AS DOUBLE), {list(QUANTILES)!r})"
        return [known, f"min({name})", f"max({name})", quantiles, "NULL"]
    return [known, "NULL", "NULL", "NULL", distinct]


def _categories(connection: duckdb.DuckDBPyConnection, sql: str, name: str) -> dict[str, int]:
    column = quoted(name)
    counted = connection.execute(
        f"SELECT CAST({column} AS VARCHAR), count(*) AS n FROM {sql} WHERE {column} IS NOT NULL "
        f"GROUP BY ALL ORDER BY n DESC, 1 LIMIT {_MOST_CATEGORIES + 1}"
    )
    return {str(value): int(n) for value, n in counted.fetchall()}


def _merge_column(name: str, before: TableProfile, batch: TableProfile) -> ColumnProfile:
    # A column that one side lacks was null in all of its rows.
    old = before.columns.get(name, ColumnProfile(before.rows))
    new = batch.columns.get(name, ColumnProfile(batch.rows))
    counts = {
        value: old.categories.get(value, 0) + new.categories.get(value, 0)
        for value in {**old.categories, **new.categories}
    }
    kept = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_CATEGORIES]
    weights = (before.rows - old.nulls, batch.rows - new.nulls)
    return ColumnProfile(
        nulls=old.nulls + new.nulls,
        minimum=_extreme(min, old.minimum, new.minimum),
        maximum=_extreme(max, old.maximum, new.maximum),
        quantiles=_mean(old.quantiles, new.quantiles, weights),
        categories=dict(kept),
        complete=old.complete and new.complete and len(counts) <= _MOST_CATEGORIES,
        distinct=max(old.distinct, new.distinct),
    )


def _extreme(pick: Any, *values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return float(pick(known)) if known else None


def _mean(old: tuple[float, ...], new: tuple[float, ...], weights: tuple[int, int]) -> tuple[float, ...]:
    if not old or not new:
        return old or new
    total = sum(weights)
    return tuple((a * weights[0] + b * weights[1]) / total for a, b in zip(old, new, strict=True))
