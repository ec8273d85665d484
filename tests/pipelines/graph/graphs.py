"""Graphs for tests of the runner; processes of their own find them here again by `Origin`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orita.core.home import Home
from orita.pipelines.graph import Graph, Origin, Result, Task, append_once
from orita.pipelines.workspace import Workspace
from orita.project import open_project

__all__ = ["chain", "lines", "made_workspace", "marked", "origin_of", "settled", "storm_graph", "written"]


def made_workspace(folder: Path) -> Workspace:
    """Return surroundings whose home is *folder*."""
    return open_project(folder, home=folder).workspace()


def written(workspace: Workspace, name: str) -> None:
    """Append *name* to the file ``bodies``, blindly: how often a body was called."""
    with (workspace.home.root / "bodies").open("a") as file:
        file.write(f"{name}\n")


def lines(workspace: Workspace, name: str = "bodies") -> list[str]:
    """Return the lines of a file in the home, none where there is none."""
    path = workspace.home.root / name
    return path.read_text().splitlines() if path.exists() else []


def marked(name: str, result: Result | None = None, **more: Any) -> Task:
    """Return a task that notes that it was called."""

    def body(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        written(workspace, name)
        return {"saw": sorted(results)} if result is None else result

    return Task(name, body, **more)


def chain(*names: str, **more: Any) -> Graph:
    """Return a graph of marked tasks, one after the other."""
    return Graph("chain", None, tuple(marked(name, **more) for name in names))


def origin_of(kind: str, folder: Path) -> Origin:
    """Return where a process finds the graph *kind* again."""
    return Origin(f"{__name__}:reopened", {"kind": kind, "folder": str(folder)})


def reopened(kind: str, folder: str) -> tuple[Graph, Workspace]:
    """Return a graph by name, and its surroundings."""
    kinds: dict[str, Callable[[], Graph]] = {
        "odd": _odd,
        "storm": storm_graph,
        "chain": lambda: chain("a", "b", "c"),
    }
    return kinds[kind](), made_workspace(Path(folder))


def settled(home: Home) -> Workspace:
    """Return surroundings in *home*."""
    return replace(made_workspace(home.root), home=home)


def _odd() -> Graph:
    """Tasks that end in every way that a process can end; none follows another."""

    def pid(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        print("printed by the task")  # noqa: T201 - it must come to the log
        return {"pid": os.getpid()}

    def dies(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    def hangs(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        written(workspace, f"hangs {os.getpid()}")
        time.sleep(600)
        return {}

    def leaves(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        sys.exit(3)

    return Graph(
        "odd",
        None,
        (
            Task("pid", pid, after=()),
            Task("dies", dies, after=()),
            Task("hangs", hangs, after=()),
            Task("leaves", leaves, after=()),
        ),
    )


def storm_graph() -> Graph:
    """A wide graph whose every task has an effect once: a line in a ledger, bound to the task's token."""

    def task(number: int, after: tuple[str, ...]) -> Task:
        name = f"t{number}"

        def body(workspace: Workspace, results: Mapping[str, Result]) -> Result:
            assert workspace.attempt is not None
            written(workspace, f"{workspace.attempt.run_id} {name}")
            append_once(workspace.home.root / "ledger", workspace.attempt.token, name)
            time.sleep(0.02)
            return {"number": number, "sum": number + sum(each.get("number", 0) for each in results.values())}

        return Task(name, body, after=after)

    tasks = [task(0, ())]
    tasks += [task(number, ("t0",)) for number in range(1, 7)]
    tasks += [task(7, tuple(f"t{number}" for number in range(1, 7)))]
    tasks += [task(number, (f"t{number - 1}",)) for number in range(8, 20)]
    return Graph("storm", None, tuple(tasks), alone=True)
