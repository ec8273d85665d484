"""Where alerts go: one file a sink, and the set that a configuration asks for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from orita.monitoring.config import AlertingConfig
from orita.monitoring.sinks.alertmanager import REPEAT, AlertmanagerSink
from orita.monitoring.sinks.email import EmailSink
from orita.monitoring.sinks.log import LogSink
from orita.monitoring.sinks.sink import Notice, Sink
from orita.monitoring.sinks.slack import SlackSink
from orita.monitoring.sinks.webhook import WebhookSink

__all__ = [
    "AlertmanagerSink",
    "EmailSink",
    "LogSink",
    "Notice",
    "Sink",
    "SlackSink",
    "WebhookSink",
    "configured_sinks",
    "repeats_of",
]


def configured_sinks(config: AlertingConfig) -> dict[str, Sink]:
    """Return the sinks of *config* by name: the log always, the others where an address is given."""
    limits = config.timeout_seconds, config.attempts
    sinks: dict[str, Sink] = {"log": LogSink()}
    if config.recipients:
        sinks["email"] = EmailSink(config.recipients, config.smtp)
    if config.slack_webhook is not None:
        sinks["slack"] = SlackSink(config.slack_webhook, *limits)
    if config.webhook is not None:
        sinks["webhook"] = WebhookSink(config.webhook, *limits, config.webhook_form)
    if config.alertmanager is not None:
        valid = timedelta(hours=config.cooldown_hours + 1)
        sinks["alertmanager"] = AlertmanagerSink(config.alertmanager, *limits, valid)
    return sinks


def repeats_of(sinks: Mapping[str, Sink], cooldown: timedelta) -> dict[str, timedelta]:
    """Return after how long each of *sinks* hears again of what still fires."""
    return {name: REPEAT if isinstance(sink, AlertmanagerSink) else cooldown for name, sink in sinks.items()}
