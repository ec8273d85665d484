"""The ``search`` section of ``model_config.yaml``: what is tried, how often, and by which figure it is judged."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from orita.core.config import Section
from orita.core.errors import closest
from orita.models.config import MetricName, is_metric
from orita.models.search.space import check_declared, flat_space

__all__ = ["PrunerName", "SamplerName", "SearchSection"]

SamplerName = Literal["tpe", "random", "grid", "gp"]
PrunerName = Literal["none", "median", "hyperband"]


def _known_metric(name: str) -> str:
    if not is_metric(name):
        raise ValueError(f"it is not a figure. {closest(name, get_args(MetricName))} Those at 10 exist at any k.")
    return name


class SearchSection(Section):
    """The ``search`` section.

    Attributes:
        trials: how many models are tried, in all; a search that is resumed goes on to this number.
        metric: the figure on validation rows that decides; which way is better is known from the figure.
        sampler: who chooses what is tried next: ``tpe``, ``gp`` (a Gaussian process), ``random``, or ``grid``, which
            goes through every combination.
        pruner: ends trials that fall behind others of their type: ``median``, ``hyperband``, or ``none``.
        timeout_minutes: no trial is begun after so long; None: no limit.
        folds: judge by time-ordered cross-validation over training and validation rows; None: on validation rows.
        space: keys of ``model`` and ``training`` with what may stand there: a list of choices, or ``low`` and ``high``
            (``log``, ``step``); ``when`` says under which choice of another key it is tried.
    """

    trials: Annotated[int, Field(ge=1, le=100_000)] = 40
    metric: Annotated[str, AfterValidator(_known_metric)] = "auc"
    sampler: SamplerName = "tpe"
    pruner: PrunerName = "median"
    timeout_minutes: Annotated[float, Field(gt=0.0)] | None = None
    folds: Annotated[int, Field(ge=2, le=20)] | None = None
    space: Annotated[dict[str, Annotated[Any, AfterValidator(check_declared)]], BeforeValidator(flat_space)] = {}
