"""Simulated and replayed traffic against a server, its feedback ingested."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from orita.core.clock import SystemClock, to_micros
from orita.core.errors import UserError
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.core.progress import Progress
from orita.events.engine import one_row, quoted
from orita.events.ingest import ingest
from orita.events.lake import Lake
from orita.events.world.generation import load_world
from orita.features.publish import current_generation
from orita.pipelines.etl import generated_folder
from orita.project import Project
from orita.simulate.replay import replay_events
from orita.simulate.requests import simulate_requests

__all__ = ["Held", "hold_out", "replayed_traffic", "simulated_traffic"]

_MILLISECOND = 1000
_RECENT = 20_000  # events whose items stand for what is popular now


@dataclass(frozen=True, slots=True)
class Held:
    """A data set parted in time: *history* is a folder to ingest, *live* the later events to replay."""

    history: Path
    live: Path
    live_rows: int


def simulated_traffic(
    project: Project, server: str, requests: int, items: int, seed: int, progress: Progress
) -> dict[str, Any]:
    """Let users of the synthetic world ask *server* and react; ingest their reactions.

    Raises:
        UserError: there is no synthetic world, or no server answers.
    """
    folder = generated_folder(project.home, project.data.value.data_generation)
    if not folder.exists():
        raise UserError("there is no synthetic world in this home yet: run 'orita run all' first.")
    feedback = _feedback_file(project.home)
    report = simulate_requests(
        load_world(folder),
        server,
        feedback,
        start=_after_latest(project),
        requests=requests,
        items=items,
        seed=seed,
        progress=progress,
    )
    return {**asdict(report), "feedback": str(feedback), "ingested": _ingest(project, feedback, progress)}


def hold_out(project: Project, source: Path, share: float, progress: Progress) -> Held:
    """Part the data set at *source* in time: its last *share* of events is kept apart to be replayed.

    Raises:
        UserError: the data cannot be ingested.
    """
    scratch = Home(project.home.staging / "holdout", project.home.tenant)
    shutil.rmtree(scratch.root, ignore_errors=True)
    schemas = project.system.tables
    ingest(scratch, source, config=project.data.value.validation, schemas=schemas, progress=progress)
    folder = project.home.generated / f"replay-{project.system.name}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "history").mkdir(parents=True)
    lake, events = Lake(scratch), project.system.source.name
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name in schemas:
        if lake.exists(name):
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {lake.snapshot(name).sql}")
            where = ""
            if name == events:
                time = f"epoch_us({schemas[name].time})"
                (cut,) = one_row(connection, f"SELECT quantile_disc({time}, {1 - share!r}) FROM {name}")
                where = f" WHERE {time} < {cut}"
                later = f"SELECT * FROM {name} WHERE {time} >= {cut} ORDER BY {time}"
                connection.execute(f"COPY ({later}) TO '{folder}/live.parquet'")
            connection.execute(f"COPY (SELECT * FROM {name}{where}) TO '{folder}/history/{name}.parquet'")
    (live_rows,) = one_row(connection, f"SELECT count(*) FROM '{folder}/live.parquet'")
    connection.close()
    shutil.rmtree(scratch.root)
    return Held(folder / "history", folder / "live.parquet", live_rows)


def replayed_traffic(
    project: Project, held: Held, server: str, requests: int, items: int, seed: int, progress: Progress
) -> dict[str, Any]:
    """Replay held-out events as requests to *server*; ingest them as feedback.

    Raises:
        UserError: no server answers.
    """
    import pyarrow.parquet as pq

    source, item = project.system.source, quoted(project.system.item.key)
    connection = duckdb.connect()
    events = Lake(project.home).snapshot(source.name).sql
    latest = f"SELECT {item} FROM {events} ORDER BY {quoted(source.schema.time or '')} DESC LIMIT {_RECENT}"
    pool = [row[0] for row in connection.execute(latest).fetchall()]
    connection.close()
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
    return {**asdict(report), "feedback": str(feedback), "ingested": _ingest(project, feedback, progress)}


def _after_latest(project: Project) -> int:
    """Return the first whole millisecond after the latest event that online features have seen."""
    generation = current_generation(project.home.online / project.system.name)
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
        progress=progress,
    )
    new = report.tables[project.system.source.name].rows_new
    feedback.unlink()
    return new
