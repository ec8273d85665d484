"""Is the model still as good as it was, and as fast? Quality from feedback by version and day, and latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa

from orita.monitoring.config import PerformanceConfig
from orita.monitoring.feedback import Attribution, JoinCounts, JoinedFeedback, join_feedback
from orita.monitoring.latency import Latency, request_latency
from orita.monitoring.quality import VersionQuality, version_quality
from orita.stats.metrics import auc

__all__ = ["DayQuality", "PerformanceReport", "online_performance"]


@dataclass(frozen=True, slots=True)
class DayQuality:
    """One UTC day of one model version.

    Attributes:
        day: of the predictions.
        model_version: whose.
        rows, clicks: joined rows, and clicks among them.
        ctr: clicks ÷ rows.
        auc: None where the day has too few labels.
    """

    day: date
    model_version: str
    rows: int
    clicks: int
    ctr: float
    auc: float | None


@dataclass(frozen=True, slots=True)
class PerformanceReport:
    """Quality and speed as they were seen by users.

    Attributes:
        versions: one for each model version that answered, in order of name.
        days: by version, then day.
        latency: of all requests.
        joined: what matched and what did not.
        note: what the reader must know before believing it.
    """

    versions: tuple[VersionQuality, ...]
    days: tuple[DayQuality, ...]
    latency: Latency
    joined: JoinCounts
    note: str

    @property
    def degraded(self) -> tuple[VersionQuality, ...]:
        """Versions that surely lost quality."""
        return tuple(version for version in self.versions if version.state == "degraded")


def online_performance(
    predictions: pa.Table,
    feedback: pa.Table,
    config: PerformanceConfig,
    *,
    test_auc: Mapping[str, float],
    as_of: datetime | None = None,
) -> PerformanceReport:
    """Judge what was served from what users did.

    Args:
        predictions: the prediction log of the window (contract §4).
        feedback: interactions that carry ``request_id``, ``item_id``, ``click``.
        config: thresholds and levels.
        test_auc: by model version, the AUC on the model's own test split.
        as_of: what was known then; where the configuration has a window of attribution, predictions whose window was
            still open are left out. None: all that is there.

    Raises:
        NotFound: a column is absent.
    """
    joined = join_feedback(predictions, feedback, Attribution.configured(config, as_of))
    answered = predictions.column("model_version").unique().drop_null().to_pylist()
    versions = []
    for version in sorted(answered):
        mine_J = joined.versions_J == version
        versions.append(
            version_quality(
                version,
                joined.clicks_J[mine_J],
                joined.scores_J[mine_J],
                joined.users_J[mine_J],
                config,
                test_auc=test_auc.get(version),
            )
        )
    note = (
        "Quality is that of rows with feedback: items nobody saw are not among them, and feedback still on the way "
        "is missing. AUC ranks all rows together, as the test AUC does."
    )
    return PerformanceReport(
        tuple(versions), _by_day(joined, config), request_latency(predictions, config), joined.counts, note
    )


def _by_day(joined: JoinedFeedback, config: PerformanceConfig) -> tuple[DayQuality, ...]:
    found = []
    for version in np.unique(joined.versions_J):
        for day in np.unique(joined.days_J[joined.versions_J == version]):
            chosen_J = (joined.versions_J == version) & (joined.days_J == day)
            clicks_J = joined.clicks_J[chosen_J]
            rows, clicks = len(clicks_J), int(clicks_J.sum())
            enough = rows >= config.min_labels and min(clicks, rows - clicks) >= config.min_clicks
            measured = float(auc(clicks_J, joined.scores_J[chosen_J])) if enough else None
            found.append(DayQuality(day.item(), str(version), rows, clicks, clicks / rows, measured))
    return tuple(found)
