"""Simulated and replayed traffic against a server, its feedback ingested."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import duckdb
import pyarrow as pa

from orita.core.clock import SystemClock, to_micros
from orita.core.errors import UserError
from orita.core.files import atomic_file
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.core.progress import SILENT, Progress
from orita.core.sql import literal, quoted
from orita.events.engine import one_row, open_engine
from orita.events.ingest import ingest
from orita.events.lake import Lake
from orita.events.report import IngestReport
from orita.events.world.generation import load_world
from orita.events.world.tablefiles import open_table
from orita.pipelines.etl import generated_folder
from orita.project import Project
from orita.simulate.replay import replay_events
from orita.simulate.requests import FEEDBACK_COLUMNS, simulate_requests

__all__ = ["Held", "TrafficClock", "hold_out", "replayed_traffic", "simulated_traffic", "world_folder"]

TrafficClock: TypeAlias = Literal["wall", "world"]
"""By which clock simulated users come: that on the wall, or the world's own."""

_MILLISECOND = 1000
_RECENT = 20_000  # events whose items stand for what is popular now


@dataclass(frozen=True, slots=True)
class Held:
    """A data set parted in time: *history* is a folder to ingest, *live* the later events to replay.

    Attributes:
        history, live: where they are.
        live_rows: how many are to be replayed.
        judged: what became of the rows of the whole data set.
    """

    history: Path
    live: Path
    live_rows: int
    judged: IngestReport


def simulated_traffic(
    project: Project,
    server: str,
    requests: int,
    items: int,
    seed: int,
    progress: Progress,
    *,
    clock: TrafficClock,
    feed: bool = False,
) -> dict[str, Any]:
    """Let users of the synthetic world ask *server* and react; ingest their reactions.

    Args:
        project: with the world.
        server: where the server answers.
        requests, items: how many feeds are asked for, and candidates of each.
        seed: fixes who asks what.
        progress: where to draw progress.
        clock: ``wall``: users come now, and their reactions are ingested as they go. ``world``: they come just after
            the latest event that online features have seen; their reactions are ingested in the end.
        feed: whether the server chooses the candidates.

    Raises:
        UserError: there is no synthetic world, or no server answers.
    """
    ingested = 0

    def take(rows: pa.Table) -> None:
        nonlocal ingested
        feedback = _feedback_file(project.home)
        with atomic_file(feedback) as partial, open_table(partial, FEEDBACK_COLUMNS, "jsonl") as lines:
            lines.write_table(rows)
        ingested += _ingest(project, feedback, SILENT)

    report = simulate_requests(
        load_world(world_folder(project)),
        server,
        take,
        start=_after_latest(project) if clock == "world" else None,
        requests=requests,
        items=items,
        seed=seed,
        feed=feed,
        progress=progress,
    )
    return {**report.to_dict(), "ingested": ingested}


def world_folder(project: Project) -> Path:
    """Return the world of the configuration, else the only one there is."""
    folder = generated_folder(project.home, project.data.value.data_generation)
    worlds = [path.parents[1] for path in project.home.generated.glob("*/truth/world.json")]
    if folder in worlds or len(worlds) == 1:
        return folder if folder in worlds else worlds[0]
    if not worlds:
        raise UserError("there is no synthetic world in this home: 'orita run all' generates one and learns from it.")
    raise UserError(
        f"this home has {len(worlds)} synthetic worlds, none of this configuration: give the data_generation keys "
        "that 'orita run' was given."
    )


