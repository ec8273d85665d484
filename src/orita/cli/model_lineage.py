"""What a model came from and what came of it, as a tree: models lineage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orita.cli.app import JsonOption, settings_of
from orita.cli.console import print_json, table
from orita.cli.learn import models_app
from orita.cli.opening import project_of
from orita.core.errors import UserError

if TYPE_CHECKING:
    from rich.tree import Tree

    from orita.cli.lineage_words import Branch

__all__: list[str] = []


@models_app.command("lineage")
def lineage_command(
    context: typer.Context,
    version: Annotated[
        str | None, typer.Argument(help="A version, or the alias champion or challenger.", show_default="champion")
    ] = None,
    prediction: Annotated[str | None, typer.Option(help="Start from a prediction_id or a request_id.")] = None,
    of_table: Annotated[
        str | None, typer.Option("--table", help="The models trained from this: NAME@VERSION, or NAME.")
    ] = None,
    training_set: Annotated[
        str | None, typer.Option(help="The models trained from this: an id, or its first letters.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write an HTML page about the version here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw where a model came from, down to files and the event log, and what came of it, up to the feedback.

    Or start elsewhere: a prediction leads to its model and on to its tables, a table or training set to its models.
    """
    from rich.console import Console

    from orita.cli.lineage_words import lineage_branch
    from orita.pipelines.model_lineage import lineage_of_prediction, lineage_of_version, models_trained_from

    _refuse_two(version, (prediction, of_table, training_set), html)
    workspace = project_of(context).workspace(progress=settings_of(context).screen)
    if of_table is not None or training_set is not None:
        found = models_trained_from(workspace, table=of_table or "", training_set=training_set or "")
        print_json(found) if as_json else _list(found, of_table or str(training_set))
        return
    told = (
        lineage_of_prediction(workspace, prediction)
        if prediction is not None
        else lineage_of_version(workspace, version or "champion")
    )
    if html is not None:
        from orita.cli.lineage_page import write_lineage_page

        write_lineage_page(html, told)
    if as_json:
        print_json(told)
        return
    Console().print(_tree(lineage_branch(told)), highlight=False)
    if html is not None:
        typer.echo(f"The page is {html}.")


def _refuse_two(version: str | None, others: tuple[str | None, ...], html: Path | None) -> None:
    """Refuse more than one thing to start from, and a page about something else than a version."""
    if sum(given is not None for given in (version, *others)) > 1:
        raise UserError("give one of VERSION, --prediction, --table and --training-set.")
    if html is not None and any(others):
        raise UserError("--html is about a version: give VERSION, or nothing for the champion.")


def _list(found: Mapping[str, Any], asked: str) -> None:
    if not found["models"]:
        sets = ", ".join(found["training_sets"]) or "none"
        typer.echo(f"No model was trained from {asked}. Training sets of it: {sets}.")
        return
    rows = [
        [m["version"], m["type"], ", ".join(m["aliases"]), m["training_set"], m["registered_at"][:19].replace("T", " ")]
        for m in found["models"]
    ]
    table(f"Models trained from {asked}", ["version", "type", "alias", "training set", "registered (UTC)"], rows)


def _tree(branch: Branch) -> Tree:
    from rich.markup import escape
    from rich.tree import Tree

    tree = Tree(escape(branch.text))
    for each in branch.branches:
        tree.add(_tree(each))
    return tree
