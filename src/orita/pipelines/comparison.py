"""Is a new model better than the one that serves? Both are scored on the same rows, which neither was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from orita.core.clock import to_micros
from orita.core.errors import NotFound, UserError
from orita.features.schema import FeatureSchema
from orita.features.training_sets.training_set import SPLITS, TrainingSet, latest_training_set, open_training_set
from orita.models.evaluation import (
    Comparison,
    Rival,
    compare,
    evaluate,
    evaluate_heads,
    worst_slices,
    write_evaluation_report,
)
from orita.models.examples import Examples
from orita.models.package import Package, load_package
from orita.pipelines.judged_rows import judged_rows, system_for
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import ModelVersion

__all__ = ["Duel", "Meeting", "compare_versions", "evaluate_version", "fresh_rows", "meeting", "refuse_other_features"]


@dataclass(frozen=True, slots=True)
class Duel:
    """Two models on the same rows.

    Attributes:
        challenger, champion: the versions.
        rows: rows both were scored on: test rows later than every training and validation row of either.
        comparison: difference of AUC, challenger − champion, with its interval.
    """

    challenger: str
    champion: str
    rows: int
    comparison: Comparison

    @property
    def better(self) -> bool:
        """Whether the challenger surely is: the whole interval lies above 0."""
        return self.comparison.better


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two models and what they make of the same rows, of which neither has seen any.

    Attributes:
        rows: with the features that the challenger reads.
        champion_rows: the same with those that the champion reads.
        scores_N, champion_scores_N: the chances of the label.
    """

    rows: Examples
    champion_rows: Examples
    scores_N: Any
    champion_scores_N: Any


def evaluate_version(workspace: Workspace, version: str, part: str) -> dict[str, Any]:
    """Judge one registered model on one part of the latest training set.

    Where the rows that it learned from are kept, it is also judged by who was new to it; where it has several heads,
    each of them, and what their weights give up for each other.
    """
    if part not in SPLITS:
        raise UserError(f"part {part!r} does not exist: use train, val or test.")
    entry = workspace.catalogue().get(workspace.system.name, version)
    package = load_package(entry.package)
    rows = judged_rows(workspace, _training_set(workspace), part, package.schema, f"model {entry.version}")
    settings = workspace.model.evaluation
    judged = evaluate(
        _scores(package, rows),
        rows,
        metrics=settings.metrics,
        slices=settings.slices,
        train=_learned_from(workspace, entry, package),
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=workspace.model.seed,
    ).to_dict()
    heads = evaluate_heads(package, rows, seed=workspace.model.seed)
    told = {"objectives": heads.to_dict()} if heads else {}
    return {"version": entry.version, "part": part, "rows": len(rows), **judged, **told}


def compare_versions(
    workspace: Workspace, challenger: ModelVersion, champion: ModelVersion, *, report: Path | None = None
) -> Duel:
    """Compare two registered models on the latest test rows, each with the versions of features that it reads.

    Args:
        workspace: where both are.
        challenger, champion: the models.
        report: an HTML file to write about the challenger, the champion beside it.

    Raises:
        UserError: no test row is later than the training and validation rows of both, or `refuse_other_features`.
    """
    met = meeting(workspace, challenger, champion)
    settings = workspace.model.evaluation
    comparison = compare(
        met.scores_N,
        met.champion_scores_N,
        met.rows,
        metrics=settings.metrics,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=workspace.model.seed,
    )
    if report is not None:
        rival = Rival(champion.version, met.champion_scores_N, comparison)
        _write_page(report, workspace, challenger.version, met.rows, met.scores_N, rival)
    return Duel(challenger.version, champion.version, len(met.rows), comparison)


def meeting(workspace: Workspace, challenger: ModelVersion, champion: ModelVersion) -> Meeting:
    """Let two registered models score the test rows that are later than all that either has seen.

    Raises:
        UserError: there is no such row, or `refuse_other_features`.
    """
    entries = (challenger, champion)
    packages = [load_package(entry.package) for entry in entries]
    refuse_other_features(workspace, champion.version, packages[1].schema)
    seen_to = max(_seen_to(package) for package in packages)
    training_set = _training_set(workspace)
    rows = [
        _later(judged_rows(workspace, training_set, "test", package.schema, f"model {entry.version}"), seen_to)
        for entry, package in zip(entries, packages, strict=True)
    ]
    scores = [_scores(package, own) for package, own in zip(packages, rows, strict=True)]
    return Meeting(rows[0], rows[1], scores[0], scores[1])


def fresh_rows(workspace: Workspace, entry: ModelVersion, package: Package) -> tuple[Examples, Any]:
    """Return the test rows that are later than all that a model has seen, and its scores of them.

    Raises:
        UserError: there is none.
    """
    rows = judged_rows(workspace, _training_set(workspace), "test", package.schema, f"model {entry.version}")
    fresh = _later(rows, _seen_to(package))
    return fresh, _scores(package, fresh)


def _later(rows: Examples, seen_to: int) -> Examples:
    fresh = np.flatnonzero(rows.time_N > seen_to)
    if len(fresh) == 0:
        raise UserError(
            "no test row is later than all that either model has seen: ingest newer events, then run 'orita run etl'."
        )
    return rows.take(fresh)


def _write_page(path: Path, workspace: Workspace, version: str, rows: Examples, scores_N: Any, rival: Rival) -> None:
    settings, seed = workspace.model.evaluation, workspace.model.seed
    judged = evaluate(
        scores_N,
        rows,
        metrics=settings.metrics,
        slices=settings.slices,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=seed,
    )
    write_evaluation_report(
        path,
        judged,
        rows,
        scores_N,
        title=f"{workspace.system.name}: {version} against {rival.name}",
        name=version,
        worst=[worst_slices(scores_N, rows, measure="surprise", seed=seed)],
        rival=rival,
        confidence=settings.confidence,
    )


def refuse_other_features(workspace: Workspace, version: str, schema: FeatureSchema) -> None:
    """Refuse a champion that reads an earlier version of a feature which cannot be computed any more.

    Raises:
        UserError: the version was not kept: it holds a Python function, or was never recorded; what to do instead.
    """
    try:
        system_for(workspace, schema, f"the champion {version}")
    except UserError as error:
        raise UserError(
            f"{error} Until then no new model can be compared with it: 'orita train', and 'orita models promote' what "
            "it names."
        ) from None


def _seen_to(package: Package) -> int:
    """Return the time of the latest row that training or the choice among models has seen."""
    ends = (package.metadata.training_data_date_range["end"], package.extra.get("selected_to"))
    return max(to_micros(datetime.fromisoformat(end)) for end in ends if end)


def _learned_from(workspace: Workspace, entry: ModelVersion, package: Package) -> Examples | None:
    """Return the rows that a model learned from; None where they were let go, or never were in this home."""
    name = str(package.extra.get("training_set", ""))
    try:
        found = open_training_set(workspace.home.training_sets, workspace.system.name, name)
    except NotFound:
        return None
    return judged_rows(workspace, found, "train", package.schema, f"model {entry.version}") if found.complete else None


def _training_set(workspace: Workspace) -> TrainingSet:
    return latest_training_set(workspace.home.training_sets, workspace.system.name)


def _scores(package: Package, rows: Examples) -> Any:
    """Return the chances of the label, whatever else a model with several heads weighs in its score."""
    return package.score(rows.users_N, rows.items_N, rows.x_NF, package.label_objective)
