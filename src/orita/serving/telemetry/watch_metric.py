"""The newest monitoring report as metrics and for the status page; read when somebody looks, if it is new."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from orita.core.home import Home

__all__ = ["WatchMetric"]

_log = structlog.stdlib.get_logger("orita.serving")

_CORRELATIONS = "correlations"


class WatchMetric:
    """Knows the newest monitoring report of one system.

    Attributes:
        report: the newest that could be read, as plain values; None before the first.
    """

    def __init__(self, home: Home, system: str) -> None:
        self._folder, self._system = home.reports / "monitoring", system
        self._known: tuple[Path, int] | None = None
        self.report: dict[str, Any] | None = None

    def refresh(self) -> None:
        """Take up what was written since; a file that is no report is passed over, and told once."""
        newest = max(self._folder.glob(f"monitoring-{self._system}-*.json"), default=None)
        if newest is None:
            return
        try:
            key = newest, newest.stat().st_mtime_ns
            if key == self._known:
                return
            self._known = key
            found = json.loads(newest.read_text(encoding="utf-8"))
            datetime.fromisoformat(found["at"])
            self.report = found
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("monitoring_report_not_read", system=self._system, error=repr(error))

    def metrics(self) -> Iterator[Metric]:
        """Yield what the report says: drift and missing values by feature, quality by version, alerts."""
        report = self.report
        if report is None:
            return
        at = datetime.fromisoformat(report["at"]).timestamp()
        yield GaugeMetricFamily("monitoring_report_timestamp_seconds", "When drift was last looked at.", value=at)
        yield from _drift(report)
        yield from _quality(report)
        alerts = GaugeMetricFamily("monitoring_alerts", "Alerts of the last report.", labels=["name", "severity"])
        counts: dict[tuple[str, str], int] = {}
        for alert in report.get("alerts") or ():
            key = str(alert.get("name")), str(alert.get("severity"))
            counts[key] = counts.get(key, 0) + 1
        for (name, severity), count in sorted(counts.items()):
            alerts.add_metric([name, severity], count)
        yield alerts


def _drift(report: dict[str, Any]) -> Iterator[Metric]:
    distance = GaugeMetricFamily(
        "ks_statistic", "Largest distance of the distributions, served and expected.", labels=["feature"]
    )
    missing = GaugeMetricFamily("missing_rate", "Share of served rows without a value.", labels=["feature"])
    for about in ("features", "predictions"):
        for finding in (report.get(about) or {}).get("findings") or ():
            drawn = finding.get("histogram") or {}
            measured = finding.get("statistic") if finding.get("test") == "ks" else _largest_distance(drawn)
            if measured is not None:
                distance.add_metric([finding["name"]], measured)
            if drawn.get("recent_missing") is not None:
                missing.add_metric([finding["name"]], drawn["recent_missing"])
    yield distance
    yield missing
    for found in (report.get("features") or {}).get("together") or ():
        if found.get("name") == _CORRELATIONS and found.get("effect") is not None:
            # The effect is half of what a correlation changed by, so that it lies between 0 and 1.
            told = "Largest change of a correlation of two features, served and expected."
            yield GaugeMetricFamily("correlation_drift", told, value=2 * found["effect"])


def _quality(report: dict[str, Any]) -> Iterator[Metric]:
    auc = GaugeMetricFamily("online_auc", "AUC of what was served, from feedback.", labels=["model_version"])
    ctr = GaugeMetricFamily("online_ctr", "Clicks a row with feedback.", labels=["model_version"])
    for version in (report.get("performance") or {}).get("versions") or ():
        for family, figure in ((auc, version.get("auc")), (ctr, version.get("ctr"))):
            if figure is not None and figure.get("value") is not None:
                family.add_metric([version["model_version"]], figure["value"])
    yield auc
    yield ctr


def _largest_distance(drawn: dict[str, Any]) -> float | None:
    """Return the largest distance of the two distributions at the edges of the report's bins: at most KS."""
    pairs = list(zip(drawn.get("reference") or (), drawn.get("recent") or (), strict=False))
    if not pairs:
        return None
    before, now, largest = 0.0, 0.0, 0.0
    whole, whole_now = math.fsum(pair[0] for pair in pairs), math.fsum(pair[1] for pair in pairs)
    if not whole or not whole_now:
        return None
    for share, recent in pairs:
        before, now = before + share / whole, now + recent / whole_now
        largest = max(largest, abs(before - now))
    return largest
