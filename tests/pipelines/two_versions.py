"""A home whose system has changed: a training set of the declarations of then, and one of those of now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.features.small_system import DECLARED, declared_system, events, ingested, small_workspace

from orita.features.config import FeatureSection
from orita.features.schema import FeatureSchema
from orita.features.training_sets.training_set import TrainingSet, latest_training_set
from orita.models.examples import Examples
from orita.models.reading import read_examples
from orita.pipelines.config import DataConfig
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import run_graph
from orita.pipelines.workspace import Workspace

__all__ = ["NOW_DECLARED", "changed_home", "latest"]

NOW_DECLARED = DECLARED.replace('shown.ratio("click").by(item)', 'shown.ratio("click").by(item).over("2h")').replace(
    "    recent=", "    # recent="
)
"""Another meaning of ``item_ctr``, and no ``recent``."""


def latest(workspace: Workspace) -> TrainingSet:
    """Return the latest training set."""
    return latest_training_set(workspace.home.training_sets, workspace.system.name)


def changed_home(folder: Path) -> tuple[Workspace, FeatureSchema, Examples]:
    """Return surroundings with other declarations and a selection, whose latest set is of them; and what was before.

    That is the schema of then, and the test rows with it; both sets are of the same events.
    """
    before = small_workspace(folder)
    ingested(before.home, folder, events(200), before.system)
    _etl(before)
    schema = before.system.schema()
    rows = read_examples(latest(before).file("test"), schema)
    section = FeatureSection(
        user_features=("user_clicks",), item_features=("item_ctr",), interaction_features=("device",)
    )
    now = replace(before, system=declared_system(NOW_DECLARED), data=DataConfig(feature_engineering=section))
    _etl(now)
    ingested(now.home, folder, events(40, start=200), now.system)  # later than the set
    return now, schema, rows


def _etl(workspace: Workspace) -> None:
    graph = etl_graph(workspace)
    run_graph(replace(graph, tasks=graph.tasks[2:]), workspace)
