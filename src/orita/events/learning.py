"""How a table's profile keeps in step with the table: it learns from each commit, and is made again where it cannot."""

from __future__ import annotations

from dataclasses import replace

import duckdb

from orita.core.home import Home
from orita.events.lake import Lake
from orita.events.profile import TableProfile, measure, read_profile, write_profile
from orita.events.schema import TableSchema
from orita.events.writing import Change

__all__ = ["carry_profile", "current_profile", "learn"]


def current_profile(
    connection: duckdb.DuckDBPyConnection, home: Home, lake: Lake, schema: TableSchema
) -> TableProfile | None:
    """Return the profile of a table as it is; one that a killed run left behind is made again from the table."""
    if not lake.exists(schema.name):
        return None
    kept = read_profile(home, schema.name)
    if kept is not None and kept.version == lake.version(schema.name):
        return kept
    snapshot = lake.snapshot(schema.name)
    return measure(connection, snapshot.sql, schema, snapshot.version)


def learn(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    schema: TableSchema,
    before: TableProfile | None,
    change: Change,
    *,
    counts: bool = True,
) -> TableProfile:
    """Measure what was stored and keep the table's profile; return the batch's own.

    Args:
        connection, home, schema: where, and what a row looks like.
        before: the profile of the table before the change.
        change: what was stored.
        counts: whether its size says how large batches usually are; that of a stream's commits says nothing.
    """
    assert change.version is not None
    batch = measure(connection, change.sql, schema, change.version)
    # A table of entities is measured whole, as its rows are replaced and not added.
    whole = before is None or schema.time is None or change.whole
    after = batch if whole or before is None else before.merged(batch)
    write_profile(home, after if counts else replace(after, batches=before.batches if before else ()))
    return batch


def carry_profile(home: Home, table: str, before: int, version: int) -> None:
    """Let the profile of *table* at the version *before* stand for *version*, which has the same rows."""
    kept = read_profile(home, table)
    if kept is not None and kept.version == before != version:
        write_profile(home, replace(kept, version=version))
