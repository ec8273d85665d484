"""Commands about data: init, generate, ingest, validate, datasets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of

if TYPE_CHECKING:
    from orita.events.report import IngestReport

SourceArgument = Annotated[
    Path,
    typer.Argument(
        help="A CSV, JSON-lines or Parquet file called like a table of the system (payments.csv), or a folder of them."
    ),
]
TableOption = Annotated[
    str | None, typer.Option("--table", help="The table of the system that the file holds, whatever it is called.")
]


@app.command()
def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to make the project.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Make a project: the feature declarations and the configuration of a built-in system, yours to change."""
    from orita.project import scaffold

    made = scaffold(folder, settings_of(context).system or "feed")
    if as_json:
        print_json({"files": [str(path) for path in made]})
        return
    table("Project made", ["file"], [[str(path)] for path in made])
    typer.echo(f"\nNext: {'' if folder == Path() else f'cd {folder} && '}orita run all")


@app.command()
def generate(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to write; replaced if it is there.")] = Path("data/generated"),
    format_: Annotated[str, typer.Option("--format", help="parquet, csv or jsonl")] = "parquet",
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same bytes.")] = None,
    interactions: Annotated[int | None, typer.Option(help="Rows; users and items by --set data_generation.…")] = None,
    as_json: JsonOption = False,
) -> None:
    """Generate a synthetic world: interactions, users, items; beside them the true click probabilities."""
    from orita.events.world.generation import generate as generate_world

    settings = settings_of(context)
    for key, value in (("seed", seed), ("num_interactions", interactions)):
        if value is not None:
            settings.overrides.append(f"data_generation.{key}={value}")
    config = project_of(context).data.value.data_generation
    made = generate_world(config, folder, format=format_, progress=settings.screen)
    shown: dict[str, Any] = {"rows": made.rows, "seconds": round(made.seconds, 2)}
    shown |= {name: str(path) for name, path in made.paths.items()}
    print_json(shown) if as_json else figures(shown)


@app.command()
def ingest(
    context: typer.Context, source: SourceArgument, table_: TableOption = None, as_json: JsonOption = False
) -> None:
    """Judge every row of SOURCE and add the good ones to the lake, once; bad ones go to quarantine with a reason."""
    from orita.events.ingest import ingest as bring_in

    _judge(context, source, table_, bring_in, as_json)


@app.command()
def validate(
    context: typer.Context, source: SourceArgument, table_: TableOption = None, as_json: JsonOption = False
) -> None:
    """Judge every row of SOURCE as ingest would, and change nothing."""
    from orita.events.ingest import validate as only_judge

    _judge(context, source, table_, only_judge, as_json)


@app.command()
def datasets(
    context: typer.Context,
    fetch: Annotated[str | None, typer.Option(help="Download this one.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where to put it; by default data/NAME.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the public data sets that Orita knows: where they come from, under which licence; fetch one."""
    from orita.events.datasets import DATASETS
    from orita.events.datasets import fetch as fetch_dataset

    if fetch is not None:
        path = fetch_dataset(fetch, folder or Path("data") / fetch, progress=settings_of(context).screen)
        print_json({"folder": str(path)}) if as_json else typer.echo(f"{path}\n\nNext: orita run all --data {path}")
        return
    known = DATASETS.values()
    if as_json:
        names = ("name", "title", "description", "rows", "licence", "page", "url", "system", "adapter")
        print_json({"datasets": [{name: getattr(dataset, name) for name in names} for dataset in known]})
        return
    shown = [[d.name, f"{d.rows:,}", "yes" if d.adapter else "no", d.licence, d.page] for d in known]
    table("Public data sets", ["name", "rows", "adapter", "licence", "source"], shown)
    typer.echo("\nFetch one: orita datasets --fetch movielens-100k")


def recognised_system(source: Path) -> str | None:
    """Return the built-in system of a public data set that *source* is, if it is one."""
    from orita.events.datasets import DATASETS, recognise

    name = recognise(source)
    return DATASETS[name].system if name is not None else None


def _judge(
    context: typer.Context, source: Path, table_: str | None, work: Callable[..., IngestReport], as_json: bool
) -> None:
    project = project_of(context, system=recognised_system(source))
    with closing(project.event_log()) as log:
        report = work(
            project.home,
            source,
            table=table_,
            config=project.data.value.validation,
            schemas=project.system.tables,
            origin={"system": project.system.name},
            log=log,
            progress=settings_of(context).screen,
        )
    _show_ingest(report.to_dict(), as_json)


def _show_ingest(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    rows = [
        [name, *(f"{part[f'rows_{key}']:,}" for key in ("read", "new", "updated", "duplicate", "quarantined"))]
        for name, part in report["tables"].items()
    ]
    table("Rows", ["table", "read", "new", "updated", "known already", "quarantined"], rows)
    for name, part in report["tables"].items():
        for reason, count in part["reasons"].items():
            typer.echo(f"{name}: {count:,} × {reason}")
        if part["quarantine_path"]:
            typer.echo(f"{name}: quarantined rows are in {part['quarantine_path']}")
        for warning in part["warnings"]:
            typer.echo(f"{name}: warning: {warning}")
