"""Commands that only look: status, home, config."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any

import typer

from orita.cli.app import JsonOption, app
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of
from orita.core.errors import NotFound


@app.command()
def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show what there is: events, features, champion, predictions, alerts."""
    from orita.pipelines.state import state_of

    project = project_of(context)
    found = state_of(project.workspace())
    if as_json:
        print_json(found)
        return
    figures({name.replace("_", " "): _plain(value) for name, value in found.items()})


@app.command()
def home(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show where state lives and how big each part is."""
    project = project_of(context)
    places = {name: (path, _size(path)) for name, path in project.home.places().items()}
    if as_json:
        print_json(
            {
                "root": str(project.home.root),
                "places": {n: {"path": str(p), "bytes": s} for n, (p, s) in places.items()},
            }
        )
        return
    rows = [[name, _human(size), str(path)] for name, (path, size) in places.items()]
    table(str(project.home.root), ["part", "size", "path"], rows)


@app.command()
def config(
    context: typer.Context,
    key: Annotated[str | None, typer.Argument(help="Only keys that start with this.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the effective value of every key and where it came from."""
    settings = project_of(context).settings()
    if key is not None:
        _refuse_unknown_key(key, [setting.key for found in settings.values() for setting in found])
    chosen = {
        file: [setting for setting in found if key is None or setting.key.startswith(key)]
        for file, found in settings.items()
    }
    if as_json:
        print_json(
            {f: [{"key": s.key, "value": s.value, "origin": s.origin} for s in found] for f, found in chosen.items()}
        )
        return
    for file, found in chosen.items():
        if found:
            table(file, ["key", "value", "from"], [[s.key, str(s.value), s.origin] for s in found])


def _refuse_unknown_key(key: str, known: list[str]) -> None:
    if any(name.startswith(key) for name in known):
        return
    meant = {name.rpartition(".")[2]: name for name in reversed(known)}  # the last part alone is the likeliest slip
    meant |= {name[:end]: name[:end] for name in known for end, letter in enumerate(name) if letter == "."}
    meant |= {name: name for name in known}
    nearest = meant[difflib.get_close_matches(key, meant, n=1, cutoff=0.0)[0]]
    raise NotFound(f"no key starts with {key!r}. The closest is {nearest!r}; 'orita config' lists all.")


def _plain(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(f"{k} {_plain(v)}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_blocks * 512
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def _human(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError
