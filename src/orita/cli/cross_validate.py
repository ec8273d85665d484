"""The command cross-validate."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

import typer

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json, table
from orita.cli.opening import project_of
from orita.core.errors import UserError


# Arguments are let through to be refused by a sentence that names the option which was meant.
@app.command("cross-validate", context_settings={"allow_extra_args": True})
def cross_validate_type(
    context: typer.Context,
    type_: Annotated[str | None, typer.Option("--type", help="A type of model; by default the configured one.")] = None,
    folds: Annotated[int, typer.Option(help="How many models are trained; 2 or more.")] = 5,
    order: Annotated[
        Literal["time", "shuffled"] | None,
        typer.Option(help="time: each fold is later than what it learned from. By default where rows have times."),
    ] = None,
    gap_hours: Annotated[float, typer.Option(min=0.0, help="Hours between what is learned from and judged on.")] = 0.0,
    metric: Annotated[str, typer.Option(help="auc, log_loss, ndcg_at_10 or another figure of evaluation.")] = "auc",
    as_json: JsonOption = False,
) -> None:
    """Judge a type of model by cross-validation: a fresh model a fold, on training and validation rows.

    Test rows are not opened, so the figure may choose between types and settings. Nothing is registered.
    """
    from orita.pipelines.cross_validating import cross_validated

    if stray := next(iter(context.args), None):
        raise UserError(f"cross-validate takes no argument {stray!r}: a type of model is an option, --type {stray}.")
    workspace = project_of(context).workspace(progress=settings_of(context).screen)
    gap = timedelta(hours=gap_hours)
    found = cross_validated(workspace, type_, folds=folds, order=order, gap=gap, metric=metric)
    if as_json:
        print_json(found.to_dict())
        return
    rows = [
        [str(number), f"{fold.train_rows:,}", f"{fold.val_rows:,}", f"{fold.test_rows:,}", f"{fold.score:.4f}"]
        for number, fold in enumerate(found.folds, start=1)
    ]
    columns = ["fold", "learned from", "stopped by", "judged on", found.metric]
    table(f"{len(rows)} folds, {found.order}", columns, rows)
    typer.echo(f"\n{found.metric} {found.mean_score:.4f} ± {found.std_score:.4f} (mean and deviation of the folds)")
