"""The state of one alert: inactive, pending, firing, resolved; a pure function from one look to the next."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

from orita.monitoring.alerts import Alert

__all__ = ["Condition", "Signal", "State", "fingerprint", "step"]

State = Literal["inactive", "pending", "firing", "resolved"]


def fingerprint(labels: dict[str, str]) -> str:
    """Return what alerts with equal labels are known by: 16 hexadecimal digits."""
    text = "\x1f".join(f"{name}\x1e{value}" for name, value in sorted(labels.items()))
    return sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Signal:
    """What one look says of one alert.

    Attributes:
        alert: what would be told.
        active: whether its condition holds.
        labels: beside name and subject, what tells it from others, such as ``instance``.
        wait_seconds: for so long the condition must hold before the alert fires.
        keep_seconds: for so long it must not hold before the alert is over.
        sinks: who is told; empty: all.
    """

    alert: Alert
    active: bool
    labels: dict[str, str] = field(default_factory=dict)
    wait_seconds: float = 0.0
    keep_seconds: float = 0.0
    sinks: tuple[str, ...] = ()

    @property
    def all_labels(self) -> dict[str, str]:
        """The labels that make the alert what it is; its severity may change and is none."""
        return {**self.labels, "alertname": self.alert.name, "subject": self.alert.subject}

    @property
    def fingerprint(self) -> str:
        """What it is known by."""
        return fingerprint(self.all_labels)


@dataclass(frozen=True, slots=True)
class Condition:
    """Where an alert is.

    Attributes:
        state: ``pending``: its condition holds, not yet for long enough; ``resolved``: it fired, and is over.
        since: when the condition began to hold, in this episode.
        fired_at: when it fired; None: it has not.
        resolved_at: when it was over.
        quiet_since: firing, and its condition no longer holds since then.
        episode: how often it has fired; told to tell one trouble from the next.
    """

    state: State = "inactive"
    since: datetime | None = None
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    quiet_since: datetime | None = None
    episode: int = 0


def step(before: Condition, signal: Signal, now: datetime) -> Condition:
    """Return the condition after a look at *now*; what was not looked at has no step."""
    if signal.active:
        return _held(before, signal, now)
    if before.state == "pending":
        return replace(before, state="resolved" if before.episode else "inactive", since=None)
    if before.state != "firing":
        return before
    quiet = before.quiet_since or now
    if now - quiet < timedelta(seconds=signal.keep_seconds):
        return replace(before, quiet_since=quiet)
    return replace(before, state="resolved", resolved_at=now, quiet_since=None)


def _held(before: Condition, signal: Signal, now: datetime) -> Condition:
    if before.state == "firing":
        return replace(before, quiet_since=None)
    since = before.since if before.state == "pending" and before.since else now
    if now - since < timedelta(seconds=signal.wait_seconds):
        return replace(before, state="pending", since=since)
    return Condition("firing", since, now, None, None, before.episode + 1)
