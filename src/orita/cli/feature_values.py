"""Commands that move values: features read, push, stream, backfill, retain."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from orita.cli.app import JsonOption, settings_of
from orita.cli.console import figures, print_json, table
from orita.cli.features import features_app
from orita.cli.ids import id_of
from orita.cli.opening import project_of
from orita.cli.times import time_of
from orita.core.clock import to_micros
from orita.core.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from orita.pipelines.feature_stream import Streamed
    from orita.project import Project

__all__: list[str] = []

_SHOWN = 20
_SAY_SECONDS = 10.0


@features_app.command()
def read(
    context: typer.Context,
    user: Annotated[str | None, typer.Argument(help="The user's id.")] = None,
    items: Annotated[list[str] | None, typer.Argument(help="The items.")] = None,
    rows: Annotated[
        Path | None, typer.Option(help="Read features of the past instead, of the rows of this CSV, JSONL or Parquet.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write these rows with their features.")] = None,
    features: Annotated[str | None, typer.Option(help="Only these: item_ctr,user_days_active.")] = None,
    device: Annotated[str | None, typer.Option(help="The same as --context device=….")] = None,
    given: Annotated[
        list[str] | None, typer.Option("--context", help="What the request brings: name=value. Again for more.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="As of this time, ISO 8601; by default now.")] = None,
    as_of: Annotated[
        str, typer.Option(help="Rows see what was 'known' by then, or every 'event' until then.")
    ] = "known",
    engine: Annotated[
        str,
        typer.Option(
            help="What computes --rows: 'history', here; or 'spark', for events that are too many for one machine, "
            "where data_config.yaml says (needs orita\\[spark] and Java 17). Both give the same."
        ),
    ] = "history",
    as_json: JsonOption = False,
) -> None:
    """Read features: of USER and ITEMS from the online store, or of --rows from history, each as of its own time."""
    names = [name.strip() for name in features.split(",")] if features else None
    project = project_of(context)
    if rows is not None:
        if user is not None or device or given or at:
            raise UserError("--rows takes ids, times and what requests bring from the file: leave the others out.")
        _show(_of_the_past(project, rows, names, as_of, engine), out, as_json)
        return
    if engine != "history":
        raise UserError(f"--engine {engine} is for --rows FILE: a user and items are read from the online store.")
    if user is None or not items:
        raise UserError("give a user and at least one item, such as 'orita features read 7 101 102', or --rows FILE.")
    brought = _context(given or []) | ({"device": device} if device else {})
    found = _online(project, user, items, names, brought, None if at is None else to_micros(time_of(at)))
    _show(found, out, as_json)


@features_app.command()
def push(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Events: a CSV, JSON-lines (.jsonl) or Parquet file.")],
    source: Annotated[str | None, typer.Option(help="Of which source; by default that of the system.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Append the events of FILE to the log, durably; 'orita features stream' brings them into features and lake.

    All rows are judged before the first is taken. A file that is pushed again counts once, by the ids of its events.
    """
    from orita.features.api.pushing import push_file

    project = project_of(context)
    with closing(project.feature_store()) as store:
        done = push_file(store, file, source, progress=settings_of(context).screen)
    if as_json:
        offsets = {str(partition): offset for partition, offset in sorted(done.offsets.items())}
        print_json({"rows": done.rows, "left_out": list(done.left_out), "offsets": offsets})
        return
    typer.echo(f"{done.rows:,} events are in the log. Next: orita features stream")
    if done.left_out:
        typer.echo(f"left out, as the source does not declare them: {', '.join(done.left_out)}")


