"""Commands about alerts: list, show, check, run, test."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of
from orita.core.errors import NotFound, UserError, closest

if TYPE_CHECKING:
    from orita.monitoring.alerting.book import AlertBook, KnownAlert
    from orita.monitoring.alerting.watching import Look, Watch
    from orita.project import Project

__all__: list[str] = []

alerts = typer.Typer(name="alerts", help="What fires, why, since when, and who was told.", no_args_is_help=True)
app.add_typer(alerts)

TargetOption = Annotated[
    list[str] | None,
    typer.Option("--target", help="host:port of a server to read, again for more; by default alerting.targets."),
]


@alerts.command("list")
def list_(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the alerts that fire or are about to, the firing first; and what could not be delivered."""
    with _book(project_of(context)) as book:
        known = [each for each in book.alerts() if every or each.condition.state in ("pending", "firing")]
        undelivered = book.undelivered()
    if as_json:
        print_json({"alerts": [_plain(each) for each in known], "undelivered": undelivered})
        return
    if known:
        columns = ["alert", "subject", "state", "severity", "since", "what", "id"]
        table("Alerts", columns, [_row(each) for each in known])
    else:
        typer.echo("No alert fires.")
    for sink, error in undelivered.items():
        typer.echo(f"warning: {sink} has not been told: {error}")


@alerts.command()
def show(
    context: typer.Context,
    alert: Annotated[str, typer.Argument(help="Its name, or its id or the first letters of it.")],
    as_json: JsonOption = False,
) -> None:
    """Show an alert: its state, labels, evidence, what to do, and all that became of it."""
    with _book(project_of(context)) as book:
        known = _find(book, alert)
        history = book.history(known.fingerprint)
    if as_json:
        lines = [{"at": line.at.isoformat(), "event": line.event, "note": line.note} for line in history]
        print_json({**_plain(known), "history": lines})
        return
    content, condition = known.alert, known.condition
    figures(
        {
            "alert": f"{known.name} {known.subject}",
            "state": condition.state,
            "severity": content["severity"],
            "since": _when(condition.since),
            "over": _when(condition.resolved_at) if condition.state == "resolved" else "",
            "what": content["summary"],
            "labels": ", ".join(f"{name}={value}" for name, value in sorted(known.labels.items())),
            "evidence": content["evidence"],
            "what to do": content["runbook"],
            "id": known.fingerprint,
        }
    )
    rows = [[_when(line.at), line.event, escape(line.note)] for line in history]
    table("History (UTC)", ["at", "event", "what"], rows)


@alerts.command()
def check(context: typer.Context, target: TargetOption = None, as_json: JsonOption = False) -> None:
    """Look once: read the servers' metrics, judge all rules, tell who is to know.

    Exit code 1 if a critical alert fires. Rates need two looks: the first of a home finds those of no counter.
    """
    with _watch(project_of(context), target) as watch:
        look = watch.look()
    if as_json:
        print_json(_told(look))
    else:
        _tell(look)
    if any(alert["severity"] == "critical" for alert in look.told.firing):
        raise typer.Exit(1)


