"""Who is told now? New alerts to every sink, repeated ones after the cool-down, recoveries to those who were told."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from orita.core.clock import Clock
from orita.core.errors import OritaError
from orita.monitoring.alerts import Assessment
from orita.monitoring.ledger import AlertState, Key, append_records, locked, read_ledger
from orita.monitoring.sinks.sink import Notice, Sink

__all__ = ["Delivery", "DispatchReport", "dispatch"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one message to one sink.

    Attributes:
        sink: its name.
        notices: how many notices the message held.
        error: why it did not arrive, or None.
    """

    sink: str
    notices: int
    error: str | None


@dataclass(frozen=True, slots=True)
class DispatchReport:
    """What one run told whom.

    Attributes:
        firing: alerts that fire now, as plain values.
        new: how many of them did not fire before.
        recovered: alerts that fired before, were judged now, and fire no more.
        deliveries: one for each sink that had something to say.
    """

    firing: tuple[dict[str, Any], ...]
    new: int
    recovered: tuple[dict[str, Any], ...]
    deliveries: tuple[Delivery, ...]

    @property
    def failed(self) -> tuple[Delivery, ...]:
        """Messages that did not arrive; the next run sends them again."""
        return tuple(delivery for delivery in self.deliveries if delivery.error is not None)


def dispatch(
    assessment: Assessment, sinks: Mapping[str, Sink], *, ledger: Path, clock: Clock, cooldown: timedelta
) -> DispatchReport:
    """Record what fires and what recovered, then tell each sink what it does not know yet.

    The record is durable before anything is sent, and each success after it: a run killed in between sends
        again
    rather than never. A sink that fails does not stop the others; its failure is logged, recorded and
    returned.

    Args:
        assessment: what fires, and what was judged.
        sinks: by name.
        ledger: the file that remembers (JSON lines).
        clock: tells the time.
        cooldown: the same alert is not sent to the same sink again before this has passed.
    """
    now = clock.now()
    with locked(ledger):
        before = read_ledger(ledger)
        firing = {alert.key: alert.to_dict() for alert in assessment.firing}
        gone = [key for key, state in before.items() if state.firing and key in assessment.judged and key not in firing]
        records = [_record("firing", key, now, alert=alert) for key, alert in firing.items()]
        append_records(ledger, records + [_record("recovered", key, now) for key in gone])
        states = read_ledger(ledger)
        deliveries = []
        for name, sink in sinks.items():
            due = _due(states, firing, name, now=now, cooldown=cooldown)
            if due:
                error = _send(name, sink, due)
                append_records(ledger, [_outcome(notice, name, now, error) for notice in due])
                deliveries.append(Delivery(name, len(due), error))
    return DispatchReport(
        firing=tuple(firing.values()),
        new=sum(1 for key in firing if key not in before or not before[key].firing),
        recovered=tuple(states[key].alert for key in gone),
        deliveries=tuple(deliveries),
    )


def _due(
    states: Mapping[Key, AlertState], firing_now: Container[Key], sink: str, *, now: datetime, cooldown: timedelta
) -> list[Notice]:
    notices = []
    for key, state in states.items():
        since = state.since or now
        if state.firing:
            told = state.told.get(sink)
            # What was not judged now is not repeated: it may be about a model that no longer serves.
            if told is None or (key in firing_now and now - told >= cooldown):
                notices.append(Notice("firing", state.alert, since))
        elif state.owed.get(sink):
            notices.append(Notice("recovered", state.alert, since))
    # The same order as the assessment: the worst first, good news last.
    return sorted(notices, key=lambda n: (n.kind != "firing", n.alert["severity"] != "critical", n.alert["name"]))


def _send(name: str, sink: Sink, notices: list[Notice]) -> str | None:
    try:
        sink.send(notices)
    except (OSError, OritaError) as error:
        structlog.get_logger("orita.monitoring").error(
            "alert sink failed", sink=name, notices=len(notices), error=str(error)
        )
        return str(error)
    return None


def _record(event: str, key: Key, at: datetime, **more: Any) -> dict[str, Any]:
    return {"event": event, "name": key[0], "subject": key[1], "at": at.isoformat(), **more}


def _outcome(notice: Notice, sink: str, at: datetime, error: str | None) -> dict[str, Any]:
    key = (notice.alert["name"], notice.alert["subject"])
    more = {"sink": sink, "notice": notice.kind}
    if error is None:
        return _record("sent", key, at, **more)
    return _record("failed", key, at, error=error, **more)
