"""What a source holds once it is judged: how many rows, which of them are sound, and SQL that reads those typed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from orita.core.clock import Clock
from orita.core.errors import UserError
from orita.core.sql import quoted
from orita.events.config import ValidationConfig
from orita.events.engine import one_row
from orita.events.id_types import stored_id_types
from orita.events.lake import Lake
from orita.events.profile import TableProfile
from orita.events.quality import SQL_TYPES, IdType, Judge, compile_judge, is_nested, looks_whole, whole_id
from orita.events.quarantine import collect_bad_rows
from orita.events.schema import TableSchema
from orita.events.sources.opened import ROW, Opened

__all__ = ["IdTypes", "Judged", "decide_id_types", "examples", "judge_source"]


@dataclass(frozen=True, slots=True)
class IdTypes:
    """How the id columns of a run are stored.

    Attributes:
        types: the stored type of each id column, by name; one of which only nulls were seen has none yet.
        became_text: by name, a sentence for each new column of text that holds whole numbers too.
    """

    types: Mapping[str, IdType]
    became_text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Judged:
    """A source whose rows are judged.

    Attributes:
        opened: the source.
        judge: the rules it was judged by.
        columns: those that are stored: a column of ids of which only nulls were seen is not, as it has no type yet.
        rows: how many rows it has, broken ones included.
        bad_rows: how many break a rule.
        bad: name of the table of those rows, see `collect_bad_rows`.
        reasons: bad rows by ``column.rule``, the most frequent first.
        sound: SQL that stands behind FROM: the sound rows, typed, each of *columns*, with `ROW`;
            of rows with one key only the first.
        sound_rows: how many those are.
    """

    opened: Opened
    judge: Judge
    columns: tuple[str, ...]
    rows: int
    bad_rows: int
    bad: str
    reasons: Mapping[str, int]
    sound: str
    sound_rows: int

    def refuse_bad_share(self, allowed: float, quarantined: str | None, examples: str) -> None:
        """Stop when more than the share *allowed* of the rows is bad.

        Raises:
            UserError: it is; the sentence has the figures, the top reasons and where the rows are.
        """
        if self.bad_rows <= allowed * self.rows:
            return
        where = f"; the rows are in {quarantined}" if quarantined else ""
        share = self.bad_rows / self.rows
        raise UserError(
            f"{self.bad_rows:,} of {self.rows:,} rows of {self.opened.file} break a rule ({share:.1%}, "
            f"validation.max_bad_share allows {allowed:.1%}), nothing was stored: {examples}{where}. "
            "Mend the source, or allow a larger share."
        )


def decide_id_types(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    sources: Sequence[Opened],
    config: ValidationConfig,
    logged: Callable[[Collection[str]], Mapping[str, pa.DataType]] | None = None,
) -> IdTypes:
    """Return the stored type of each id column: as tables that exist have it, else the log, else as sources suggest.

    A column that holds nothing but whole numbers is one of integers, whatever their sign and size; else
    ``validation.id_integer_share`` decides. One that holds nothing has no type yet.

    Args:
        connection: where sources can be read.
        lake: the tables.
        sources: what comes in.
        config: how strictly.
        logged: tells the types of columns, by name, that the log has; asked for those that no table has.
    """
    ids = [(each, name) for each in sources for name in each.declared if each.schema.column(name).type == "id"]
    names = {name for _, name in ids}
    decided = stored_id_types(lake, names)
    if logged and names - set(decided):
        decided = {**logged(names - set(decided)), **decided}
    types: dict[str, IdType] = {
        name: "BIGINT" if pa.types.is_integer(kind) else "VARCHAR" for name, kind in decided.items()
    }
    counts: dict[str, tuple[int, int, int]] = {}
    for opened, name in ids:
        if name not in types:
            found = _count_ids(connection, opened, name)
            known, whole, stored = counts.get(name, (0, 0, 0))
            counts[name] = (known + found[0], whole + found[1], stored + found[2])
    became_text = {}
    for name, (known, whole, stored) in counts.items():
        if not known:
            continue
        types[name] = "BIGINT" if whole == known or stored >= config.id_integer_share * known else "VARCHAR"
        if types[name] == "VARCHAR" and whole:
            became_text[name] = (
                f"column {name!r} is stored as text from now on, as {known - whole:,} of its {known:,} ids are no "
                f"whole numbers (validation.id_integer_share allows {1 - config.id_integer_share:.1%}): "
                "mend them and ingest into a new home if ids should be integers."
            )
    return IdTypes(types, became_text)


def _count_ids(connection: duckdb.DuckDBPyConnection, opened: Opened, name: str) -> tuple[int, int, int]:
    """Return how many ids a source has in a column, how many are whole numbers, and how many fit an integer id."""
    raw, kind = quoted(name), opened.columns[name]
    nested = f" AND NOT {is_nested(name)}" if opened.nested else ""
    known, whole, stored = one_row(
        connection,
        f"SELECT count(*), count(*) FILTER ({looks_whole(raw, kind)}), count(*) FILTER ({whole_id(raw, kind)}) "
        f"FROM {opened.sql} WHERE {raw} IS NOT NULL{nested}",
    )
    return int(known), int(whole), int(stored)


def judge_source(
    connection: duckdb.DuckDBPyConnection,
    opened: Opened,
    id_types: Mapping[str, IdType],
    profile: TableProfile | None,
    config: ValidationConfig,
    clock: Clock,
) -> Judged:
    """Judge every row of a source.

    Raises:
        UserError: the source has no rows, or cannot be read to its end.
    """
    known = profile is not None and profile.rows >= config.profile_min_rows
    ranges = profile.ranges(config.profile_range_factor) if profile is not None and known else {}
    ids = {column.name: id_types.get(column.name, "BIGINT") for column in opened.schema.columns if column.type == "id"}
    columns = _stored_columns(opened.schema, id_types)
    judge = compile_judge(opened, ids, ranges, config, clock)
    try:
        rows = int(one_row(connection, f"SELECT count(*) FROM {opened.sql}")[0])
        if not rows:
            raise UserError(f"{opened.file} has column names but no rows: write its rows, or leave the file out.")
        bad = collect_bad_rows(connection, opened, judge)
        counted = connection.execute(
            f"SELECT rule, count(*) AS n FROM {bad} GROUP BY rule ORDER BY n DESC, rule"
        ).fetchall()
        reasons = {_reason(judge, position): int(n) for position, n in counted}
        bad_rows = sum(reasons.values())
        sound, repeated = _sound_rows(connection, opened, judge, bad if bad_rows else None, columns, ids)
    except duckdb.InvalidInputException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{opened.file} is damaged ({reason}): copy or write it again.") from None
    return Judged(opened, judge, columns, rows, bad_rows, bad, reasons, sound, rows - bad_rows - repeated)


def _stored_columns(schema: TableSchema, id_types: Mapping[str, IdType]) -> tuple[str, ...]:
    """Return the columns of *schema* that have a type: the key always has one."""
    known = {*id_types, schema.key}
    return tuple(column.name for column in schema.columns if column.type != "id" or column.name in known)


def _reason(judge: Judge, position: int) -> str:
    rule = judge.rules[position]
    return f"{rule.column}.{rule.name}" if rule.column else rule.name


def examples(connection: duckdb.DuckDBPyConnection, judged: Judged, most: int = 3) -> str:
    """Return the most frequent reasons of a source with an example each, for a sentence."""
    found = connection.execute(
        f"SELECT rule, count(*) AS n, min({ROW}) AS first, arg_min(value, {ROW}) FROM {judged.bad} "
        f"GROUP BY rule ORDER BY n DESC, rule LIMIT {most}"
    ).fetchall()
    parts = []
    for position, n, row, value in found:
        rule = judged.judge.rules[position]
        shown = "null" if value is None else repr(value if len(value) <= 40 else value[:40] + "…")
        parts.append(f"{_reason(judged.judge, position)} {n:,} times (row {row}: {shown}, allowed: {rule.allows})")
    return "; ".join(parts)


def _sound_rows(
    connection: duckdb.DuckDBPyConnection,
    opened: Opened,
    judge: Judge,
    bad: str | None,
    columns: Sequence[str],
    id_types: Mapping[str, IdType],
) -> tuple[str, int]:
    """Return SQL of the sound rows, each of *columns* typed, and how many more repeat an earlier key."""
    key = quoted(opened.schema.key)
    parts = []
    for name in columns:
        kind = SQL_TYPES.get(opened.schema.column(name).type) or id_types[name]
        parts.append(f"CAST({judge.typed.get(name, 'NULL')} AS {kind}) AS {quoted(name)}")
    outside = f" WHERE {ROW} NOT IN (SELECT {ROW} FROM {bad})" if bad else ""
    clean = f"(SELECT {', '.join(parts)}, {ROW} FROM {opened.sql}{outside})"
    repeated = f"repeated_{opened.table}"
    connection.execute(
        f"CREATE TEMP TABLE {repeated} AS SELECT {key} AS key, min({ROW}) AS first, count(*) - 1 AS extra "
        f"FROM {clean} GROUP BY key HAVING count(*) > 1"
    )
    extra = int(one_row(connection, f"SELECT coalesce(sum(extra), 0) FROM {repeated}")[0])
    if not extra:
        return clean, 0
    later = f"SELECT 1 FROM {repeated} r WHERE r.key = c.{key} AND r.first < c.{ROW}"
    return f"(SELECT * FROM {clean} c WHERE NOT EXISTS ({later}))", extra
