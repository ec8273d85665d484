"""From tables to the online store: the state after the last event, written as one new generation.

A generation is a folder of its own; readers go on with the one they have until ``CURRENT`` names the next. A publish
that was killed leaves the old generation in place; the next one of the same tables goes on where it was. State begins
where the tables end: the stream engine goes on at the offsets of the event log that they hold.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import duckdb

from orita.core.files import atomic_file, remove_leftovers
from orita.core.ids import uuid7
from orita.core.progress import SILENT, Progress
from orita.features.filling import EVENTS_AT_ONCE, fill_store
from orita.features.frame import Relations
from orita.features.generation import META, POINTER, Generation, current_generation
from orita.features.plan import Plan
from orita.features.stores.lmdb import LmdbStore

__all__ = ["publish"]

_BEGUN = "begun.json"


def publish(
    plan: Plan,
    connection: duckdb.DuckDBPyConnection,
    relations: Relations,
    folder: Path,
    *,
    tables: dict[str, int],
    offsets: Mapping[str, int] | None = None,
    unique: bool = False,
    known_by: int | None = None,
    at_once: int = EVENTS_AT_ONCE,
    progress: Progress = SILENT,
) -> Generation:
    """Write the state after every event in *relations* as the new generation in *folder*.

    Args:
        plan: what to keep.
        connection: where *relations* can be read.
        relations: SQL of each table.
        folder: the online store of one system.
        tables: lake versions, recorded for lineage; a publish of the same ones that was killed is gone on with.
        offsets: by name (`stream.worker.offset_name`), the offset of the event log up to which the tables hold it.
        unique: whether every event id is there once, as in the lake.
        known_by: count only events that were known by then, microseconds since the Unix epoch; None: all.
        at_once: events that are held in memory at once.
        progress: where to draw progress.
    """
    folder.mkdir(parents=True, exist_ok=True)
    previous = current_generation(folder)
    begun = {"plan": plan.version, "tables": tables, "known_by": known_by, "at_once": at_once}
    generation = (_begun(folder, begun) if tables else None) or _begin(folder, begun)
    with closing(LmdbStore(generation)) as store:
        filled = fill_store(
            plan, connection, relations, store,
            unique=unique, known_by=known_by, at_once=at_once, progress=progress,
        )  # fmt: skip
        for name, offset in (offsets or {}).items():
            if offset and store.offset(name) is None:
                store.apply(name, 0, offset, [])
    made = Generation(
        name=generation.name,
        plan=plan.version,
        watermark=filled.watermark,
        events=filled.events,
        records=filled.records,
        string_ids=filled.string_ids,
        tables=tables,
    )
    with atomic_file(generation / META) as path:
        path.write_text(json.dumps(asdict(made), indent=2))
    with atomic_file(folder / POINTER) as path:
        path.write_text(generation.name)
    _retire(folder, keep={generation.name} | ({previous.name} if previous else set()))
    return made


def _begin(folder: Path, begun: Mapping[str, object]) -> Path:
    generation = folder / f"gen-{uuid7()}"
    generation.mkdir()
    with atomic_file(generation / _BEGUN) as path:
        path.write_text(json.dumps(begun))
    return generation


def _begun(folder: Path, begun: Mapping[str, object]) -> Path | None:
    """Return the generation that a killed publish of the same tables left, if there is one."""
    for file in sorted(folder.glob(f"gen-*/{_BEGUN}")):
        if not (file.parent / META).exists() and json.loads(file.read_text()) == begun:
            return file.parent
    return None


def _retire(folder: Path, keep: set[str]) -> None:
    """Delete older generations; the previous one stays, since readers may still have it open."""
    remove_leftovers(folder)
    for generation in folder.glob("gen-*"):
        if generation.name not in keep:
            shutil.rmtree(generation)
