"""Commands about features as they are declared, recorded and read: features list, show, lineage, check, skew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of

if TYPE_CHECKING:
    from rich.tree import Tree

    from orita.features.declaring.lineage import Lineage
    from orita.pipelines.feature_report import FeatureFacts, ModelReading

__all__ = ["features_app"]

features_app = typer.Typer(
    no_args_is_help=True,
    help="Look at features, read them, push events, keep the online features up, and check that all agrees.",
    epilog="Start with: orita features list    Then: orita features show NAME",
)
app.add_typer(features_app, name="features")

NameArgument = Annotated[str, typer.Argument(help="A feature, as 'orita features list' shows it.")]


@features_app.command("list")
def list_features(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the features: what they are, whose, how fresh they must be, how many rows have a value, who reads them.

    A version is a number that grows whenever the meaning of a declaration changes. 'filled' is the share of rows of the
    latest training set that have a value.
    """
    from orita.pipelines.feature_report import feature_facts

    found = feature_facts(project_of(context).workspace())
    if as_json:
        print_json({"features": [each.to_dict() for each in found]})
        return
    columns: dict[str, list[str]] = {
        "feature": [each.name for each in found],
        "side": [each.columns[0].side for each in found],
        "kind": [each.columns[0].kind for each in found],
        "version": [str(each.version) for each in found],
        "owner": [each.notes.owner for each in found],
        "fresh": [_fresh(each) for each in found],
        "filled": [_share(each.filled) for each in found],
        "models": [", ".join(model.version for model in each.models) for each in found],
        "description": [each.notes.description for each in found],
    }
    told = {name: values for name, values in columns.items() if any(value not in ("", "—") for value in values)}
    table("Features", list(told), [[value or "—" for value in row] for row in zip(*told.values(), strict=True)])