@features_app.command()
def stream(
    context: typer.Context,
    seconds: Annotated[float | None, typer.Option("--for", min=0, help="Stop after so many seconds.")] = None,
    once: Annotated[bool, typer.Option(help="Stop once everything in the log has been taken.")] = False,
    lake: Annotated[bool, typer.Option(help="Store the events in the lake too, for history and training.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Bring events from the log into the online features, each once, until stopped by Ctrl-C.

    It follows newly published online features by itself. Killed at any moment, it goes on where it was. Several may run
    at once, and share the work. While the server of the online store is away, it waits for it; with --once it does not.
    """
    from orita.pipelines.feature_stream import stream_features

    settings = settings_of(context)
    workspace = project_of(context).workspace()
    said = 0.0
    with _stopping() as stopped, settings.screen.bar("Stream") as bar:

        def ended(done: Streamed) -> bool:
            nonlocal said
            bar.describe(_told(done))
            if done.seconds - said >= _SAY_SECONDS:
                said = done.seconds
                settings.screen.say(_told(done))
            return stopped.is_set() or (seconds is not None and done.seconds >= seconds)

        done = stream_features(workspace, until=ended, once=once, into_lake=lake)
    told = {
        name: getattr(done, name)
        for name in ("counted", "duplicates", "unsound", "held", "waiting", "seconds", "generation", "away")
    }
    print_json(told) if as_json else figures(told)


@features_app.command()
def backfill(context: typer.Context, as_json: JsonOption = False) -> None:
    """Compute the online features anew from the lake, publish them, and record what is declared.

    Servers and 'orita features stream' take them up by themselves. What is published already for the same tables and
    declarations stays.
    """
    from orita.pipelines.etl import publish_online, record_features

    workspace = project_of(context).workspace(progress=settings_of(context).screen)
    with workspace.alone("etl_and_feature_engineering"):
        generation = publish_online(workspace)
        changed = record_features(workspace)
    told: dict[str, Any] = {
        "generation": generation.name,
        "events": generation.events,
        "records": generation.records,
        "tables": generation.tables,
        "recorded": list(changed),
    }
    if as_json:
        print_json(told)
        return
    records = ", ".join(f"{name} {count:,}" for name, count in generation.records.items())
    tables = ", ".join(f"{name} {version}" for name, version in generation.tables.items())
    figures({**told, "records": records, "tables": tables, "recorded": ", ".join(changed) or "nothing new"})


@features_app.command()
def retain(context: typer.Context, as_json: JsonOption = False) -> None:
    """Delete events from the log that lake and online features hold, past what events.retention in orita.yaml keeps.

    'orita features stream' does so every minute. The last 100,000 events of a partition stay in any case.
    """
    from orita.pipelines.log_retention import retain_events

    workspace = project_of(context).workspace()
    with closing(workspace.event_log()) as log:
        kept = retain_events(workspace, log)
    if as_json:
        print_json({stream: {str(part): at for part, at in sorted(parts.items())} for stream, parts in kept.items()})
        return
    rows = [[stream, str(part), f"{at:,}"] for stream, parts in kept.items() for part, at in sorted(parts.items())]
    table("The log begins at", ["stream", "partition", "offset"], rows)


def _online(
    project: Project, user: str, items: list[str], names: list[str] | None, brought: dict[str, object], at: int | None
) -> pa.Table:
    ids = [id_of(item) for item in items]
    with closing(project.feature_store()) as store:
        return store.get_online_features(id_of(user), ids, context=brought, features=names, at=at)


def _of_the_past(project: Project, file: Path, names: list[str] | None, as_of: str, engine: str) -> pa.Table:
    import pyarrow as pa

    from orita.features.api.row_files import read_rows

    if as_of not in ("known", "event"):
        raise UserError(f"--as-of is {as_of!r}, allowed are 'known' and 'event'.")
    if engine not in ("history", "spark"):
        raise UserError(f"--engine is {engine!r}, allowed are 'history' and 'spark'.")
    chunks = list(read_rows(file, project.system.source.schema.columns))
    asked = pa.concat_tables(chunks, promote_options="permissive") if chunks else pa.table({})
    seen: Literal["known", "event"] = "known" if as_of == "known" else "event"
    with closing(project.feature_store()) as store, _spark(project, engine) as session:
        return store.get_offline_features(asked, names, as_of=seen, spark=session)


@contextmanager
def _spark(project: Project, engine: str) -> Iterator[SparkSession | None]:
    """Yield a session where *engine* is Spark; it is stopped at the end, unless it was running before."""
    if engine != "spark":
        yield None
        return
    from orita.features.spark import session_at_work

    with session_at_work(project.data.value.feature_engineering.spark) as session:
        yield session


def _show(found: pa.Table, out: Path | None, as_json: bool) -> None:
    """Write rows where that was asked, else show them; many as the first of them."""
    if out is not None:
        from orita.features.api.row_files import write_rows

        write_rows(found, out)
        told = {"rows": len(found), "file": str(out)}
        print_json(told) if as_json else typer.echo(f"{len(found):,} rows are in {out}")
        return
    if as_json:
        print_json({"rows": found.to_pylist()})
        return
    if len(found) == 1:
        figures({name: _value(value) for name, value in found.to_pylist()[0].items()})
        return
    shown = found.slice(0, _SHOWN).to_pylist()
    table("Features", ["", *map(str, range(1, len(shown) + 1))], _turned(found.column_names, shown))
    if len(found) > _SHOWN:
        typer.echo(f"{len(found) - _SHOWN:,} rows more: write all with --out FILE, or --json")


def _turned(names: list[str], rows: list[Mapping[str, object]]) -> list[list[str]]:
    """Return a line a feature: there are more of them than fit beside each other."""
    return [[name, *(_value(row[name]) for row in rows)] for name in names]


def _value(value: object) -> str:
    if value is None:
        return "—"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _context(given: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for item in given:
        name, separator, text = item.partition("=")
        if not separator:
            raise UserError(f"--context {item!r} has no value: write name=value, such as device=mobile.")
        found[name] = _scalar(text)
    return found


def _scalar(text: str) -> object:
    """Return a number where it is written like one, else the text."""
    whole = id_of(text)
    if isinstance(whole, int):
        return whole
    try:
        return float(text)
    except ValueError:
        return text


def _told(done: Streamed) -> str:
    rate = done.counted / done.seconds if done.seconds else 0.0
    return f"{done.counted:,} events  {rate:,.0f}/s  {done.waiting:,} waiting  {done.away}".rstrip()


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Yield what SIGTERM and Ctrl-C set, so that a stream ends between two steps."""
    stopped = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
