"""What history expects of a batch, and how far batches differ from that by themselves.

Legend: H batches of history, K signals, D columns of a design.

Each figure is expected to be a constant, or to have a weekday's level, or the level of the last third of history, or
both: whichever predicts left-out batches best (PRESS), and the simpler one unless the other predicts clearly better. A
line through history is not drawn on: what grew in the past and then stopped would be off for ever. What is left has the
variance of chance, which follows from the rows of a batch, and the variance between batches. A new batch is held
against the sum of both, by Student's t with the degrees of freedom that history leaves, or fewer where batches of
history have heavy tails. Rare rows are held against the negative binomial distribution instead: what a Poisson count is
expected to be when its rate is known from history alone.

Sources: Allen (1974), The relationship between variable selection and data augmentation and a method for prediction
(PRESS); DerSimonian and Laird (1986), Meta-analysis in clinical trials (variance between batches by moments); Gelman et
al., Bayesian Data Analysis, 2.6 (the predictive distribution of a count).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from scipy.stats import nbinom, norm
from scipy.stats import t as student

from orita.core.errors import UserError
from orita.monitoring.expectations.measured import Measured, Signal
from orita.monitoring.expectations.outlook import Outlook

__all__ = ["FEWEST_BATCHES", "Envelope", "Tested", "against_history", "level_shares"]

Floats = npt.NDArray[np.float64]

FEWEST_BATCHES = 8
"""Batches from which something can be learnt of how they differ."""

_CLEARLY_BETTER = 0.8
_RARE = 25.0
_WEEKS = 3
_PRIOR = 0.5
_HEAVY = 2.0
_MAIN = ("missing", "level", "spread", "new", "new shape", "distinct", "repeated", "goes with", "rate", "gap", "age")
_GROUP_SHARES = (0.2, 0.4, 0.4)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The figures of a table's past batches.

    Attributes:
        outlook: what is looked for in a batch.
        signals: what each figure is of.
        ends: the end of each batch, UTC, ascending.
        y_HK, variance_HK, counts_HK, of_HK: as in `orita.monitoring.expectations.measured.Measured`.
    """

    outlook: Outlook
    signals: tuple[Signal, ...]
    ends: tuple[datetime, ...]
    y_HK: Floats
    variance_HK: Floats
    counts_HK: Floats
    of_HK: Floats

    @classmethod
    def of(cls, outlook: Outlook, ends: Sequence[datetime], batches: Sequence[Measured]) -> Envelope:
        """Return the envelope of measured batches.

        Raises:
            UserError: there are too few.
        """
        if len(batches) < FEWEST_BATCHES:
            raise UserError(
                f"history has {len(batches)} batches, and how batches differ is learnt from {FEWEST_BATCHES}: "
                "give more history, or shorter batches by --every."
            )
        order = sorted(range(len(ends)), key=lambda at: ends[at])
        stacked = [
            np.stack([getattr(batches[at], name) for at in order]) for name in ("y_K", "variance_K", "counts_K", "of_K")
        ]
        return cls(outlook, batches[0].signals, tuple(ends[at] for at in order), *stacked)


@dataclass(frozen=True, slots=True)
class Tested:
    """A batch held against an envelope.

    Attributes:
        signals: what each figure is of.
        p_K: two-sided chance of a figure this far off in a batch like those of history; 1 where nothing was measured.
        expected_K, figures_K: on the scale that a person reads: shares as shares.
        spread_K: what batches differ by themselves, one standard deviation, on the same scale.
        higher_K: whether the figure is above what was expected.
    """

    signals: tuple[Signal, ...]
    p_K: Floats
    expected_K: Floats
    figures_K: Floats
    spread_K: Floats
    higher_K: npt.NDArray[np.bool_]


