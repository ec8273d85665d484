"""The component that judges trained models (TFX's Evaluator, its first half) and chooses the best."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orita.core.files import atomic_file
from orita.models.examples import Examples
from orita.models.package import Package, load_package
from orita.pipelines.components.artifact import Artifact, Made
from orita.pipelines.components.component import Call
from orita.pipelines.components.packager import model_name, package_folder
from orita.pipelines.components.training_rows import read_part, training_set_of
from orita.pipelines.workspace import Workspace

if TYPE_CHECKING:
    from orita.models.evaluation import Evaluation, HeadsJudged

__all__ = ["CHOSEN_BY", "Evaluator", "defined", "read_evaluation"]

CHOSEN_BY = "auc"
"""The figure on validation rows that chooses among types; it is taken whatever ``evaluation.metrics`` names."""

Judged = Mapping[str, Mapping[str, "Evaluation"]]


class Evaluator:
    """Judges every model by its exported package: on validation rows, which choose the best, and on test rows.

    Args:
        types: the types that were trained.
    """

    name = "evaluator"
    version = 1
    outputs: Mapping[str, str] = {"evaluation": "Evaluation"}

    def __init__(self, types: tuple[str, ...]) -> None:
        self._types = types
        self.inputs: Mapping[str, str] = {"examples": "TrainingSet", **{model_name(type_): "Model" for type_ in types}}

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return how models are judged."""
        return {"evaluation": workspace.model.evaluation.model_dump(mode="json"), "seed": workspace.model.seed}

    def run(self, call: Call) -> Mapping[str, Made]:
        """Judge, and write JSON and, if the configuration says so, a page about the best."""
        from orita.models.evaluation import evaluate_heads

        workspace = call.workspace
        rows = {part: read_part(workspace, call.inputs["examples"], part) for part in ("train", "val", "test")}
        judged = self._judged(call, rows)
        best = max(self._types, key=lambda type_: judged[type_]["val"].metrics[CHOSEN_BY] or 0.0)
        folder = workspace.home.reports / "evaluations" / workspace.system.name / call.key
        models = {type_: {part: found.to_dict() for part, found in parts.items()} for type_, parts in judged.items()}
        package = load_package(package_folder(workspace, call.inputs[model_name(best)]))
        heads = evaluate_heads(package, rows["test"], seed=workspace.model.seed)
        if workspace.model.evaluation.report:
            _write_page(folder / "report.html", call, package, judged[best]["test"], rows, heads)
        content = {"best": best, "models": models} | ({"objectives": heads.to_dict()} if heads else {})
        with atomic_file(folder / "evaluation.json") as partial:
            partial.write_text(json.dumps(content, indent=2), encoding="utf-8")
        return {"evaluation": Made(folder, facts={"best": best})}

    def _judged(self, call: Call, rows: Mapping[str, Examples]) -> Judged:
        from orita.models.evaluation import evaluate  # with SciPy, a second, which a run that finds all done saves

        settings = call.workspace.model.evaluation
        metrics = tuple(dict.fromkeys((*settings.metrics, CHOSEN_BY)))
        judged: dict[str, dict[str, Evaluation]] = {}
        with call.workspace.progress.bar("Evaluate", total=2 * len(self._types)) as bar:
            for type_ in self._types:
                package = load_package(package_folder(call.workspace, call.inputs[model_name(type_)]))
                judged[type_] = {}
                for part in ("val", "test"):
                    judged[type_][part] = evaluate(
                        _scores(package, rows[part]),
                        rows[part],
                        metrics=metrics,
                        slices=settings.slices if part == "test" else (),
                        train=rows["train"],
                        resamples=settings.resamples,
                        confidence=settings.confidence,
                        seed=call.workspace.model.seed,
                    )
                    bar.advance()
        return judged


def read_evaluation(workspace: Workspace, evaluation: Artifact) -> dict[str, Any]:
    """Return which type is the best, and the evaluations by type and part."""
    file = evaluation.path(workspace.home) / "evaluation.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def defined(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """Leave out figures that these rows do not define, such as a precision where no user has ten rows."""
    return {name: value for name, value in metrics.items() if value is not None}


def _scores(package: Package, rows: Examples) -> Any:
    """Return the chances of the label, whatever else a model with several heads weighs in its score."""
    return package.score(rows.users_N, rows.items_N, rows.x_NF, package.label_objective)


def _write_page(
    path: Path,
    call: Call,
    package: Package,
    found: Evaluation,
    rows: Mapping[str, Examples],
    heads: HeadsJudged | None,
) -> None:
    """Write what the test rows say of the best model as a page for people."""
    from orita.models.evaluation import permutation_importance, worst_slices, write_evaluation_report

    workspace, test, type_ = call.workspace, rows["test"], package.metadata.model_type
    training_set, seed = training_set_of(workspace, call.inputs["examples"]), workspace.model.seed
    scores_N, split = _scores(package, test), training_set.splits["train"]

    def score(asked: Examples) -> Any:
        return _scores(package, asked)

    write_evaluation_report(
        path,
        found,
        test,
        scores_N,
        title=f"{workspace.system.name}: evaluation of {type_}",
        name=type_,
        facts={
            "training set": training_set.id,
            "trained on": f"{split.rows:,} rows, {split.start[:10]} to {split.end[:10]}",
        },
        worst=[
            worst_slices(scores_N, test, measure=m, train=rows["train"], seed=seed) for m in ("surprise", "log_loss")
        ],
        importance=permutation_importance(score, test, seed=seed) if 0 < found.positives < found.rows else (),
        heads=heads,
        confidence=workspace.model.evaluation.confidence,
    )
