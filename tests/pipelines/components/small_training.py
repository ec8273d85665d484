"""A home with a training set of a small system, on which a training takes a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.features.small_system import events, ingested, small_workspace

from orita.models.config import EvaluationSection, LightGBMSection, ModelSection
from orita.pipelines.config import ModelConfig
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import Graph, run_graph
from orita.pipelines.training import training_graph
from orita.pipelines.workspace import Workspace

__all__ = ["ALL", "MODEL", "etl_only", "files_of", "prepared", "run_training", "trained_part", "with_keys"]

ALL = (
    *("training_rows", "statistics", "schema", "validator"),
    *("trainer.popularity", "trainer.lightgbm", "packager.popularity", "packager.lightgbm", "evaluator"),
)
"""The components of that training, in order."""

MODEL = ModelConfig(
    model=ModelSection(type="popularity", lightgbm=LightGBMSection(max_trees=3, threads=1, min_rows_in_leaf=5)),
    beside=("lightgbm",),
    evaluation=EvaluationSection(resamples=20, report=False),
)


def prepared(folder: Path) -> Workspace:
    """Return surroundings with a training set of 300 events."""
    workspace = replace(small_workspace(folder), model=MODEL)
    ingested(workspace.home, folder, events(300), workspace.system)
    run_graph(etl_only(workspace), workspace)
    return workspace


def etl_only(workspace: Workspace) -> Graph:
    """Return the ETL without its first two tasks: the events are in the lake."""
    graph = etl_graph(workspace)
    return replace(graph, tasks=graph.tasks[2:])


def trained_part() -> Graph:
    """Return the training up to the evaluation, which needs no registry."""
    graph = training_graph()
    return replace(graph, tasks=graph.tasks[:3])


def run_training(workspace: Workspace) -> dict[str, str]:
    """Run that part and return the status of each component."""
    report = run_graph(trained_part(), workspace)
    return {step["component"]: step["status"] for result in report.results.values() for step in result["steps"]}


def with_keys(workspace: Workspace, **keys: Any) -> Workspace:
    """Return *workspace* with other values of configuration keys: ``model__lightgbm__max_trees=5``."""
    sections = {"data": workspace.data, "model": workspace.model, "monitoring": workspace.monitoring}
    for name, value in keys.items():
        file, *path = name.split("__")
        tree: dict[str, Any] = sections[file].model_dump()
        at = tree
        for part in path[:-1]:
            at = at[part]
        assert path[-1] in at, f"there is no key {name}"
        at[path[-1]] = value
        sections[file] = type(sections[file]).model_validate(tree)
    return replace(workspace, **sections)  # type: ignore[arg-type]


def files_of(workspace: Workspace) -> dict[str, tuple[int, bytes]]:
    """Return time and content of every file of the home, but the reports of runs."""
    root = workspace.home.root
    return {
        str(file.relative_to(root)): (file.stat().st_mtime_ns, file.read_bytes())
        for file in root.rglob("*")
        if file.is_file() and "runs" not in file.parts
    }
