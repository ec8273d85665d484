"""What a search is about: its space tried on the configuration, its rows, its name, and where it is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from orita.core.errors import UserError
from orita.core.names import check_name
from orita.features.training_sets.training_set import TrainingSet, latest_training_set
from orita.models.evaluation.figures import figure
from orita.models.own_rankers import Maker, check_call
from orita.models.search.binding import Parameter, bind, combinations, value_at
from orita.models.search.course import Budget
from orita.models.source_digest import source_digest
from orita.pipelines.config import ModelConfig
from orita.pipelines.workspace import Workspace

__all__ = ["SEARCHED", "SearchPlan", "plan_search"]

SEARCHED = ("model", "training")
"""The sections of ``model_config.yaml`` whose keys can be searched: the others do not change the model."""

_PARAMETERS = "model.parameters"
_NEURAL = ("two_tower", "deep_mlp", "dcn_v2", "linear")
_TREES = ("lightgbm", "lambdamart")


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """A search, before its first trial.

    Attributes:
        name: its name.
        folder: where it is kept.
        training_set: whose training and validation rows.
        parameters: what is searched.
        about: what decides its figures, plain JSON values: a search of the same name goes on only where all is equal.
        trials: how many there will be; a grid may have fewer combinations than ``search.trials``.
        larger_is_better: of the figure.
        config: what is not searched.
    """

    name: str
    folder: Path
    training_set: TrainingSet
    parameters: tuple[Parameter, ...]
    about: Mapping[str, Any]
    trials: int
    larger_is_better: bool
    config: ModelConfig

    def budget(self, type_: str) -> Budget | None:
        """Return how many epochs or trees a model of *type_* may take; None for a type that does not tell of them.

        A training in several processes tells of its epochs only in the end.
        """
        if type_ in _TREES:
            return Budget(self._most("model.lightgbm.max_trees"))
        alone = self._most("training.processes") == 1
        return Budget(self._most("training.epochs")) if type_ in _NEURAL and alone else None

    def _most(self, key: str) -> int:
        found = next((parameter for parameter in self.parameters if parameter.key == key), None)
        if found is None:
            return int(value_at(self.config, key))
        return int(max(found.choices) if found.kind == "choice" else found.high)


def plan_search(workspace: Workspace, name: str | None) -> SearchPlan:
    """Check what the configuration declares, and return it.

    Raises:
        UserError: there is no space, a key or value in it is not allowed, or the figure has no better side.
        NotFound: there is no training set.
    """
    config, section = workspace.model, workspace.model.search
    if not section.space:
        raise UserError(
            "search.space is empty: name in model_config.yaml what to try, or on the command line, such as "
            "--set search.space.training.learning_rate='{low: 1e-4, high: 1e-2, log: true}'."
        )
    larger = figure(section.metric).larger_is_better
    if larger is None:
        raise UserError(
            f"search.metric has the value {section.metric!r}, of which neither more nor less is better; choose "
            "another, such as auc."
        )
    own = workspace.system.own_rankers
    parameters = bind(section.space, config, SEARCHED, [f"{_PARAMETERS}.{type_}" for type_ in own])
    types = _own_types(parameters, config, own)
    for type_ in types:
        _check_call(type_, own[type_], parameters, config)
    training_set = latest_training_set(workspace.home.training_sets, workspace.system.name)
    about = _about(config, parameters, training_set)
    if types:
        about["source"] = {type_: source_digest(type_, own[type_]) for type_ in types}
    if name is None:
        name = f"{section.metric}-{hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:8]}"
    check_name("--name", name)
    trials = section.trials
    if section.sampler == "grid":
        trials = sum(1 for _ in islice(combinations(parameters), trials))
    folder = workspace.home.searches / workspace.system.name / name
    return SearchPlan(name, folder, training_set, parameters, about, trials, larger, config)


def _own_types(parameters: tuple[Parameter, ...], config: ModelConfig, own: Mapping[str, Maker]) -> list[str]:
    """Return which of the user's own types trials may be of."""
    searched = next((parameter for parameter in parameters if parameter.key == "model.type"), None)
    return [type_ for type_ in (searched.choices if searched else (config.model.type,)) if type_ in own]


def _check_call(type_: str, maker: Maker, parameters: tuple[Parameter, ...], config: ModelConfig) -> None:
    """Refuse a searched parameter that the type does not take, before the first trial."""
    within = f"{_PARAMETERS}.{type_}."
    tried = {one.key.removeprefix(within): one.describe() for one in parameters if one.key.startswith(within)}
    check_call(type_, maker, {**config.model.parameters.get(type_, {}), **tried})


def _about(config: ModelConfig, parameters: tuple[Parameter, ...], training_set: TrainingSet) -> dict[str, Any]:
    """Return what decides the figures of a search, as JSON has it, to be compared with what is kept."""
    kept = config.model_dump(mode="json", include={*SEARCHED, "seed"})
    for parameter in parameters:
        *branches, leaf = parameter.key.split(".")
        branch = kept
        for key in branches:
            branch = branch.get(key, {})
        branch.pop(leaf, None)  # a parameter of a type of your own need not be in the configuration
    section = config.search
    found = {
        "training set": training_set.id,
        "metric": section.metric,
        "folds": section.folds,
        "sampler": section.sampler,
        "space": {parameter.key: parameter.describe() for parameter in parameters},
        "configuration": kept,
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain
