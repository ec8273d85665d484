"""The loop: read the servers' metrics, judge the rules, move the alerts on, tell who is to know."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import structlog

from orita.core.clock import Clock
from orita.core.errors import OritaError
from orita.core.home import Home
from orita.monitoring.alerting.book import AlertBook
from orita.monitoring.alerting.evaluation import Evaluation, horizon, kept_names
from orita.monitoring.alerting.evidence import write_evidence
from orita.monitoring.alerting.rules import AnomalyRule
from orita.monitoring.alerting.scraping import Scrape, scrape_all
from orita.monitoring.alerting.series import SeriesFile
from orita.monitoring.alerting.states import Condition, Signal, step
from orita.monitoring.config import MonitoringConfig
from orita.monitoring.dispatch import DispatchReport, dispatch
from orita.monitoring.sinks import Sink, configured_sinks

__all__ = ["Look", "Watch"]

_PRUNE_EVERY = 300.0
_WEEK = 604_800.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found.

    Attributes:
        scrapes: of each server; one with an error gave nothing.
        signals: of everything that could be judged.
        told: what became of it.
    """

    scrapes: tuple[Scrape, ...]
    signals: tuple[Signal, ...]
    told: DispatchReport

    @property
    def unread(self) -> dict[str, str]:
        """The servers that could not be read, and why."""
        return {each.target: each.error for each in self.scrapes if each.error is not None}


@dataclass
class Watch:
    """Looks at one system, as often as it is asked; close it.

    Attributes:
        home: its prediction log and reports.
        system: its name.
        config: rules, SLOs, sinks.
        targets: servers to read.
        clock: tells the time.
        token: by which metrics may be read.
        sinks: by default those of the configuration.
    """

    home: Home
    system: str
    config: MonitoringConfig
    targets: Sequence[str]
    clock: Clock
    token: str | None = None
    sinks: Mapping[str, Sink] | None = None
    book: AlertBook = field(init=False)
    file: SeriesFile = field(init=False)
    _pruned: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        alerting, rules = self.config.alerting, self.config.rules
        self.book = AlertBook(alerting.book(self.home.reports))
        path = self.home.reports / f"metrics-{self.system}.db"
        self.file = SeriesFile(path, horizon(rules, alerting.slos))
        if self.sinks is None:
            self.sinks = configured_sinks(alerting)

    def close(self) -> None:
        """Close the files."""
        self.book.close()
        self.file.close()

    def look(self) -> Look:
        """Read, judge, remember, tell."""
        alerting, rules = self.config.alerting, self.config.rules
        names = kept_names(rules, alerting.slos)
        scrapes = scrape_all(self.targets, names, timeout_seconds=alerting.timeout_seconds, token=self.token)
        now = self.clock.now()
        self.file.add(scrapes, now.timestamp())
        folder = self.home.reports / "alerts"
        evaluation = Evaluation(self.home, self.system, rules, alerting.slos, self.file, str(folder), now)
        signals = evaluation.signals()
        self._show(signals, evaluation)
        told = dispatch(
            signals,
            self.sinks or {},
            book=self.book,
            clock=self.clock,
            cooldown=timedelta(hours=alerting.cooldown_hours),
            group_by=alerting.group_by,
            wait=timedelta(seconds=alerting.group_wait),
        )
        self._prune(now.timestamp())
        return Look(tuple(scrapes), tuple(signals), told)

    def run(self, stopping: threading.Event, each: Callable[[Look], None]) -> None:
        """Look every ``alerting.interval`` until *stopping* is set; hand *each* what was found.

        A look that fails, since the disk is full, is logged; the next is taken all the same.
        """
        while not stopping.is_set():
            begun = self.clock.monotonic()
            try:
                each(self.look())
            except (OritaError, OSError) as error:
                structlog.get_logger("orita.monitoring").error("alerts_not_judged", error=str(error), alert=True)
            stopping.wait(max(self.config.alerting.interval - (self.clock.monotonic() - begun), 0.0))

    def _show(self, signals: Sequence[Signal], evaluation: Evaluation) -> None:
        """Write the page of each alert that is about to fire: what an alert links to exists before anyone is told."""
        active = [signal for signal in signals if signal.active]
        known = {each.fingerprint: each.condition for each in self.book.alerts()} if active else {}
        for signal in active:
            before = known.get(signal.fingerprint, Condition())
            fires = step(before, signal, evaluation.now).state == "firing" and before.state != "firing"
            if fires or not Path(signal.alert.evidence).exists():
                write_evidence(signal, evaluation.rules.get(signal.alert.name), evaluation)

    def _prune(self, now: float) -> None:
        if now - self._pruned < _PRUNE_EVERY:
            return
        self._pruned = now
        weeks = [rule.seasons + 8 for rule in self.config.rules.values() if isinstance(rule, AnomalyRule)]
        steps = [2 * rule.window * rule.step for rule in self.config.rules.values() if isinstance(rule, AnomalyRule)]
        self.file.prune(now, max([*(_WEEK * each for each in weeks), *steps], default=_WEEK))
        self.book.prune(self.clock.now())
