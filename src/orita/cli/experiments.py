"""Commands about experiments: experiments declare, list, show, start, stop, remove, assign, plan, report."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of
from orita.cli.times import time_of
from orita.core.clock import SystemClock
from orita.core.errors import NotFound, UserError, closest

if TYPE_CHECKING:
    from orita.delivery.experiments import ExperimentFile, ExperimentPlan, Experiments
    from orita.delivery.experiments.results import Effect, ExperimentReport, MetricResult

__all__: list[str] = []

experiments_app = typer.Typer(
    no_args_is_help=True,
    help="Experiments: declared before the first look, reported on at any time: what differs, how sure that is, what "
    "to do.",
    epilog="declare → plan → start → report, as often as you like → stop    Every step with who, when and why: orita "
    "control log --kind experiment",
)
app.add_typer(experiments_app, name="experiments")

NameArgument = Annotated[str, typer.Argument(help="The experiment's key, such as new-ranking.")]
FileArgument = Annotated[Path, typer.Argument(help="YAML, or JSON by its ending; - reads YAML from standard input.")]
ReasonOption = Annotated[str, typer.Option(help="Why; it is kept with the change.")]


@experiments_app.command("declare")
def declare_command(
    context: typer.Context,
    file: FileArgument,
    reason: ReasonOption = "declared on the command line",
    as_json: JsonOption = False,
) -> None:
    """Keep the experiments of a file: all of them or none; those that are so already stay as they are.

    Of a running experiment nothing may change that would move users, or by which it is judged.
    """
    from orita.project.project import actor

    made = _experiments(context).declare(_read(file), actor=actor(), reason=reason)
    if as_json:
        print_json({"changed": [{"key": event.name, "version": event.version} for event in made]})
    elif made:
        table("Declared", ["key", "version"], [[escape(event.name), str(event.version)] for event in made])
        typer.echo("Next: orita experiments start NAME")
    else:
        typer.echo("Everything is as the file says already.")


@experiments_app.command("list")
def list_command(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the experiments: where each is in its life, and what decides it."""
    found = _experiments(context).all()
    told = [
        {
            "key": key,
            "version": held.version,
            "status": held.state.status,
            "owner": held.state.plan.owner,
            "variants": list(held.state.plan.weights),
            "primary": held.state.plan.primary.name,
            "started_at": held.state.started_at,
            "stopped_at": held.state.stopped_at,
            "winner": held.state.winner,
        }
        for key, held in found.items()
    ]
    if as_json:
        print_json({"experiments": told})
        return
    if not told:
        typer.echo("There are no experiments yet: write one as YAML, and 'orita experiments declare experiments.yaml'.")
        return
    rows = [
        [
            escape(str(each["key"])),
            str(each["status"]),
            escape(", ".join(held.state.plan.weights)),
            escape(str(each["primary"])),
            f"{held.state.started_at:%Y-%m-%d %H:%M}" if held.state.started_at else "",
            escape(held.state.winner or ""),
            escape(str(each["owner"])),
        ]
        for each, held in zip(told, found.values(), strict=True)
    ]
    table("Experiments", ["key", "status", "variants", "primary metric", "started (UTC)", "winner", "owner"], rows)


