"""Running pipelines: run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import Screen, print_json
from orita.cli.opening import project_of
from orita.cli.stopping import stopped_by_term
from orita.core.errors import UserError

if TYPE_CHECKING:
    from orita.pipelines.graph import Origin, TaskReport
    from orita.pipelines.workspace import Workspace

__all__: list[str] = []


@app.command()
def run(
    context: typer.Context,
    pipeline: Annotated[
        str, typer.Argument(help="etl, training, monitoring, retraining, or all (etl, training, promotion).")
    ],
    data: Annotated[Path | None, typer.Option(help="Ingest this instead of generating a world.")] = None,
    force: Annotated[
        bool,
        typer.Option(help="Begin anew: go on with no killed run; retrain even where no trigger asks for it."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the last run where it failed or was stopped.")
    ] = False,
    start_at: Annotated[
        str | None, typer.Option("--from", help="Do this task and all that follow it, on results of the last run.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Only this task, of the run --run: for schedulers such as Airflow.")
    ] = None,
    run_id: Annotated[str | None, typer.Option("--run", help="With --task: the id of the run it belongs to.")] = None,
    done_by: Annotated[
        str | None,
        typer.Option(
            help="With --task trigger_etl_dag or trigger_training_dag: the run in which the other scheduler did it."
        ),
    ] = None,
    retries: Annotated[
        int,
        typer.Option(
            min=0, max=100, help="Begin a task that fails by no fault of yours again, so many times; 'schedule' does."
        ),
    ] = 0,
    explain: Annotated[bool, typer.Option("--explain", help="Only say what would be done, and why.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a pipeline end to end; what was done already on the same data is not done again."""
    from orita.cli.data import recognised_system
    from orita.pipelines.graph import RunOptions
    from orita.pipelines.runs import run_pipeline, run_pipeline_task

    _refuse_together(resume=resume, force=force, start_at=start_at, task=task, run_id=run_id)
    if done_by is not None and task is None:
        raise UserError(f"--done-by {done_by}: it belongs to --task and --run, which say what was done; give them too.")
    settings = settings_of(context)
    system = recognised_system(data) if data else None
    project = project_of(context, system=system)
    workspace = project.workspace(source=data, progress=settings.screen)
    if explain:
        _explain(pipeline, workspace, as_json)
        return

    def origin() -> Origin:
        from orita.project.reopening import origin_of

        return origin_of(project, system=settings.system or system, overrides=settings.overrides, source=data)

    if task is not None and run_id is not None:
        done = run_pipeline_task(pipeline, task, run_id, workspace, force=force, done_by=done_by)
        _show_task(done, run_id, as_json)
        return
    options = RunOptions.of(
        workspace.runs.model_copy(update={"retries": retries}),
        origin=origin() if workspace.runs.isolated else None,
        resume="last" if resume else "killed",
        start_at=start_at,
        force=force,
        cause=f"{workspace.actor}, orita run {pipeline}",
    )
    with stopped_by_term(), _told_how_to_go_on(pipeline, workspace, settings.screen):
        reports = run_pipeline(pipeline, workspace, force=force, options=options)
    if as_json:
        print_json({"runs": [report.to_dict() for report in reports]})
        return
    from orita.cli.run_tables import show_anomalies, show_run

    for report in reports:
        show_run(report)
        show_anomalies(report.results.get("load_features", {}).get("anomalies", ()))


def _explain(pipeline: str, workspace: Workspace, as_json: bool) -> None:
    from orita.cli.run_tables import show_forecasts
    from orita.pipelines.runs import explain_pipeline

    forecasts = explain_pipeline(pipeline, workspace)
    if as_json:
        print_json({"graphs": {graph: [each.to_dict() for each in found] for graph, found in forecasts.items()}})
    else:
        show_forecasts(forecasts)


def _refuse_together(*, resume: bool, force: bool, start_at: str | None, task: str | None, run_id: str | None) -> None:
    if (task is None) != (run_id is None):
        raise UserError("--task and --run belong together: --task names what to do, --run of which run.")
    ways = {"--resume": resume, "--from": start_at is not None, "--task": task is not None}
    given = [name for name, there in {**ways, "--force": force and task is None}.items() if there]
    if len(given) > 1:
        raise UserError(f"{given[0]} and {given[1]} exclude each other: each says where a run begins. Give one.")


def _show_task(report: TaskReport, run_id: str, as_json: bool) -> None:
    if as_json:
        print_json({"run": run_id, "task": report.name, "status": report.status, "result": report.result})
        return
    typer.echo(f"{report.name} of run {run_id}: {report.status}, {report.seconds:.1f} s")


@contextmanager
def _told_how_to_go_on(pipeline: str, workspace: Workspace, screen: Screen) -> Iterator[None]:
    """Where a run does not end well, say which, and how to look at it and go on."""
    from orita.pipelines.graph.journal import open_journal

    with closing(open_journal(workspace.home, workspace.system.name, workspace.clock)) as journal:
        before = {row.run_id: row.touched for row in journal.runs(most=5)}
        try:
            yield
        except BaseException:
            for row in journal.runs(most=1):
                if row.status in ("failed", "cancelled") and before.get(row.run_id) != row.touched:
                    ended = "failed" if row.status == "failed" else "was stopped"
                    screen.line(f"Run {row.run_id} of {row.graph} {ended}: 'orita runs show {row.run_id}' tells more.")
                    screen.line(f"To go on where it ended: orita run {pipeline} --resume")
            raise
