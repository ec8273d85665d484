"""Commands about the quality of data: quality infer, check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orita.cli.app import JsonOption, app
from orita.cli.console import print_json
from orita.cli.opening import project_of
from orita.cli.times import time_of
from orita.core.errors import NotFound, UserError, closest

if TYPE_CHECKING:
    import pyarrow as pa

    from orita.monitoring.expectations.declaration import TableExpectation
    from orita.monitoring.expectations.envelope import Envelope
    from orita.monitoring.expectations.findings import Checked
    from orita.monitoring.expectations.history import Batch
    from orita.project import Project

__all__ = ["quality_app"]

quality_app = typer.Typer(no_args_is_help=True, help="Say what data has to be like, and hold batches against it.")
app.add_typer(quality_app, name="quality")

_FILE = Path("quality.yaml")
SourceArgument = Annotated[
    str, typer.Argument(help="A lake table (interactions), a Parquet, CSV or JSON-lines file, or a folder of Parquet.")
]
DeclaredOption = Annotated[Path, typer.Option("--declared", help="The file of declarations.")]
TimeOption = Annotated[str | None, typer.Option(help="The column of times; by default the table's, or the only one.")]
EveryOption = Annotated[str, typer.Option(help="How long a batch of history is, such as 1h or 1d.")]
BatchRowsOption = Annotated[
    int | None, typer.Option(min=1, help="Batches of history by so many rows, where there are no times.")
]
LabelOption = Annotated[str | None, typer.Option(help="The column that a model learns.")]


@dataclass(frozen=True, slots=True)
class _Cut:
    """How history is cut into batches."""

    time: str | None
    every: str
    batch_rows: int | None
    label: str | None


@quality_app.command()
def infer(
    context: typer.Context,
    source: SourceArgument,
    declared: DeclaredOption = _FILE,
    name: Annotated[str | None, typer.Option(help="What the table is called; by default as SOURCE is.")] = None,
    time: TimeOption = None,
    every: EveryOption = "1d",
    batch_rows: BatchRowsOption = None,
    label: LabelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the expectations that history suggests: rules of rows to be edited by hand, and an envelope of batches.

    Other tables of the file stay as they are; the table's own are replaced.

        orita quality infer interactions --label click
    """
    import msgspec

    from orita.monitoring.expectations.files import read_declarations, write_declarations
    from orita.monitoring.expectations.kept import write_envelope

    project = project_of(context)
    table_name = name or _name(source)
    table, envelope = _learnt(_history(project, source, _Cut(time, every, batch_rows, label)), label)
    file = declared.with_name(f"{declared.stem}.{table_name}.parquet")
    write_envelope(file, envelope)
    table = msgspec.structs.replace(table, envelope=file.name)
    others = read_declarations(declared) if declared.exists() else {}
    write_declarations(declared, {**others, table_name: table})
    if as_json:
        told = {"declared": str(declared), "envelope": str(file), "batches": len(envelope.ends)}
        print_json({**told, "figures": len(envelope.signals), "table": msgspec.to_builtins(table)})
        return
    typer.echo(f"{table_name}: {len(table.columns)} columns, from {len(envelope.ends)} batches of history")
    typer.echo(f"written: {declared}")
    typer.echo(f"written: {file}")


