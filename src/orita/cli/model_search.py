"""Finding models and runs by what is known of them: models search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption
from orita.cli.console import print_json, table
from orita.cli.learn import models_app
from orita.cli.opening import project_of

if TYPE_CHECKING:
    from orita.registry.catalogue import ModelVersion, Run

__all__: list[str] = []

_FIGURES = 3


@models_app.command("search")
def search_models(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="auc > 0.75 and type = 'lightgbm' and tag.team = 'ads'")] = "",
    order: Annotated[
        str | None,
        typer.Option(help="A metric, the greatest first, or 'log_loss asc'; by default the newest are first."),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most, 1 to 1000.")] = 20,
    runs: Annotated[
        bool, typer.Option("--runs", help="Search every run, not only those that became a registered version.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Find registered versions, or runs, by metrics, params, tags, state and time.

    Conditions are joined by 'and': NAME = != > >= < <= NUMBER, NAME = != like ilike 'TEXT', NAME is [not] null. A bare
    name is a metric, or one of: type, alias, version, number, run_id, registered; with --runs: status, name, type,
    parent, run_id, started, ended. Write param.NAME and tag.NAME for the others. Without a query: the newest.
    """
    project = project_of(context)
    catalogue, system = project.catalogue(), project.system.name
    if runs:
        found = catalogue.runs.search(system, query, order=order, limit=limit)
        _print_runs(found, system, order, as_json)
    else:
        versions = catalogue.search(system, query, order=order, limit=limit)
        _print_versions(versions, system, order, as_json)


def _print_runs(found: list[Run], system: str, order: str | None, as_json: bool) -> None:
    if as_json:
        print_json({"runs": [_run(run) for run in found]})
        return
    names = _shown([dict(run.metrics) for run in found], order)
    rows = [
        [
            run.run_id,
            escape(run.name),
            run.status,
            f"{run.started_at:%Y-%m-%d %H:%M}",
            *(_figure(run.metrics.get(name)) for name in names),
        ]
        for run in found
    ]
    _print(f"Runs of {system}", ["run", "name", "status", "started (UTC)", *names], rows)


def _print_versions(found: list[ModelVersion], system: str, order: str | None, as_json: bool) -> None:
    if as_json:
        print_json({"models": [_version(entry) for entry in found]})
        return
    names = _shown([dict(entry.metrics) for entry in found], order)
    rows = [
        [
            entry.version,
            escape(entry.type),
            escape(", ".join(entry.aliases)),
            f"{entry.created_at:%Y-%m-%d %H:%M}",
            *(_figure(entry.metrics.get(name)) for name in names),
        ]
        for entry in found
    ]
    _print(f"Models of {system}", ["version", "type", "alias", "registered (UTC)", *names], rows)


def _print(title: str, columns: list[str], rows: list[list[str]]) -> None:
    if not rows:
        typer.echo("Nothing is like that. Fewer conditions find more; without any, the newest are shown.")
        return
    table(title, [escape(column) for column in columns], rows)


def _shown(metrics: list[dict[str, float]], order: str | None) -> list[str]:
    """Return which figures the table shows: what it is ordered by, then those that most rows have."""
    counted: dict[str, int] = {}
    for of_one in metrics:
        for name in of_one:
            counted[name] = counted.get(name, 0) + 1
    common = sorted(counted, key=lambda name: (name.startswith(("fit_", "val_")), -counted[name], name))
    first = [name for name in common if order and order.removeprefix("metric.").split()[0].strip("`") == name]
    return list(dict.fromkeys([*first, *common]))[:_FIGURES]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _run(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "status": run.status,
        "started_at": run.started_at.isoformat(),
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "parent": run.parent,
        "params": dict(run.params),
        "metrics": _numbers(run.metrics),
        "tags": dict(run.tags),
    }


def _version(entry: ModelVersion) -> dict[str, Any]:
    return {
        "version": entry.version,
        "type": entry.type,
        "aliases": list(entry.aliases),
        "mlflow_run_id": entry.run_id,
        "registered_at": entry.created_at.isoformat(),
        "metrics": _numbers(entry.metrics),
        "tags": dict(entry.tags),
    }


def _numbers(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Return figures as JSON knows them: it has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in metrics.items()}
