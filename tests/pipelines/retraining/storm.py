"""A process that retrains without end, each time another version, and may be killed at any moment."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.pipelines.retraining.made_retraining import surroundings
from tests.pipelines.test_retraining import Entry

from orita.control.deployments import Deployments
from orita.core.clock import SystemClock
from orita.pipelines.graph import RunOptions, run_graph
from orita.pipelines.retraining import graph as retraining
from orita.pipelines.retraining.conditions import Condition
from orita.pipelines.retraining.watching import record_of
from orita.pipelines.workspace import Workspace

__all__ = ["retrain", "stormy"]

_PAUSE = 0.01


def stormy(folder: Path) -> Workspace:
    """Return surroundings in which nothing but a kill is a failure, and nothing stops."""
    made = surroundings(folder, stop_after_failures=None, watch=None)
    return replace(made, clock=SystemClock())


class _Registry:
    """A registry that knows every version and of which nothing serves."""

    def champion(self, system: str) -> None:
        """Return nothing."""

    def get(self, system: str, version: str) -> Entry:
        """Return a version."""
        return Entry(version)


def _bodies() -> Mapping[str, Any]:
    def pause(workspace: Workspace, results: Mapping[str, Any]) -> dict[str, Any]:
        time.sleep(_PAUSE)
        return {}

    def train(workspace: Workspace, results: Mapping[str, Any]) -> dict[str, Any]:
        time.sleep(_PAUSE)
        id_ = results["check_trigger_conditions"]["decision"]
        version = f"v1.{int(id_.replace('-', '')[:12], 16)}.0"  # of the decision, so that each has its own
        told: Mapping[str, Any] = {"seconds": _PAUSE, "data_to": "", "actor": "ada"}
        record_of(workspace).trained(workspace.system.name, id_, version, **told)
        return {"version": version}

    def compare(workspace: Workspace, results: Mapping[str, Any]) -> dict[str, Any]:
        return {"challenger": results["trigger_training_dag"]["version"], "champion": "x", "better": True, "why": "y"}

    def push(workspace: Workspace, results: Mapping[str, Any]) -> dict[str, Any]:
        version = results["compare_with_production"]["challenger"]
        log = Deployments(workspace.home.control, workspace.home.tenant, workspace.clock)
        log.deploy(workspace.system.name, version, actor="ada", reason="better")
        time.sleep(_PAUSE)  # between the effect and its note
        return {"promoted": True, "champion": version, "why": "y"}

    bodies = dict.fromkeys(("fetch_recent_data", "trigger_etl", "evaluate_new_model"), pause)
    return bodies | {"trigger_training": train, "compare_with_production": compare, "promote_if_better": push}


def _told(body: Any) -> Any:
    def told(workspace: Workspace, results: Mapping[str, Any]) -> dict[str, Any]:
        print("task", flush=True)  # noqa: T201 - who kills it counts
        done: dict[str, Any] = body(workspace, results)
        return done

    return told


def retrain(folder: Path, times: int) -> None:
    """Retrain so often; each ends with a promotion."""
    for name, body in _bodies().items():
        setattr(retraining, name, _told(body))
    asked = Condition("test", "holds", "somebody asked.")
    vars(retraining)["conditions_now"] = lambda *_: [asked]
    Workspace.catalogue = lambda _: _Registry()  # type: ignore[assignment, method-assign, return-value]
    workspace = stormy(folder)
    for _ in range(times):
        run_graph(retraining.retraining_graph(), workspace, RunOptions(resume="killed"))


if __name__ == "__main__":
    retrain(Path(sys.argv[1]), int(sys.argv[2]))
