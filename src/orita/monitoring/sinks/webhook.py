"""Alerts as JSON to any URL: Orita's own form, a CloudEvent, or what Alertmanager's webhooks send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from orita.monitoring.sinks.alertmanager import amended, labels_of
from orita.monitoring.sinks.post import post_json
from orita.monitoring.sinks.sink import Notice, headline

__all__ = ["WebhookForm", "WebhookSink"]

WebhookForm = Literal["orita", "cloudevents", "alertmanager"]


@dataclass(frozen=True, slots=True)
class WebhookSink:
    """Posts the notices of a message as one JSON object.

    ``orita``: ``{"summary": …, "alerts": [{"status": "firing" | "recovered", "since": …, …}]}``; ``cloudevents``: the
    same as ``data`` of a CloudEvent 1.0 in structured mode, whose ``id`` is the message's key; ``alertmanager``: the
    object that Alertmanager posts to a webhook (version 4), for programs that read that already.

    The header ``Idempotency-Key`` has the message's key: a second delivery of the same message has the same.

    Attributes:
        url: ``http`` or ``https``.
        timeout_seconds: limit of one call.
        attempts: tries before it is given up.
        form: what is posted.
    """

    url: str
    timeout_seconds: float = 5.0
    attempts: int = 3
    form: WebhookForm = "orita"

    def send(self, notices: Sequence[Notice], key: str = "") -> None:
        """Post *notices*; see `post_json` for errors."""
        kind = "application/cloudevents+json" if self.form == "cloudevents" else "application/json"
        headers = {"Content-Type": kind, **({"Idempotency-Key": key} if key else {})}
        content = {"orita": _plain, "cloudevents": _event, "alertmanager": _as_alertmanager}[self.form](notices, key)
        post_json(self.url, content, timeout_seconds=self.timeout_seconds, attempts=self.attempts, headers=headers)


def _plain(notices: Sequence[Notice], key: str) -> dict[str, Any]:
    alerts = [{"status": notice.kind, "since": notice.since.isoformat(), **notice.alert} for notice in notices]
    return {"summary": headline(notices), "alerts": alerts}


def _event(notices: Sequence[Notice], key: str) -> dict[str, Any]:
    first = notices[0]
    return {
        "specversion": "1.0",
        "id": key or datetime.now(UTC).isoformat(),
        "source": f"/orita/alerts/{first.labels.get('system', '')}".rstrip("/"),
        "type": "orita.alerts.changed",
        "subject": first.alert["name"],
        "time": (first.ended or first.since).isoformat(),
        "datacontenttype": "application/json",
        "data": _plain(notices, key),
    }


def _as_alertmanager(notices: Sequence[Notice], key: str) -> dict[str, Any]:
    firing = any(notice.kind == "firing" for notice in notices)
    common = set(labels_of(notices[0]).items())
    for notice in notices[1:]:
        common &= labels_of(notice).items()
    return {
        "version": "4",
        "groupKey": key,
        "truncatedAlerts": 0,
        "status": "firing" if firing else "resolved",
        "receiver": "orita",
        "groupLabels": {},
        "commonLabels": dict(sorted(common)),
        "commonAnnotations": {},
        "externalURL": "",
        "alerts": [
            {"status": "firing" if notice.kind == "firing" else "resolved", **amended(notice)} for notice in notices
        ],
    }
