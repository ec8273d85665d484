"""Commands about lake tables: tables list, show, history, compact, vacuum."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of
from orita.cli.times import time_of

if TYPE_CHECKING:
    from orita.events.lake import Snapshot
    from orita.project import Project

__all__ = ["tables_app"]

tables_app = typer.Typer(no_args_is_help=True, help="Look at lake tables as they are and were, and keep them in shape.")
app.add_typer(tables_app, name="tables")

TableArgument = Annotated[str, typer.Argument(help="A table, such as interactions.")]
SomeArgument = Annotated[list[str] | None, typer.Argument(help="Tables; by default all.")]


@tables_app.command("list")
def list_tables(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the tables: rows, files, size, version."""
    from orita.events.lake import Lake

    lake = Lake(project_of(context).home)
    found = [_described(lake.snapshot(name)) for name in lake.tables()]
    if as_json:
        print_json({"tables": found})
        return
    rows = [[t["table"], f"{t['rows']:,}", f"{t['files']:,}", _mib(t["bytes"]), str(t["version"])] for t in found]
    table("Tables", ["table", "rows", "files", "size", "version"], rows)


@tables_app.command()
def show(
    context: typer.Context,
    name: TableArgument,
    version: Annotated[int | None, typer.Option(help="As of this version.")] = None,
    at: Annotated[str | None, typer.Option(help="As of this time, ISO 8601; a missing offset means UTC.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a table as it is, or as it was: rows, columns, and up to where it holds the event log."""
    from orita.events.lake import Lake

    lake = Lake(project_of(context).home)
    snapshot = lake.snapshot(name, version, at=time_of(at) if at is not None else None)
    found = _described(snapshot) | {
        "origin": lake.origin(name),
        "offsets": {str(partition): offset for partition, offset in lake.offsets(name, snapshot.version).items()},
        "columns": {field.name: str(field.type) for field in snapshot.schema},
    }
    if as_json:
        print_json(found)
        return
    offsets = ", ".join(f"{partition}: {offset:,}" for partition, offset in found["offsets"].items()) or "—"
    origin = ", ".join(f"{key} {value}" for key, value in found["origin"].items()) or "—"
    shown = {key: found[key] for key in ("table", "version", "rows", "files")}
    figures({**shown, "size": _mib(found["bytes"]), "origin": origin, "log offsets": offsets})
    table("Columns", ["column", "type"], [[column, escape(kind)] for column, kind in found["columns"].items()])


@tables_app.command()
def history(
    context: typer.Context,
    name: TableArgument,
    limit: Annotated[int, typer.Option(min=1, help="At most this many versions, the newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the versions of a table: when, from what, which can be read, and which training sets name them."""
    from orita.events.lake import Lake
    from orita.features.training_sets.training_set import named_versions

    project = project_of(context)
    lake = Lake(project.home)
    commits, gone = lake.history(name, limit), lake.unreadable(name)
    named = named_versions(project.home.training_sets, name)
    found = [
        {
            "version": commit.version,
            "at": commit.at.isoformat(),
            "operation": commit.operation,
            "rows": commit.rows,
            "source": commit.properties.get("source"),
            "readable": commit.version not in gone,
            "training_sets": named.get(commit.version, []),
        }
        for commit in commits
    ]
    if as_json:
        print_json({"table": name, "versions": found})
        return
    rows = [
        [
            str(commit.version),
            f"{commit.at:%Y-%m-%d %H:%M:%S}",
            commit.operation.lower(),
            f"{commit.rows:,}",
            escape(commit.properties.get("source", "—")),
            "vacuumed" if commit.version in gone else "yes",
            ", ".join(named.get(commit.version, [])) or "—",
        ]
        for commit in commits
    ]
    table(name, ["version", "at", "change", "rows written", "from", "readable", "training sets"], rows)


@tables_app.command()
def compact(context: typer.Context, names: SomeArgument = None, as_json: JsonOption = False) -> None:
    """Make few large files of many small ones, rows in the order of time; old versions stay readable."""
    from orita.events.staging import one_writer
    from orita.events.upkeep import compact_table

    project = project_of(context)
    schemas = project.system.tables
    found = {}
    with one_writer(project.home, project.data.value.validation.lock_wait_seconds):
        for name in _chosen(project, names):
            found[name] = compact_table(project.home, name, schemas[name].time if name in schemas else None)
    if as_json:
        keys = ("version", "rows", "files_before", "files_after")
        print_json({"tables": {name: {key: getattr(done, key) for key in keys} for name, done in found.items()}})
        return
    rows = [[name, f"{d.rows:,}", f"{d.files_before:,}", f"{d.files_after:,}"] for name, d in found.items()]
    table("Compacted", ["table", "rows", "files before", "files after"], rows)


@tables_app.command()
def vacuum(
    context: typer.Context,
    names: SomeArgument = None,
    days: Annotated[float, typer.Option(min=0, help="Versions of the last so many days stay readable.")] = 7.0,
    force: Annotated[bool, typer.Option(help="Let go also of versions that training sets name.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete files that only old versions need; what a training set names stays."""
    from orita.events.lake import Lake
    from orita.events.staging import one_writer
    from orita.features.training_sets.training_set import named_versions

    project = project_of(context)
    lake, found = Lake(project.home), {}
    with one_writer(project.home, project.data.value.validation.lock_wait_seconds):
        for name in _chosen(project, names):
            named = named_versions(project.home.training_sets, name)
            found[name] = lake.vacuum(name, timedelta(days=days), named=named, force=force)
    if as_json:
        print_json(
            {
                "tables": {
                    name: {"files": v.files, "bytes": v.bytes, "oldest": v.oldest, "kept": v.kept}
                    for name, v in found.items()
                }
            }
        )
        return
    table("Vacuumed", ["table", "files", "size"], [[n, f"{v.files:,}", _mib(v.bytes)] for n, v in found.items()])
    for name, vacuumed in found.items():
        for version, sets in vacuumed.kept.items():
            typer.echo(f"{name}: version {version} stays for {', '.join(sets)}; --force lets it go")


def _chosen(project: Project, names: list[str] | None) -> list[str]:
    """Return *names*, by default all tables, once it is known that they exist."""
    from orita.events.lake import Lake

    lake = Lake(project.home)
    for name in names or []:
        lake.version(name)
    return names or list(lake.tables())


def _described(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "table": snapshot.name,
        "version": snapshot.version,
        "rows": snapshot.rows,
        "files": len(snapshot.files),
        "bytes": snapshot.bytes,
    }


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