def hold_out(project: Project, source: Path, share: float, progress: Progress) -> Held:
    """Part the data set at *source* in time: its last *share* of events is kept apart to be replayed.

    Raises:
        UserError: the data cannot be ingested, or the home knows the last events already.
    """
    scratch = Home(project.home.staging / "holdout", project.home.tenant)
    shutil.rmtree(scratch.root, ignore_errors=True)
    schemas = project.system.tables
    judged = ingest(scratch, source, config=project.data.value.validation, schemas=schemas, progress=progress)
    judged = _with_quarantine(judged, scratch, project.home)
    folder = project.home.generated / f"replay-{project.system.name}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "history").mkdir(parents=True)
    lake, events = Lake(scratch), project.system.source.name
    live = literal(str(folder / "live.parquet"))
    with open_engine(project.home.staging, project.data.value.validation.memory_mb) as connection:
        for name in filter(lake.exists, schemas):
            rows, where = lake.snapshot(name).sql, ""
            if name == events:
                time = f"epoch_us({quoted(schemas[name].time or '')})"
                (cut,) = one_row(connection, f"SELECT quantile_disc({time}, {1 - share!r}) FROM {rows}")
                where = f" WHERE {time} < {cut}"
                connection.execute(f"COPY (SELECT * FROM {rows} WHERE {time} >= {cut} ORDER BY {time}) TO {live}")
            target = literal(str(folder / "history" / f"{name}.parquet"))
            connection.execute(f"COPY (SELECT * FROM {rows}{where}) TO {target}")
        (live_rows,) = one_row(connection, f"SELECT count(*) FROM {live}")
        known = _known_already(project, connection, live)
    shutil.rmtree(scratch.root)
    if known:
        raise UserError(
            f"the home {project.home.root} holds {known:,} of the {live_rows:,} events that would be replayed, so that "
            "its model may have learnt from them: give --home another folder, or delete this one."
        )
    return Held(folder / "history", folder / "live.parquet", live_rows, judged)


def _with_quarantine(judged: IngestReport, scratch: Home, home: Home) -> IngestReport:
    """Move the bad rows that *judged* tells of into *home*, and return where they are now."""
    tables = dict(judged.tables)
    for name, table in judged.tables.items():
        if table.quarantine_path is not None:
            kept = home.quarantine / Path(table.quarantine_path).relative_to(scratch.quarantine)
            with atomic_file(kept) as partial:
                shutil.copyfile(table.quarantine_path, partial)
            tables[name] = replace(table, quarantine_path=str(kept))
    return replace(judged, tables=tables)


def _known_already(project: Project, connection: duckdb.DuckDBPyConnection, live: str) -> int:
    """Return how many of the events to be replayed are in the lake."""
    lake, events = Lake(project.home), project.system.source
    if not lake.exists(events.name):
        return 0
    key = quoted(events.schema.key)
    stored = lake.snapshot(events.name).sql
    return int(one_row(connection, f"SELECT count(*) FROM {live} l SEMI JOIN {stored} s ON l.{key} = s.{key}")[0])


def replayed_traffic(
    project: Project, held: Held, server: str, requests: int, items: int, seed: int, progress: Progress
) -> dict[str, Any]:
    """Replay held-out events as requests to *server*; ingest them as feedback.

    Raises:
        UserError: no server answers.
    """
    import pyarrow.parquet as pq

    source, item = project.system.source, quoted(project.system.item.columns[0])
    events = Lake(project.home).snapshot(source.name).sql
    latest = f"SELECT {item} FROM {events} ORDER BY {quoted(source.schema.time or '')} DESC LIMIT {_RECENT}"
    with open_engine(project.home.staging, project.data.value.validation.memory_mb) as connection:
        pool = [row[0] for row in connection.execute(latest).fetchall()]
    feedback = _feedback_file(project.home)
    report = replay_events(
        pq.read_table(held.live),
        pool,
        server,
        feedback,
        start=_after_latest(project),
        requests=requests,
        items=items,
        seed=seed,
        progress=progress,
    )
    figures = asdict(report)
    figures.pop("feedback")  # the file is gone once its rows are safe
    return {**figures, "ingested": _ingest(project, feedback, progress), "held_out": held.live_rows}


def _after_latest(project: Project) -> int:
    """Return the first whole millisecond after the latest event that online features have seen."""
    with closing(project.generations()) as generations:
        generation = generations.current()
    if generation is None or generation.watermark is None:
        return to_micros(SystemClock().now())
    return (generation.watermark // _MILLISECOND + 1) * _MILLISECOND


def _feedback_file(home: Home) -> Path:
    folder = home.staging / "feedback"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{uuid7()}.jsonl"


def _ingest(project: Project, feedback: Path, progress: Progress) -> int:
    """Ingest a feedback file and return how many rows were new; the file goes once they are safe."""
    report = ingest(
        project.home,
        feedback,
        config=project.data.value.validation,
        schemas=project.system.tables,
        origin=Lake(project.home).origin(project.system.source.name),  # whatever world these users belong to
        progress=progress,
    )
    new = report.tables[project.system.source.name].rows_new
    feedback.unlink()
    return new
