"""Rows of a declared source as SQL: who, when, when known, and numbers, each in one type whatever it is written in.

Who is text, a whole number its digits, so that 12, 12.0, "12" and "12.0" (which some write into CSV as soon as an id is
absent) are one unit. When is microseconds since the Unix epoch; a time without an offset is UTC. A number that is
absent or not finite is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orita.core.errors import NotFound, UserError, closest
from orita.core.home import Home
from orita.core.sql import literal, quoted
from orita.delivery.experiments.declarations import FileSource, TableSource
from orita.events.engine import one_row
from orita.events.lake import Lake

if TYPE_CHECKING:
    import duckdb

__all__ = ["Rows", "rows_of", "unit_of_text"]

_TEXT = ("VARCHAR",)
_NOTHING = '"NULL"'  # a column of Parquet that was written without a single value
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_BROKEN = ("FLOAT", "DOUBLE")


@dataclass(frozen=True, slots=True)
class Rows:
    """A source as it is found.

    Attributes:
        what: how it is called in sentences.
        sql: what can stand behind FROM.
        types: DuckDB's type of each column.
    """

    what: str
    sql: str
    types: Mapping[str, str]

    def unit(self, name: str) -> str:
        """Return the expression of who, null where it is null or empty."""
        kind, column = self._type(name), quoted(name)
        if kind == _NOTHING:
            return "CAST(NULL AS VARCHAR)"
        if kind in _TEXT:
            return unit_of_text(column)
        if kind in _WHOLE or kind == "UUID":
            return f"CAST({column} AS VARCHAR)"
        if kind in _BROKEN:
            whole = f"isfinite({column}) AND {column} = trunc({column}) AND abs({column}) < 9e15"
            return (
                f"CASE WHEN {whole} THEN CAST(CAST({column} AS BIGINT) AS VARCHAR) ELSE CAST({column} AS VARCHAR) END"
            )
        raise self._refused(name, kind, "ids are text or whole numbers")

    def time(self, name: str) -> str:
        """Return the expression of when, in microseconds."""
        kind, column = self._type(name), quoted(name)
        if kind == _NOTHING:
            return "CAST(NULL AS BIGINT)"
        if kind in _TEXT:
            return f"epoch_us(TRY_CAST({column} AS TIMESTAMPTZ))"
        if kind.startswith("TIMESTAMP") or kind == "DATE":
            return f"epoch_us(CAST({column} AS TIMESTAMPTZ))"
        raise self._refused(name, kind, "times are timestamps, dates, or text in ISO 8601")

    def number(self, name: str) -> str:
        """Return the expression of a number."""
        kind, column = self._type(name), quoted(name)
        if kind == _NOTHING:
            return "CAST(NULL AS DOUBLE)"
        if kind in (*_WHOLE, *_BROKEN, *_TEXT, "BOOLEAN") or kind.startswith("DECIMAL"):
            cast = f"TRY_CAST({column} AS DOUBLE)"
            return f"CASE WHEN isfinite({cast}) THEN {cast} END"
        raise self._refused(name, kind, "outcomes are numbers or booleans")

    def text(self, name: str) -> str:
        """Return the expression of a name, such as that of a variant."""
        self._type(name)
        return f"CAST({quoted(name)} AS VARCHAR)"

    def truth(self, name: str) -> str:
        """Return the expression of whether; null is false."""
        self._type(name)
        return f"coalesce(TRY_CAST({quoted(name)} AS BOOLEAN), false)"

    def check_readable(self, connection: duckdb.DuckDBPyConnection, expressions: Mapping[str, str]) -> None:
        """Refuse texts that are no time or number, by column its expression; what is absent is not meant.

        Raises:
            UserError: there are some; the sentence has one of them.
        """
        for name, expression in expressions.items():
            if self.types[name] not in _TEXT:
                continue
            column = quoted(name)
            wrong = f"FILTER (WHERE {column} <> '' AND {expression} IS NULL)"
            count, example = one_row(
                connection, f"SELECT count(*) {wrong}, any_value({column}) {wrong} FROM {self.sql}"
            )
            if count:
                raise UserError(
                    f"{self.what}: {count:,} values of {name!r} cannot be read, such as {example!r}: correct them, or "
                    "leave them empty."
                )

    def _type(self, name: str) -> str:
        if name not in self.types:
            raise NotFound(f"{self.what} has no column {name!r}. {closest(name, self.types)}")
        return self.types[name]

    def _refused(self, name: str, kind: str, allowed: str) -> UserError:
        return UserError(f"{self.what}: the column {name!r} is {kind}; {allowed}: convert it.")


def unit_of_text(column: str) -> str:
    """Return the expression of who in a column of text, null where it is empty."""
    return f"nullif(regexp_replace({column}, '^(-?[0-9]+)[.]0+$', '\\1'), '')"


def rows_of(connection: duckdb.DuckDBPyConnection, source: FileSource | TableSource, home: Home, folder: Path) -> Rows:
    """Return a source as it is now; paths are taken from *folder*.

    Raises:
        NotFound: the file or table is not there.
        UserError: it cannot be read.
    """
    import duckdb

    if isinstance(source, TableSource):
        what, sql = f"table {source.table!r}", Lake(home).snapshot(source.table).sql
    else:
        what, sql = f"file {source.path!r}", _file_sql(source.path, folder)
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {sql}").fetchall()
    except duckdb.Error as error:
        raise UserError(f"{what} cannot be read: {' '.join(str(error).split())}") from None
    return Rows(
        what, sql, {str(row[0]): str(row[1]).replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ") for row in described}
    )


def _file_sql(path: str, folder: Path) -> str:
    at = Path(path)
    base, pattern = (Path(at.anchor), str(at.relative_to(at.anchor))) if at.is_absolute() else (folder, path)
    found = sorted(base.glob(pattern))
    if not found:
        raise NotFound(f"there is no file {path!r} in {base}: correct the path, or write the rows first.")
    files = ", ".join(literal(str(each)) for each in found)
    if path.endswith(".csv"):
        return f"read_csv([{files}], all_varchar = true, header = true, union_by_name = true)"
    return f"read_parquet([{files}], union_by_name = true, hive_partitioning = false)"
