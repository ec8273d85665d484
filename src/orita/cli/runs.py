"""The history of runs: runs list, show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of
from orita.core.errors import NotFound

if TYPE_CHECKING:
    from orita.pipelines.graph.journal import Journal, RunRow, TaskRow
    from orita.pipelines.workspace import Workspace

__all__: list[str] = []

runs_app = typer.Typer(no_args_is_help=True, help="Look at the history of runs of pipelines.")
app.add_typer(runs_app, name="runs")

_LOG_LINES = 15


@runs_app.command("list")
def list_command(
    context: typer.Context,
    graph: Annotated[
        str | None, typer.Option(help="Only runs of this: etl, training, …, or the id of a graph.")
    ] = None,
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the last runs, the last first."""
    from orita.pipelines.runs import GRAPHS

    with _history(context) as (workspace, journal):
        rows = journal.runs(GRAPHS.get(graph, graph) if graph else None, most=last)
        told = [_told(workspace, journal, row) for row in rows]
    if as_json:
        print_json({"runs": told})
        return
    if not told:
        typer.echo("There are no runs: begin with 'orita run all'.")
        return
    short = {id_: name for name, id_ in GRAPHS.items()}
    cells = [
        [each["run"], short.get(each["graph"], each["graph"]), each["status"], *_short_cells(each)] for each in told
    ]
    table("Runs (UTC)", ["run", "pipeline", "status", "began", "seconds", "tasks"], cells)


@runs_app.command("show")
def show_command(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="The run's id, its first letters, or 'last'.")] = "last",
    lines: Annotated[int, typer.Option("--log", min=0, help="How many lines of each log.")] = _LOG_LINES,
    as_json: JsonOption = False,
) -> None:
    """Show a run: its tasks, attempts, what was found again, what was made, errors, and the ends of its logs."""
    with _history(context) as (workspace, journal):
        row = _found(journal, run)
        told = _told(workspace, journal, row)
        told["results"] = _tasks(workspace, journal, row, lines)
    if as_json:
        print_json(told)
        return
    shown = {name: escape(str(told[name])) for name in ("run", "graph", "status", "began", "ended", "cause", "parent")}
    figures({name: value for name, value in shown.items() if value not in ("", "None")})
    cells = [[*_task_cells(each), escape(_made(each) or each["error"] or "")] for each in told["results"]]
    table("Tasks", ["task", "status", "seconds", "attempts", "found", "made"], cells)
    for each in told["results"]:
        for number, log in each["logs"].items():
            typer.echo(f"\n{each['task']}, attempt {number}:")
            typer.echo("\n".join(f"  {line}" for line in log))


def _short_cells(told: dict[str, Any]) -> tuple[str, ...]:
    return told["began"][5:16].replace("T", " "), f"{told['seconds']:.1f}", f"{told['done']}/{told['tasks']}"


def _task_cells(told: dict[str, Any]) -> tuple[str, ...]:
    return told["task"], told["status"], f"{told['seconds']:.1f}", str(told["attempts"]), told["found"]


def _made(told: dict[str, Any]) -> str:
    return ", ".join(f"{name} {digest}" for name, digest in told["made"].items())


@contextmanager
def _history(context: typer.Context) -> Iterator[tuple[Workspace, Journal]]:
    from orita.pipelines.graph.journal import open_journal

    workspace = project_of(context).workspace()
    with closing(open_journal(workspace.home, workspace.system.name, workspace.clock)) as journal:
        yield workspace, journal


def _found(journal: Journal, name: str) -> RunRow:
    rows = journal.runs(most=10_000)
    met = rows[:1] if name == "last" else [row for row in rows if row.run_id == name]
    met = met or [row for row in rows if row.run_id.startswith(name)]
    if len(met) != 1:
        why = "is not known" if not met else f"is the beginning of {len(met)} runs"
        raise NotFound(f"run {name!r} {why}: 'orita runs list' shows the last ones.")
    return met[0]


def _told(workspace: Workspace, journal: Journal, row: RunRow) -> dict[str, Any]:
    from orita.pipelines.graph.journal import ENDED_WELL
    from orita.pipelines.graph.places import at_work

    tasks = journal.tasks(row.run_id).values()
    killed = row.status == "running" and row.owner == "runner" and not at_work(workspace, row.run_id)
    return {
        "run": row.run_id,
        "graph": row.graph,
        "status": "killed" if killed else row.status,
        "began": _time(row.began),
        "ended": None if row.ended is None else _time(row.ended),
        "seconds": sum(task.seconds for task in tasks),
        "done": sum(task.status in ENDED_WELL for task in tasks),
        "tasks": len(row.tasks),
        "cause": row.cause,
        "parent": row.parent,
        "error": row.error,
    }


def _tasks(workspace: Workspace, journal: Journal, run: RunRow, lines: int) -> list[dict[str, Any]]:
    from orita.pipelines.graph.places import log_tail

    rows, attempts = journal.tasks(run.run_id), journal.attempts(run.run_id)
    told = []
    for name in run.tasks:
        if name not in rows:
            told.append({"task": name, "status": "not begun", "seconds": 0.0, "attempts": 0, "found": "", "made": {}})
            told[-1] |= {"error": None, "logs": {}, "result": {}}
            continue
        numbers = [each.number for each in attempts if each.task == name]
        logs = {number: log_tail(workspace, run.run_id, name, number, lines) for number in numbers}
        told.append(_task(rows[name]) | {"logs": {number: log for number, log in logs.items() if log}})
    return told


def _task(row: TaskRow) -> dict[str, Any]:
    steps = row.result.get("steps", ())
    found = sum(step["status"] == "cached" for step in steps)
    made = {name: each["digest"][:12] for step in steps for name, each in step["outputs"].items()}
    return {
        "task": row.name,
        "status": row.status,
        "seconds": row.seconds,
        "attempts": row.attempts,
        "found": f"{found} of {len(steps)}" if steps else "",
        "made": made,
        "error": row.error,
        "result": row.result,
    }


def _time(micros: int) -> str:
    from orita.core.clock import from_micros

    return from_micros(micros).isoformat()
