"""What the columns of a Parquet file look like: DuckDB reads it in pieces, so memory does not grow with the rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from orita.core.sql import literal, quoted
from orita.events.engine import one_row
from orita.events.profile import QUANTILES

__all__ = ["ColumnStatistics", "PartStatistics", "column_types", "part_statistics"]

_SAMPLED_ROWS = 200_000
_TOP, _DOMAIN = 10, 1000
_TEXT, _FLOATS = "VARCHAR", ("FLOAT", "DOUBLE")


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """One column of one part.

    Attributes:
        type: DuckDB's name of its type.
        missing: rows without a value; not a number counts as none.
        infinite: rows whose value is infinite; the figures below are over the others.
        minimum, maximum, mean, std: of numbers; the deviation divides by the number of rows.
        quantiles: of numbers, at `QUANTILES`, of at most about 200,000 rows chosen by the hash of their event id: the
            rank of each is right within 0.005 with near certainty.
        distinct: about how many different values.
        top: the most frequent values with their rows; all of them where *whole*.
        whole: whether *top* has every value.
    """

    type: str
    missing: int
    infinite: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[float, ...] = ()
    distinct: int = 0
    top: tuple[tuple[str, int], ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class PartStatistics:
    """One part: its rows, and its columns by name."""

    rows: int
    columns: Mapping[str, ColumnStatistics]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> PartStatistics:
        """Return the statistics that `to_dict` described."""
        columns = {
            name: ColumnStatistics(
                **{
                    **column,
                    "quantiles": tuple(column["quantiles"]),
                    "top": tuple((value, rows) for value, rows in column["top"]),
                }
            )
            for name, column in content["columns"].items()
        }
        return cls(content["rows"], columns)


def column_types(connection: duckdb.DuckDBPyConnection, file: Path) -> dict[str, str]:
    """Return the types of the columns of *file* by name."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {_relation(file)}").fetchall()
    return {str(row[0]): str(row[1]) for row in described}


def part_statistics(
    connection: duckdb.DuckDBPyConnection, file: Path, names: Sequence[str], valued: Sequence[str]
) -> PartStatistics:
    """Return the statistics of the columns *names* of *file*.

    Args:
        connection: the engine.
        file: Parquet, with a column ``event_id``.
        names: the columns; those that the file lacks are left out.
        valued: those of them of which every value is counted, up to 1,000; of the others the ten most frequent.
    """
    types = column_types(connection, file)
    here = [name for name in names if name in types]
    rows = int(one_row(connection, f"SELECT count(*) FROM {_relation(file)}")[0])
    figures = {name: dict[str, Any]() for name in here}
    numbers = [name for name in here if types[name] != _TEXT]
    if here and rows:
        _count(connection, file, here, numbers, rows, figures)
    if numbers and rows:
        _take_quantiles(connection, file, numbers, rows, figures)
    for name in here if rows else ():
        not_one = "nan" if types[name] in _FLOATS else None
        figures[name] |= _most_frequent(connection, file, name, _DOMAIN if name in valued else _TOP, not_one)
    return PartStatistics(
        rows, {name: ColumnStatistics(types[name], **({"missing": 0} | figures[name])) for name in here}
    )


def _relation(file: Path) -> str:
    return f"read_parquet({literal(str(file))})"


def _finite(name: str) -> str:
    """Return SQL of a number, null where it is none or infinite."""
    number = f"CAST({quoted(name)} AS DOUBLE)"
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def _count(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    names: Sequence[str],
    numbers: Sequence[str],
    rows: int,
    figures: dict[str, dict[str, Any]],
) -> None:
    parts = []
    for name in names:
        value, column = _finite(name), quoted(name)
        if name in numbers:
            parts += [f"count({value})", f"coalesce(count_if(isinf(CAST({column} AS DOUBLE))), 0)"]
            parts += [f"{function}({value})" for function in ("min", "max", "avg", "stddev_pop")]
        else:
            parts += [f"count({column})", "0", "NULL", "NULL", "NULL", "NULL"]
        parts.append(f"approx_count_distinct({column})")
    found = list(one_row(connection, f"SELECT {', '.join(parts)} FROM {_relation(file)}"))
    for name in names:
        known, infinite, *summary, distinct = (found.pop(0) for _ in range(7))
        figures[name] |= {"missing": rows - known - infinite, "infinite": infinite, "distinct": int(distinct)}
        figures[name] |= dict(zip(("minimum", "maximum", "mean", "std"), map(_rounded, summary), strict=True))


def _take_quantiles(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    numbers: Sequence[str],
    rows: int,
    figures: dict[str, dict[str, Any]],
) -> None:
    """Take exact quantiles of a sample: sketches are not the same twice, and all rows of a column may not fit."""
    one_in = math.ceil(rows / _SAMPLED_ROWS)
    chosen = f" WHERE hash(event_id) % {one_in} = 0" if one_in > 1 else ""
    parts = [f"quantile_cont({_finite(name)}, {list(QUANTILES)!r})" for name in numbers]
    found = one_row(connection, f"SELECT {', '.join(parts)} FROM {_relation(file)}{chosen}")
    for name, quantiles in zip(numbers, found, strict=True):
        figures[name]["quantiles"] = tuple(_rounded(value) for value in quantiles or ())


def _most_frequent(
    connection: duckdb.DuckDBPyConnection, file: Path, name: str, most: int, not_one: str | None
) -> dict[str, Any]:
    """Return the most frequent values but *not_one*, which counts as missing.

    It is left out here and not by SQL: DuckDB leaves a condition on it away by the ranges in Parquet files, which do
    not tell of it.
    """
    column = quoted(name)
    counted = connection.execute(
        f"SELECT CAST({column} AS VARCHAR), count(*) AS n FROM {_relation(file)} WHERE {column} IS NOT NULL "
        f"GROUP BY {column} ORDER BY n DESC, 1 LIMIT {most + 2}"
    ).fetchall()
    found = tuple((str(value), int(n)) for value, n in counted if value != not_one)
    return {"top": found[:most], "whole": len(found) <= most}


def _rounded(value: float | None) -> float | None:
    """Return nine digits: what threads add up in another order is the same then."""
    return None if value is None else float(f"{value:.9g}")
