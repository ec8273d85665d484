"""Commands about predictions that are answered later: jobs list, show, cancel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of
from orita.core.errors import NotFound, UserError
from orita.serving.jobs.queue import Job, JobQueue

__all__: list[str] = []

jobs_app = typer.Typer(
    no_args_is_help=True,
    help="Look at jobs: predictions that 'orita serve' took in at /api/v1/jobs, to be answered soon.",
)
app.add_typer(jobs_app, name="jobs")

JobArgument = Annotated[str, typer.Argument(help="The job's id.")]


@jobs_app.command("list")
def list_command(
    context: typer.Context,
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the last jobs of the system, the last first, and how much its queue holds."""
    with _queue(context) as queue:
        found, size = queue.latest(last), queue.size()
    if as_json:
        held = {"open": size.open, "ended": size.ended, "bytes": size.bytes}
        print_json({"jobs": [_told(job) for job in found], **held})
        return
    if not found:
        typer.echo("There are no jobs: run 'orita serve', and send some to /api/v1/jobs.")
        return
    rows = [
        [job.id, job.state, f"{job.count:,}", str(job.attempts), job.callback or "", _time(job.submitted_micros)]
        for job in found
    ]
    table("Jobs", ["job", "state", "requests", "attempts", "callback", "taken in (UTC)"], rows)
    typer.echo(f"{size.open:,} wait or run, {size.ended:,} ended; {size.bytes / 1e6:,.2f} MB in all.")


@jobs_app.command("show")
def show_command(context: typer.Context, job: JobArgument, as_json: JsonOption = False) -> None:
    """Show a job; --json has its results too."""
    import msgspec

    with _queue(context) as queue:
        found = _known(queue.find(job), job)
    told = _told(found)
    if found.content:
        told["results" if found.state == "succeeded" else "error"] = msgspec.json.decode(found.content)
    if as_json:
        print_json(told)
        return
    shown = {name: value for name, value in told.items() if value is not None and name not in ("results", "error")}
    figures({name: escape(str(value)) for name, value in shown.items()})
    if found.state == "failed":
        typer.echo(f"{told['error']['code']}: {told['error']['message']}")


@jobs_app.command("cancel")
def cancel_command(context: typer.Context, job: JobArgument, as_json: JsonOption = False) -> None:
    """Cancel a job that waits; one that has begun is not stopped."""
    with _queue(context) as queue:
        found = _known(queue.cancel(job), job)
    if found.state != "cancelled":
        raise UserError(f"job {found.id} is {found.state}: only a job that waits can be cancelled.")
    if as_json:
        print_json(_told(found))
        return
    typer.echo(f"Job {found.id} is cancelled.")


@contextmanager
def _queue(context: typer.Context) -> Iterator[JobQueue]:
    from orita.core.clock import SystemClock
    from orita.serving.jobs.opening import open_queue

    project = project_of(context)
    with closing(
        open_queue(project.main.value.serving.jobs, project.home, project.system.name, SystemClock())
    ) as queue:
        yield queue


def _known(job: Job | None, name: str) -> Job:
    if job is None:
        raise NotFound(f"job {name!r} is not known, or not any more: 'orita jobs list' shows the last ones.")
    return job


def _told(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "state": job.state,
        "requests": job.count,
        "attempts": job.attempts,
        "submitted_at": _time(job.submitted_micros),
        "ended_at": None if job.ended_micros is None else _time(job.ended_micros),
        "callback": job.callback,
        "callback_url": job.callback_url,
    }


def _time(micros: int) -> str:
    from orita.core.clock import from_micros

    return from_micros(micros).isoformat()
