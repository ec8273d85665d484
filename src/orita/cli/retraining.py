"""Commands about retraining: status, history, watch, stop, resume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of

if TYPE_CHECKING:
    from orita.control.events import ControlEvent
    from orita.pipelines.retraining.record import Decision, RetrainingState
    from orita.pipelines.workspace import Workspace

__all__: list[str] = []

retraining_app = typer.Typer(
    no_args_is_help=True,
    help="Retraining: when a new model was asked for, what became of it, and whether it goes on by itself.",
    epilog="Decide now: orita run retraining    Unattended: orita schedule",
)
app.add_typer(retraining_app, name="retraining")

ReasonOption = Annotated[str, typer.Option(help="Why; it is kept with the decision.")]


@retraining_app.command("status")
def status_command(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show how retraining stands: whether it goes on, failures in a row, the budget, the last decisions."""
    from orita.pipelines.retraining.holding import bounds_now, holds_now, spent

    workspace = _workspace(context)
    state, declared = _state(workspace), workspace.model.retraining
    used = spent(workspace, state, declared.budget) if declared.budget else None
    holds = [*bounds_now(workspace, state), *holds_now(workspace, state)]
    if as_json:
        told = msgspec.to_builtins(state) | {"failures": state.failures, "spent": used, "holds": holds}
        print_json({"system": workspace.system.name, **told})
        return
    stopped, latest = state.stopped, state.latest
    goes_on = f"stopped since {_when(stopped.at)} by {stopped.actor}: {stopped.why}" if stopped else "goes on"
    limit = declared.stop_after_failures
    shown = {
        "system": workspace.system.name,
        "state": goes_on,
        "failures in a row": f"{state.failures}, stopped at {limit}" if limit else str(state.failures),
        "latest decision": f"{_when(latest.at)}: {_words(latest)}" if latest else "none yet: 'orita run retraining'",
        "held back by": " ".join(holds) or "nothing",
    }
    if used is not None:
        shown["budget"] = _budget(workspace, used)
    if (watched := state.current) is not None and watched.watch_until is not None:
        shown["watched"] = f"{watched.version} until {_when(watched.watch_until)}, looked at {watched.looks} times"
    figures({name: escape(value) for name, value in shown.items()})
    if state.decisions:
        rows = [[_when(d.at), d.version or "", d.outcome, escape(d.why or _words(d))] for d in state.decisions[:10]]
        table("Trainings (UTC), the latest first", ["decided", "model", "outcome", "why"], rows)
    if stopped:
        typer.echo("Next: orita retraining resume")


@retraining_app.command("history")
def history_command(
    context: typer.Context,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List every decision about retraining, the latest last, with who, when and why; --json with all evidence."""
    workspace = _workspace(context)
    events = _record(workspace).history(workspace.system.name)
    if as_json:
        print_json({"events": [_plain(event) for event in events[-last:]]})
        return
    if not events:
        typer.echo("Nothing was decided yet: 'orita run retraining' looks whether a new model is due.")
        return
    rows = [[_when(e.at), _id(e)[-12:], _event(e), escape(e.actor), escape(e.reason)] for e in events[-last:]]
    title = f"Decisions, the last {len(rows)} of {len(events)}" if len(rows) < len(events) else "Decisions"
    table(title, ["at (UTC)", "decision", "what", "who", "why"], rows)


@retraining_app.command("watch")
def watch_command(context: typer.Context, as_json: JsonOption = False) -> None:
    """Look once at what retraining promoted: how its rollout ended, whether it surely lost, and take it back if so.

    'orita monitor' does it too. A schedule of its own makes it look more often.
    """
    from orita.pipelines.retraining.watching import watch_promoted

    found = watch_promoted(_workspace(context))
    if as_json:
        print_json({"watched": found})
        return
    if found is None:
        typer.echo("Nothing is watched: no promotion by retraining is under way or young enough.")
        return
    typer.echo(f"{found['version']}: {str(found['outcome']).replace('_', ' ')}. {found['why']}")


@retraining_app.command("stop")
def stop_command(
    context: typer.Context, reason: ReasonOption = "stopped on the command line", as_json: JsonOption = False
) -> None:
    """Begin no training until 'orita retraining resume'; what is at work ends."""
    from orita.project import actor

    workspace = _workspace(context)
    state = _record(workspace).stop(workspace.system.name, actor=actor(), reason=reason)
    _tell(workspace, state, "stopped", as_json)


@retraining_app.command("resume")
def resume_command(
    context: typer.Context, reason: ReasonOption = "resumed on the command line", as_json: JsonOption = False
) -> None:
    """Go on after a stop; failures of before do not count any more, and the alert of the stop is over."""
    from orita.pipelines.retraining.telling import STOPPED, tell_over
    from orita.project import actor

    workspace = _workspace(context)
    state = _record(workspace).resume(workspace.system.name, actor=actor(), reason=reason)
    tell_over(workspace, STOPPED)
    _tell(workspace, state, "goes on", as_json)


def _workspace(context: typer.Context) -> Workspace:
    return project_of(context).workspace(progress=settings_of(context).screen)


def _record(workspace: Workspace) -> Any:
    from orita.pipelines.retraining.watching import record_of

    return record_of(workspace)


def _state(workspace: Workspace) -> RetrainingState:
    state: RetrainingState = _record(workspace).state(workspace.system.name)
    return state


def _tell(workspace: Workspace, state: RetrainingState, word: str, as_json: bool) -> None:
    if as_json:
        print_json({"system": workspace.system.name, "stopped": msgspec.to_builtins(state.stopped)})
        return
    typer.echo(f"Retraining of {workspace.system.name} {word}.")


def _words(decision: Decision) -> str:
    told = " ".join((*decision.reasons, *decision.held)) or "no condition asks for a new model"
    return f"{decision.outcome.replace('_', ' ')}, {told}"


def _budget(workspace: Workspace, used: dict[str, Any]) -> str:
    budget = workspace.model.retraining.budget
    assert budget is not None, "a budget is shown where none is declared"
    allowed = {"runs": budget.runs, "hours": budget.hours, "cost": budget.cost}
    parts = [f"{used[name]:.4g} of {most:g} {name}" for name, most in allowed.items() if most is not None]
    return f"{', '.join(parts) or 'nothing is bounded'} in {budget.days:g} days"


def _plain(event: ControlEvent) -> dict[str, Any]:
    body = msgspec.json.decode(event.body)
    decided = body.pop("decision", {})
    told = {name: value for name, value in (decided | body).items() if name not in ("id", "at")}
    named = {"at": event.at.isoformat(), "type": event.type, "decision": _id(event)}
    return {**told, **named, "actor": event.actor, "reason": event.reason}


def _id(event: ControlEvent) -> str:
    body = msgspec.json.decode(event.body)
    return str(body.get("id") or body.get("decision", {}).get("id", ""))


def _event(event: ControlEvent) -> str:
    body = msgspec.json.decode(event.body)
    if event.type == "ended":
        return str(body["outcome"]).replace("_", " ")
    if event.type == "decided":
        return {"open": "retrain"}.get(body["decision"]["outcome"], str(body["decision"]["outcome"])).replace("_", " ")
    return event.type


def _when(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
