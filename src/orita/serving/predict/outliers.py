"""Is a request like what the model was trained on? Every answer is labelled, and what is unlike has its reasons.

The statistics of an item are held against those of the training rows, which the package keeps
(`orita.models.training_bounds`); the confidence of the model in its scores against the least that is configured. The
format of a request was checked before. An outlier is answered like any other: the label is for those who watch.

Legend: N items, F features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from orita.models.training_bounds import TrainingBounds
from orita.serving.config import OutliersConfig
from orita.serving.protocols import ScoringPackage

__all__ = ["BOUNDS_KEY", "OutlierCheck", "OutlierCounts", "Outliers", "outlier_check"]

BOUNDS_KEY = "training_bounds"
"""Where a package keeps the bounds, in what its writer kept beside the card."""

_MOST_FEATURES = 5


class OutlierReason(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request is unlike the training rows.

    Attributes:
        check: ``statistics`` or ``confidence``.
        message: one sentence.
        feature: which feature, of ``statistics``.
        items: how many items of the request.
    """

    check: str
    message: str
    items: int
    feature: str = ""


class Outliers(msgspec.Struct, frozen=True):
    """What is unlike the training rows in a request.

    Attributes:
        label: ``out`` where the request as a whole is, else ``in``: single items are unlike.
        share: of the items, by their statistics.
        reasons: the features that are beyond their bounds in most items, and a lack of confidence.
    """

    label: str
    share: float
    reasons: tuple[OutlierReason, ...]


class OutlierCounts:
    """What was checked and found; counted by the one thread that answers.

    Attributes:
        requests: by label; those without a check are not among them.
        items: unlike the training rows.
        features: items beyond the bounds of a feature.
        unsure: requests of too little confidence.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.items = 0
        self.features: Counter[str] = Counter()
        self.unsure = 0

    def metrics(self) -> Iterator[Metric]:
        """Yield the counters as Prometheus has them."""
        requests = CounterMetricFamily("outlier_requests", "Requests by likeness to training rows.", labels=["label"])
        for label, count in sorted(self.requests.items()):
            requests.add_metric([label], count)
        yield requests
        yield CounterMetricFamily("outlier_items", "Items that are unlike the training rows.", value=self.items)
        beyond = CounterMetricFamily(
            "outlier_features", "Items beyond a feature's training bounds.", labels=["feature"]
        )
        for name, count in sorted(self.features.items()):
            beyond.add_metric([name], count)
        yield beyond
        yield CounterMetricFamily("outlier_unsure_requests", "Requests of too little confidence.", value=self.unsure)


class OutlierCheck:
    """Checks the requests that one package answers.

    Args:
        bounds: of its training rows.
        config: when a request counts as unlike them.
        counts: where it is counted.
        probable: whether its scores are click probabilities, of which a confidence can be told.
    """

    def __init__(
        self, bounds: TrainingBounds, config: OutliersConfig, counts: OutlierCounts, *, probable: bool = True
    ) -> None:
        self._bounds, self._config, self._counts = bounds, config, counts
        self._margin = config.least_confidence / 2 if probable else 0.0

    def __call__(self, x_NF: npt.NDArray[np.float32], best: float, worst: float) -> Outliers | None:
        """Return what is unlike the training rows, None where nothing is.

        Args:
            x_NF: the features of the request's items, at least one, as the model was given them.
            best, worst: the highest and the lowest score that it gave.
        """
        outside_NF = self._bounds.outside(x_NF)
        unsure = max(best - 0.5, 0.5 - worst) < self._margin
        if outside_NF is None and not unsure:
            self._counts.requests["in"] += 1
            return None
        return self._found(x_NF, outside_NF, unsure=unsure)

    def _found(self, x_NF: npt.NDArray[np.float32], outside_NF: Any, *, unsure: bool) -> Outliers:
        items, reasons = 0, []
        if outside_NF is not None:
            items = int(outside_NF.any(axis=1).sum())
            reasons = self._features(x_NF, outside_NF)
        if unsure:
            least = self._config.least_confidence
            message = f"the model is less confident than {least:g} of every item."
            reasons.append(OutlierReason("confidence", message, len(x_NF)))
        share = items / len(x_NF)
        label = "out" if unsure or share >= self._config.share else "in"
        self._counts.requests[label] += 1
        self._counts.items += items
        self._counts.unsure += unsure
        return Outliers(label, round(share, 4), tuple(reasons))

    def _features(self, x_NF: npt.NDArray[np.float32], outside_NF: Any) -> list[OutlierReason]:
        """Return the features that are beyond their bounds in most items, and count all."""
        names, beyond_F = self._bounds.names, outside_NF.sum(axis=0)
        order_F = np.argsort(-beyond_F, kind="stable")[: int((beyond_F > 0).sum())].tolist()
        self._counts.features.update({names[f]: int(beyond_F[f]) for f in order_F})
        return [
            OutlierReason("statistics", self._told(f, x_NF[outside_NF[:, f], f]), int(beyond_F[f]), names[f])
            for f in order_F[:_MOST_FEATURES]
        ]

    def _told(self, f: int, values_M: npt.NDArray[np.float32]) -> str:
        name, least, greatest = self._bounds.names[f], self._bounds.least_F[f], self._bounds.greatest_F[f]
        if least > greatest:
            return f"{name} is {values_M[0]:g}, and was missing in all training rows."
        if np.isnan(values_M[0]):
            return f"{name} is missing, and never was in training rows."
        return f"{name} is {values_M[0]:g}, training rows are like {least:g} to {greatest:g}."


def outlier_check(package: ScoringPackage, config: OutliersConfig, counts: OutlierCounts) -> OutlierCheck | None:
    """Return the check of *package*, None where it keeps no bounds, as those written before there were any.

    Args:
        package: whose training rows; where it has several heads its score is no probability.
        config: when a request counts as unlike the training rows.
        counts: where it is counted.

    Raises:
        UserError: the bounds are not of the package's schema.
    """
    if BOUNDS_KEY not in package.extra:
        return None
    bounds = TrainingBounds.from_dict(package.extra[BOUNDS_KEY], package.schema)
    return OutlierCheck(bounds, config, counts, probable=not getattr(package, "heads", ()))