def against_history(envelope: Envelope, batch: Measured, end: datetime) -> Tested:
    """Hold the figures of a batch that ended at *end* against history; without times it is the next after that."""
    if not envelope.outlook.time:
        end = envelope.ends[-1] + (envelope.ends[-1] - envelope.ends[-2])
    y_HK, weights_HK = _filled(envelope.y_HK)
    known_K = weights_HK.sum(axis=0)
    designs = _designs(envelope.ends, end, weekly=bool(envelope.outlook.time))
    fits = [_fitted(y_HK, design_HD, now_D) for design_HD, now_D in designs]
    chosen_K = _chosen(np.stack([fit.press_K for fit in fits]))
    expected_K, residual_HK, leverage_K, spare_K = _picked(fits, chosen_K)
    freedom_K = np.maximum(np.minimum(np.minimum(spare_K, known_K - 1), _tail_freedom(residual_HK)), 1)
    unit_K = _mean(envelope.variance_HK * envelope.of_HK)
    with np.errstate(divide="ignore", invalid="ignore"):
        chance_K = unit_K / batch.of_K
        left_K = (residual_HK**2 * weights_HK).sum(axis=0) / np.minimum(spare_K, np.maximum(known_K - 1, 1))
        between_K = np.maximum(left_K - _mean(envelope.variance_HK), 0)
        deviation_K = np.sqrt((between_K + chance_K) * (1 + leverage_K))
        z_K = (batch.y_K - expected_K) / deviation_K
    p_K = 2 * student.sf(np.abs(z_K), freedom_K)
    p_K = _rare(envelope, batch, p_K, left_K, freedom_K)
    unknown_K = np.isnan(batch.y_K) | (known_K < FEWEST_BATCHES) | np.isnan(p_K)
    higher_K = batch.y_K > expected_K
    shares_K = ~np.isnan(batch.counts_K)
    with np.errstate(all="ignore"):
        figures_K = np.where(shares_K, batch.counts_K / batch.of_K, batch.y_K)
        wanted_K = np.where(shares_K, _mean(envelope.counts_HK) / _mean(envelope.of_HK), expected_K)
        slope_K = np.where(shares_K, 2 * np.sqrt(np.clip(wanted_K * (1 - wanted_K), 0, None)), 1.0)
        spread_K = deviation_K * slope_K
    return Tested(envelope.signals, np.where(unknown_K, 1.0, p_K), wanted_K, figures_K, spread_K, higher_K)


def level_shares(result: Tested) -> Floats:
    """Return which part of the false-alarm rate each figure is tested at; together 1, whatever their dependence.

    A few figures of the batch as a whole share a fifth, those that most faults show in two fifths, all others the rest
    (Bonferroni's bound with weights).
    """
    groups_K = np.array([_group(signal) for signal in result.signals])
    tested_K = ~np.isnan(result.figures_K)
    counts = np.bincount(groups_K[tested_K], minlength=len(_GROUP_SHARES))
    return np.asarray((np.array(_GROUP_SHARES) / np.maximum(counts, 1))[groups_K])


def _group(signal: Signal) -> int:
    if not signal.column:
        return 0
    return 1 if signal.what in _MAIN and not (signal.other and signal.what != "goes with") else 2


def _mean(values_HK: Floats) -> Floats:
    """Return the mean of the batches that have a figure; NaN where none has."""
    there_HK = ~np.isnan(values_HK)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(there_HK, values_HK, 0.0).sum(axis=0) / there_HK.sum(axis=0))


def _filled(y_HK: Floats) -> tuple[Floats, Floats]:
    """Return figures with the mean in place of those that are not known, and which are known."""
    known_HK = ~np.isnan(y_HK)
    return np.where(known_HK, y_HK, np.nan_to_num(_mean(y_HK))), known_HK.astype(np.float64)


