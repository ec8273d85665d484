"""Is a model better than another? Both are judged on the same rows, so that what the rows share cancels.

Legend: N rows, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from orita.models.evaluation.figures import check, check_both_kinds, figure
from orita.models.evaluation.scored_rows import Catalogue, ScoredRows, Scores
from orita.models.examples import Examples
from orita.stats.delong import AucDifference, delong_difference
from orita.stats.resampling import LEAST_CLUSTERS, Draws, Statistic, interval_ends, resample, rests_on

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
    """AUC of *a* − AUC of *b* on the same rows; *better* says that the whole interval lies above 0, over enough users.

    Attributes:
        a, b, delta: both AUCs and their difference.
        low, high: the interval of the paired bootstrap over users; None where one user has all rows of a kind.
        better: whether *low* is above 0, and *users* are at least `LEAST_CLUSTERS`.
        rows, users: how many rows; how many users the AUC rests on: those that have rows of the rarer kind.
        confidence: of the intervals.
        delong: the difference by DeLong's test over users (Obuchowski's variance), which needs no resamples. None where
            there are fewer than two positives or negatives, or users.
        metrics: every other figure that was asked for.
    """

    a: float
    b: float
    delta: float
    low: float | None
    high: float | None
    better: bool
    rows: int
    users: int
    confidence: float
    delong: AucDifference | None = None
    metrics: dict[str, Difference] = field(default_factory=dict)

    @property
    def too_few(self) -> str:
        """Why nothing can be sure on these rows, or an empty text."""
        if self.users >= LEAST_CLUSTERS:
            return ""
        return (
            f"the rarer kind of rows (clicks, or rows without) is of {_counted(self.users)} only, and "
            f"{LEAST_CLUSTERS} are needed to be sure"
        )

    @property
    def verdict(self) -> str:
        """In words: surely better, surely worse, or neither."""
        if self.better:
            return "surely better"
        worse = self.high is not None and self.high < 0 and not self.too_few
        return "surely worse" if worse else "not surely better or worse"

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
    check_both_kinds(rows)
    catalogue = Catalogue.of(rows.items_N, train)
    a, b = ScoredRows(scores_a_N, rows, catalogue), ScoredRows(scores_b_N, rows, catalogue)
    found = _differences(a, b, tuple(dict.fromkeys(("auc", *metrics))), resamples, confidence, seed)
    auc, users = found.pop("auc"), rests_on(a.y_N, a.user_N)
    better = auc.low is not None and auc.low > 0 and users >= LEAST_CLUSTERS
    ends = (auc.low, auc.high, better)
    return Comparison(auc.a, auc.b, auc.delta, *ends, len(rows), users, confidence, _delong(a, b, confidence), found)


def _delong(a: ScoredRows, b: ScoredRows, confidence: float) -> AucDifference | None:
    if min(a.positives, len(a) - a.positives, rests_on(a.y_N, a.user_N)) < 2:
        return None
    return delong_difference(a.y_N, a.scores_N, b.scores_N, clusters_N=a.user_N, confidence=confidence)


def _counted(users: int) -> str:
    return "one user" if users == 1 else f"{users} users"


def _differences(
    a: ScoredRows, b: ScoredRows, names: Sequence[str], resamples: int, confidence: float, seed: int
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
            apart_R, users = resampled[f"a {name}"] - resampled[f"b {name}"], pairs[f"a {name}"].clusters
            ends = interval_ends(of_a - of_b, apart_R, users, confidence)
            low, high = (None, None) if math.isnan(ends[0]) else ends
        found[name] = Difference(of_a, of_b, of_a - of_b, low, high)
    return found
