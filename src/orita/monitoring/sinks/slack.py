"""Alerts to a Slack channel, by incoming webhook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orita.monitoring.sinks.post import post_json
from orita.monitoring.sinks.sink import Notice, headline

__all__ = ["SlackSink"]

_MARK = {"critical": ":rotating_light:", "warning": ":warning:", "info": ":information_source:"}
# Slack refuses a message of more than 50 blocks, and a section of more than 3,000 characters.
_MOST_NOTICES = 45
_MOST_CHARACTERS = 2_900


@dataclass(frozen=True, slots=True)
class SlackSink:
    """Posts one message with one section a notice.

    Attributes:
        url: the incoming webhook; a secret.
        timeout_seconds: limit of one call.
        attempts: tries before it is given up.
    """

    url: str
    timeout_seconds: float = 5.0
    attempts: int = 3

    def send(self, notices: Sequence[Notice], key: str = "") -> None:
        """Post *notices*; see `post_json` for errors."""
        title = headline(notices)
        blocks = [_section(f"*{_escaped(title)}*"), *(_section(_text(n)) for n in notices[:_MOST_NOTICES])]
        if len(notices) > _MOST_NOTICES:
            blocks.append(_section(f"and {len(notices) - _MOST_NOTICES} more; see the evidence."))
        content = {"text": _escaped(title), "blocks": blocks}
        post_json(self.url, content, timeout_seconds=self.timeout_seconds, attempts=self.attempts)


def _section(text: str) -> dict[str, object]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_MOST_CHARACTERS]}}


def _text(notice: Notice) -> str:
    alert = {name: _escaped(str(value)) for name, value in notice.alert.items()}
    mark = _MARK[notice.alert["severity"]] if notice.kind == "firing" else ":white_check_mark:"
    word = "" if notice.kind == "firing" else " recovered"
    return (
        f"{mark} *{alert['name']}*{word} `{alert['subject']}`\n{alert['summary']}\n"
        f"since {notice.since:%Y-%m-%d %H:%M} UTC · evidence `{alert['evidence']}` · runbook `{alert['runbook']}`"
    )


def _escaped(text: str) -> str:
    # Slack's own rule: these three, and no others.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
