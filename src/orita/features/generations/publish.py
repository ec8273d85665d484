"""From tables to the online store: the state after the last event, written as one new generation.

Readers go on with the generation that they have until the next one takes its place. A publish that was killed leaves
the old one in place; the next publish of the same tables goes on where it was. State begins where the tables end: the
stream engine goes on at the offsets of the event log that they hold, and counts what is not known yet when it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import duckdb

from orita.core.progress import SILENT, Progress
from orita.features.frame import Relations
from orita.features.generations.filling import EVENTS_AT_ONCE, fill_store
from orita.features.generations.generation import Generation
from orita.features.generations.generations import Generations
from orita.features.generations.steps import most_events
from orita.features.plan import Plan

__all__ = ["publish"]


def publish(
    plan: Plan,
    connection: duckdb.DuckDBPyConnection,
    relations: Relations,
    generations: Generations,
    *,
    tables: dict[str, int],
    offsets: Mapping[str, int] | None = None,
    unique: bool = False,
    known_by: int | None = None,
    at_once: int = EVENTS_AT_ONCE,
    progress: Progress = SILENT,
) -> Generation:
    """Write the state after every event in *relations* as the new generation of *generations*.

    Args:
        plan: what to keep.
        connection: where *relations* can be read.
        relations: SQL of each table.
        generations: the online state of one system.
        tables: lake versions, recorded for lineage; a publish of the same ones that was killed is gone on with.
        offsets: by name (`stream.intake.offset_name`), the offset of the event log up to which the tables hold it.
        unique: whether every event id is there once, as in the lake.
        known_by: the moment of publishing, microseconds since the Unix epoch: the store holds events that are not seen
            as of it until they are. A publish that is gone on with keeps its moment. None: all events count.
        at_once: events that are held in memory at once, fewer where a step of the store should be smaller.
        progress: where to draw progress.
    """
    most_changes = generations.most_changes
    at_once = min(at_once, most_events(plan, most_changes))
    made_of = {"plan": plan.version, "tables": tables, "whole": known_by is None, "at_once": at_once}
    made_of |= {"offsets": dict(offsets or {})}  # the log keeps what lies behind them meanwhile
    name = generations.begin(made_of, resume=bool(tables))
    with closing(generations.writing(name)) as store:
        filled = fill_store(
            plan, connection, relations, store,
            unique=unique, known_by=known_by, offsets=offsets, at_once=at_once, most_changes=most_changes,
            progress=progress,
        )  # fmt: skip
        for source, offset in (offsets or {}).items():
            if offset and store.offset(source) is None:
                store.apply(source, 0, offset, [])
    made = Generation(
        name=name,
        plan=plan.version,
        watermark=filled.watermark,
        events=filled.events,
        records=filled.records,
        string_ids=filled.string_ids,
        unknown_ids=filled.unknown_ids,
        tables=tables,
        due=filled.due,
    )
    generations.finish(made)
    return made
