"""What a model must reach before it may serve: ``blessing`` in ``model_config.yaml``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, get_args

from pydantic import AfterValidator

from orita.core.config import Section
from orita.core.errors import closest
from orita.models.config import MetricName, is_metric
from orita.pipelines.gates.config import GatesSection

__all__ = ["BlessingSection"]


def _figures(limits: Mapping[str, float]) -> dict[str, float]:
    for name, limit in limits.items():
        if not is_metric(name):
            raise ValueError(f"{name!r} is not a figure. {closest(name, get_args(MetricName))}")
        if not math.isfinite(limit):
            raise ValueError(f"{name} has the limit {limit}; give a number.")
    return dict(limits)


_Limits = Annotated[dict[str, float], AfterValidator(_figures)]


class BlessingSection(Section):
    """Limits on the figures of test rows, beside being surely better than what serves.

    Attributes:
        at_least: the least that a figure must be, such as ``{auc: 0.6}``.
        at_most: the most that a figure may be, such as ``{log_loss: 0.7}``.
        gates: what else is demanded of a model that is better.
    """

    at_least: _Limits = {}
    at_most: _Limits = {}
    gates: GatesSection = GatesSection()