@alerts.command()
def run(
    context: typer.Context,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look every 'alerting.interval' until stopped; a line for each change. One loop a home and system is enough."""
    project = project_of(context)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    with project.workspace().alone("alerts"), _watch(project, target) as watch:
        every = watch.config.alerting.interval
        read = ", ".join(watch.targets)
        settings_of(context).screen.say(f"Watching {read} every {every:g} s. Stop with Ctrl-C.")
        watch.run(stopping, lambda look: _changes(look, as_json))


@alerts.command()
def test(
    context: typer.Context,
    sink: Annotated[str, typer.Argument(help="log, email, slack, webhook or alertmanager, as it is configured.")],
    as_json: JsonOption = False,
) -> None:
    """Send a test alert and its end to one sink, past all states; exit code 1 if it does not arrive."""
    from datetime import UTC, timedelta

    from orita.monitoring.sinks import Notice, configured_sinks

    project = project_of(context)
    sinks = configured_sinks(project.monitoring.value.alerting)
    if sink not in sinks:
        raise UserError(f"no sink {sink!r} is configured. {closest(sink, sinks)} Set alerting.{sink} first.")
    now = datetime.now(UTC)
    content = {
        "name": "TEST",
        "subject": project.system.name,
        "severity": "info",
        "summary": "A test of alerting; there is nothing to do.",
        "value": None,
        "threshold": None,
        "evidence": "",
        "runbook": "docs/runbook.md#an-alert-did-not-arrive",
        "at": now.isoformat(),
    }
    labels = {"alertname": "TEST", "subject": project.system.name, "system": project.system.name}
    error = None
    try:
        sinks[sink].send([Notice("firing", content, now, labels)], f"test-{now.timestamp():.0f}")
        over = Notice("recovered", content, now, labels, now + timedelta(seconds=1))
        sinks[sink].send([over], f"test-{now.timestamp():.0f}-over")
    except Exception as failure:  # whatever went wrong is what the test is to tell
        error = str(failure) or type(failure).__name__
    if as_json:
        print_json({"sink": sink, "arrived": error is None, "error": error})
    else:
        typer.echo(f"{sink} was told." if error is None else f"{sink} was not told: {error}")
    if error is not None:
        raise typer.Exit(1)


@contextmanager
def _book(project: Project) -> Iterator[AlertBook]:
    from orita.monitoring.alerting.book import AlertBook

    with closing(AlertBook(project.monitoring.value.alerting.book(project.home.reports))) as book:
        yield book


@contextmanager
def _watch(project: Project, targets: list[str] | None) -> Iterator[Watch]:
    import os

    from orita.core.clock import SystemClock
    from orita.monitoring.alerting.watching import Watch

    config = project.monitoring.value
    named = tuple(targets or ()) or config.alerting.targets or (f"127.0.0.1:{project.main.value.serving.port}",)
    token = os.environ.get(config.alerting.token_variable)
    watch = Watch(project.home, project.system.name, config, named, SystemClock(), token)
    with closing(watch):
        yield watch


def _find(book: AlertBook, wanted: str) -> KnownAlert:
    known = book.alerts()
    found = [each for each in known if each.fingerprint.startswith(wanted) or each.name == wanted]
    if not found:
        raise NotFound(f"there is no alert {wanted!r}. {closest(wanted, {each.name for each in known})}")
    return found[0]


def _when(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def _row(known: KnownAlert) -> list[str]:
    content = known.alert
    since = _when(known.condition.since)
    cells = [known.name, known.subject, known.condition.state, content["severity"], since, content["summary"]]
    return [*(escape(str(cell)) for cell in cells), known.fingerprint[:8]]


def _plain(known: KnownAlert) -> dict[str, Any]:
    condition = known.condition
    times = {name: getattr(condition, name) for name in ("since", "fired_at", "resolved_at")}
    return {
        "id": known.fingerprint,
        "state": condition.state,
        **{name: at.isoformat() if at else None for name, at in times.items()},
        "labels": known.labels,
        **known.alert,
    }


def _told(look: Look) -> dict[str, Any]:
    return {
        "judged": len(look.signals),
        "unread": look.unread,
        "firing": list(look.told.firing),
        "new": look.told.new,
        "recovered": list(look.told.recovered),
        "undelivered": {each.sink: each.error for each in look.told.failed},
    }


def _tell(look: Look) -> None:
    for target, error in look.unread.items():
        typer.echo(f"warning: {target} {error}")
    rows = [
        [escape(s.alert.name), escape(s.alert.subject), "holds" if s.active else "well", escape(s.alert.summary)]
        for s in sorted(look.signals, key=lambda s: (not s.active, s.alert.key))
    ]
    if rows:
        table("Rules", ["alert", "subject", "condition", "what"], rows)
    typer.echo(f"{len(look.signals)} judged, {len(look.told.firing)} fire, {look.told.new} of them new.")
    for failure in look.told.failed:
        typer.echo(f"warning: {failure.sink} was not told: {failure.error}")


def _changes(look: Look, as_json: bool) -> None:
    if as_json:
        if look.told.new or look.told.recovered or look.told.failed:
            print_json(_told(look))
    else:
        for failure in look.told.failed:
            typer.echo(f"warning: {failure.sink} was not told: {failure.error}")
        for alert in look.told.recovered:
            typer.echo(f"RECOVERED  {alert['name']}  {alert['subject']}")
        for alert in look.told.firing if look.told.new else ():
            typer.echo(f"{alert['severity'].upper()}  {alert['name']}  {alert['subject']}  {alert['summary']}")
    sys.stdout.flush()
