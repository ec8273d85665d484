"""What differs between two models: models diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption
from orita.cli.console import print_json, table
from orita.cli.learn import models_app
from orita.cli.opening import project_of

if TYPE_CHECKING:
    from orita.registry.difference import Change, Part

__all__: list[str] = []

_LONGEST, _MOST_NAMES = 60, 8


@models_app.command("diff")
def diff_command(
    context: typer.Context,
    a: Annotated[str, typer.Argument(help="A version, or the alias champion or challenger.")] = "champion",
    b: Annotated[str, typer.Argument(help="The one to hold against it.")] = "challenger",
    as_json: JsonOption = False,
) -> None:
    """Show what differs between two models: configuration, features, rows, code, libraries, figures, graphs, weights.

    What is equal is summed up in a line. 'orita models compare' says which is better on the same rows.
    """
    from orita.registry.difference import difference

    project = project_of(context)
    catalogue = project.catalogue()
    entries = [catalogue.get(project.system.name, name) for name in (a, b)]
    parts = difference(catalogue, entries[0], entries[1])
    versions = [entry.version for entry in entries]
    if as_json:
        print_json({"a": versions[0], "b": versions[1], "parts": {part.name: part.to_dict() for part in parts}})
        return
    for part in parts:
        if part.changes:
            measured = any(change.by is not None for change in part.changes)
            columns = ["", *versions, *(["change"] if measured else [])]
            table(
                part.name.capitalize(),
                columns,
                [_row(change, part.name == "weights")[: len(columns)] for change in part.changes],
            )
            typer.echo(_equal(part))
    same = [f"{part.name} ({len(part.equal)})" for part in parts if not part.changes and part.equal]
    if same:
        typer.echo(f"Equal in both: {', '.join(same)}.")
    absent = [part.name for part in parts if not part.changes and not part.equal]
    if absent:
        typer.echo(f"In neither: {', '.join(absent)}.")


def _equal(part: Part) -> str:
    more = f" and {len(part.equal) - _MOST_NAMES} more" if len(part.equal) > _MOST_NAMES else ""
    return f"equal: {', '.join(part.equal[:_MOST_NAMES])}{more}\n" if part.equal else ""


def _row(change: Change, relative: bool) -> list[str]:
    by = "" if change.by is None else f"{change.by:.2%}" if relative else f"{change.by:+.5g}"
    return [escape(change.name), _value(change.a), _value(change.b), by]


def _value(value: Any) -> str:
    match value:
        case None | "":
            return "—"
        case float():
            return f"{value:.5g}"
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case _:
            text = str(value)
            return escape(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
