"""Quality from feedback: joined honestly, judged with an interval, silent where it cannot know."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom, norm
from tests.monitoring.watched_system import answered, draw, logged

from orita.core.errors import NotFound
from orita.monitoring.config import PerformanceConfig
from orita.monitoring.feedback import join_feedback
from orita.monitoring.latency import request_latency
from orita.monitoring.performance import online_performance
from orita.monitoring.quality import version_quality
from orita.stats.metrics import auc

_CONFIG = PerformanceConfig(resamples=200)


def _served(requests: int = 300, seed: int = 1, version: str = "v1.0.0") -> pa.Table:
    return logged(draw(np.random.default_rng(seed), requests, per_request=10), version)


def _rows(*rows: tuple[str | None, int | None, float]) -> dict[str, list[object]]:
    return {
        "request_id": [row[0] for row in rows],
        "item_id": [row[1] for row in rows],
        "value": [row[2] for row in rows],
    }


def test_the_join_counts_everything() -> None:
    """Matches, misses both ways, duplicates and unusable rows are counted, and ids of both types meet."""
    scored = _rows(("a", 1, 0.5), ("a", 2, 0.4), ("b", 1, 0.3), ("b", 1, 0.3), ("c", 9, np.nan))
    predictions = pa.table(
        {
            "request_id": scored["request_id"],
            "item_id": [str(item) for item in scored["item_id"]],
            "score": scored["value"],
            "model_version": ["v1"] * 5,
            "timestamp": pa.array([0] * 5).cast(pa.timestamp("us", tz="UTC")),
        }
    )
    given = _rows(("a", 1, 0), ("a", 1, 1), ("b", 1, 0), ("z", 1, 1), (None, 1, 1), ("a", 2, None))  # type: ignore[arg-type]
    feedback = pa.table({"request_id": given["request_id"], "item_id": given["item_id"], "click": given["value"]})
    joined = join_feedback(predictions, feedback)
    counts = joined.counts
    assert (counts.predictions, counts.feedback, counts.joined) == (5, 6, 2)
    assert (counts.predictions_without_feedback, counts.feedback_without_prediction) == (1, 1)
    assert (counts.duplicate_predictions, counts.duplicate_feedback) == (1, 1)
    assert (counts.unusable_feedback, counts.unusable_predictions) == (2, 1)
    assert sorted(zip(joined.scores_J.tolist(), joined.clicks_J.tolist(), strict=True)) == [(0.3, 0), (0.5, 1)]


def test_figures_are_those_of_the_joined_rows() -> None:
    """AUC, CTR, mean score and calibration equal their definitions over the joined rows."""
    predictions = _served()
    feedback = answered(predictions, lambda s: s, share=0.7)
    joined = join_feedback(predictions, feedback)
    report = online_performance(predictions, feedback, _CONFIG, test_auc={"v1.0.0": 0.6})
    (version,) = report.versions
    assert version.auc is not None and version.ctr is not None
    assert version.auc.value == pytest.approx(auc(joined.clicks_J, joined.scores_J))
    assert version.ctr.value == pytest.approx(joined.clicks_J.mean())
    assert version.mean_score == pytest.approx(joined.scores_J.mean())
    assert version.auc.low < version.auc.value < version.auc.high
    # Chance alone: 0.026 with a spread of 0.006 at this number of rows, so 0.06 is far beyond it.
    assert version.calibration_error is not None and version.calibration_error < 0.06
    assert sum(day.rows for day in report.days) == version.rows == joined.counts.joined
    assert [day.day.isoformat() for day in report.days] == ["2024-11-10", "2024-11-11", "2024-11-12"]


def test_versions_are_judged_apart() -> None:
    """A version whose scores mean nothing is degraded; one that keeps its promise is not."""
    good, bad = _served(400, 1, "v1.0.0"), _served(400, 2, "v1.1.0")
    feedback = pa.concat_tables([answered(good, lambda s: s), answered(bad, lambda s: np.full(len(s), 0.4))])
    held = auc(*(getattr(join_feedback(good, answered(good, lambda s: s)), name) for name in ("clicks_J", "scores_J")))
    report = online_performance(
        pa.concat_tables([good, bad]), feedback, _CONFIG, test_auc={"v1.0.0": held + 0.01, "v1.1.0": held}
    )
    assert [version.state for version in report.versions] == ["ok", "degraded"]
    assert [version.model_version for version in report.degraded] == ["v1.1.0"]
    assert "chance does not explain" in report.degraded[0].sentence


def test_a_loss_that_chance_explains_is_only_suspected() -> None:
    """A large loss on few labels is suspected, not called sure."""
    predictions = _served(30)
    report = online_performance(
        predictions, answered(predictions, lambda s: s), PerformanceConfig(), test_auc={"v1.0.0": 0.68}
    )
    (version,) = report.versions
    assert version.loss is not None and version.loss >= 0.05
    assert version.state == "suspected"


def test_too_few_labels_are_a_state() -> None:
    """Without enough rows, clicks or non-clicks nothing is judged, and the sentence says how many there were."""
    predictions = _served()
    for feedback in (
        answered(predictions, lambda s: s, share=0.02),
        answered(predictions, lambda s: np.zeros(len(s))),
        answered(predictions, lambda s: np.ones(len(s))),
        answered(predictions, lambda s: s).slice(0, 0),
    ):
        (version,) = online_performance(predictions, feedback, _CONFIG, test_auc={"v1.0.0": 0.7}).versions
        assert (version.state, version.auc) == ("not_enough_labels", None)
        assert f"{feedback.num_rows:,} rows with feedback" in version.sentence


def test_an_unknown_baseline_is_a_state() -> None:
    """A version without a test AUC is measured and not judged."""
    predictions = _served()
    (version,) = online_performance(predictions, answered(predictions, lambda s: s), _CONFIG, test_auc={}).versions
    assert version.state == "no_baseline"
    assert version.auc is not None and version.loss is None


def test_an_empty_log_is_no_error() -> None:
    """No predictions give an empty report."""
    predictions = _served(3)
    report = online_performance(
        predictions.slice(0, 0), answered(predictions, lambda s: s), _CONFIG, test_auc={"v1.0.0": 0.7}
    )
    assert (report.versions, report.days) == ((), ())
    assert report.latency.state == "not_enough_requests"
    assert report.joined.feedback_without_prediction == 30


def test_absent_columns_are_named() -> None:
    """Feedback without clicks and a log without scores are refused by name."""
    predictions = _served(3)
    feedback = answered(predictions, lambda s: s)
    with pytest.raises(NotFound, match="the feedback has no column 'click'"):
        join_feedback(predictions, feedback.drop_columns(["click"]))
    with pytest.raises(NotFound, match="the prediction log has no column 'score'"):
        join_feedback(predictions.drop_columns(["score"]), feedback)


def test_no_loss_is_seldom_called_sure() -> None:
    """Where nothing was lost, few rows scatter by more than the threshold, and sure losses stay at their rate."""
    rng = np.random.default_rng(6)
    config = PerformanceConfig(resamples=200, min_labels=100)
    states = []
    for _ in range(80):
        clicks_J = (rng.random(240) < 0.3).astype(float)
        scores_J = np.clip(0.3 + 0.15 * rng.normal(size=240) + 0.1 * clicks_J, 0, 1)
        true_auc = float(norm.cdf(0.1 / (0.15 * np.sqrt(2))))
        quality = version_quality("v", clicks_J, scores_J, np.arange(240) // 4, config, test_auc=true_auc)
        states.append(quality.state)
    assert states.count("degraded") <= binom.ppf(1 - 1e-4, 80, 0.01)
    assert states.count("suspected") > 0


def _latencies(values_ms: list[float], per_request: int = 5) -> pa.Table:
    ids = np.repeat(np.arange(len(values_ms)), per_request).astype(str)
    return pa.table({"request_id": ids, "latency_ms": np.repeat(np.array(values_ms, np.float32), per_request)})


def test_latency_counts_requests_not_items() -> None:
    """The 99th percentile is over requests, and exceeds its limit when more than one in a hundred does."""
    config = PerformanceConfig(latency_p99_threshold_ms=100)
    within = request_latency(_latencies([10.0] * 198 + [500.0] * 2), config)
    assert (within.state, within.requests, within.p50_ms, within.p99_ms) == ("ok", 200, 10, 10)
    beyond = request_latency(_latencies([10.0] * 197 + [500.0] * 3), config)
    assert (beyond.state, beyond.p99_ms) == ("exceeded", 500)
    assert beyond.share_over_limit == pytest.approx(0.015)


def test_a_percentile_of_few_requests_is_not_judged() -> None:
    """Fewer than a hundred requests have no 99th percentile worth an alarm."""
    latency = request_latency(_latencies([5000.0] * 99), PerformanceConfig(latency_p99_threshold_ms=100))
    assert latency.state == "not_enough_requests"
    assert latency.p99_ms == 5000
