"""Is a model better than another? Both are judged on the same rows, so that what the rows share cancels.

Legend: N rows, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from orita.core.errors import UserError
from orita.models.evaluation.figures import Catalogue, Judged, Scores, check, figure
from orita.models.examples import Examples
from orita.stats.delong import AucDifference, delong_difference
from orita.stats.resampling import Draws, Statistic, percentiles, resample

__all__ = ["Comparison", "Difference", "compare"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of *a*, of *b*, and *a* − *b* with the interval of the paired bootstrap; None where it has none."""

    a: float
    b: float
    delta: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """AUC of *a* − AUC of *b* on the same rows; *better* says that the whole interval lies above 0.

    Attributes:
        a, b, delta: both AUCs and their difference.
        low, high: the interval of the paired bootstrap over users.
        better: whether *low* is above 0.
        rows, confidence: how many rows; of the intervals.
        delong: the difference by DeLong's test, which takes rows as independent: beside the bootstrap it shows what
            repeated users do to the interval. None where there are fewer than two positives or negatives.
        metrics: every other figure that was asked for.
    """

    a: float
    b: float
    delta: float
    low: float
    high: float
    better: bool
    rows: int
    confidence: float
    delong: AucDifference | None = None
    metrics: dict[str, Difference] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain JSON values."""
        return asdict(self)


def compare(
    scores_a_N: Scores,
    scores_b_N: Scores,
    rows: Examples,
    *,
    metrics: Sequence[str] = (),
    train: Examples | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare two models on the same rows: AUC by a paired bootstrap over users and by DeLong, others by bootstrap.

    Args:
        scores_a_N, scores_b_N: click probabilities of both models, in the order of *rows*.
        rows: labelled rows.
        metrics: figures to compare beside AUC; one that the rows do not define is left out.
        train: the training rows, which novelty takes popularity from.
        resamples, confidence, seed: of the bootstrap; all figures see the same resamples.

    Raises:
        UserError: the lengths disagree, the rows hold only clicks or only non-clicks, or a figure is unknown.
    """
    for scores_N in (scores_a_N, scores_b_N):
        check(scores_N, rows, metrics)
    catalogue = Catalogue.of(rows.items_N, train)
    a, b = Judged(scores_a_N, rows, catalogue), Judged(scores_b_N, rows, catalogue)
    negatives = len(rows) - a.positives
    if not a.positives or not negatives:
        raise UserError(
            f"an AUC needs positives and negatives, the {len(rows)} rows hold only one kind; use more rows."
        )
    found = _differences(a, b, tuple(dict.fromkeys(("auc", *metrics))), resamples, confidence, seed)
    auc = found.pop("auc")
    assert auc.low is not None and auc.high is not None  # an AUC that is defined has an interval
    return Comparison(
        auc.a,
        auc.b,
        auc.delta,
        auc.low,
        auc.high,
        auc.low > 0,
        len(rows),
        confidence,
        delong=delong_difference(rows.y_N, scores_a_N, scores_b_N, confidence=confidence)
        if min(a.positives, negatives) > 1
        else None,
        metrics=found,
    )


def _differences(
    a: Judged, b: Judged, names: Sequence[str], resamples: int, confidence: float, seed: int
) -> dict[str, Difference]:
    values = {name: (figure(name).value(a), figure(name).value(b)) for name in names}
    defined = {name: pair for name, pair in values.items() if all(map(math.isfinite, pair))}
    pairs: dict[str, Statistic] = {}
    for name in defined:
        statistic = figure(name).statistic
        if statistic is not None:
            pairs[f"a {name}"], pairs[f"b {name}"] = statistic(a), statistic(b)
    resampled = resample(pairs, Draws(a.users, seed), resamples)
    found: dict[str, Difference] = {}
    for name, (of_a, of_b) in defined.items():
        low = high = None
        if f"a {name}" in resampled:
            low, high = percentiles(resampled[f"a {name}"] - resampled[f"b {name}"], confidence)
        found[name] = Difference(of_a, of_b, of_a - of_b, low, high)
    return found
