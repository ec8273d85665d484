"""Alerts as JSON to any URL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orita.monitoring.sinks.post import post_json
from orita.monitoring.sinks.sink import Notice, headline

__all__ = ["WebhookSink"]


@dataclass(frozen=True, slots=True)
class WebhookSink:
    """Posts ``{"summary": …, "alerts": [{"status": "firing" | "recovered", "since": …, …}]}``.

    Attributes:
        url: ``http`` or ``https``.
        timeout_seconds: limit of one call.
        attempts: tries before it is given up.
    """

    url: str
    timeout_seconds: float = 5.0
    attempts: int = 3

    def send(self, notices: Sequence[Notice]) -> None:
        """Post *notices*; see `post_json` for errors."""
        alerts = [{"status": notice.kind, "since": notice.since.isoformat(), **notice.alert} for notice in notices]
        content = {"summary": headline(notices), "alerts": alerts}
        post_json(self.url, content, timeout_seconds=self.timeout_seconds, attempts=self.attempts)