@quality_app.command()
def check(
    context: typer.Context,
    source: SourceArgument,
    declared: DeclaredOption = _FILE,
    name: Annotated[str | None, typer.Option(help="What the table is called in the file of declarations.")] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Go by this history, named as SOURCE is, and not by a file of declarations."),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="The end of the time that the batch is of, ISO 8601; by default now.")
    ] = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(help="Write rows that break an expectation here, with their reason (Parquet)."),
    ] = None,
    passed: Annotated[Path | None, typer.Option(help="Write all other rows here (Parquet).")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with a plot of each figure that was not expected.")
    ] = None,
    time: TimeOption = None,
    every: EveryOption = "1d",
    batch_rows: BatchRowsOption = None,
    label: LabelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a batch against what is declared and what history expects; exit code 1 where something is an error.

    orita quality check new.parquet --name interactions --quarantine bad.parquet --passed good.parquet

    orita quality check new.csv --against interactions --html quality.html
    """
    from orita.core.clock import SystemClock
    from orita.monitoring.expectations.check import check as checked_batch

    project = project_of(context)
    table: TableExpectation
    envelope: Envelope | None
    if against is not None:
        table, envelope = _learnt(_history(project, against, _Cut(time, every, batch_rows, label)), label)
    else:
        table, envelope = _declared(declared, name or _name(source))
    rows = _rows(project, source)
    when = (time_of(at) if at is not None else SystemClock().now()).astimezone(UTC)
    result = checked_batch(
        rows, table, at=when, envelope=envelope, keys=lambda key_of: _keys(project, key_of), source=source
    )
    written = _written(rows, result, quarantine, passed)
    if html is not None:
        written.append(_page(html, rows, result, envelope))
    if as_json:
        print_json(result.to_dict())
    else:
        _show(result)
        for path in written:
            typer.echo(f"written: {path}")
    if result.failed:
        raise typer.Exit(1)


def _name(source: str) -> str:
    return Path(source).stem if Path(source).suffix else Path(source).name


def _declared(file: Path, name: str) -> tuple[TableExpectation, Envelope | None]:
    from orita.monitoring.expectations.files import read_declarations
    from orita.monitoring.expectations.kept import read_envelope

    tables = read_declarations(file)
    if name not in tables:
        raise NotFound(f"{file} declares no table {name!r}: give --name. {closest(name, tables)}")
    table = tables[name]
    return table, read_envelope(file.parent / table.envelope) if table.envelope else None


def _rows(project: Project, source: str) -> pa.Table:
    import pyarrow as pa

    from orita.events.lake import Lake
    from orita.monitoring.profiles.sources import file_batches, lake_batches

    path = Path(source)
    if Lake(project.home).exists(source) or not (path.exists() or path.suffix or len(path.parts) > 1):
        batches = list(lake_batches(project.home, source))  # says which tables there are
    else:
        batches = list(file_batches(path))
    if not batches:
        raise UserError(f"{source} has neither rows nor columns: choose one that has some.")
    return pa.Table.from_batches(batches)


def _history(project: Project, source: str, cut: _Cut) -> tuple[list[Batch], str]:
    """Return the batches of history, and the column of times that they were cut by, "" for none."""
    from orita.features.declaring.windows import duration_micros
    from orita.monitoring.expectations.history import by_rows, by_time
    from orita.monitoring.profiles.column import kind_of

    table = _rows(project, source)
    if cut.batch_rows is not None:
        return by_rows(table, cut.batch_rows), ""
    schema = project.system.tables.get(source)
    named = cut.time or (schema.time if schema is not None else None)
    if named is None:
        times = [field.name for field in table.schema if kind_of(field.type) == "time"]
        if len(times) != 1:
            what = f"columns {', '.join(times)} of times" if times else "no column of times"
            raise UserError(f"{source} has {what}: name the one that it is cut by with --time, or give --batch-rows.")
        named = times[0]
    length = timedelta(microseconds=duration_micros(cut.every, "--every"))
    return by_time(table, str(named), length), str(named)


def _learnt(history: tuple[list[Batch], str], label: str | None) -> tuple[TableExpectation, Envelope]:
    from orita.monitoring.expectations.history import envelope_of, inferred

    batches, time = history
    table = inferred(batches, time=time, label=label or "")
    if label is not None and label not in table.columns:
        raise NotFound(f"there is no column {label!r} for --label. {closest(label, table.columns)}")
    return table, envelope_of(batches, table)


def _keys(project: Project, key_of: str) -> pa.Array:
    name, _, column = key_of.partition(".")
    rows = _rows(project, name)
    if column not in rows.column_names:
        raise NotFound(f"key_of is {key_of!r}, and {name} has no such column. {closest(column, rows.column_names)}")
    return rows[column].combine_chunks()


def _written(rows: pa.Table, result: Checked, quarantine: Path | None, passed: Path | None) -> list[Path]:
    if quarantine is None and passed is None:
        return []
    import pyarrow.parquet as pq

    from orita.core.files import atomic_file
    from orita.monitoring.expectations.quarantine import parted

    good, bad = parted(rows, result)
    written = []
    for path, part in ((quarantine, bad), (passed, good)):
        if path is not None:
            with atomic_file(path) as partial:
                pq.write_table(part, partial, compression="zstd")
            written.append(path)
    return written


def _page(html: Path, rows: pa.Table, result: Checked, envelope: Envelope | None) -> Path:
    from orita.monitoring.expectations.check import compared
    from orita.monitoring.expectations.page import render_page

    found = compared(rows, envelope, result.at) if envelope is not None else None
    html.parent.mkdir(parents=True, exist_ok=True)
    html.write_text(render_page(result, envelope, found), encoding="utf-8")
    return html


def _show(result: Checked) -> None:
    counts: Mapping[str, int] = {
        "rows": result.rows,
        "pass": result.passed_rows,
        "for quarantine": result.rows - result.passed_rows,
        "figures held against history": result.tests,
    }
    typer.echo(f"{result.source}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items()))
    for finding in result.findings:
        typer.echo(f"{finding.severity}: {finding.sentence}")
    if not result.findings:
        typer.echo("all is as expected")