@experiments_app.command("show")
def show_command(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show an experiment as a file has it, which 'orita experiments declare' takes; --json with all that is kept."""
    held = _experiments(context).get(name)
    if as_json:
        print_json({"version": held.version, "experiment": msgspec.to_builtins(held.state)})
        return
    from orita.delivery.experiments import ExperimentFile, write_experiments

    typer.echo(write_experiments(ExperimentFile(experiments=(held.state.plan,))).decode(), nl=False)


@experiments_app.command("start")
def start_command(
    context: typer.Context,
    name: NameArgument,
    at: Annotated[
        str | None,
        typer.Option(help="When it began, if it runs elsewhere and began before; by default now. ISO 8601, in UTC."),
    ] = None,
    reason: ReasonOption = "started on the command line",
    as_json: JsonOption = False,
) -> None:
    """Start an experiment: exposures count from then on, and its share of a layer is its own."""
    from orita.project.project import actor

    experiments = _experiments(context)
    begun = None if at is None else time_of(at)
    event = experiments.start(name, actor=actor(), reason=reason, at=begun)
    _moved(experiments, name, event.version, as_json)


@experiments_app.command("stop")
def stop_command(
    context: typer.Context,
    name: NameArgument,
    reason: Annotated[str, typer.Option(help="What was learnt; it is kept as the conclusion.")],
    winner: Annotated[str | None, typer.Option(help="The variant that was chosen; left out: none.")] = None,
    at: Annotated[
        str | None, typer.Option(help="When it ended, if it runs elsewhere and ended before; by default now.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Stop an experiment for good: later exposures do not count, outcomes of earlier ones still come in."""
    from orita.project.project import actor

    experiments = _experiments(context)
    ended = None if at is None else time_of(at)
    event = experiments.stop(name, actor=actor(), reason=reason, winner=winner, at=ended)
    _moved(experiments, name, event.version, as_json)


@experiments_app.command("remove")
def remove_command(
    context: typer.Context,
    name: NameArgument,
    reason: ReasonOption = "removed on the command line",
    as_json: JsonOption = False,
) -> None:
    """Remove an experiment that does not run; its history stays."""
    from orita.project.project import actor

    event = _experiments(context).remove(name, actor=actor(), reason=reason)
    if as_json:
        print_json({"key": name, "version": event.version})
    else:
        typer.echo(f"Removed {name}.")


@experiments_app.command("assign")
def assign_command(
    context: typer.Context,
    name: NameArgument,
    attributes: Annotated[
        str, typer.Option("--with", help="What is known of the request, as JSON: '{\"user_id\": 12}'.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Tell which variant of a running experiment somebody gets, and why; the same every time."""
    try:
        given = msgspec.json.decode(attributes, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UserError(f'--with is {attributes!r}: {error}. Give a JSON object such as {{"user_id": 12}}.') from None
    found = _experiments(context).assignment(name).assign(given)
    if as_json:
        print_json({"key": name, "variant": found.variant, "reason": found.reason, "unit": found.unit})
    else:
        figures({"variant": escape(found.variant or "none"), "why": found.reason.replace("_", " ")})


@experiments_app.command("plan")
def plan_command(
    file: FileArgument,
    name: NameArgument,
    effect: Annotated[
        float | None, typer.Option(help="The change to find, in the unit of the metric; by default the declared one.")
    ] = None,
    baseline: Annotated[
        float | None, typer.Option(help="The control's share, where a unit's outcome is 0 or 1: conversion, retention.")
    ] = None,
    spread: Annotated[
        float | None, typer.Option(help="Standard deviation of a unit's outcome, of other metrics; from past data.")
    ] = None,
    power: Annotated[float, typer.Option(help="Chance to find the effect if it is there.")] = 0.8,
    units_a_day: Annotated[
        float | None, typer.Option(help="Units exposed for the first time on a day, all variants together.")
    ] = None,
    correlation: Annotated[float, typer.Option(help="Of the outcome with its covariate, where CUPED is used.")] = 0.0,
    looks: Annotated[int, typer.Option(min=1, max=1000, help="Of a sequential analysis: one a day.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """Compute how many units an experiment needs, and how many days, for its primary metric.

    orita experiments plan experiments.yaml new-ranking --baseline 0.1 --effect 0.02 --units-a-day 500
    """
    from orita.delivery.experiments.planning import planned_sizes
    from orita.delivery.experiments.results import as_json as json_of

    plan = _named(_read(file), name)
    sizes = planned_sizes(
        plan,
        effect=effect,
        baseline=baseline,
        spread=spread,
        wanted_power=power,
        units_a_day=units_a_day,
        correlation=correlation,
        looks=looks,
    )
    if as_json:
        print_json({"key": name, "analysis": plan.analysis.kind, **json_of(sizes)})
        return
    figures(
        {
            "metric": f"{escape(sizes.metric)}, effect {sizes.effect:g}, spread of a unit {sizes.spread:.4g}",
            "looked at once": _units(sizes.fixed, sizes.fixed_days),
            f"at any of {looks} looks": _units(sizes.sequential, sizes.sequential_days) + ", and often stops before",
        }
    )
    rows = [
        [
            f"{each.units:,}",
            "" if each.days is None else str(each.days),
            f"{each.power:.0%}",
            f"{each.minimum_effect:.4g}",
        ]
        for each in sizes.table
    ]
    chosen = "looked at once" if plan.analysis.kind == "fixed" else f"at any of {looks} looks"
    title = f"What so many units find, {chosen}, at level {sizes.level:.3g}"
    table(title, ["units", "days", "finds the effect with", f"finds with {power:.0%}"], rows)


@experiments_app.command("report")
def report_command(
    context: typer.Context,
    name: NameArgument,
    until: Annotated[
        str | None, typer.Option(help="As of when, ISO 8601, in UTC; by default now. What came later is not seen.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report with plots as one HTML file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Report on an experiment: exposures joined with outcomes by time, effects, checks, and what to do.

    A sequential analysis may be looked at as often as you like. A fixed one shows effects once its units are there.
    """
    from orita.delivery.experiments.report import report_on
    from orita.delivery.experiments.results import as_json as json_of

    project, now = project_of(context), SystemClock().now()
    moment = now if until is None else time_of(until, "--until")
    if moment > now:
        raise UserError(f"--until is {until!r}, which is not over yet: give a time of before, or leave it out.")
    kept = _experiments(context).get(name).state
    report = report_on(
        kept,
        project.home,
        project.folder,
        until=moment,
        memory_mb=project.data.value.validation.memory_mb,
        progress=settings_of(context).screen,
    )
    if html is not None:
        from orita.delivery.experiments.page import write_report

        write_report(html, report)
    if as_json:
        print_json({**json_of(report), "html": None if html is None else str(html)})
        return
    _print_report(report)
    if html is not None:
        typer.echo(f"Report with plots: {html}")


def _print_report(report: ExperimentReport) -> None:
    verdict, size = report.verdict, report.size
    figures(
        {
            "verdict": f"[bold]{escape(verdict.sentence)}[/]",
            "why": escape(" ".join(verdict.reasons)),
            "units": ", ".join(f"{escape(arm)} {count:,}" for arm, count in report.exposed.units.items()),
            "size": f"{size.closed:,} with an outcome"
            + ("" if size.planned is None else f" of {size.planned:,} {'planned' if size.declared else 'needed'}"),
            "sample ratio": f"p = {report.sample_ratio.p_value:.2g} now, "
            f"{report.sample_ratio.sequential_p_value:.2g} at all looks",
        }
    )
    for variant in (name for name in report.exposed.units if name != report.control):
        rows = [_row(metric, effect) for metric in report.metrics if (effect := metric.effect(variant)) is not None]
        if rows:
            title = f"{escape(variant)} against {escape(report.control)}, as of {report.until:%Y-%m-%d %H:%M} UTC"
            table(title, ["metric", "role", "control", "effect", "interval", "lift", "p"], rows)
    for metric in report.metrics:
        if metric.note:
            typer.echo(f"{metric.name}: {metric.note}")
    for note in report.notes:
        typer.echo(note)


def _row(metric: MetricResult, effect: Effect) -> list[str]:
    p_value = effect.p_value if effect.adjusted_p is None else effect.adjusted_p
    return [
        escape(metric.name),
        metric.role if effect.guarded is None else f"guardrail: {effect.guarded}",
        f"{effect.control:.3g}",
        f"{effect.estimate:+.3g}",
        f"{effect.low:+.3g} … {effect.high:+.3g}",
        f"{effect.lift:+.1%}" if math.isfinite(effect.lift) else "–",
        f"{p_value:.2g}",
    ]


def _units(units: int, days: int | None) -> str:
    return f"{units:,} units" + ("" if days is None else f", {days:,} days")


def _moved(experiments: Experiments, name: str, version: int, as_json: bool) -> None:
    state = experiments.get(name).state
    if as_json:
        print_json({"key": name, "version": version, "status": state.status, "winner": state.winner})
        return
    chosen = "" if state.status != "stopped" else f", {state.winner or 'no variant'} chosen"
    typer.echo(f"{name} is {state.status}{chosen}.")
    if state.status == "running":
        typer.echo(f"Next: orita experiments report {name}")


def _experiments(context: typer.Context) -> Experiments:
    from orita.delivery.experiments import Experiments

    home = project_of(context).home
    return Experiments(home.control, home.tenant)


def _named(file: ExperimentFile, name: str) -> ExperimentPlan:
    found = {plan.key: plan for plan in file.experiments}
    if name not in found:
        raise NotFound(f"the file has no experiment {name!r}. {closest(name, found)}")
    return found[name]


def _read(file: Path) -> ExperimentFile:
    from orita.delivery.experiments import read_experiments

    form: Literal["json", "yaml"] = "json" if file.suffix == ".json" else "yaml"
    return read_experiments(_content(file), form)


def _content(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}. Give a file of experiments.") from None
