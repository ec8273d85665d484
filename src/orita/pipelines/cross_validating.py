"""How good is a type of model on this system's rows? Cross-validation on training and validation rows alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from orita.features.training_sets.training_set import latest_training_set
from orita.models.build import build_ranker
from orita.models.evaluation.cross_validation import CrossValidation, cross_validate
from orita.models.reading import read_examples
from orita.pipelines.workspace import Workspace

__all__ = ["cross_validated"]


def cross_validated(
    workspace: Workspace,
    type_: str | None = None,
    *,
    folds: int = 5,
    order: Literal["shuffled", "time"] | None = None,
    gap: timedelta = timedelta(0),
    metric: str = "auc",
) -> CrossValidation:
    """Train and judge a type of model, as configured, on every fold of the latest training set.

    Args:
        workspace: the configuration, and where the training set is.
        type_: which type; None: the configured one.
        folds, order, gap, metric: as `cross_validate` takes them.

    Raises:
        NotFound: there is no training set yet.
        UserError: an argument is out of bounds, or a fold does not define the figure.
    """
    found = latest_training_set(workspace.home.training_sets, workspace.system.name)
    train, val = (read_examples(found.file(part), found.schema) for part in ("train", "val"))
    model = workspace.model
    return cross_validate(
        lambda: build_ranker(type_ or model.model.type, model.model, model.training, workspace.system.own_rankers),
        train.and_then(val),
        folds=folds,
        order=order,
        gap=gap,
        metric=metric,
        seed=model.seed,
        progress=workspace.progress,
    )
