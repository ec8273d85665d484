"""Where rows go that break a rule: one Parquet file a source, with every original value as text and the reason.

The file is named by the digest of the source, so a second run over the same source replaces it and never doubles it.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from orita.core.files import atomic_file
from orita.core.home import Home
from orita.core.sql import literal, quoted
from orita.events.quality import Judge
from orita.events.sources.opened import FAULT, ROW, TEXT, Opened

__all__ = ["collect_bad_rows", "quarantine_file", "write_quarantine"]


def collect_bad_rows(connection: duckdb.DuckDBPyConnection, opened: Opened, judge: Judge) -> str:
    """Make a table of the rows that break a rule and return its name.

    Its columns are `ROW`, ``rule`` (a position in the judge's rules), ``value`` (the text that broke it) and
    ``original`` (every value of the row as text, a JSON object).
    """
    table = f"bad_{opened.table}"
    originals = ", ".join(f"{literal(name)}: CAST({quoted(name)} AS VARCHAR)" for name in opened.columns)
    values = " ".join(
        f"WHEN {position} THEN CAST({quoted(rule.column)} AS VARCHAR)"
        for position, rule in enumerate(judge.rules)
        if rule.column
    )
    connection.execute(
        f"CREATE TEMP TABLE {table} AS SELECT {ROW}, verdict AS rule, "
        f"CASE WHEN {FAULT} IS NOT NULL THEN {TEXT} ELSE CASE verdict {values} END END AS value, "
        f"CASE WHEN {FAULT} IS NOT NULL THEN to_json({{'text': {TEXT}}}) "
        f"ELSE to_json({{{originals}}}) END AS original "
        f"FROM (SELECT *, {judge.verdict} AS verdict FROM {judge.relation} WHERE {judge.broken})"
    )
    return table


def quarantine_file(home: Home, opened: Opened) -> Path:
    """Return where the bad rows of a source are kept."""
    return home.quarantine / opened.table / f"{opened.digest[:16]}.parquet"


def write_quarantine(
    connection: duckdb.DuckDBPyConnection, home: Home, opened: Opened, judge: Judge, bad: str, rows: int
) -> Path | None:
    """Keep the *rows* bad rows of a source in place of what an earlier run kept; return where, None if there are none.

    Columns: source, row (from 1, the first line not counted), column, value, rule, allowed, original (JSON).
    """
    path = quarantine_file(home, opened)
    if not rows:
        path.unlink(missing_ok=True)
        return None
    names = ", ".join(
        f"({position}, {literal(rule.column)}, {literal(rule.name)}, {literal(rule.allows)})"
        for position, rule in enumerate(judge.rules)
    )
    # DuckDB would write beside the partial file, to one whose name ends like kept ones and that nobody clears away.
    with atomic_file(path) as partial:
        connection.execute(
            f'COPY (SELECT {literal(str(opened.file))} AS source, b.{ROW} AS row, r.name AS "column", b.value, '
            f"r.rule, r.allowed, CAST(b.original AS VARCHAR) AS original FROM {bad} b "
            f"JOIN (VALUES {names}) r(position, name, rule, allowed) ON r.position = b.rule ORDER BY b.{ROW}) "
            f"TO {literal(str(partial))} (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)"
        )
    return path
