"""The demo: the whole loop once, with a last screen that says what happened and what to try next."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from orita.cli.app import JsonOption, Settings, app, settings_of
from orita.cli.console import print_json
from orita.cli.data import recognised_system
from orita.cli.opening import project_of
from orita.core.errors import OritaError, UserError
from orita.project import Project

_HELD_OUT = 0.05
_START_SECONDS = 60
_STOP_SECONDS = 30
_METRICS = {"auc": "AUC", "log_loss": "log loss", "precision_at_10": "prec@10", "ndcg_at_10": "NDCG@10"}


@app.command()
def demo(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Real data instead of a synthetic world: a file or folder.")] = None,
    requests: Annotated[int, typer.Option(min=1, help="How many feeds are asked for.")] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Show the whole loop: data, features, training, registry, server, users, monitoring."""
    from orita.cli.traffic import hold_out, replayed_traffic, simulated_traffic
    from orita.pipelines.etl import holds_real_data
    from orita.pipelines.runs import run_pipeline

    settings = settings_of(context)
    system = recognised_system(data) if data else None
    if data and settings.home is None:
        # A home holds one set of tables: real data do not mix with the synthetic world of an earlier demo.
        settings.home = (settings.project or Path()) / f".orita-{system or 'data'}"
    project = project_of(context, system=system)
    screen, begun = settings.screen, time.monotonic()
    if not data and holds_real_data(project.workspace()):
        raise UserError(
            f"the home {project.home.root} holds events that were ingested, and the demo shows a synthetic world: "
            "give --home another folder, or show your own data with --data."
        )
    held = hold_out(project, data, _HELD_OUT, screen) if data else None
    runs = run_pipeline("all", project.workspace(source=held.history if held else None, progress=screen))
    with _server(project, settings) as address:
        if held:
            traffic = replayed_traffic(project, held, address, requests, 100, 0, screen)
        else:
            traffic = simulated_traffic(project, address, requests, 100, 0, screen, clock="world")
    runs += run_pipeline("monitoring", project.workspace(progress=screen))
    results = {name: result for run in runs for name, result in run.results.items()}
    seconds = {task.name: task.seconds for run in runs for task in run.tasks}
    shown = {"results": results, "seconds": seconds, "traffic": traffic, "total_seconds": time.monotonic() - begun}
    shown["source"] = held.judged.to_dict() if held else results["validate_data"]
    if as_json:
        print_json(shown)
        return
    Console().print(_last_screen(project, settings, shown))


@contextmanager
def _server(project: Project, settings: Settings) -> Iterator[str]:
    """Start a server of *project* on a free port, yield its address, and stop it in order."""
    options = ["--project", str(project.folder), "--home", str(project.home.root), "--system", _system_option(project)]
    for item in settings.overrides:
        options += ["--set", item]
    command = [sys.executable, "-m", "orita", *options, "serve", "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise OritaError(f"the server ended before it answered, with exit code {process.wait(_START_SECONDS)}.")
        yield json.loads(line)["address"]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _system_option(project: Project) -> str:
    from orita.project import builtin_systems

    name = project.system.name
    return name if name in builtin_systems() else project.main.value.system


def _last_screen(project: Project, settings: Settings, shown: dict[str, Any]) -> Panel:
    results, seconds, traffic = shown["results"], shown["seconds"], shown["traffic"]
    lines: list[RenderableType] = [
        _line("Data", _data_line(shown)),
        _line("Features", _feature_line(results, seconds)),
        _line(
            "Training",
            f"{len(results['train_model']['fits'])} models in {seconds['train_model']:.0f} s, judged on test rows",
        ),
        _models(results),
        _line("Champion", f"{results['promote_if_better']['champion']}: {results['promote_if_better']['why']}"),
        _line("Serving", _serving_line(traffic)),
        _line("Users", _user_line(traffic)),
        _line("Watch", _watch_line(results)),
        Text(),
        Text("Try next", style="bold"),
        _suggestions(project, settings),
    ]
    title = f"orita · {project.system.name} · the loop in {shown['total_seconds']:.0f} s"
    return Panel(Group(*lines), title=title, title_align="left", border_style="green", padding=(1, 2))


def _line(name: str, text: str) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=10, style="bold")
    grid.add_column(overflow="fold")
    grid.add_row(name, text)
    return grid


