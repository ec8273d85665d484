"""Commands about the search for hyper-parameters: tune, tune status, tune show, tune apply."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of

if TYPE_CHECKING:
    from orita.models.search.trials import Trial
    from orita.models.search.view import Search
    from orita.project import Project

tune_app = typer.Typer(
    invoke_without_command=True,
    epilog="Example: orita tune --trials 20 --set search.space.model.dropout='{low: 0, high: 0.5}'",
)
app.add_typer(tune_app, name="tune")

NameArgument = Annotated[str | None, typer.Argument(help="The search; by default the one worked on last.")]
_SHOWN = 10


@tune_app.callback()
def tune(
    context: typer.Context,
    trials: Annotated[
        int | None, typer.Option("--trials", help="How many models to try, in all: a search goes on to this number.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", help="Begin no trial after so long, such as 30m or 6h.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What to call the search; by default a name made from its settings.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override one key, as before the command. Again for more.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search for better hyper-parameters: try values that model_config.yaml declares under search.space.

    Each model is judged on validation rows; test rows are not opened. Ctrl-C or SIGTERM ends the search in good order
    (exit code 75); the same command goes on with it, also after a kill. The same command in a second terminal works on
    the same search. Next: orita tune show, orita tune apply NAME.
    """
    if context.invoked_subcommand is not None:
        return
    from orita.models.search.view import find_search
    from orita.pipelines.tuning import tune as carry_out

    settings = settings_of(context)
    settings.overrides += [*(set_ or []), *_overrides(trials, timeout)]
    project, begun = project_of(context), time.monotonic()
    metric = project.model.value.search.metric
    done = carry_out(
        project.workspace(progress=settings.screen),
        name=name,
        told=lambda trial: settings.screen.line(_told(trial, metric)),
    )
    search = find_search(_root(project), done)
    if as_json:
        print_json({"name": search.name, **search.summary(), "seconds": time.monotonic() - begun})
        return
    _print_best(search)
    typer.echo(f"\nNext: orita tune show {search.name}, orita tune apply {search.name}")


@tune_app.command()
def status(context: typer.Context, name: NameArgument = None, as_json: JsonOption = False) -> None:
    """Show which searches there are, and how far each is."""
    from orita.models.search.view import find_search, read_searches

    root = _root(project_of(context))
    found = read_searches(root) if name is None else [find_search(root, name)]
    if as_json:
        print_json({"searches": [{"name": search.name, **search.summary()} for search in found]})
        return
    if not found:
        typer.echo("No search yet. Next: name what to try under 'search' in model_config.yaml, then orita tune")
        return
    rows = [
        [
            search.name,
            f"{sum(search.counts.get(state, 0) for state in ('complete', 'pruned', 'failed'))} of {search.planned}",
            ", ".join(f"{count} {state}" for state, count in sorted(search.counts.items())),
            search.metric,
            "" if search.best is None else f"{search.best.value:.4f}",
        ]
        for search in found
    ]
    table("Searches", ["name", "trials", "states", "figure", "best"], rows)


@tune_app.command()
def show(
    context: typer.Context,
    name: NameArgument = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write a page about it into this HTML file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the best trials of a search, what mattered, and how far its figure may be trusted."""
    from orita.models.search.page import write_search_page
    from orita.models.search.view import find_search

    search = find_search(_root(project_of(context)), name)
    if report is not None:
        write_search_page(report.absolute(), search)
    if as_json:
        print_json({**search.to_dict(), **({"page": str(report.absolute())} if report else {})})
        return
    _print_best(search)
    rows = [
        [str(trial.number), f"{trial.value:.4f}", _seconds(trial), _values(trial.values)]
        for trial in search.ranked()[:_SHOWN]
    ]
    if rows:
        typer.echo()
        table(f"Best of {search.name}", ["trial", search.metric, "seconds", "values"], rows)
    if search.importance:
        typer.echo()
        ordered = sorted(search.importance.items(), key=lambda pair: -pair[1])
        table("What decides who is among the best", ["key", "share"], [[key, f"{share:.2f}"] for key, share in ordered])
    for trial in [one for one in search.trials if one.state == "failed"][:3]:
        typer.echo(f"Trial {trial.number} failed: {trial.error}")
    if report is not None:
        typer.echo(f"The page is {report}.")


@tune_app.command()
def apply(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The search.")],
    trial: Annotated[int | None, typer.Option("--trial", help="A trial of it; by default the best.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the best values into the project's model_config.yaml, its comments kept; where that is unsafe, print them.

    Next: orita train, which judges them on test rows.
    """
    from orita.models.search.applying import apply_values, chosen_trial
    from orita.models.search.view import find_search

    project = project_of(context)
    search = find_search(_root(project), name)
    chosen = chosen_trial(search, trial)
    applied = apply_values(project.folder / "model_config.yaml", chosen.values, project.model.value)
    other = search.other_settings(project.model.value)
    if as_json:
        print_json({"name": search.name, "trial": chosen.number, **applied.to_dict(), "other_settings": other})
        return
    if applied.written:
        typer.echo(f"{applied.file} has the values of trial {chosen.number}: {_values(chosen.values)}")
    else:
        typer.echo(f"{applied.why} Write this there yourself:\n\n{applied.yaml}\nor give it with a command:\n")
        typer.echo(" ".join(f"--set '{item}'" for item in applied.overrides))
    if other:
        typer.echo(f"The search was made with other values of: {', '.join(other)}.")
    typer.echo("\nNext: orita train")


def _overrides(trials: int | None, timeout: str | None) -> list[str]:
    from orita.features.declaring.windows import duration_micros

    found = [] if trials is None else [f"search.trials={trials}"]
    if timeout is not None:
        found.append(f"search.timeout_minutes={duration_micros(timeout, '--timeout') / 60_000_000}")
    return found


def _root(project: Project) -> Path:
    return project.home.searches / project.system.name


def _print_best(search: Search) -> None:
    best = search.best
    counts = ", ".join(f"{count} {state}" for state, count in sorted(search.counts.items()))
    shown: dict[str, object] = {"search": search.name, "trials": f"{counts or 'none'} (of {search.planned})"}
    if best is None:
        figures({**shown, "best": "none is complete yet"})
        return
    interval = f", with other users {best.interval[0]:.4f} to {best.interval[1]:.4f}" if best.interval else ""
    shown |= {f"best {search.metric}": f"{best.value:.4f}{interval} (trial {best.number})"}
    if search.corrected is not None:
        shown |= {"without luck": f"{search.corrected:.4f}, {search.apart}"}
    figures({**shown, **best.values})
    typer.echo(f"\n{search.caution}")


def _told(trial: Trial, metric: str) -> str:
    match trial.state:
        case "complete":
            ended = f"{metric} {trial.value:.4f}"
        case "pruned":
            ended = f"ended early at step {max(trial.steps)}"
        case _:
            ended = f"{trial.state}: {trial.error}"
    return f"trial {trial.number:>3}  {ended}  {_seconds(trial)} s  {_values(trial.values)}"


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.removeprefix('model.')} {_value(value)}" for key, value in values.items())


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _seconds(trial: Trial) -> str:
    return "" if trial.seconds is None else f"{trial.seconds:.1f}"
