"""Commands that take a model elsewhere or make a smaller one of it: models export, models import, models quantise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, settings_of
from orita.cli.console import figures, print_json, table
from orita.cli.learn import models_app
from orita.cli.opening import project_of

__all__: list[str] = []

VersionArgument = Annotated[str, typer.Argument(help="A version, or the alias champion or challenger.")]


@models_app.command("export")
def export_command(
    context: typer.Context,
    version: VersionArgument,
    file: Annotated[Path, typer.Argument(help="A new file; a name that ends in .tar says what it is.")],
    origin: Annotated[
        str | None, typer.Option(help="How this home is called in the file; by default its path.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model to one file: its package with the signature, its run, and what its training set was; no rows.

    The same version gives the same bytes. 'orita models import' takes it up in another home or tenant.
    """
    from orita.registry.transfer import export_model

    project = project_of(context)
    catalogue = project.catalogue()
    entry = catalogue.get(project.system.name, version)
    target = file.absolute()
    with settings_of(context).screen.bar(f"Export {entry.version}"):
        export_model(catalogue, entry, target, home=origin)
        with target.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
    told = {"version": entry.version, "file": str(target), "bytes": target.stat().st_size, "sha256": digest}
    if as_json:
        print_json(told)
        return
    figures({**told, "file": escape(str(target)), "bytes": f"{told['bytes']:,}"})


@models_app.command("import")
def import_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What 'orita models export' wrote.")],
    as_: Annotated[
        Literal["challenger"], typer.Option("--as", help="What it becomes; 'orita models promote' goes further.")
    ] = "challenger",
    as_json: JsonOption = False,
) -> None:
    """Register a model of another home: checked before anything is changed, and nothing of it is executed.

    Its features must be declared here. It gets a version and a card of this registry; tags say where it came from. The
    same file again changes nothing.
    """
    from orita.registry.transfer import import_model

    project = project_of(context)
    with settings_of(context).screen.bar(f"Import {file.name}"):
        made = import_model(project.catalogue(), project.main.value.registry, project.system, file.absolute())
    told: dict[str, Any] = {
        "version": made.entry.version,
        "new": made.new,
        "as": as_ if made.new else None,
        "origin": dict(made.origin),
        "signer": made.signer or None,
    }
    if as_json:
        print_json(told)
        return
    if not made.new:
        typer.echo(f"It is here already, as {made.entry.version}; nothing was changed.")
        return
    came = made.origin
    figures(
        {
            "version": made.entry.version,
            "type": escape(made.entry.type),
            "came from": escape(f"{came['version']} of {came['system']}, tenant {came['tenant']}, in {came['home']}"),
            "signed by": made.signer or "nobody who is trusted here",
        }
    )
    typer.echo(f"\nIt is the challenger. Next: orita models compare {made.entry.version} champion")


@models_app.command("quantise")
def quantise_command(
    context: typer.Context,
    version: VersionArgument,
    max_auc_loss: Annotated[
        float, typer.Option(help="Refuse where more AUC than this is lost on validation rows, 0 to 1.")
    ] = 0.001,
    as_json: JsonOption = False,
) -> None:
    """Register a version of a model whose weights take one byte each, once its loss is measured on its own rows.

    Graphs become up to four times smaller; a request takes about as long as before. Trees have no weights to quantise.
    """
    from orita.pipelines.quantising import quantise_version

    workspace = project_of(context).workspace(progress=settings_of(context).screen)
    made = quantise_version(workspace, version, max_auc_loss=max_auc_loss)
    if as_json:
        print_json(made.to_dict())
        return
    if not made.new:
        typer.echo(f"{made.entry.version} is that already; nothing was changed.")
    rows = [list(row) for row in _compared(made.figures)]
    title = f"{made.entry.version} is {made.parent.version} with int8 weights"
    table(title, ["", "float32", "int8", "difference", "interval"], rows)
    if made.new:
        typer.echo(f"\nIt is the challenger. Next: orita models promote {made.entry.version}")


def _compared(figures: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table: quality on both parts, size, and time."""
    for part, of in (("val", "validation"), ("test", "test")):
        ends = [figures[f"{part}_auc_difference_{end}"] for end in ("low", "high")]
        interval = "" if None in ends else f"{ends[0]:+.2g} to {ends[1]:+.2g}"
        before, after = (f"{figures[f'{part}_auc_{when}']:.5f}" for when in ("before", "after"))
        rows = f"AUC, {figures[f'{part}_rows']:,} {of} rows"
        yield rows, before, after, f"{figures[f'{part}_auc_difference']:+.2g}", interval
        if f"{part}_log_loss_before" in figures:
            losses = [figures[f"{part}_log_loss_{when}"] for when in ("before", "after")]
            yield f"log loss, {of} rows", f"{losses[0]:.5f}", f"{losses[1]:.5f}", f"{losses[1] - losses[0]:+.2g}", ""
    yield "largest difference of a score", "", "", f"{figures['largest_difference']:.2g}", ""
    for name, unit in (("bytes", "bytes of the graph"), ("microseconds", "microseconds for 100 rows")):
        before, after = (f"{figures[f'{name}_{when}']:,.0f}" for when in ("before", "after"))
        yield unit, before, after, f"÷ {figures[f'{name}_ratio']:.2f}", ""
