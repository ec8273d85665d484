"""How good was what was served? The prediction log of a system with its answers, measured whole and in parts."""

from __future__ import annotations

from datetime import datetime, timedelta

from orita.core.errors import UserError
from orita.events.predictions import prediction_log
from orita.monitoring.feedback import Attribution
from orita.monitoring.model_quality.slices import ModelQuality, model_quality
from orita.pipelines.answers import answers_to
from orita.pipelines.workspace import Workspace

__all__ = ["served_quality"]

_COLUMNS = ("timestamp", "request_id", "item_id", "score", "model_version", "user_id")


def served_quality(
    workspace: Workspace,
    attribution: Attribution,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    by: str | None = None,
    every: timedelta | None = None,
    estimate: bool = False,
) -> ModelQuality:
    """Measure what the models of a system answered; what stood in for a model is left out.

    Args:
        workspace: the system and its home.
        attribution: which answers count.
        since, until: of the predictions; None: all.
        by, every, estimate: see `orita.monitoring.model_quality.slices.model_quality`.

    Raises:
        UserError: nothing was answered then, or as `model_quality`.
    """
    more = [] if by is None else ["features" if by.startswith("features.") else by]
    predictions = prediction_log(
        workspace.home,
        start=since,
        end=until,
        system=workspace.system.name,
        levels=(1,),
        columns=list(dict.fromkeys([*_COLUMNS, *more])),
    )
    if not predictions.num_rows:
        raise UserError("no model answered a request in that time: run 'orita serve' and send some, or widen the time.")
    return model_quality(
        predictions,
        answers_to(workspace, predictions),
        workspace.monitoring.performance_monitoring,
        attribution=attribution,
        by=by,
        every=every,
        estimate=estimate,
    )
