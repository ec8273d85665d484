"""How good is the ranking, judged by who clicked? Quality of one model version, against its own test AUC.

Legend: J joined rows, of one model version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from orita.monitoring.config import PerformanceConfig
from orita.stats.clusters import clustered_rate
from orita.stats.expected_auc import expected_auc
from orita.stats.intervals import Interval, auc_interval
from orita.stats.metrics import expected_calibration_error, log_loss
from orita.stats.resampling import LEAST_CLUSTERS, rests_on

__all__ = ["QualityState", "VersionQuality", "version_quality"]

QualityState = Literal["ok", "degraded", "suspected", "not_enough_labels", "no_baseline"]
_BINS = 10


@dataclass(frozen=True, slots=True)
class VersionQuality:
    """What feedback says about one model version.

    Attributes:
        model_version: whose predictions.
        state: ``degraded``: lost more than the threshold, and the whole interval of the loss lies above it;
            ``suspected``: lost at least the threshold, but the interval holds smaller losses too;
            ``not_enough_labels``: not judged; ``no_baseline``: its test AUC is not known.
        rows, clicks: joined rows, and clicks among them.
        ctr: clicks ÷ rows.
        auc: of the rows with feedback, over all requests together.
        log_loss: mean, natural logarithm.
        mean_score: over rows; equals the CTR of a calibrated model.
        calibration_error: mean distance of score and CTR over ten equally filled score bins, 0 … 1; never 0: chance
            alone makes it about 0.8 · √(10 · p (1 − p) / rows) for a perfectly calibrated score.
        test_auc: of the model's own test split.
        attainable_auc: what these very rows allow if the scores are true probabilities. Users see the best of many
            candidates, which are harder to tell apart than all of them.
        loss: AUC expected − online AUC, where the smaller of the two figures above is expected; below 0 is a gain.
        sentence: all of it in words.
    """

    model_version: str
    state: QualityState
    rows: int
    clicks: int
    ctr: Interval | None
    auc: Interval | None
    log_loss: float | None
    mean_score: float | None
    calibration_error: float | None
    test_auc: float | None
    attainable_auc: float | None
    loss: float | None
    sentence: str


def version_quality(
    model_version: str,
    clicks_J: npt.NDArray[np.float64],
    scores_J: npt.NDArray[np.float64],
    users_J: npt.NDArray[np.int64],
    config: PerformanceConfig,
    *,
    test_auc: float | None,
) -> VersionQuality:
    """Judge one version by its joined rows; intervals resample whole users: their rows resemble each other.

    Args:
        model_version: whose rows.
        clicks_J: 0 or 1.
        scores_J: click probabilities.
        users_J: code of each row's user; of its request, where users are not known.
        config: thresholds and level.
        test_auc: what it reached on its own test split, None if unknown.
    """
    rows, clicks = len(clicks_J), int(clicks_J.sum())
    if rows < config.min_labels or min(clicks, rows - clicks) < config.min_clicks:
        sentence = (
            f"{model_version}: {rows:,} rows with feedback, {clicks:,} of them clicks; quality is judged from "
            f"{config.min_labels:,} rows with {config.min_clicks:,} clicks and as many without."
        )
        return _unjudged(model_version, rows, clicks, test_auc, sentence)
    if (users := rests_on(clicks_J, users_J)) < LEAST_CLUSTERS:
        sentence = (
            f"{model_version}: {rows:,} rows with feedback, of which the clicks, or the others, are of {users:,} "
            f"users; quality is judged from {LEAST_CLUSTERS} users with clicks and as many without."
        )
        return _unjudged(model_version, rows, clicks, test_auc, sentence)
    tail = config.false_alarm_rate
    online = auc_interval(
        clicks_J, scores_J, users_J, resamples=config.resamples, confidence=1 - 2 * tail, seed=config.seed
    )
    attainable = expected_auc(scores_J)
    state, loss = _judge(online, test_auc, attainable, config)
    return VersionQuality(
        model_version=model_version,
        state=state,
        rows=rows,
        clicks=clicks,
        ctr=clustered_rate(clicks_J, users_J, tail=tail),
        auc=online,
        log_loss=float(log_loss(clicks_J, scores_J)),
        mean_score=float(scores_J.mean()),
        calibration_error=expected_calibration_error(clicks_J, scores_J, _BINS),
        test_auc=test_auc,
        attainable_auc=attainable,
        loss=loss,
        sentence=_sentence(model_version, state, online, test_auc, attainable, rows, config),
    )


def _unjudged(model_version: str, rows: int, clicks: int, test_auc: float | None, sentence: str) -> VersionQuality:
    return VersionQuality(
        model_version, "not_enough_labels", rows, clicks, *(None,) * 5, test_auc, None, None, sentence
    )


def _judge(
    online: Interval, test_auc: float | None, attainable: float, config: PerformanceConfig
) -> tuple[QualityState, float | None]:
    if test_auc is None:
        return "no_baseline", None
    expected = min(test_auc, attainable)
    loss = expected - online.value
    if loss < config.auc_degradation_threshold:
        return "ok", loss
    # Sure only where the smallest loss that the interval holds is beyond the threshold as well.
    return ("degraded" if expected - online.high > config.auc_degradation_threshold else "suspected"), loss


def _sentence(
    version: str,
    state: QualityState,
    online: Interval,
    test_auc: float | None,
    attainable: float,
    rows: int,
    config: PerformanceConfig,
) -> str:
    figures = f"{version}: AUC {online.value:.3f} ({online.low:.3f} to {online.high:.3f}) on {rows:,} rows"
    if test_auc is None:
        return f"{figures}; its test AUC is not known, so nothing is compared."
    compared = f"{figures}, which allow {attainable:.3f}; {test_auc:.3f} on its own test split"
    limit = f"{config.auc_degradation_threshold:g}"
    return {
        "ok": f"{compared}: it lost less than {limit}.",
        "suspected": f"{compared}: it lost {limit} or more, but chance can still explain as much.",
        "degraded": f"{compared}: it lost more than {limit}, and chance does not explain the loss.",
    }[state]