@features_app.command()
def show(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show one feature: its declaration in words, its versions, its columns, what a key of it costs, who reads it."""
    from orita.pipelines.feature_report import facts_of

    facts = facts_of(project_of(context).workspace(), name)
    told = facts.to_dict() | {"lineage": facts.lineage.to_dict()}
    if as_json:
        print_json(told)
        return
    steps = list(facts.lineage.steps())
    figures(
        {
            "feature": facts.name,
            "declared": told["declared"],
            "description": facts.notes.description or "—",
            "owner": facts.notes.owner or "—",
            "tables": ", ".join(facts.lineage.sources) or "the request alone",
            "columns read": ", ".join(facts.lineage.every_column),
            "entities": _list(entity for step in steps for entity in step.entities),
            "window": _list(step.window for step in steps if step.window),
            "filter": _list(step.filter for step in steps if step.filter),
            "fresh": _fresh(facts),
            "filled": _share(facts.filled),
            "state a key": _cost(facts),
            "training sets": ", ".join(facts.training_sets) or "—",
            "models": ", ".join(_model(model) for model in facts.models) or "—",
        }
    )
    table("Columns", ["column", "kind", "type"], [[c.name, c.kind, c.arrow] for c in facts.columns])
    versions = [[str(v.number), v.since, v.meaning] for v in facts.versions]
    if not facts.recorded:
        versions.append([str(facts.version), "not recorded yet", facts.columns[0].meaning])
    table("Versions", ["version", "since", "meaning"], versions)


@features_app.command()
def lineage(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Draw where a feature comes from, column by column, and where it goes: training sets and models."""
    from rich.console import Console

    from orita.pipelines.feature_report import facts_of

    facts = facts_of(project_of(context).workspace(), name)
    if as_json:
        models = [
            {"version": model.version, "aliases": list(model.aliases), "training_set": model.training_set}
            for model in facts.models
        ]
        told = {"name": facts.name, "version": facts.version, "lineage": facts.lineage.to_dict()}
        print_json(told | {"training_sets": list(facts.training_sets), "models": models})
        return
    Console().print(_tree(facts), highlight=False)


@features_app.command()
def check(context: typer.Context, as_json: JsonOption = False) -> None:
    """Hold against each other what is declared, recorded, published and read; exit code 1 if something is wrong.

    It finds declarations that nobody recorded, online features of other declarations, a champion that reads what is
    declared no more, features that are later than they may be, that never have a value, or that cost too much. Each
    fault comes with what to do.
    """
    from dataclasses import asdict

    from orita.pipelines.feature_check import check_features

    found = check_features(project_of(context).workspace())
    if as_json:
        late = [asdict(each) | {"seconds": each.seconds} for each in found.behind]
        faults = [asdict(fault) for fault in found.faults]
        print_json({"features": found.features, "ok": not faults, "faults": faults, "behind": late})
    else:
        for each in found.behind:
            typer.echo(_behind(each.table, each.log_rows, each.commits, each.seconds))
        for fault in found.faults:
            typer.echo(f"{fault.sentence}\n  → {fault.remedy}")
        typer.echo(f"{found.features} features, {len(found.faults)} faults.")
    if found.faults:
        raise typer.Exit(1)


@features_app.command()
def skew(
    context: typer.Context,
    last: Annotated[str, typer.Option(help="Of which time: 30m, 6h, 1d.")] = "1d",
    sample: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many served rows are computed again.")] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Compute a sample of what the champion was given again from history, and tell where the two differ.

    The report is kept in the home; a server shows the share of each feature to Prometheus (feature_skew_share).
    """
    from datetime import timedelta

    from orita.features.declaring.windows import duration_micros
    from orita.pipelines.feature_skew import look_for_skew

    workspace = project_of(context).workspace(progress=settings_of(context).screen)
    report, path = look_for_skew(workspace, timedelta(microseconds=duration_micros(last, "--last")), sample)
    if as_json:
        print_json(report.to_dict() | {"report": str(path)})
        return
    rows = [
        [each.name, f"{each.rows:,}", f"{each.mismatches:,}", f"{each.share:.2%}", f"{each.largest:g}", _example(each)]
        for each in report.features
    ]
    title = f"{report.model_version}: {report.rows:,} served rows"
    table(title, ["feature", "rows", "differ", "share", "largest", "for example"], rows)
    for name, reason in report.left_out.items():
        typer.echo(f"{name}: not compared: it {reason}")
    typer.echo(f"Report: {path}")


def _tree(facts: FeatureFacts) -> Tree:
    from rich.markup import escape
    from rich.tree import Tree

    root = Tree(f"[bold]{escape(facts.name)}[/] version {facts.version}")
    _grow(root.add("[dim]comes from[/]"), facts.lineage)
    goes = root.add("[dim]goes to[/]")
    told: set[str] = set()
    for name in facts.training_sets:
        branch = goes.add(f"training set {name}")
        for model in facts.models:
            if model.training_set == name:
                branch.add(_model(model))
                told.add(model.version)
    for model in facts.models:
        if model.version not in told:
            goes.add(_model(model))
    if not goes.children:
        goes.add("nothing yet")
    return root


def _grow(tree: Tree, step: Lineage) -> None:
    """Add a step, the columns that it reads, and the steps before it."""
    from rich.markup import escape

    parts = [f"[bold]{escape(step.step)}[/] [dim]{step.kind}[/]"]
    parts += [f"by {', '.join(step.entities)}"] if step.entities and step.kind == "aggregate" else []
    parts += [f"over {step.window}"] if step.window and step.window != "lifetime" else []
    parts += [f"where {escape(step.filter)}"] if step.filter else []
    parts += [f"code {step.version}"] if step.version else []
    branch = tree.add("  ".join(parts))
    for each in step.inputs:
        _grow(branch, each)
    for column in step.columns:
        branch.add(escape(column))


def _fresh(facts: FeatureFacts) -> str:
    from orita.features.declaring.windows import duration_text

    return duration_text(facts.notes.fresh) if facts.notes.fresh else "—"


def _share(share: float | None) -> str:
    return "—" if share is None else f"{share:.1%}"


def _cost(facts: FeatureFacts) -> str:
    cost = facts.cost
    told = f"{cost.slots:,} bytes of slots"
    if cost.past is None:
        told += "; what its window keeps is known once something is published"
    elif cost.largest is not None:
        told += f"; windows keep {cost.past:,.0f} on average, {cost.largest:,} at most, of {cost.keys:,} keys"
    return told + (f"; allowed are {facts.notes.most_bytes:,}" if facts.notes.most_bytes else "")


def _model(model: ModelReading) -> str:
    return f"model {model.version}" + (f" ({', '.join(model.aliases)})" if model.aliases else "")


def _list(names: Any) -> str:
    return ", ".join(dict.fromkeys(names)) or "—"


def _behind(name: str, rows: int, commits: int, seconds: float) -> str:
    if not rows and not commits:
        return f"{name}: the online features have all of it."
    lacks = f"{rows:,} events of the log and {commits} changes of the table"
    return f"{name}: the online features lack {lacks}, the oldest for {seconds:,.0f} s."


def _example(each: Any) -> str:
    found = each.example
    if found is None:
        return ""
    return (
        f"user {found['user_id']} item {found['item_id']} {found['as_of']}: {found['served']} ≠ {found['recomputed']}"
    )
