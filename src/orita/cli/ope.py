"""What another policy would have earned, from a log alone: ope."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json, table
from orita.cli.opening import project_of
from orita.cli.times import time_of
from orita.core.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from orita.delivery.ope import PolicyEvaluation, Verdict
    from orita.delivery.ope.log_policies import LogPolicy
    from orita.project import Project

__all__: list[str] = []

_HOME = "log"
_POPULARITY, _CHAMPION = "popularity", "champion"

EvaluationPage = Annotated[Path | None, typer.Option("--html", help="Also write a page with plots.")]


@app.command()
def ope(
    context: typer.Context,
    log: Annotated[
        str,
        typer.Argument(
            help="'log': the home's own prediction log. Or a Parquet or CSV file with columns of reward and propensity."
        ),
    ],
    policy: Annotated[
        str,
        typer.Option(
            help="The candidate: a model version or alias, or 'popularity'. Of a file: the column with the candidate's "
            "probability of what was shown."
        ),
    ],
    reward: Annotated[
        str | None,
        typer.Option(help="What is earned: a column of events, by default click; of a file, by default reward."),
    ] = None,
    within: Annotated[str, typer.Option(help="How long after an answer it may be earned, such as 30m or 1d.")] = "30m",
    logged: Annotated[
        str | None, typer.Option(help="The version whose answers are weighed; by default the one that serves.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Answers at or after this time, ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(help="Answers before this time.")] = None,
    answers: Annotated[
        int, typer.Option(min=100, help="Weigh so many answers at most, drawn by their ids; memory grows with them.")
    ] = 200_000,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the intervals.")] = 0.95,
    propensity: Annotated[str, typer.Option(help="Of a file: the column with the logged probability.")] = "propensity",
    unit: Annotated[
        str | None, typer.Option(help="Of a file: rows that share it depend on each other, such as user_id.")
    ] = None,
    slate: Annotated[
        str | None, typer.Option(help="Of a file: rows that share it are one slate, such as request_id.")
    ] = None,
    position: Annotated[str, typer.Option(help="Of a file with slates: the order within one.")] = "position",
    predicted: Annotated[str | None, typer.Option(help="Of a file: a model's reward of what was shown.")] = None,
    expected: Annotated[
        str | None, typer.Option(help="Of a file: the mean of that over what the candidate would show.")
    ] = None,
    html: EvaluationPage = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what another policy would have earned, from a log that keeps probabilities, before a user sees it.

    On the home's log a candidate's order of the items that were shown is weighed by what exploration has shown
    (serving.feed.exploration). Where the log cannot tell, the verdict is 'not enough', with the reasons.

        orita ope log --policy v1.3.0 --reward click --within 30m
        orita ope log --policy popularity --html popularity.html
        orita ope decisions.parquet --policy candidate --unit user_id
    """
    if log == _HOME:
        window = _window(context, reward or "click", within, logged, since, until, answers)
        _judge_log(context, policy, window, confidence, html, as_json=as_json)
        return
    from orita.delivery.ope import evaluate

    columns = {"reward": reward or "reward", "propensity": propensity, "target": policy}
    more = {"predicted": predicted, "expected": expected, "unit": unit, "slate": slate}
    named = {name: column for name, column in more.items() if column is not None}
    wanted = [*columns.values(), *named.values(), *([position] if slate else [])]
    rows = _table_of(Path(log), list(dict.fromkeys(wanted)))
    found = evaluate(rows, **columns, **named, position=position, confidence=confidence)  # type: ignore[arg-type]
    title = f"{policy} on {Path(log).name}"
    _show(found.to_dict(), title, found.diagnostics.verdict, found, [], [], html, as_json=as_json)


