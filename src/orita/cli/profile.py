"""The command about what data looks like: profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json, table
from orita.cli.opening import project_of
from orita.core.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from orita.monitoring.profiles.compare import Difference
    from orita.monitoring.profiles.profiler import Key, Profiler, Slicing
    from orita.monitoring.profiles.table import TableProfile
    from orita.project import Project

__all__: list[str] = []

_PREDICTIONS, _STREAM = "predictions", "stream:"
_MOST_PARTS = 40
_HEADS = ["column", "kind", "missing", "distinct", "min", "median", "max", "mean", "top value"]


@app.command()
def profile(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="A lake table (interactions), a Parquet, CSV or JSON-lines file, a folder of Parquet files, "
            "'predictions' (the prediction log), 'stream:NAME' (of the event log: what came since is added to what is "
            "kept), or a Parquet file of profiles that --out wrote."
        ),
    ],
    by: Annotated[str | None, typer.Option(help="A profile for each value of this column, such as device.")] = None,
    every: Annotated[str | None, typer.Option(help="A profile for each slice of time, such as 1h or 1d.")] = None,
    time: Annotated[
        str | None, typer.Option(help="The column of times; by default the table's, or the only one there is.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Only these columns, with commas between them.")] = None,
    against: Annotated[
        str | None,
        typer.Option(help="What to compare with, named as SOURCE is: missing, mean, KS, PSI, unseen."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the profiles as a Parquet file, to merge or compare.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with a plot of each column.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what a table looks like: missing values, quantiles, distinct and frequent values, correlations.

    One pass over the rows, in little memory. Counts, means and bounds are exact, quantiles and distinct values are
    estimates with a known error. With --against, rows are counted in its bins, exactly.

        orita profile interactions --by device --every 1d --html profile.html

        orita profile predictions --by model_version

        orita profile new.parquet --against interactions

        orita profile interactions --every 1h --out hours.parquet; orita profile hours.parquet --every 1d
    """
    project = project_of(context)
    wanted = [name.strip() for name in columns.split(",")] if columns else None
    reference = None
    if against is not None:
        reference = _reference(context, project, against, wanted)
    profiler = _profiled(context, project, source, by, every, time, wanted, reference)
    whole = profiler.whole()
    if not whole.rows:
        raise UserError(f"{source} has no rows to profile: choose one that has some.")
    differences = _compared(reference, whole, wanted)
    if out is not None:
        _write(out, source, profiler)
    if html is not None:
        from orita.monitoring.profiles.page import render_page

        title = f"Profile of {source}" + (f" against {against}" if against else "")
        page = render_page(title, profiler.parts, whole, reference=reference, differences=differences)
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(page, encoding="utf-8")
    if as_json:
        _print_json(source, profiler, whole, against, differences)
        return
    _show(source, profiler, whole, against, differences)
    for path in filter(None, (out, html)):
        typer.echo(f"written: {path}")


def _profiled(
    context: typer.Context,
    project: Project,
    source: str,
    by: str | None,
    every: str | None,
    time: str | None,
    columns: list[str] | None,
    reference: TableProfile | None,
) -> Profiler:
    from orita.features.declaring.windows import duration_micros
    from orita.monitoring.profiles.profiler import Profiler, Slicing, gathered
    from orita.monitoring.profiles.stored import is_stored

    length = None if every is None else timedelta(microseconds=duration_micros(every, "--every"))
    if is_stored(Path(source)):
        return _stored(Path(source), by, length, time, columns)
    if source.startswith(_STREAM):
        return _followed(context, project, source.removeprefix(_STREAM), Slicing(by, time, length))
    read = _reader(project, source)
    named = time or (_time_of(project, source, read) if length is not None else None)
    slicing = Slicing(by, named, length)
    bins = {name: c.binned.bins for name, c in reference.columns.items() if c.binned} if reference else {}
    profiler = Profiler(slicing, columns, bins)
    with profiler.working(), settings_of(context).screen.bar(f"Profile {source}") as bar:
        rows = 0
        for batch in gathered(read(), slicing):
            profiler.update(batch)
            rows += batch.num_rows
            bar.advance(batch.num_rows)
            bar.describe(f"{rows:,} rows")
    return profiler


def _followed(context: typer.Context, project: Project, stream: str, asked: Slicing) -> Profiler:
    """Profile what a stream of the event log got since the last time; return all that is kept of it."""
    from orita.monitoring.profiles.profiler import Profiler, Slicing
    from orita.monitoring.profiles.streamed import follow_stream

    declared = project.system.tables.get(stream)
    time = asked.time or (declared.time if declared is not None else None) or "timestamp"
    slicing = Slicing(asked.by, time, asked.every or timedelta(hours=1))
    with closing(project.event_log()) as log, settings_of(context).screen.bar(f"Profile stream {stream}"):
        kept = follow_stream(project.home, log, stream, slicing)
    return Profiler(slicing, parts=kept.read())


