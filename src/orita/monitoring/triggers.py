"""Is a new model due? The retraining decision, from the report, the configuration and the calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orita.monitoring.config import RetrainingTriggers
from orita.monitoring.findings import DriftReport
from orita.monitoring.performance import PerformanceReport

__all__ = ["TriggerDecision", "decide", "last_scheduled"]


@dataclass(frozen=True, slots=True)
class TriggerDecision:
    """Whether to retrain, and why.

    Attributes:
        retrain: yes or no.
        reasons: one sentence for each condition that asks for it.
        held: one sentence for each condition that would, had the last training not been so recent.
    """

    retrain: bool
    reasons: tuple[str, ...]
    held: tuple[str, ...] = ()


def decide(
    drift: tuple[DriftReport, ...],
    performance: PerformanceReport | None,
    config: RetrainingTriggers,
    *,
    last_training: datetime | None,
    now: datetime,
) -> TriggerDecision:
    """Return whether a condition for retraining holds.

    Args:
        drift: reports about features and predictions; expected growth never triggers.
        performance: None where nothing was measured.
        config: which conditions count.
        last_training: when the model that serves was trained, aware; None: never.
        now: aware.
    """
    by_data = []
    if config.feature_drift:
        for report in drift:
            if report.alarming:
                names = ", ".join(finding.name for finding in report.alarming)
                by_data.append(f"feature_drift: {report.about} changed ({names}).")
    if config.performance_degradation and performance is not None:
        by_data.extend(f"performance_degradation: {version.sentence}" for version in performance.degraded)
    scheduled = _scheduled_reason(config, last_training, now)
    pause = timedelta(hours=config.min_hours_between)
    if last_training is not None and now - last_training < pause:
        since = f"the last training was at {last_training.isoformat()}, less than {config.min_hours_between:g} h ago"
        held = tuple(f"{reason} Held: {since}." for reason in by_data)
        return TriggerDecision(bool(scheduled), scheduled, held)
    reasons = (*by_data, *scheduled)
    return TriggerDecision(bool(reasons), reasons)


def last_scheduled(schedule: str, now: datetime) -> datetime:
    """Return the latest moment ≤ *now* that ``daily``, ``weekly`` (Sunday) or ``monthly`` names, at 00:00 UTC."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if schedule == "daily":
        return midnight
    if schedule == "weekly":
        return midnight - timedelta(days=(midnight.weekday() + 1) % 7)
    return midnight.replace(day=1)


def _scheduled_reason(config: RetrainingTriggers, last_training: datetime | None, now: datetime) -> tuple[str, ...]:
    if config.scheduled is None:
        return ()
    due = last_scheduled(config.scheduled, now)
    if last_training is None:
        return (f"scheduled: {config.scheduled}, and no training is known.",)
    if last_training < due:
        return (f"scheduled: {config.scheduled}, due at {due.isoformat()}, last at {last_training.isoformat()}.",)
    return ()
