"""Alerts to Prometheus' Alertmanager, which silences, escalates and tells (API v2, ``POST /api/v2/alerts``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orita.monitoring.sinks.post import post_json
from orita.monitoring.sinks.sink import Notice

__all__ = ["REPEAT", "AlertmanagerSink", "amended", "labels_of"]

REPEAT = timedelta(minutes=1)
"""After this long Alertmanager is told again of what still fires: it keeps alerts in memory alone."""

_NO_END = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class AlertmanagerSink:
    """Posts alerts with their labels; equal labels are the same alert there, so a second delivery changes nothing.

    Attributes:
        url: of Alertmanager, such as ``http://127.0.0.1:9093``.
        timeout_seconds: limit of one call.
        attempts: tries before it is given up.
        valid: Alertmanager takes an alert for over when it was not told of it for so long.
    """

    url: str
    timeout_seconds: float = 5.0
    attempts: int = 3
    valid: timedelta = timedelta(hours=25)

    def send(self, notices: Sequence[Notice], key: str = "") -> None:
        """Post *notices*; see `post_json` for errors."""
        content = [_posted(notice, self.valid) for notice in notices]
        url = f"{self.url.rstrip('/')}/api/v2/alerts"
        post_json(url, content, timeout_seconds=self.timeout_seconds, attempts=self.attempts)


def labels_of(notice: Notice) -> dict[str, str]:
    """Return the labels by which Alertmanager knows the alert of *notice*; their names are as it allows them."""
    alert = notice.alert
    labels = {re.sub(r"\W", "_", name, flags=re.ASCII): value for name, value in notice.labels.items()}
    named = {"alertname": alert["name"], "subject": alert["subject"], "severity": alert["severity"]}
    return {name: str(value) for name, value in {**labels, **named}.items() if str(value)}


def amended(notice: Notice) -> dict[str, Any]:
    """Return the alert of *notice* in Alertmanager's words: labels, annotations, times."""
    alert = notice.alert
    annotations = {"summary": alert["summary"], "runbook_url": alert["runbook"], "evidence": alert["evidence"]}
    for name in ("value", "threshold"):
        if alert.get(name) is not None:
            annotations[name] = f"{alert[name]:g}"
    return {
        "labels": labels_of(notice),
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": notice.since.isoformat(),
        "endsAt": _NO_END if notice.ended is None else notice.ended.isoformat(),
        "generatorURL": alert["evidence"] if alert["evidence"].startswith(("http://", "https://")) else "",
    }


def _posted(notice: Notice, valid: timedelta) -> dict[str, Any]:
    posted = amended(notice)
    if notice.ended is None:
        told = datetime.fromisoformat(notice.alert["at"])
        posted["endsAt"] = (max(told, notice.since) + valid).isoformat()
    return posted
