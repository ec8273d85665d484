"""Commands about training sets: training-sets list, show, reproduce."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of
from orita.core.errors import OritaError

if TYPE_CHECKING:
    from orita.features.training_sets.training_set import TrainingSet
    from orita.project import Project

__all__ = ["training_sets_app"]

training_sets_app = typer.Typer(no_args_is_help=True, help="Look at training sets, and make one again from its id.")
app.add_typer(training_sets_app, name="training-sets")

IdArgument = Annotated[str, typer.Argument(help="Its id, or the first letters of it, or 'latest'.")]


@training_sets_app.command("list")
def list_training_sets(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the training sets of the system, the newest first."""
    from orita.features.training_sets.training_set import training_sets

    project = project_of(context)
    found = [_described(each) for each in training_sets(project.home.training_sets, project.system.name)]
    if as_json:
        print_json({"training_sets": found})
        return
    rows = [
        [e["id"], e["made"][:19].replace("T", " "), f"{e['rows']:,}", _versions(e), "yes" if e["files"] else "no"]
        for e in found
    ]
    table("Training sets", ["id", "made", "rows", "tables", "files"], rows)


@training_sets_app.command()
def show(context: typer.Context, name: IdArgument = "latest", as_json: JsonOption = False) -> None:
    """Show what a training set was made from, and what its parts hold."""
    found = _found(project_of(context), name)
    described = _described(found) | {
        "folder": str(found.folder),
        "plan": found.plan,
        "split": found.split.model_dump(),
        "parts": {
            part: {"rows": s.rows, "positive_share": s.positive_share, "start": s.start, "end": s.end}
            for part, s in found.splits.items()
        },
        "features": {column.name: column.meaning for column in found.schema.columns},
    }
    if as_json:
        print_json(described)
        return
    shown = {key: described[key] for key in ("id", "made", "folder", "plan")}
    figures({**shown, "tables": _versions(described), "features": ", ".join(found.schema.names)})
    rows = [[p, f"{s.rows:,}", f"{s.positive_share:.4f}", s.start, s.end] for p, s in found.splits.items()]
    table("Parts", ["part", "rows", "positive share", "from", "to"], rows)


@training_sets_app.command()
def reproduce(
    context: typer.Context,
    name: IdArgument = "latest",
    to: Annotated[
        Path | None, typer.Option(help="A new folder for the files; without it they are only compared.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a training set again from the tables as they were, and tell whether every row is the same."""
    from orita.features.training_sets.reproduction import reproduce as make_again

    project = project_of(context)
    memory = project.data.value.validation.memory_mb
    found = _found(project, name).id
    made = make_again(project.home, project.system, found, to, memory_mb=memory, progress=settings_of(context).screen)
    if as_json:
        print_json(
            {
                "id": made.id,
                "equal": made.equal,
                "rows": dict(made.rows),
                "digests": dict(made.found),
                "folder": None if made.folder is None else str(made.folder),
            }
        )
    else:
        rows = [[p, f"{made.rows[p]:,}", "yes" if made.expected[p] == made.found[p] else "no"] for p in made.found]
        table(f"Training set {made.id}", ["part", "rows", "as it was"], rows)
    if not made.equal:
        different = next(part for part in made.found if made.expected[part] != made.found[part])
        raise OritaError(
            f"training set {made.id} was made again, but the rows of part {different!r} are not what they were: check "
            "whether it was made by another version of Orita."
        )


def _found(project: Project, name: str) -> TrainingSet:
    """Return the training set whose id is, or uniquely begins with, *name*."""
    from orita.features.training_sets.training_set import latest_training_set, open_training_set, training_sets

    folder, system = project.home.training_sets, project.system.name
    if name == "latest":
        return latest_training_set(folder, system)
    fitting = [each for each in training_sets(folder, system) if each.id.startswith(name)]
    return fitting[0] if len(fitting) == 1 else open_training_set(folder, system, name)


def _described(found: TrainingSet) -> dict[str, Any]:
    made = datetime.fromtimestamp((found.folder / "manifest.json").stat().st_mtime, UTC)
    return {
        "id": found.id,
        "made": made.isoformat(timespec="seconds"),
        "rows": sum(split.rows for split in found.splits.values()),
        "tables": dict(found.tables),
        "files": found.complete,
    }


def _versions(described: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in described["tables"].items())
