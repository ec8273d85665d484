"""model_training: split files to judged, logged, registered models.

Rows are described and validated first. Then every type that the configuration names is trained on the same rows,
exported, calibrated, and judged by its package, so that the figures are those of what will serve. The best on
validation rows is registered; test rows decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orita.pipelines.components.artifact import Artifact
from orita.pipelines.components.component import Component
from orita.pipelines.components.evaluator import Evaluator, defined, read_evaluation
from orita.pipelines.components.packager import Packager
from orita.pipelines.components.recorder import Recorder
from orita.pipelines.components.registrar import Registrar
from orita.pipelines.components.schema_inference import SchemaInference
from orita.pipelines.components.statistics import Statistics
from orita.pipelines.components.task import component_task
from orita.pipelines.components.trainer import Trainer, check_own, model_types, read_fit, trained_name
from orita.pipelines.components.training_rows import TrainingRows
from orita.pipelines.components.validator import Validator, read_anomalies
from orita.pipelines.graph import Graph, Result
from orita.pipelines.occurrences import model_trained
from orita.pipelines.workspace import Workspace

__all__ = ["training_graph"]

Artifacts = Mapping[str, Artifact]


def training_graph() -> Graph:
    """Return the graph."""
    return Graph(
        "model_training",
        None,
        (
            component_task("load_features", _rows, _told_rows),
            component_task("train_model", _trainers, _told_fits),
            component_task("evaluate_model", lambda w: (Evaluator(model_types(w)),), _told_figures),
            component_task("log_to_mlflow", lambda w: (Recorder(model_types(w)),), _told_runs),
            component_task("register_model", lambda w: (Registrar(model_types(w)),), _told_version, model_trained),
        ),
        alone=True,
    )


def _rows(workspace: Workspace) -> Sequence[Component]:
    return (TrainingRows(), Statistics(), SchemaInference(), Validator())


def _told_rows(workspace: Workspace, artifacts: Artifacts) -> Result:
    found = [each.to_dict() for each in read_anomalies(artifacts["anomalies"].path(workspace.home))]
    return {**artifacts["examples"].facts, "anomalies": found}


def _trainers(workspace: Workspace) -> Sequence[Component]:
    check_own(workspace)
    types = model_types(workspace)
    return (*map(Trainer, types), *map(Packager, types))


def _told_fits(workspace: Workspace, artifacts: Artifacts) -> Result:
    fits = {type_: read_fit(workspace, artifacts[trained_name(type_)]) for type_ in model_types(workspace)}
    return {
        "fits": {
            type_: {"seconds": fit["seconds"], **{k: v for k, v in fit["params"].items() if k == "heads_left_out"}}
            for type_, fit in fits.items()
        }
    }


def _told_figures(workspace: Workspace, artifacts: Artifacts) -> Result:
    judged = read_evaluation(workspace, artifacts["evaluation"])
    metrics = {
        type_: {part: defined(found["metrics"]) for part, found in parts.items()}
        for type_, parts in judged["models"].items()
    }
    folder = artifacts["evaluation"].path(workspace.home)
    page = {"page": str(folder / "report.html")} if workspace.model.evaluation.report else {}
    return {"best": judged["best"], "metrics": metrics, "report": str(folder / "evaluation.json"), **page}


def _told_runs(workspace: Workspace, artifacts: Artifacts) -> Result:
    return {"runs": artifacts["runs"].facts["runs"]}


def _told_version(workspace: Workspace, artifacts: Artifacts) -> Result:
    facts = artifacts["version"].facts
    return {"version": facts["version"], "type": facts["type"], "metrics": facts["metrics"]}