def _stored(
    path: Path, by: str | None, length: timedelta | None, time: str | None, columns: list[str] | None
) -> Profiler:
    """Return kept profiles, merged to longer slices and to all segments where *by* is not theirs."""
    from orita.monitoring.profiles.profiler import Profiler, Slicing, rolled_up, slice_shift
    from orita.monitoring.profiles.stored import read_profiles

    parts, about = read_profiles(path)
    if by is not None and by != about.by:
        had = f"by {about.by!r}" if about.by else "of all rows together"
        raise UserError(f"{path} has profiles {had}, not by {by!r}: profile the rows again with --by {by}.")
    micros = 0 if length is None else round(length / timedelta(microseconds=1))
    kept = about.every_micros
    if micros and (not kept or micros % kept or (slice_shift(micros) - slice_shift(kept)) % kept):
        from orita.features.declaring.windows import duration_text

        had = duration_text(kept) if kept else "all times together"
        raise UserError(f"{path} has slices of {had}: --every has to be made of whole ones, or be left out.")
    if time is not None:
        raise UserError("--time is for rows, and these are profiles: leave it out.")
    found = rolled_up(parts, every=length, segments=by is not None)
    if columns is not None:
        for part in found.values():
            part.columns = {name: part.columns[name] for name in columns if name in part.columns}
    return Profiler(Slicing(by, "kept" if length else None, length), columns, parts=found)


def _reference(context: typer.Context, project: Project, source: str, columns: list[str] | None) -> TableProfile:
    from orita.monitoring.profiles.profiler import rolled_up
    from orita.monitoring.profiles.reference import reference_profile
    from orita.monitoring.profiles.stored import is_stored, read_profiles

    if is_stored(Path(source)):
        parts, _ = read_profiles(Path(source))
        return next(iter(rolled_up(parts, segments=False).values()))
    with settings_of(context).screen.bar(f"Profile {source}, twice"):
        return reference_profile(_reader(project, source), columns=columns)


def _reader(project: Project, source: str) -> Callable[[], Iterator[pa.RecordBatch]]:
    from orita.events.lake import Lake
    from orita.monitoring.profiles import sources

    if source == _PREDICTIONS:
        return lambda: sources.prediction_batches(project.home, system=project.system.name)
    if Lake(project.home).exists(source):
        return lambda: sources.lake_batches(project.home, source)
    path = Path(source)
    if path.exists():
        return lambda: sources.file_batches(path)
    if path.suffix or len(path.parts) > 1:
        return lambda: sources.file_batches(path)  # says that there is no such file
    return lambda: sources.lake_batches(project.home, source)  # says which tables there are


def _time_of(project: Project, source: str, read: Callable[[], Iterator[pa.RecordBatch]]) -> str:
    from orita.monitoring.profiles.column import kind_of

    declared = project.system.tables.get(source)
    if declared is not None and declared.time is not None:
        return declared.time
    if source == _PREDICTIONS:
        return "timestamp"
    first = next(read(), None)
    times = [] if first is None else [field.name for field in first.schema if kind_of(field.type) == "time"]
    if len(times) != 1:
        what = f"columns {', '.join(times)} of times" if times else "no column of times"
        raise UserError(f"{source} has {what}: name the one that --every goes by with --time.")
    return str(times[0])


def _compared(reference: TableProfile | None, whole: TableProfile, columns: list[str] | None) -> list[Difference]:
    from orita.monitoring.profiles.compare import compared

    return [] if reference is None else compared(reference, whole, columns)


def _write(out: Path, source: str, profiler: Profiler) -> None:
    from orita.core.clock import SystemClock
    from orita.monitoring.profiles.stored import About, write_profiles

    slicing: Slicing = profiler.slicing
    made_at = SystemClock().now().isoformat()
    write_profiles(out, profiler.parts, About(source, slicing.by or "", slicing.every_micros or 0, made_at))


def _print_json(
    source: str, profiler: Profiler, whole: TableProfile, against: str | None, differences: list[Difference]
) -> None:
    from orita.monitoring.profiles.words import difference_told, told

    found: dict[str, Any] = {"source": source, "by": profiler.slicing.by, **told(profiler.parts, whole)}
    if against is not None:
        found |= {"against": against, "differences": [difference_told(each) for each in differences]}
    print_json(found)


def _show(
    source: str, profiler: Profiler, whole: TableProfile, against: str | None, differences: list[Difference]
) -> None:
    from orita.monitoring.profiles.words import column_line, difference_line

    rows = [[escape(cell) for cell in column_line(column)] for column in whole.columns.values()]
    table(f"{source}: {whole.rows:,} rows", _HEADS, rows)
    if against is not None:
        heads = ["column", "in", "missing", "mean, in σ", "KS", "PSI", "unseen"]
        lines = [[escape(cell) for cell in difference_line(each)] for each in differences]
        table(f"Against {against}", heads, lines)
    if len(profiler.parts) > 1:
        _show_parts(profiler.parts, profiler.slicing.by)


def _show_parts(parts: Mapping[Key, TableProfile], by: str | None) -> None:
    ordered = sorted(parts.items(), key=lambda item: (item[0].slice or 0, item[0].segment or ""))
    lines = []
    for key, part in ordered[:_MOST_PARTS]:
        missing = sum(column.missing for column in part.columns.values())
        cells = sum(column.rows for column in part.columns.values())
        at = "—" if key.at is None else f"{key.at:%Y-%m-%d %H:%M}"
        lines.append([at, escape(key.segment or "—"), f"{part.rows:,}", f"{missing / max(cells, 1):.2%}"])
    table("Parts", ["from (UTC)", escape(by or "segment"), "rows", "missing"], lines)
    if len(ordered) > _MOST_PARTS:
        typer.echo(f"{len(ordered) - _MOST_PARTS:,} parts more: --json has all.")
