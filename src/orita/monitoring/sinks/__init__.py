"""Where alerts go: one file a sink, and the set that a configuration asks for."""

from __future__ import annotations

from orita.monitoring.config import AlertingConfig
from orita.monitoring.sinks.email import EmailSink
from orita.monitoring.sinks.log import LogSink
from orita.monitoring.sinks.sink import Notice, Sink
from orita.monitoring.sinks.slack import SlackSink
from orita.monitoring.sinks.webhook import WebhookSink

__all__ = ["EmailSink", "LogSink", "Notice", "Sink", "SlackSink", "WebhookSink", "configured_sinks"]


def configured_sinks(config: AlertingConfig) -> dict[str, Sink]:
    """Return the sinks of *config* by name: the log always, the others where an address is given."""
    sinks: dict[str, Sink] = {"log": LogSink()}
    if config.recipients:
        sinks["email"] = EmailSink(config.recipients, config.smtp)
    if config.slack_webhook is not None:
        sinks["slack"] = SlackSink(config.slack_webhook, config.timeout_seconds, config.attempts)
    if config.webhook is not None:
        sinks["webhook"] = WebhookSink(config.webhook, config.timeout_seconds, config.attempts)
    return sinks
