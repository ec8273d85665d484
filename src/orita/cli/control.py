"""Commands about control state: control log, at, restore, rebuild."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of
from orita.cli.times import time_of
from orita.core.clock import SystemClock
from orita.core.errors import UserError

if TYPE_CHECKING:
    from orita.control.aggregates import Kind
    from orita.control.events import ControlEvent, ControlLog
    from orita.control.replay import Kinds
    from orita.project import Project

__all__: list[str] = []

_WIDE = 48

control_app = typer.Typer(
    no_args_is_help=True,
    help="Look at what was decided (who gets what): every decision with who, when and why, the state at any time, and "
    "back to it.",
)
app.add_typer(control_app, name="control")

KindOption = Annotated[str | None, typer.Option(help="Of this kind only, such as deployment.")]
NameOption = Annotated[str | None, typer.Option(help="Of things of this name only, such as feed.")]


@control_app.command("log")
def log_command(
    context: typer.Context,
    kind: KindOption = None,
    name: NameOption = None,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List what was decided, the latest last: what, who, when and why."""
    log, kinds = _opened(project_of(context))
    _check_kind(kind, kinds)
    events = log.events(kind, name)
    if as_json:
        print_json({"events": [_told(event) for event in events[-last:]]})
        return
    if not events:
        typer.echo("Nothing was decided yet: 'orita run all' makes a champion.")
        return
    rows = [
        [
            f"{event.at:%Y-%m-%d %H:%M:%S}",
            escape(f"{event.kind} {event.name} {event.version}"),
            escape(f"{event.type} {_short(event.body)}"),
            escape(event.actor),
            escape(event.reason),
        ]
        for event in events[-last:]
    ]
    title = f"Decisions, the last {len(rows)} of {len(events)}" if len(rows) < len(events) else "Decisions"
    table(title, ["at (UTC)", "of", "what", "who", "why"], rows)


@control_app.command("at")
def at_command(
    context: typer.Context,
    moment: Annotated[str, typer.Argument(help="A time such as 2024-11-15T10:30:00, in UTC; or now.")],
    kind: KindOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the state as it was at a time, what happened at that time included."""
    from orita.control.replay import things_at

    log, kinds = _opened(project_of(context))
    _check_kind(kind, kinds)
    things = [thing for thing in things_at(log, kinds, _time(moment)) if kind in (None, thing.kind.name)]
    if as_json:
        found = [
            {"kind": thing.kind.name, "name": thing.held.name, "version": thing.held.version, "state": thing.document}
            for thing in things
        ]
        print_json({"at": None if moment == "now" else moment, "things": found})
        return
    if not things:
        typer.echo(f"There was nothing yet at {moment}: 'orita control log' shows when it begins.")
        return
    rows = [
        [
            thing.kind.name,
            escape(thing.held.name),
            str(thing.held.version),
            escape(_short(msgspec.json.encode(thing.held.state).decode())),
            f"{thing.event.at:%Y-%m-%d %H:%M:%S}",
            escape(thing.event.actor),
        ]
        for thing in things
    ]
    table(f"Control state, {moment}", ["kind", "name", "version", "state", "since (UTC)", "by"], rows)


@control_app.command("restore")
def restore_command(
    context: typer.Context,
    moment: Annotated[str, typer.Argument(help="A time such as 2024-11-15T10:30:00, in UTC.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept with the decision.")],
    only: Annotated[
        list[str] | None, typer.Option(help="KIND or KIND/NAME, such as flag/checkout; may be given again.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the state what it was at a time, by new decisions: nothing that was decided since is erased.

    Flags, segments, bandits and what is said of models go back, all or none; a bandit's learning follows its log. What
    is of kind deployment, rollout, experiment or retraining stays: a champion is also an alias of the registry, and
    goes back by 'orita models rollback' or 'orita models promote VERSION'; the others have commands of their own.
    """
    from orita.control.replay import restore
    from orita.delivery.flags.kept import check_flags
    from orita.project.project import actor

    log, kinds = _opened(project_of(context))
    only_these = _meant(only, kinds)
    made = restore(log, kinds, _past(moment), actor=actor(), reason=reason, only=only_these, check=check_flags)
    if as_json:
        print_json({"events": [_told(event) for event in made]})
        return
    if not made:
        typer.echo(f"Everything that a restore changes is as it was at {moment} already.")
        return
    rows = [[event.kind, escape(event.name), str(event.version)] for event in made]
    table(f"Restored as of {moment}", ["kind", "name", "version"], rows)


@control_app.command("rebuild")
def rebuild_command(context: typer.Context, as_json: JsonOption = False) -> None:
    """Read all decisions again, and make the states that are kept beside them anew; exit with 1 where one differed."""
    from orita.control.replay import rebuild

    log, kinds = _opened(project_of(context))
    done = rebuild(log, kinds)
    told = {"events": done.events, "things": done.things, "different": list(done.different)}
    if as_json:
        print_json(told)
    else:
        figures({**told, "different": ", ".join(done.different) or "none"})
    if done.different:
        raise typer.Exit(1)


def _opened(project: Project) -> tuple[ControlLog, Kinds]:
    from orita.control.deployments import DEPLOYMENT
    from orita.control.events import ControlLog
    from orita.control.model_records import MODELS
    from orita.delivery.bandits.kept import BANDIT
    from orita.delivery.experiments import EXPERIMENT
    from orita.delivery.flags.kept import FLAG, SEGMENT
    from orita.delivery.rollouts import ROLLOUT
    from orita.pipelines.retraining.record import RETRAINING

    kinds: tuple[Kind[Any], ...] = (DEPLOYMENT, MODELS, FLAG, SEGMENT, ROLLOUT, BANDIT, EXPERIMENT, RETRAINING)
    return ControlLog(project.home.control, project.home.tenant), {kind.name: kind for kind in kinds}


def _told(event: ControlEvent) -> dict[str, object]:
    told = {**msgspec.to_builtins(event), "body": msgspec.json.decode(event.body)}
    return {key: value for key, value in told.items() if value is not None}


def _short(text: str) -> str:
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"


def _check_kind(kind: str | None, kinds: Kinds) -> None:
    if kind is not None and kind not in kinds:
        raise UserError(f"--kind {kind!r} is none: use one of {', '.join(sorted(kinds))}.")


def _meant(only: list[str] | None, kinds: Kinds) -> Callable[[str, str], bool]:
    """Return whether a thing is among those that ``--only`` names."""
    for each in only or ():
        kind = each.partition("/")[0]
        if kind not in kinds:
            raise UserError(f"--only {each!r} names no kind: use one of {', '.join(sorted(kinds))}, as KIND/NAME.")
        if kinds[kind].goes_back:
            raise UserError(f"--only {each!r}: a {kind} goes back by '{kinds[kind].goes_back}'.")
    return lambda kind, name: not only or kind in only or f"{kind}/{name}" in only


def _time(text: str) -> datetime | None:
    return None if text == "now" else time_of(text, "the time")


def _past(text: str) -> datetime:
    at = _time(text)
    if at is None:
        raise UserError("the state is that of now already: give a time of before, such as 2024-11-15T10:30:00.")
    if at > SystemClock().now():
        raise UserError(f"the time {text!r} is not over yet: give one of before, such as 2024-11-15T10:30:00.")
    return at