def _data_line(shown: dict[str, Any]) -> str:
    results, seconds = shown["results"], shown["seconds"]
    events, stored = (next(iter(told["tables"].values())) for told in (shown["source"], results["validate_data"]))
    held = f"{shown['traffic']['held_out']:,} held out, " if "held_out" in shown["traffic"] else ""
    made = "generate_data" if "generate_data" in seconds else "ingest_data"
    spent = seconds[made] + seconds["validate_data"]
    return (
        f"{events['rows_read']:,} events read, {stored['rows_new']:,} new, {stored['rows_duplicate']:,} known already, "
        f"{held}{events['rows_quarantined']:,} quarantined, in {spent:.1f} s"
    )


def _feature_line(results: dict[str, Any], seconds: dict[str, float]) -> str:
    splits = results["create_train_val_test_splits"]["splits"]
    rows = " / ".join(f"{splits[name]['rows']:,}" for name in ("train", "val", "test"))
    spent = sum(seconds[name] for name in ("compute_features", "create_train_val_test_splits", "save_features"))
    online = results["save_features"]["online"]["records"]
    return f"{rows} rows (train / val / test), {sum(online.values()):,} online records, in {spent:.1f} s"


def _models(results: dict[str, Any]) -> Table:
    judged = results["evaluate_model"]
    drawn = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("", "model", *_METRICS.values(), "seconds"):
        drawn.add_column(name, justify="left" if name in ("", "model") else "right")
    for type_, parts in judged["metrics"].items():
        best = type_ == judged["best"]
        figures = [f"{parts['test'][name]:.4f}" if parts["test"].get(name) is not None else "" for name in _METRICS]
        spent = f"{results['train_model']['fits'][type_]['seconds']:.1f}"
        drawn.add_row("          →" if best else "", type_, *figures, spent, style="bold green" if best else "")
    return drawn


def _serving_line(traffic: dict[str, Any]) -> str:
    if traffic["latency_p50_ms"] is None:
        return f"{traffic['requests']:,} requests, none answered"
    size = "100 items or more" if "held_out" in traffic else "100 items"
    return (
        f"{traffic['requests']:,} requests of {size}, {traffic['failures']} failed; "
        f"p50 {traffic['latency_p50_ms']:.1f} ms, p99 {traffic['latency_p99_ms']:.1f} ms as the client saw it"
    )


def _user_line(traffic: dict[str, Any]) -> str:
    if "expected_click_rate" in traffic:
        ours, random, best = (traffic[f"{name}_click_rate"] for name in ("expected", "random", "best"))
        return (
            f"click {ours:.1%} of the 10 items shown; {random:.1%} in a random order, {best:.1%} in the best possible "
            f"one (true probabilities); {traffic['ingested']:,} reactions ingested"
        )
    top, bottom = traffic["click_rate_top"], traffic["click_rate_bottom"]
    return (
        f"{traffic['events']:,} of {traffic['held_out']:,} held-out events replayed: {_share(top)} clicked in the "
        f"better half of each answer, {_share(bottom)} in the worse half; {traffic['ingested']:,} reactions ingested"
    )


def _share(value: float | None) -> str:
    return "—" if value is None else f"{value:.1%}"


def _watch_line(results: dict[str, Any]) -> str:
    drifted = [f["name"] for f in results["compute_feature_drift"]["findings"] if f["drifted"]]
    told = results["generate_alerts"]
    parts = [f"{len(drifted)} features drifted" + (f" ({', '.join(drifted)})" if drifted else "")]
    parts += [version["sentence"] for version in results["evaluate_online_performance"]["versions"]]
    parts.append(f"{len(told['alerts'])} alerts; report {told['report']}")
    return "\n".join(parts)


def _suggestions(project: Project, settings: Settings) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="cyan")
    grid.add_column(overflow="fold")
    for command, why in _next(project, settings):
        grid.add_row(command, why)
    return grid


def _next(project: Project, settings: Settings) -> list[tuple[str, str]]:
    prefix = "orita"
    for option, value in (("--project", settings.project), ("--home", settings.home)):
        prefix += f" {option} {value}" if value is not None else ""
    if project.system.name != project.main.value.system and not project.main.value.system.endswith(".py"):
        prefix += f" --system {project.system.name}"
    return [
        (f"{prefix} models list", "every model, with its figures"),
        (f"{prefix} serve", "answer POST /predict on port 8080"),
        (f"{prefix} predict 42 7 8 9 --device mobile", "rank three items for user 42"),
        (f"{prefix} run retraining --force", "retrain on the feedback; promote only if better"),
        (f"{prefix} models rollback", "undo a promotion"),
        ("orita init my-project", "your own features and configuration"),
    ]
