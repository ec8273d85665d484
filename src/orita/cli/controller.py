"""The command that watches rollouts and acts on them: controller."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json, table
from orita.cli.opening import project_of

if TYPE_CHECKING:
    from orita.delivery.rollouts.controller import Acted, Controller
    from orita.project import Project

__all__: list[str] = []


@app.command(
    epilog="Run it beside the servers, as often as you like: of several one acts, the others stand by. What it "
    "decided, and why: orita rollout history    Begin a rollout: orita deploy VERSION --strategy canary"
)
def controller(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Look once, act, tell, and end.")] = False,
    every: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two looks.")] = 1.0,
    system: Annotated[str | None, typer.Option(help="Only rollouts of this system; by default all.")] = None,
    holder: Annotated[
        str | None, typer.Option(help="Its name among controllers; by default the machine's and the process's.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch rollouts and act: on to the next step where no harm is found, back where it is proven, until stopped.

    It reads the prediction log and the events of the home, compares challenger and champion with tests that hold at
    every look, and records each decision with its evidence in control state.
    """
    project = project_of(context)
    log = project.event_log()
    made = _controller(project, log, system, holder)
    told = _Told(as_json)
    if once:
        try:
            acted = made.look()
        finally:
            made.release()
        told.all(acted)
        return
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    which = f"rollouts of {system}" if system else "rollouts"
    settings_of(context).screen.say(f"Watching {which} as {made.holder}, every {every:g} s. Stop with Ctrl-C.")
    made.run(every, stopping, told.one)


def _controller(project: Project, log: Any, system: str | None, holder: str | None) -> Controller:
    from orita.delivery.rollouts.controller import Controller
    from orita.delivery.rollouts.outcomes import EventNames

    source = project.system.source
    names = EventNames(
        stream=source.name,
        user=_first(project.system.user.key),
        item=_first(project.system.item.key),
        time=source.schema.time or "timestamp",
        ingested=source.schema.ingested,
    )
    return Controller(
        project.home,
        log,
        systems=None if system is None else (system,),
        names={project.system.name: names},
        holder=holder,
        follow=lambda promoted: project.catalogue().reconcile(promoted),
    )


def _first(key: str | tuple[str, ...]) -> str:
    return key if isinstance(key, str) else key[0]


class _Told:
    """Tells people or programs what came of looks; while nothing is done it is silent."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def one(self, acted: Acted) -> None:
        """Tell of one look in which something was done."""
        if acted.did == "nothing":
            return
        if self._as_json:
            print_json(_plain(acted))
        else:
            why = acted.rollout.why if acted.finding is None else acted.finding.why
            typer.echo(f"{acted.rollout.system}  {_versions(acted)}  {acted.did.replace('_', ' ')}: {why}")
        sys.stdout.flush()

    def all(self, acted: list[Acted]) -> None:
        """Tell of one look at everything."""
        if self._as_json:
            print_json({"rollouts": [_plain(each) for each in acted]})
            return
        if not acted:
            typer.echo("No rollout to act on: there is none under way, or another controller acts.")
            return
        rows = [
            [
                escape(each.rollout.system),
                escape(_versions(each)),
                each.rollout.state,
                str(each.rollout.step + 1),
                each.did.replace("_", " "),
                "" if each.finding is None else each.finding.verdict.replace("_", " "),
                escape(each.rollout.why if each.finding is None else each.finding.why),
            ]
            for each in acted
        ]
        table("Rollouts", ["system", "versions", "state", "step", "done", "verdict", "why"], rows)


def _versions(acted: Acted) -> str:
    return ", ".join(acted.rollout.plan.versions)


def _plain(acted: Acted) -> dict[str, Any]:
    rollout, found = acted.rollout, acted.finding
    return {
        "system": rollout.system,
        "rollout": rollout.id,
        "versions": list(rollout.plan.versions),
        "state": rollout.state,
        "step": rollout.step,
        "shares": rollout.shares,
        "did": acted.did,
        "verdict": None if found is None else found.verdict,
        "why": rollout.why if found is None else found.why,
        "evidence": None if found is None else found.evidence,
    }
