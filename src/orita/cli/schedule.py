"""Running pipelines when they are due: schedule."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json, table
from orita.cli.opening import project_of
from orita.cli.stopping import stopped_by_term

if TYPE_CHECKING:
    from orita.pipelines.schedule import Scheduler

__all__: list[str] = []

_LONGEST_SLEEP = 30.0


@app.command()
def schedule(
    context: typer.Context,
    list_: Annotated[bool, typer.Option("--list", help="Only say what will run when, and what waits.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the pipelines when they are due, in UTC, one at a time, until it is stopped."""
    from orita.pipelines.graph import RunOptions
    from orita.pipelines.graph.journal import open_journal
    from orita.pipelines.schedule import Scheduler
    from orita.project.reopening import origin_of

    settings, project = settings_of(context), project_of(context)
    workspace = project.workspace(progress=settings.screen)
    origin = origin_of(project, system=settings.system, overrides=settings.overrides, source=None)

    def options(**given: Any) -> RunOptions:
        return RunOptions.of(workspace.runs, origin=origin, **given)

    with closing(open_journal(workspace.home, workspace.system.name, workspace.clock)) as journal:
        scheduler = Scheduler(workspace, journal, options)
        if list_:
            _show(scheduler, as_json)
            return
        with workspace.alone("schedule"), stopped_by_term():
            for planned in scheduler.plan():
                when = f"next {planned.next:%Y-%m-%d %H:%M} UTC" if planned.next else ""
                settings.screen.line(f"{planned.pipeline}: {' '.join(filter(None, (when, planned.after))) or 'off'}")
            while True:
                time.sleep(min(scheduler.step(), _LONGEST_SLEEP))


def _show(scheduler: Scheduler, as_json: bool) -> None:
    planned, waiting = scheduler.plan(), scheduler.requests.waiting()
    if as_json:
        told = [
            {
                "pipeline": each.pipeline,
                "cron": each.cron or None,
                "next": each.next.isoformat() if each.next else None,
                "also": each.after or None,
                "last": {"run": each.last.run_id, "status": each.last.status} if each.last else None,
            }
            for each in planned
        ]
        queue = [{"pipeline": each.pipeline, "cause": each.cause, "status": each.status} for each in waiting]
        print_json({"pipelines": told, "queue": queue})
        return
    rows = [
        [
            each.pipeline,
            each.cron or "—",
            f"{each.next:%Y-%m-%d %H:%M}" if each.next else "—",
            each.after,
            each.last.status if each.last else "never ran",
        ]
        for each in planned
    ]
    table("Schedule (UTC)", ["pipeline", "cron", "next", "also", "last run"], rows)
    for request in waiting:
        typer.echo(f"{request.pipeline} is {request.status}: {request.cause}")
