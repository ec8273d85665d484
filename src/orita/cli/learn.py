"""Commands about learning: train, evaluate, models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import figures, print_json, table
from orita.cli.evaluation_tables import show_cold_start, show_heads, shown
from orita.cli.opening import project_of
from orita.core.errors import NotFound

if TYPE_CHECKING:
    from orita.project import Project

models_app = typer.Typer(no_args_is_help=True, help="List, show, promote and roll back registered models.")
app.add_typer(models_app, name="models")

_SHOWN = ("auc", "log_loss", "precision_at_10", "ndcg_at_10")
ReasonOption = Annotated[str, typer.Option(help="Why; kept in the audit trail.")]


@app.command()
def train(
    context: typer.Context,
    type_: Annotated[
        str | None,
        typer.Option(
            "--type",
            help="two_tower, deep_mlp, dcn_v2, linear, lightgbm, lambdamart, factor_blend, popularity, or one of "
            "your own; alone.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train on the latest training set, evaluate, and register the model as the challenger."""
    from orita.pipelines.graph import run_graph
    from orita.pipelines.training import training_graph

    if type_ is not None:
        settings_of(context).overrides += [f"model.type={type_}", "beside=[]"]
    project = project_of(context)
    report = run_graph(training_graph(), project.workspace(progress=settings_of(context).screen))
    registered = report.results["register_model"]
    if as_json:
        print_json({**registered, "seconds": report.seconds})
        return
    figures({"version": registered["version"], "type": registered["type"], **_rounded(registered["metrics"])})
    for trained, fit in report.results["train_model"]["fits"].items():
        for head, why in fit.get("heads_left_out", {}).items():
            typer.echo(f"{trained} has no head for {head}: {why}.")
    typer.echo(f"\n{_standing(project, registered['version'], cached=report.cached)}")


@app.command()
def evaluate(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="A version, or the alias champion or challenger.")] = "champion",
    part: Annotated[str, typer.Option(help="train, val or test")] = "test",
    as_json: JsonOption = False,
) -> None:
    """Judge a registered model on rows of the latest training set, those of newcomers apart."""
    from orita.pipelines.comparison import evaluate_version

    workspace = project_of(context).workspace(progress=settings_of(context).screen)
    judged = evaluate_version(workspace, version, part)
    if as_json:
        print_json(judged)
        return
    figures({"version": judged["version"], "rows": f"{judged['rows']:,} ({part})", **_rounded(judged["metrics"])})
    show_cold_start(judged["slices"])
    if "objectives" in judged:
        show_heads(judged["objectives"])


@models_app.command("list")
def list_models(context: typer.Context, as_json: JsonOption = False) -> None:
    """List every registered model of the system, the newest first."""
    project = project_of(context)
    entries = _catalogue(context).versions(project.system.name)
    if as_json:
        print_json({"models": [_entry(entry) for entry in entries]})
        return
    if not entries:
        typer.echo(f"No models of {project.system.name} yet. Next: orita run all")
        return
    rows = [
        [
            e.version,
            escape(e.type),
            ", ".join(e.aliases),
            *(shown(e.metrics.get(name)) for name in _SHOWN),
            f"{e.created_at:%Y-%m-%d %H:%M}",
        ]
        for e in entries
    ]
    named = (name.replace("_", " ") for name in _SHOWN)  # a heading may break between words
    table(f"Models of {project.system.name}", ["version", "type", "alias", *named, "registered (UTC)"], rows)