def _designs(ends: Sequence[datetime], end: datetime, *, weekly: bool) -> list[tuple[Floats, Floats]]:
    """Return the columns of each design for history, and for the new batch; the constant first."""
    times = np.array([each.timestamp() for each in (*ends, end)]) / 86_400
    batches = len(ends)
    constant = np.ones((batches + 1, 1))
    # The new batch belongs to the last third, which the constant stands for.
    thirds_H = np.append(np.arange(batches) * 3 // batches, 2)
    earlier = (thirds_H[:, None] == np.arange(2)).astype(np.float64)
    found = [constant]
    # A batch that ends at midnight is of the day before.
    days = (np.floor(times - 1e-6).astype(np.int64) + 3) % 7
    present, counts = np.unique(days[:-1], return_counts=True)
    weekly &= len(present) > 1 and int(counts.min()) >= _WEEKS and days[-1] in present
    weekdays = (days[:, None] == present[None, 1:]).astype(np.float64)
    if weekly:
        found.append(np.hstack([constant, weekdays]))
    if batches >= 3 * FEWEST_BATCHES:
        found.append(np.hstack([constant, earlier]))
        if weekly:
            found.append(np.hstack([constant, weekdays, earlier]))
    return [(design[:-1], design[-1]) for design in found]


@dataclass(frozen=True, slots=True)
class _Fit:
    expected_K: Floats
    residual_HK: Floats
    press_K: Floats
    leverage: float
    freedom: int


def _fitted(y_HK: Floats, design_HD: Floats, now_D: Floats) -> _Fit:
    """Fit every figure to one design by least squares, and predict the new batch."""
    inverse_DD = np.linalg.pinv(design_HD.T @ design_HD)
    weights_DK = inverse_DD @ (design_HD.T @ y_HK)
    residual_HK = y_HK - design_HD @ weights_DK
    hat_H = np.einsum("hd,de,he->h", design_HD, inverse_DD, design_HD)
    left_out_HK = residual_HK / np.maximum(1 - hat_H, 1e-9)[:, None]
    rank = int(np.linalg.matrix_rank(design_HD))
    return _Fit(
        now_D @ weights_DK,
        residual_HK,
        (left_out_HK**2).sum(axis=0),
        float(now_D @ inverse_DD @ now_D),
        max(len(y_HK) - rank, 1),
    )


def _chosen(press_FK: Floats) -> npt.NDArray[np.int64]:
    """Return the design of each figure: the first one that none of the later ones clearly outdoes, in their order."""
    chosen_K = np.zeros(press_FK.shape[1], dtype=np.int64)
    best_K = press_FK[0]
    for at, press_K in enumerate(press_FK[1:], start=1):
        better_K = press_K < _CLEARLY_BETTER * best_K
        chosen_K, best_K = np.where(better_K, at, chosen_K), np.where(better_K, press_K, best_K)
    return chosen_K


def _picked(fits: Sequence[_Fit], chosen_K: npt.NDArray[np.int64]) -> tuple[Floats, Floats, Floats, Floats]:
    columns_K = np.arange(len(chosen_K))
    expected_K = np.stack([fit.expected_K for fit in fits])[chosen_K, columns_K]
    residual_HK = np.stack([fit.residual_HK for fit in fits])[chosen_K, :, columns_K].T
    leverage_K = np.array([fit.leverage for fit in fits])[chosen_K]
    freedom_K = np.array([float(fit.freedom) for fit in fits])[chosen_K]
    return expected_K, residual_HK, leverage_K, freedom_K


def _tail_freedom(residual_HK: Floats) -> Floats:
    """Return the degrees of freedom of a t distribution with tails as heavy as those that history shows.

    Its excess of kurtosis is 6 / (ν − 4). Below `_HEAVY` it may be chance, and nothing is drawn from it.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        excess_K = np.nan_to_num((residual_HK**4).mean(axis=0) / (residual_HK**2).mean(axis=0) ** 2 - 3)
        return np.where(excess_K > _HEAVY, 4 + 6 / excess_K, np.inf)


def _rare(envelope: Envelope, batch: Measured, p_K: Floats, left_K: Floats, freedom_K: Floats) -> Floats:
    """Return the p-values with those of rare rows, and of rows that rarely lack something, from their counts.

    Overdispersion, as history shows it, divides the counts (quasi-Poisson).
    """
    counts_HK, of_HK = envelope.counts_HK, envelope.of_HK
    for turned in (False, True):
        past_HK = of_HK - counts_HK if turned else counts_HK
        now_K = batch.of_K - batch.counts_K if turned else batch.counts_K
        with np.errstate(invalid="ignore", divide="ignore"):
            rows_K, had_K = np.nansum(of_HK * (~np.isnan(past_HK)), axis=0), np.nansum(past_HK, axis=0)
            at_K = np.flatnonzero((had_K / rows_K * batch.of_K < _RARE) & (batch.of_K > 0))
        if not len(at_K):
            continue
        rate_K = had_K[at_K] / rows_K[at_K]
        past, of = np.nan_to_num(past_HK[:, at_K]), np.nan_to_num(of_HK[:, at_K])
        wanted = of * rate_K
        with np.errstate(invalid="ignore", divide="ignore"):
            dispersion_K = ((past - wanted) ** 2).sum(axis=0) / wanted.sum(axis=0) * len(past) / freedom_K[at_K]
        dispersion_K = np.maximum(np.nan_to_num(dispersion_K, nan=1.0), 1.0)
        shape_K = had_K[at_K] / dispersion_K + _PRIOR
        chance_K = rows_K[at_K] / (rows_K[at_K] + batch.of_K[at_K])
        seen_K = now_K[at_K] / dispersion_K
        above_K = nbinom.sf(np.ceil(seen_K) - 1, shape_K, chance_K)
        below_K = nbinom.cdf(np.floor(seen_K), shape_K, chance_K)
        exact_K = np.minimum(2 * np.minimum(above_K, below_K), 1.0)
        # What is overdispersed has a dispersion that is itself estimated.
        wide_K = 2 * student.sf(norm.isf(exact_K / 2), freedom_K[at_K])
        p_K[at_K] = np.where(dispersion_K > 1.0 + 2 / np.sqrt(len(past)), wide_K, exact_K)
    return p_K
