"""Can a classifier tell current rows from reference rows? A test of all columns together.

Legend: N reference rows, M current rows, D columns, F terms. NaN means missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import mannwhitneyu

from orita.core.errors import UserError
from orita.stats.drift.correlation import normal_scores

__all__ = ["JointTest", "embedding_test", "joint_test"]

Floats = npt.NDArray[np.float64]

_MOST_ROWS = 6_000
_MOST_COLUMNS = 30
_RIDGE = 0.05
_LEAST_ROWS = 8


@dataclass(frozen=True, slots=True)
class JointTest:
    """The outcome of a domain classifier.

    Attributes:
        p_value: chance of a classifier this good when nothing changed; 1 with fewer than 8 rows a sample.
        auc: how well it tells rows that it was not fitted on, 0 … 1; 0.5 is guessing.
    """

    p_value: float
    auc: float

    @property
    def effect(self) -> float:
        """Share of rows that a classifier of this AUC places better than a guess, 0 … 1."""
        return max(0.0, 2 * self.auc - 1)


def joint_test(
    reference_ND: npt.NDArray[np.floating], current_MD: npt.NDArray[np.floating], *, seed: int = 0
) -> JointTest:
    """Test whether rows of the two samples can be told apart by a quadratic discriminant of their ranks.

    The discriminant (normal scores of the pooled ranks, their squares and products, missing flags; ridge) is fitted on
    one half of the rows and judged on the other, and the other way round: the rank-sum test of each half is valid
    whatever was fitted, and the smaller p-value counts twice. At most 6,000 rows of each sample and the first 30
    columns take part, so the cost is bounded. Rows count as independent.

    Source: Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests.
    """
    rng = np.random.default_rng(seed)
    first, second = (_drawn(x, rng) for x in (reference_ND, current_MD))
    n, m = len(first), len(second)
    if min(n, m) < _LEAST_ROWS or first.shape[1] == 0:
        return JointTest(1.0, 0.5)
    terms = _terms(np.concatenate([first, second]))
    first_half = np.concatenate([np.arange(n) % 2 == 0, np.arange(m) % 2 == 0])
    is_current = np.arange(n + m) >= n
    p_values, areas = [], []
    for fitted in (first_half, ~first_half):
        score = terms[~fitted] @ _direction(terms[fitted], is_current[fitted])
        now, before = score[is_current[~fitted]], score[~is_current[~fitted]]
        result = mannwhitneyu(now, before, alternative="greater")
        p_values.append(float(result.pvalue))
        areas.append(float(result.statistic) / (len(now) * len(before)))
    return JointTest(min(1.0, 2 * min(p_values)), float(np.mean(areas)))


def embedding_test(
    reference_ND: npt.NDArray[np.floating], current_MD: npt.NDArray[np.floating], *, seed: int = 0
) -> JointTest:
    """Test whether vectors of the two samples can be told apart, by their first 30 principal components.

    Components are those of both samples together, so they do not know the label and the p-value holds (see
    `joint_test`); rows with a value that is missing take no part.

    Raises:
        UserError: the samples have vectors of different lengths.
    """
    if reference_ND.shape[1] != current_MD.shape[1]:
        raise UserError(
            f"the reference has vectors of {reference_ND.shape[1]} values and the current sample of "
            f"{current_MD.shape[1]}: compare embeddings of one model."
        )
    rng = np.random.default_rng(seed)
    first, second = (x[rng.permutation(len(x))[:_MOST_ROWS]] for x in (reference_ND, current_MD))
    first, second = (x[np.isfinite(x).all(axis=1)].astype(np.float64) for x in (first, second))
    pooled = np.concatenate([first, second])
    if len(pooled) == 0:
        return JointTest(1.0, 0.5)
    pooled -= pooled.mean(axis=0)
    axes_DD = np.linalg.eigh(pooled.T @ pooled)[1][:, ::-1]
    components = pooled @ axes_DD[:, :_MOST_COLUMNS]
    return joint_test(components[: len(first)], components[len(first) :], seed=seed)


def _drawn(values_ND: npt.NDArray[np.floating], rng: np.random.Generator) -> npt.NDArray[np.floating]:
    rows = rng.permutation(len(values_ND))[:_MOST_ROWS]
    return values_ND[rows, :_MOST_COLUMNS]


def _terms(values_ND: npt.NDArray[np.floating]) -> Floats:
    scores_ND = normal_scores(values_ND)
    missing_ND = np.isnan(values_ND)
    rows, columns = np.triu_indices(scores_ND.shape[1])
    flags = missing_ND[:, missing_ND.any(axis=0)].astype(np.float64)
    terms_NF = np.concatenate([scores_ND, scores_ND[:, rows] * scores_ND[:, columns], flags], axis=1)
    terms_NF -= terms_NF.mean(axis=0)
    spread_F = terms_NF.std(axis=0)
    terms_NF /= np.where(spread_F > 0, spread_F, 1.0)
    return terms_NF if (spread_F > 0).all() else np.asarray(terms_NF[:, spread_F > 0])


def _direction(terms_NF: Floats, is_current_N: npt.NDArray[np.bool_]) -> Floats:
    gap_F = terms_NF[is_current_N].mean(axis=0) - terms_NF[~is_current_N].mean(axis=0)
    covariance_FF = terms_NF.T @ terms_NF / len(terms_NF)
    # Fewer rows than terms: a heavier ridge, so that the direction is not that of chance.
    ridge = _RIDGE + terms_NF.shape[1] / len(terms_NF)
    return np.asarray(np.linalg.solve(covariance_FF + ridge * np.eye(len(covariance_FF)), gap_F))
