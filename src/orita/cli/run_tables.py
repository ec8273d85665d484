"""How a run, and what a run would do, are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from orita.cli.console import table

if TYPE_CHECKING:
    from orita.pipelines.components.explain import Forecast
    from orita.pipelines.graph import RunReport, TaskReport

__all__ = ["show_anomalies", "show_forecasts", "show_run"]

_DIGEST = 12
_STATUS = {"cached": "dim", "runs": "bold", "depends": ""}


def show_run(report: RunReport) -> None:
    """Print a table of the tasks of a run, and below each the components that it is made of."""
    rows = [row for task in report.tasks for row in _rows(task)]
    title = f"{report.graph}  {report.seconds:.1f} s" + ("  nothing to do" if report.cached else "")
    table(title, ["task", "status", "seconds", "digest", "result"], rows)


def show_anomalies(found: Sequence[Mapping[str, Any]]) -> None:
    """Print a table of what is unusual in training rows; nothing where nothing is."""
    if not found:
        return
    # Names and values may come from a model of another home: escaped, they cannot be taken for markup.
    rows = [
        [each["severity"], escape(each["column"] or "rows"), escape(each["where"]), escape(each["sentence"])]
        for each in found
    ]
    table("Anomalies", ["severity", "column", "where", "what"], rows)


def show_forecasts(forecasts: Mapping[str, Sequence[Forecast]]) -> None:
    """Draw each graph: its components in order, what each reads and makes, and what a run would do with it."""
    console = Console()
    for graph, components in forecasts.items():
        console.print(f"[bold]{graph}[/]")
        task = ""
        for forecast in components:
            if forecast.task != task:
                task = forecast.task
                console.print(f"  {task}", highlight=False)
            _draw(console, forecast)


def _draw(console: Console, forecast: Forecast) -> None:
    style = _STATUS[forecast.status]
    name, status = f"{forecast.component:<22}", f"{forecast.status:<8}"
    key = forecast.key[:_DIGEST].ljust(_DIGEST)
    console.print(
        f"    {name} {status} {key} {forecast.why}", style=style, highlight=False, markup=False, soft_wrap=True
    )
    reads = ", ".join(forecast.inputs) or "—"
    makes = ", ".join(
        f"{name}: {type_} {forecast.digests.get(name, '')[:_DIGEST]}".rstrip()
        for name, type_ in forecast.outputs.items()
    )
    console.print(f"      {reads} → {makes}", style="dim", highlight=False, markup=False, soft_wrap=True)


def _rows(task: TaskReport) -> list[list[str]]:
    steps = task.result.get("steps", ())
    rows = [[task.name, task.status, f"{task.seconds:.1f}", "", _summary(task.result)]]
    for step in steps:
        why = "" if step["status"] == "cached" else step["why"]
        name = f"  {step['component']}"
        rows.append([name, step["status"], f"{step['seconds']:.1f}", step["digest"][:_DIGEST], why])
    return rows


def _summary(result: Mapping[str, Any]) -> str:
    shown = {k: v for k, v in result.items() if isinstance(v, (str, int, float)) and "/" not in str(v)}
    return "  ".join(f"{name} {_readable(value)}" for name, value in shown.items() if name not in ("cached", "why"))


def _readable(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}"
        case _:
            return str(value)
