"""A registered model under another objective, as a version of its own: the same graph, and nothing trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.objectives import brought
from orita.models.package import Package, load_package
from orita.models.package.write import with_objective
from orita.models.reissue import reissue_package
from orita.pipelines.derived import Derived, derived_id, inherited, keep_like_parent, rows_of_model
from orita.pipelines.references import keep_reference, reference_path
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import ModelVersion, RunLog
from orita.registry.lineage import PARENT
from orita.registry.trust import trust_of

__all__ = ["OBJECTIVE", "Reweighed", "reweigh_version"]

OBJECTIVE = "orita.objective"
_REASON = "orita.reason"


@dataclass(frozen=True, slots=True)
class Reweighed(Derived):
    """What became of a change of the objective.

    Attributes:
        before, after: the weights.
        brings: of each outcome, what the two rankings bring in a user's ten best validation rows, those at the top
            counting most: before, after. Test rows do not help to choose weights.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    brings: Mapping[str, tuple[float, float]]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            **Derived.to_dict(self),
            "objective": {"before": dict(self.before), "after": dict(self.after)},
            "brings": {name: {"before": old, "after": new} for name, (old, new) in self.brings.items()},
        }


def reweigh_version(workspace: Workspace, version: str, weights: Mapping[str, float], *, reason: str = "") -> Reweighed:
    """Register the graph of model *version* under the objective *weights* as the challenger, once.

    Weights that the version, or one that was made of it, has already make no other version.

    Args:
        workspace: where the model and its training set are.
        version: a version, or an alias.
        weights: what one unit of each head is worth in the score, by name.
        reason: why; kept among the tags.

    Raises:
        NotFound: there is no such model or head, or the model's training set is not in this home.
        UserError: the model has one head, a weight cannot be, or nobody who is trusted signed the model where that is
            required.
    """
    catalogue, system = workspace.catalogue(), workspace.system.name
    parent = catalogue.get(system, version)
    package = load_package(parent.package, trust=trust_of(workspace.registry, workspace.home))
    described = with_objective(package.description, weights)
    objective = {name: weight for name, weight in described.objective.items() if weight}
    told = json.dumps(objective, sort_keys=True)
    with workspace.alone("objective"):
        same = (parent.version, told)
        versions = catalogue.versions(system)
        made = next((e for e in versions if (e.tags.get(PARENT), e.tags.get(OBJECTIVE)) == same), None)
        if objective == {name: weight for name, weight in package.description.objective.items() if weight}:
            made = parent
        with rows_of_model(workspace, parent) as parts:
            brings = _brings(package, objective, parts["val"])
            entry = made or _registered(workspace, parent, package, objective, brings, {_REASON: reason})
            if not reference_path(workspace, entry.version).exists():
                keep_reference(workspace, entry, parts["test"])
        keep_like_parent(workspace, entry)
    return Reweighed(parent, entry, made is None, package.description.objective, objective, brings)


def _brings(package: Package, objective: Mapping[str, float], rows: Examples) -> dict[str, tuple[float, float]]:
    old, new = (
        brought(package.heads, package.score(rows.users_N, rows.items_N, rows.x_NF, weights), rows)
        for weights in (None, objective)
    )
    return {name: (old[name], new[name]) for name in old}


def _registered(
    workspace: Workspace,
    parent: ModelVersion,
    package: Package,
    objective: Mapping[str, float],
    brings: Mapping[str, tuple[float, float]],
    reason: Mapping[str, str],
) -> ModelVersion:
    """Register the new version, a model of its own; figures of its label's head are its parent's, as the graph is."""
    catalogue, system = workspace.catalogue(), workspace.system.name
    tags = {**inherited(parent), OBJECTIVE: json.dumps(dict(objective), sort_keys=True)}
    tags |= {name: text for name, text in reason.items() if text}
    metrics = {**parent.metrics, **{f"brings_{name}": new for name, (_, new) in brings.items()}}
    params = {"type": parent.type, "parent": parent.version, **{f"objective.{n}": w for n, w in objective.items()}}
    run_id = catalogue.runs.log(system, RunLog(f"{parent.type} reweighed", params, metrics, tags=tags))
    own = {"model_id": derived_id(package.metadata.model_id, tags[OBJECTIVE]), "mlflow_run_id": run_id}

    def write(folder: Path, version: str) -> None:
        card = {**package.metadata.to_dict(), **own, "model_version": version}
        reissue_package(package, folder, ModelMetadata.from_dict(card), objective=objective)

    return catalogue.register(system, run_id, write, type_=parent.type, tags=tags)
