"""Commands about the prediction log: predictions list, days, show, export, retain."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import figures, print_json, table
from orita.cli.logged_requests import RequestArgument
from orita.cli.opening import project_of
from orita.core.errors import UserError

__all__: list[str] = []

_MOST_ITEMS, _MOST_COLUMNS = 20, 6

predictions_app = typer.Typer(
    no_args_is_help=True,
    help="Look at what was answered: the prediction log, one view over what servers write now and its Parquet files.",
    epilog="Why an item got its score: orita explain REQUEST_ID    Score it again: orita replay REQUEST_ID",
)
app.add_typer(predictions_app, name="predictions")


@predictions_app.command("list")
def list_command(
    context: typer.Context,
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    user: Annotated[str | None, typer.Option(help="Of this user only.")] = None,
    model: Annotated[str | None, typer.Option(help="Of this version only, such as v1.2.0.")] = None,
    day: Annotated[str | None, typer.Option("--date", help="Of this UTC day only, such as 2024-11-15.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the latest answered requests of the system, the latest first."""
    from orita.events.prediction_listing import latest_requests

    project = project_of(context)
    found = latest_requests(
        project.home,
        last,
        system=project.system.name,
        user=user,
        model_version=model,
        day=None if day is None else _day(day),
        progress=settings_of(context).screen,
    )
    if as_json:
        print_json({"requests": [{**each, "timestamp": each["timestamp"].isoformat()} for each in found]})
        return
    if not found:
        typer.echo("No such request is in the log: run 'orita serve' and ask it something.")
        return
    rows = [
        [
            escape(str(each["request_id"])),
            f"{each['timestamp']:%Y-%m-%d %H:%M:%S}",
            escape(str(each["user_id"])),
            f"{escape(str(each['best']))} ({each['score']:.4f})",
            f"{each['items']:,}",
            str(each["model_version"]),
        ]
        for each in found
    ]
    table("Requests", ["request", "answered (UTC)", "user", "best item", "of", "version"], rows)


@predictions_app.command("days")
def days_command(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the days of the log, of all systems of the home: rows, files, and bytes as Parquet."""
    from orita.events.prediction_listing import logged_days

    found = logged_days(project_of(context).home)
    if as_json:
        print_json({"days": [{**asdict(each), "day": each.day.isoformat()} for each in found]})
        return
    if not found:
        typer.echo("The prediction log is empty: run 'orita serve' and ask it something.")
        return
    rows = [
        [each.day.isoformat(), f"{each.rows:,}", f"{each.parts:,}", f"{each.open_parts:,}", f"{each.size / 1e6:,.2f}"]
        for each in found
    ]
    table("Days of the prediction log", ["day (UTC)", "rows", "files", "not Parquet yet", "MB"], rows)


@predictions_app.command("show")
def show_command(
    context: typer.Context,
    request: RequestArgument,
    features: Annotated[
        bool, typer.Option("--features", help="Also the features as they were, of the best items.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one request as it was answered, while servers go on writing."""
    from orita.events.prediction_view import find_request

    found = find_request(project_of(context).home, request, progress=settings_of(context).screen).to_dict()
    if as_json:
        print_json(found)
        return
    more = f"; {found['answers']} answers have this id, this is the latest" if found["answers"] > 1 else ""
    figures({name: found[name] for name in ("request_id", "user_id", "system", "model_version")})
    figures(
        {"answered": found["at"], "features as of": found["as_of"], "latency": f"{found['latency_ms']:.1f} ms{more}"}
    )
    items = found["items"]
    rows = [[str(each["rank"]), escape(each["item_id"]), f"{each['score']:.4f}"] for each in items[:_MOST_ITEMS]]
    table("Items", ["rank", "item", "score"], rows)
    if len(items) > _MOST_ITEMS:
        typer.echo(f"{len(items) - _MOST_ITEMS:,} items more: --json has all.")
    if features:
        shown = items[:_MOST_COLUMNS]
        lines = [[name, *(_value(each["features"][name]) for each in shown)] for name in shown[0]["features"]]
        table("Features as they were", ["", *(f"item {escape(each['item_id'])}" for each in shown)], lines)


@predictions_app.command("export")
def export_command(
    context: typer.Context,
    day: Annotated[
        list[str] | None, typer.Option("--date", help="A UTC day, again for more; by default every day.")
    ] = None,
    csv: Annotated[Path, typer.Option(help="The folder of the files.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Write the log as predictions_<date>.csv, a file a day, each whole or not at all; features are a JSON column."""
    from orita.events.predictions import export_csv, prediction_days

    home = project_of(context).home
    days = [_day(each) for each in day] if day else prediction_days(home)
    if not days:
        raise UserError("the prediction log is empty, so there is nothing to export: run 'orita serve' first.")
    files = []
    with settings_of(context).screen.bar("Export", total=len(days)) as bar:
        for each in dict.fromkeys(days):
            files.append(str(export_csv(home, each, csv)))
            bar.advance()
    if as_json:
        print_json({"files": files})
        return
    for file in files:
        typer.echo(file)


@predictions_app.command("retain")
def retain_command(
    context: typer.Context,
    days: Annotated[
        int | None, typer.Option(min=1, help="Keep so many days beside today; by default serving.log.retention_days.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Delete the days of the log that are past serving.log.retention_days in orita.yaml, of all systems of the home.

    What a running server still writes stays. Monitoring, explaining and replaying need the days that they look at.
    """
    from orita.core.clock import SystemClock
    from orita.events.prediction_retention import retain_predictions

    project = project_of(context)
    kept = project.main.value.serving.log.retention_days if days is None else days
    if kept is None:
        raise UserError(
            "serving.log.retention_days in orita.yaml is not set, so that the prediction log keeps everything: set it, "
            "or give --days."
        )
    done = retain_predictions(project.home, kept, SystemClock().now())
    if as_json:
        print_json({**asdict(done), "first": done.first.isoformat(), "days": [each.isoformat() for each in done.days]})
        return
    gone = f"{done.files:,} files of {len(done.days):,} days ({done.size / 1e6:,.2f} MB) are gone" if done.files else ""
    typer.echo(f"{gone or 'Nothing was older'}; the log begins with {done.first.isoformat()}.")
    if done.held:
        typer.echo(f"{done.held:,} older segments stay for now: a running server has them open.")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--date is {text!r}: give a UTC day such as 2024-11-15.") from None


def _value(value: float | None) -> str:
    return "—" if value is None else f"{value:.6g}"
