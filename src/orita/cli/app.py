"""The command line: one program, its commands by what they are about."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from orita.cli.console import Screen

__all__ = ["JsonOption", "Settings", "app", "settings_of"]

app = typer.Typer(
    name="orita",
    help="Rank and decide: events in, features, training, a registered model, a server, a watch on it all.",
    epilog="Start with: orita demo    Then: orita init, orita run all, orita serve",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, for programs.")]


@dataclass(slots=True)
class Settings:
    """What the options before the command say."""

    project: Path | None = None
    home: Path | None = None
    system: str | None = None
    overrides: list[str] = field(default_factory=list)
    screen: Screen = field(default_factory=Screen)


def settings_of(context: typer.Context) -> Settings:
    """Return the options that were given before the command."""
    found = context.find_root().obj
    assert isinstance(found, Settings)
    return found


def _version(wanted: bool) -> None:
    if wanted:
        from orita import __version__

        typer.echo(f"orita {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    project: Annotated[
        Path | None, typer.Option("--project", "-p", help="The project's folder; by default the current one.")
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(
            "--home", help="Where state lives; by default .orita in the project's folder.", envvar="ORITA_HOME"
        ),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option("--system", help="A built-in system (feed, movielens) or a Python file of your own."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Override one key: --set training.epochs=5. Again for more; 'orita config' lists keys.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that hold for every command."""
    context.obj = Settings(project, home, system, list(set_ or []), Screen(quiet=quiet))
