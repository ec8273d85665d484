"""The contract of a sink: it takes the notices of one run as one message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

__all__ = ["Notice", "Sink", "headline", "plain_text"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell.

    Attributes:
        kind: it fires, or it fired and is over.
        alert: the alert's fields as plain JSON values.
        since: when it began to fire.
        labels: what makes it the alert it is, its name and subject among them.
        ended: when it was over; None while it fires.
    """

    kind: Literal["firing", "recovered"]
    alert: dict[str, Any]
    since: datetime
    labels: dict[str, str] = field(default_factory=dict)
    ended: datetime | None = None


class Sink(Protocol):
    """Somewhere that alerts go."""

    def send(self, notices: Sequence[Notice], key: str = "") -> None:
        """Deliver *notices* as one message, or raise.

        Args:
            notices: the worst first.
            key: the same at every attempt to deliver this message, after a kill too; who is told may know it by that.

        Raises:
            OSError: the other side cannot be reached, or failed.
            OritaError: the other side, or the configuration, refuses the message.
        """
        ...


def headline(notices: Sequence[Notice]) -> str:
    """Return one line: how many alerts fire and how many are over, and which comes first."""
    firing = sum(notice.kind == "firing" for notice in notices)
    over = len(notices) - firing
    counts = " and ".join(
        text for text in (f"{firing} firing" if firing else "", f"{over} recovered" if over else "") if text
    )
    first = notices[0].alert
    return f"Orita: {counts}: {first['name']} {first['subject']}" + (
        f" and {len(notices) - 1} more" if len(notices) > 1 else ""
    )


def plain_text(notices: Sequence[Notice]) -> str:
    """Return the notices as a text for people, with evidence and runbook."""
    parts = []
    for notice in notices:
        alert = notice.alert
        word = alert["severity"].upper() if notice.kind == "firing" else "RECOVERED"
        parts.append(
            f"{word}  {alert['name']}  {alert['subject']}\n"
            f"{alert['summary']}\n"
            f"since {notice.since.isoformat()}\n"
            f"evidence: {alert['evidence']}\n"
            f"what to do: {alert['runbook']}\n"
        )
    return "\n".join(parts)