@models_app.command("show")
def show_model(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="A version, or the alias champion or challenger.")] = "champion",
    card: Annotated[bool, typer.Option("--card", help="Print the model card instead (Markdown).")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one model: metrics, tags, and where its package is; --card prints its card.

    'orita models lineage' shows where it came from and what came of it.
    """
    from orita.models.package.files import CARD_FILE

    project = project_of(context)
    found = _catalogue(context).get(project.system.name, version)
    entry = _entry(found)
    if card:
        file = found.package / CARD_FILE
        if not file.is_file():
            raise NotFound(f"{found.version} has no card: its package was made before there were any.")
        entry = {"version": found.version, "card": file.read_text(encoding="utf-8")}
        print_json(entry) if as_json else typer.echo(entry["card"], nl=False)
        return
    if as_json:
        print_json(entry)
        return
    nested = {"metrics": _rounded(entry.pop("metrics")), "tags": entry.pop("tags")}
    figures(entry)
    for title, pairs in nested.items():
        typer.echo(f"\n{title}")
        figures(pairs)


@models_app.command("compare")
def compare_models(
    context: typer.Context,
    a: Annotated[str, typer.Argument(help="A version, or the alias champion or challenger.")] = "challenger",
    b: Annotated[str, typer.Argument(help="The one to compare it with.")] = "champion",
    report: Annotated[Path | None, typer.Option(help="Also write an HTML page here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two registered models on the same test rows, which neither has seen."""
    from orita.pipelines.comparison import compare_versions

    project = project_of(context)
    entries = [_catalogue(context).get(project.system.name, name) for name in (a, b)]
    workspace = project.workspace(progress=settings_of(context).screen)
    duel = compare_versions(workspace, entries[0], entries[1], report=report)
    found = duel.comparison
    if as_json:
        print_json({"a": duel.challenger, "b": duel.champion, **found.to_dict()})
        return
    auc = ("auc", found.a, found.b, found.delta, found.low, found.high)
    others = ((name, d.a, d.b, d.delta, d.low, d.high) for name, d in found.metrics.items())
    rows = [
        [name, *map(shown, (of_a, of_b, delta, low, high))] for name, of_a, of_b, delta, low, high in (auc, *others)
    ]
    columns = ["figure", duel.challenger, duel.champion, "difference", "low", "high"]
    table(f"{duel.rows:,} test rows, {found.confidence:.0%} intervals over users", columns, rows)
    if found.delong is not None:
        typer.echo(f"DeLong's test over users: {found.delong.low:+.4f} to {found.delong.high:+.4f}.")
    why = f": {found.too_few}" if found.too_few else ""
    typer.echo(f"{duel.challenger} is {found.verdict} than {duel.champion} by AUC{why}.")
    if report is not None:
        typer.echo(f"The page is {report}.")


@models_app.command("promote")
def promote_model(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="A version, or the alias challenger.")],
    reason: ReasonOption = "promoted on the command line",
    as_json: JsonOption = False,
) -> None:
    """Make a model the champion; servers take it up within a second, without a restart."""
    from orita.project import actor

    project = project_of(context)
    entry = _catalogue(context).promote(project.system.name, version, actor=actor(), reason=reason)
    print_json(_entry(entry)) if as_json else typer.echo(f"{entry.version} ({entry.type}) is the champion.")
    _tell_of_rollout(project, entry.version)


@models_app.command("publish")
def publish_model(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="A version, or the alias challenger.")],
    as_json: JsonOption = False,
) -> None:
    """Put a model's package, verified, where servers find it, without deploying it; a rollout does so by itself."""
    project = project_of(context)
    entry = _catalogue(context).publish(project.system.name, version)
    print_json(_entry(entry)) if as_json else typer.echo(f"{entry.version} ({entry.type}) is published.")


@models_app.command("rollback")
def rollback_model(
    context: typer.Context,
    reason: ReasonOption = "rolled back on the command line",
    as_json: JsonOption = False,
) -> None:
    """Undo the latest promotion: the champion before it serves again."""
    from orita.project import actor

    project = project_of(context)
    entry = _catalogue(context).rollback(project.system.name, actor=actor(), reason=reason)
    print_json(_entry(entry)) if as_json else typer.echo(f"{entry.version} ({entry.type}) is the champion again.")
    _tell_of_rollout(project, entry.version)


def _tell_of_rollout(project: Project, champion: str) -> None:
    """Say what becomes of a rollout under way, beside the result."""
    from orita.cli.rollout_tables import ends_with_promotion

    said = ends_with_promotion(project.home, project.system.name, champion)
    if said is not None:
        typer.echo(said, err=True)


def _standing(project: Project, version: str, *, cached: bool) -> str:
    """Say what a model that was trained is now, and what may follow; without the catalogue, which takes seconds."""
    from orita.pipelines.components.champion import champion_version

    unchanged = "Nothing has changed since it was trained. " if cached else ""
    if champion_version(project.workspace()) == version:
        return f"{unchanged}It is the champion."
    return f"{unchanged}It is the challenger. Next: orita models promote {version}"


def _catalogue(context: typer.Context) -> Any:
    return project_of(context).catalogue()


def _entry(entry: Any) -> dict[str, Any]:
    return {
        "version": entry.version,
        "type": entry.type,
        "aliases": list(entry.aliases),
        "metrics": dict(entry.metrics),
        "mlflow_run_id": entry.run_id,
        "registered_at": entry.created_at.isoformat(),
        "package": str(entry.package),
        "tags": dict(entry.tags),
    }


def _rounded(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in metrics.items()}
