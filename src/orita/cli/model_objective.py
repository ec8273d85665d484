"""The command about what a model's score is made of: models objective."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orita.cli.app import JsonOption, settings_of
from orita.cli.console import print_json, table
from orita.cli.learn import models_app
from orita.cli.opening import project_of
from orita.core.errors import UserError


@models_app.command("objective")
def change_objective(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="A version, or the alias champion or challenger.")] = "champion",
    weights: Annotated[
        str, typer.Option(help="What one unit of each head is worth, such as click=1,like=0.3,dwell=0.01.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why; kept among the version's tags.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show what a model's score weighs, or register the same graph under other weights; nothing is trained.

    For models with several heads ('model.heads' in the configuration). A weight is the worth of one click, one like,
    one second; a negative one is of something to avoid. The new version is the challenger; the old one stays as it is.
    """
    from orita.pipelines.reweighing import reweigh_version

    if reason and not weights:
        raise UserError("--reason is given without --weights, so nothing would be changed: give weights too.")
    project = project_of(context)
    if not weights:
        _show(project, version, as_json)
        return
    workspace = project.workspace(progress=settings_of(context).screen)
    made = reweigh_version(workspace, version, _weights(weights), reason=reason)
    if as_json:
        print_json(made.to_dict())
        return
    if not made.new:
        typer.echo(f"{made.entry.version} is that already; nothing was changed.")
    names = dict.fromkeys([*made.before, *made.after, *made.brings])
    shown = [
        [
            name,
            *(f"{weighed.get(name, 0):g}" for weighed in (made.before, made.after)),
            *(f"{value:.4f}" for value in made.brings.get(name, ())),
        ]
        for name in names
    ]
    columns = ["head", "weight before", "after", "brings before", "after"]
    table(f"{made.entry.version}: {made.parent.version} under another objective", columns, shown)
    typer.echo("Brings: mean in a user's ten best validation rows, the top counting most; of rows that were shown.")
    if made.new:
        typer.echo("The next training takes the weights of model.objective in the configuration: write them there too.")
        typer.echo(f"\nIt is the challenger. Next: orita models promote {made.entry.version}")


def _show(project: Any, version: str, as_json: bool) -> None:
    from orita.models.package import load_package

    entry = project.catalogue().get(project.system.name, version)
    described = load_package(entry.package).description
    heads = [{**head.to_dict(), "weight": described.objective.get(head.name, 0.0)} for head in described.heads]
    if as_json:
        print_json({"version": entry.version, "heads": heads})
    elif not heads:
        typer.echo(f"{entry.version} ({entry.type}) has one head: its score is the chance of the label.")
    else:
        rows = [[head["name"], head["kind"], f"{head['cap']:g}", f"{head['weight']:g}"] for head in heads]
        table(f"Objective of {entry.version}", ["head", "kind", "cap", "worth of one unit"], rows)


def _weights(text: str) -> dict[str, float]:
    """Return the weights of ``click=1,like=0.3``.

    Raises:
        UserError: a part is no name with a number, or a name is there twice.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            value = float(number)
        except ValueError:
            raise UserError(
                f"--weights has the part {part!r}, allowed are parts such as like=0.3, with commas between them."
            ) from None
        if name.strip() in found:
            raise UserError(f"--weights names {name.strip()!r} twice; name it once.")
        found[name.strip()] = value
    return found
