"""Who is told now? New alerts to every sink, repeated ones after the cool-down, recoveries to those who were told."""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from orita.core.clock import Clock
from orita.monitoring.alerting.book import AlertBook, KnownAlert, Message
from orita.monitoring.alerting.rules import REPORTED, ReportRule, Rule
from orita.monitoring.alerting.states import Signal
from orita.monitoring.alerts import Alert, Assessment
from orita.monitoring.sinks import Sink, repeats_of

__all__ = ["Delivery", "DispatchReport", "deliver", "dispatch", "signals_of"]


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
        deliveries: one for each message.
    """

    firing: tuple[dict[str, Any], ...]
    new: int
    recovered: tuple[dict[str, Any], ...]
    deliveries: tuple[Delivery, ...]

    @property
    def failed(self) -> tuple[Delivery, ...]:
        """Messages that did not arrive; they are sent again."""
        return tuple(delivery for delivery in self.deliveries if delivery.error is not None)


def signals_of(assessment: Assessment, rules: Mapping[str, Rule | None] | None = None) -> list[Signal]:
    """Return what a monitoring run says of each alert that it judged, as the declared rules would have it.

    Args:
        assessment: of the run.
        rules: by name; one of kind ``drift`` or ``quality`` that is called like an alert changes it, of another name is
            an alert more; None: the alert is not told.
    """
    judged = [(alert, True) for alert in assessment.firing] + [(alert, False) for alert in assessment.quiet]
    reported = {alert.name for alert, _ in judged} | REPORTED
    extra = {n: rule for n, rule in (rules or {}).items() if isinstance(rule, ReportRule) and n not in reported}
    return [signal for alert, active in judged for signal in _declared(alert, active, rules or {}, extra)]


def _declared(
    alert: Alert, active: bool, rules: Mapping[str, Rule | None], extra: Mapping[str, ReportRule]
) -> Iterator[Signal]:
    own = rules.get(alert.name)
    if isinstance(own, ReportRule):
        yield _as_ruled(alert, active, alert.name, own)
    elif alert.name not in rules or own is not None:
        yield Signal(alert, active)
    for name, rule in extra.items():
        if rule.takes(alert.name, alert.subject):
            yield _as_ruled(alert, active, name, rule)


def _as_ruled(alert: Alert, active: bool, name: str, rule: ReportRule) -> Signal:
    runbook = rule.runbook or alert.runbook
    ruled = replace(alert, name=name, severity=rule.severity, runbook=runbook, summary=rule.summary or alert.summary)
    return Signal(ruled, active, dict(rule.labels), rule.wait, rule.keep, rule.sinks)


def dispatch(
    signals: Iterable[Signal],
    sinks: Mapping[str, Sink],
    *,
    book: AlertBook,
    clock: Clock,
    cooldown: timedelta,
    group_by: Sequence[str] = (),
    wait: timedelta = timedelta(),
) -> DispatchReport:
    """Record what was found, then tell each sink what it does not know yet.

    The record is durable before anything is sent, and each success after it: a run killed in between sends the same
    message again, with the same key, rather than never.

    Args:
        signals: of everything that was judged.
        sinks: by name.
        book: what is known of alerts.
        clock: tells the time.
        cooldown: the same alert is not sent to the same sink again before this has passed.
        group_by: labels; notices that have them equal share a message. Empty: all that a sink is due do.
        wait: a notice waits so long for others to share its message.
    """
    taken = list(signals)
    changed = book.observe(taken, repeats_of(sinks, cooldown), clock.now(), wait=wait)
    deliveries = deliver(book, sinks, clock, group_by)
    looked_at = {signal.fingerprint for signal in taken}
    fire = [known.alert for known in book.alerts() if known.firing and known.fingerprint in looked_at]
    return DispatchReport(
        firing=tuple(
            sorted(fire, key=lambda alert: (alert["severity"] != "critical", alert["name"], alert["subject"]))
        ),
        new=sum(known.firing for _, known in changed),
        recovered=tuple(known.alert for before, known in changed if _recovered(before, known)),
        deliveries=tuple(deliveries),
    )


def deliver(book: AlertBook, sinks: Mapping[str, Sink], clock: Clock, group_by: Sequence[str] = ()) -> list[Delivery]:
    """Send each sink what it is due, all at once: one that is slow or fails keeps none of the others waiting."""
    if not sinks:
        return []
    with ThreadPoolExecutor(len(sinks), thread_name_prefix="alerts") as threads:
        pending = [threads.submit(_deliver_to, name, sink, book, clock, group_by) for name, sink in sinks.items()]
        return [delivery for each in pending for delivery in each.result()]


def _recovered(before: str, known: KnownAlert) -> bool:
    return (before, known.condition.state) == ("firing", "resolved")


def _deliver_to(name: str, sink: Sink, book: AlertBook, clock: Clock, group_by: Sequence[str]) -> list[Delivery]:
    with _alone(book.path.with_name(f"{book.path.name}.{name}.lock")):
        return [_send(name, sink, message, book, clock) for message in book.claim(name, clock.now(), group_by)]


def _send(name: str, sink: Sink, message: Message, book: AlertBook, clock: Clock) -> Delivery:
    try:
        sink.send(message.notices, message.key)
    except Exception as error:  # whatever is wrong with one message must keep no other from being sent
        said = str(error) or type(error).__name__
        structlog.get_logger("orita.monitoring").error(
            "alert sink failed", sink=name, notices=len(message.notices), attempts=message.attempts + 1, error=said
        )
        book.failed(message, name, said, clock.now())
        return Delivery(name, len(message.notices), said)
    book.sent(message, name, clock.now())
    return Delivery(name, len(message.notices), None)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the sink alone, so that two processes do not both send the same message; a lock dies with its process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