def _judge_log(
    context: typer.Context, policy: str, window: Any, confidence: float, html: Path | None, *, as_json: bool
) -> None:
    from orita.core.clock import SystemClock
    from orita.delivery.ope.evaluate_log import evaluate_log
    from orita.features.declaring.windows import duration_text

    project = project_of(context)
    memory = project.data.value.validation.memory_mb
    found = evaluate_log(
        project.home,
        project.system,
        _candidate(project, policy, window.version, memory),
        window,
        clock=SystemClock(),
        confidence=confidence,
        memory_mb=memory,
        progress=settings_of(context).screen,
    )
    within = duration_text(window.within // timedelta(microseconds=1))
    lines = [
        f"{found.counts.used:,} pages of {window.version}, {window.reward} within {within} of an answer",
        *(f"{name} {at:%Y-%m-%d %H:%M} UTC" for name, at in (("from", window.start), ("before", window.end)) if at),
    ]
    evaluation = found.found.evaluation if found.found else None
    title = f"{found.candidate} on the log of {found.system}"
    _show(found.to_dict(), title, found.verdict, evaluation, lines, list(found.notes()), html, as_json=as_json)


def _window(
    context: typer.Context,
    reward: str,
    within: str,
    logged: str | None,
    since: str | None,
    until: str | None,
    answers: int,
) -> Any:
    from orita.delivery.ope.log_rewards import LogWindow
    from orita.features.declaring.windows import duration_micros

    if logged is None:
        logged = _champion(project_of(context))
        if logged is None:
            raise UserError("nothing serves yet: name the version whose answers are weighed with --logged.")
    return LogWindow(
        version=logged,
        reward=reward,
        within=timedelta(microseconds=duration_micros(within, "--within")),
        start=None if since is None else time_of(since, "--since"),
        end=None if until is None else time_of(until, "--until"),
        most=answers,
    )


def _champion(project: Project) -> str | None:
    """Return the version that serves, as control state has it: asking the catalogue takes seconds."""
    from orita.control.deployments import Deployments

    deployed = Deployments(project.home.control, project.home.tenant).current(project.system.name)
    return deployed.version if deployed else None


def _candidate(project: Project, policy: str, logged: str, memory_mb: int) -> LogPolicy:
    from orita.cli.logged_requests import package_of
    from orita.delivery.ope.log_policies import AsLogged, ByFeatures, ByModel

    if policy == _POPULARITY:
        from orita.serving.feed.signals import signals_of

        features = signals_of(project.system, project.main.value.serving.feed).popularity
        if not features:
            raise UserError("no feature tells an item's popularity: name some in serving.feed.signals.popularity.")
        return ByFeatures(_POPULARITY, features)
    version = _champion(project) if policy == _CHAMPION else policy
    if version == logged:
        return AsLogged(logged)
    load = package_of(project)
    return ByModel(project.home, project.system, version or policy, logged, load=load, memory_mb=memory_mb)


def _table_of(file: Path, columns: list[str]) -> pa.Table:
    """Return the *columns* of a file, so far as it has them."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    from orita.delivery.ope.tables import check_once

    if file.suffix not in (".parquet", ".csv") or not file.is_file():
        raise UserError(
            f"LOG is {str(file)!r}: give 'log' for the home's own log, or a Parquet or CSV file that is there."
        )
    try:
        if file.suffix == ".csv":
            rows = pyarrow.csv.read_csv(file)
            return rows.rename_columns(rows.column_names)  # Arrow decodes names no earlier than they are asked for
        there = pyarrow.parquet.read_schema(file).names
        for name in columns:
            check_once(name, there)
        return pyarrow.parquet.read_table(file, columns=[name for name in columns if name in there] or None)
    except UnicodeDecodeError as error:
        raise UserError(f"{file} has a column whose name is not text in UTF-8: {error}; save it as UTF-8.") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())}.") from None


def _show(
    told: dict[str, Any],
    title: str,
    verdict: Verdict,
    found: PolicyEvaluation | None,
    lines: list[str],
    notes: list[str],
    html: Path | None,
    *,
    as_json: bool,
) -> None:
    if html is not None:
        from orita.delivery.ope.page import write_evaluation_page

        write_evaluation_page(html, title, verdict, found, lines=lines, notes=notes)
    if as_json:
        print_json({**told, "page": None if html is None else str(html)})
        return
    for line in lines:
        typer.echo(line)
    if found is not None and verdict.enough:
        _estimates(title, found)
    elif not verdict.enough:
        typer.echo(f"{title}: no figure is shown, as the log does not support one; --json has all.")
    for note in notes:
        typer.echo(note)
    typer.echo("Enough to decide by." if verdict.enough else "NOT enough to decide by:")
    for reason in verdict.reasons:
        typer.echo(f"- {reason}")
    if html is not None:
        typer.echo(f"The page is {html}.")


def _estimates(title: str, found: PolicyEvaluation) -> None:
    share = f"{found.logged.confidence:.0%}"
    rows = [["as logged", f"{found.logged.value:.4f}", _ends(found.logged), "", "", f"{found.logged.rows:,}"]]
    rows += [
        [
            each.estimator,
            f"{each.value:.4f}",
            _ends(each),
            f"{gain.value:+.4f}",
            _ends(gain),
            f"{each.effective_sample_size:,.0f}",
        ]
        for each, gain in zip(found.estimates, found.gains, strict=True)
    ]
    columns = ["estimator", "value", f"{share} interval", "gain", f"{share} interval", "rows worth"]
    table(escape(title), columns, rows)


def _ends(found: Any) -> str:
    if found.low == found.low:
        return f"{found.low:.4f}…{found.high:.4f}"
    return "no spread" if found.standard_error == 0 else "unknown"
