"""What do the declared rules say now? From samples and the prediction log to a signal for each alert."""

from __future__ import annotations

import json
import math
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import structlog
from numpy.typing import NDArray

from orita.core.home import Home
from orita.monitoring.alerting.anomalies import Verdict, seasonal, z_score
from orita.monitoring.alerting.durations import to_words
from orita.monitoring.alerting.log_measures import read_log
from orita.monitoring.alerting.measures import Measure
from orita.monitoring.alerting.readings import Reading, bad_share, read_measure
from orita.monitoring.alerting.rules import (
    AnomalyRule,
    BudgetRule,
    BurnRateRule,
    ReportRule,
    Rule,
    ThresholdRule,
    burn_rules,
    runbook_of,
)
from orita.monitoring.alerting.series import SeriesFile
from orita.monitoring.alerting.slos import BurnWindow, Slo
from orita.monitoring.alerting.states import Signal, fingerprint
from orita.monitoring.alerts import Alert, Severity

__all__ = ["Evaluation", "horizon", "kept_names"]

_WEEK = 604_800
_MOST_MISSED = 48


def kept_names(rules: Mapping[str, Rule], slos: Mapping[str, Slo]) -> frozenset[str]:
    """Return the metrics whose samples the rules need."""
    measured = [
        rule.measure.names for rule in rules.values() if isinstance(rule, ThresholdRule | AnomalyRule | BudgetRule)
    ]
    return frozenset(name for names in (*measured, *(slo.names for slo in slos.values())) for name in names)


def horizon(rules: Mapping[str, Rule], slos: Mapping[str, Slo]) -> float:
    """Return how far back rules look at samples, seconds; an hour at least."""
    windows = [3_600.0]
    for rule in rules.values():
        if isinstance(rule, ThresholdRule | BudgetRule):
            windows.append(rule.measure.over)
        elif isinstance(rule, AnomalyRule):
            windows.append(_MOST_MISSED * rule.step)
    for _, rule in burn_rules(rules, slos):
        windows += [pair.long for pair in rule.windows or slos[rule.slo].burn]
    return 1.25 * max(windows)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One look.

    Attributes:
        home: whose prediction log.
        system: whose requests; in the subject of each alert.
        rules, slos: what is declared.
        file: samples that were read.
        evidence: folder in which the page of an alert is, or will be.
        now: when.
    """

    home: Home
    system: str
    rules: Mapping[str, Rule]
    slos: Mapping[str, Slo]
    file: SeriesFile
    evidence: str
    now: datetime

    def signals(self) -> list[Signal]:
        """Return a signal for each alert that could be judged; what has no data has none.

        A rule that cannot be judged for another reason is logged, and keeps no other from being judged.
        """
        found = []
        others = [(name, rule) for name, rule in self.rules.items() if not isinstance(rule, BurnRateRule)]
        for name, rule in [*others, *burn_rules(self.rules, self.slos)]:
            try:
                found += self._judged(name, rule)
            except Exception as error:  # whatever it is, the other rules are judged
                structlog.get_logger("orita.monitoring").error(
                    "rule_not_judged", rule=name, error=str(error), alert=True
                )
        return found

    def _judged(self, name: str, rule: Rule) -> list[Signal]:
        match rule:
            case ThresholdRule():
                return list(self._threshold(name, rule))
            case AnomalyRule():
                return list(self._anomaly(name, rule))
            case BudgetRule():
                return list(self._budget(name, rule))
            case BurnRateRule():
                return list(self._burn(name, rule))
            case ReportRule():
                return []  # judged where the report is made

    def read(self, measure: Measure, at: float | None = None, over: float | None = None) -> list[Reading]:
        """Return what *measure* is, or was at *at* (Unix seconds)."""
        when = self.now.timestamp() if at is None else at
        if measure.source == "log":
            return read_log(measure, self.home, self.system, when, over)
        return read_measure(measure, self.file, when, over)

    def _threshold(self, name: str, rule: ThresholdRule) -> Iterator[Signal]:
        limit, side = (rule.above, "above") if rule.above is not None else (rule.below, "below")
        assert limit is not None
        for reading in self.read(rule.measure):
            fires = reading.value > limit if side == "above" else reading.value < limit
            window = "" if rule.measure.kind == "value" else f", over {to_words(rule.measure.over)}"
            said = f"{rule.measure.words} is {reading.value:.4g}{window}; the alert fires {side} {limit:g}."
            yield self._signal(name, rule, fires, said, reading.value, limit, reading.labels)

    def _budget(self, name: str, rule: BudgetRule) -> Iterator[Signal]:
        limit = rule.limit * rule.share
        for reading in self.read(rule.measure):
            window = f" within {to_words(rule.measure.over)}" if rule.measure.kind == "increase" else ""
            said = (
                f"{rule.measure.metric}: {reading.value:,.6g} of {rule.limit:,.6g} is spent{window}, "
                f"{reading.value / rule.limit:.1%}; the alert fires from {rule.share:.0%}."
            )
            yield self._signal(name, rule, reading.value >= limit, said, reading.value, limit, reading.labels)

    def _anomaly(self, name: str, rule: AnomalyRule) -> Iterator[Signal]:
        self._keep_points(name, rule)
        for labels, (at_N, known_N) in self.file.points(name).items():
            value_N = _regular(at_N, known_N, rule.step, _last_step(self.now, rule.step))
            verdict = _verdict(rule, value_N)
            if not verdict.judged:
                continue
            said = (
                f"{rule.measure.words} is {value_N[-1]:.4g} over {to_words(rule.step)}, "
                f"{verdict.expected:.4g} was expected: "
                f"{abs(verdict.score):.3g} scales away; the alert fires from {verdict.limit:.3g}."
            )
            yield self._signal(
                name, rule, verdict.anomalous, said, float(value_N[-1]), verdict.expected, json.loads(labels)
            )

    def _keep_points(self, name: str, rule: AnomalyRule) -> None:
        """Measure the steps that are over and have no point yet, as far back as there are samples."""
        last = _last_step(self.now, rule.step)
        known = [float(at_N[-1]) for at_N, _ in self.file.points(name).values()]
        first = max(max(known, default=last - rule.step) + rule.step, last - _MOST_MISSED * rule.step)
        points: list[tuple[str, float, float]] = []
        for at in np.arange(first, last + rule.step / 2, rule.step):
            read = self.read(rule.measure, float(at), rule.step)
            points += [(json.dumps(reading.labels, sort_keys=True), float(at), reading.value) for reading in read]
        self.file.add_points(name, points)

    def _burn(self, name: str, rule: BurnRateRule) -> Iterator[Signal]:
        slo = self.slos[rule.slo]
        pairs = rule.windows or slo.burn
        for severity in dict.fromkeys(pair.severity for pair in pairs):
            burning = [self._burning(slo, pair) for pair in pairs if pair.severity == severity]
            judged = [each for each in burning if each is not None]
            if judged:
                # The pair that is furthest beyond its factor speaks for all of one severity.
                pair, long, short = max(judged, key=lambda each: min(each[1], each[2]) / each[0].factor)
                said = (
                    f"The error budget of {rule.slo} ({slo.objective:.6g} over {to_words(slo.window)}) "
                    f"burns {long:.3g} times "
                    f"as fast as it may over {to_words(pair.long)}, {short:.3g} times over {to_words(pair.short)}; "
                    f"the alert fires from {pair.factor:g} times in both."
                )
                fires = any(min(long, short) >= pair.factor for pair, long, short in judged)
                labels = {"slo": rule.slo, "severity": severity}
                yield self._signal(name, rule, fires, said, long, pair.factor, labels, severity, rule.slo)

    def _burning(self, slo: Slo, pair: BurnWindow) -> tuple[BurnWindow, float, float] | None:
        shares = [self._bad_share(slo, over) for over in (pair.long, pair.short)]
        long, short = (None if share is None else share / slo.budget for share in shares)
        return None if long is None or short is None else (pair, long, short)

    def _bad_share(self, slo: Slo, over: float) -> float | None:
        now = self.now.timestamp()
        if slo.histogram is None:
            return bad_share(self.file, (slo.bad or "", slo.labels), (slo.total or "", slo.labels), now, over)
        good = (f"{slo.histogram}_bucket", {**slo.labels, "le": slo.bucket})
        if not self.file.select(*good, now - over, now):
            return None
        return bad_share(self.file, good, (f"{slo.histogram}_count", slo.labels), now, over, counts_good=True)

    def _signal(
        self,
        name: str,
        rule: Rule,
        active: bool,
        said: str,
        value: float,
        threshold: float,
        labels: Mapping[str, str],
        severity: Severity | None = None,
        about: str = "",
    ) -> Signal:
        known = {"system": self.system, "source": "metrics", **rule.labels, **labels}
        subject = "/".join([self.system, *([about] if about else [value for value in labels.values() if value])])
        page = f"{self.evidence}/{name.lower()}-{fingerprint({**known, 'alertname': name, 'subject': subject})}.html"
        summary = _filled(rule.summary, {**known, "value": f"{value:.4g}", "threshold": f"{threshold:g}"}) or said
        runbook = rule.runbook or runbook_of(rule.entry)
        alert = Alert(
            name=name,
            subject=subject,
            severity=severity or rule.severity,
            summary=summary,
            value=value if math.isfinite(value) else None,
            threshold=threshold if math.isfinite(threshold) else None,
            evidence=page,
            runbook=runbook,
            at=self.now,
        )
        return Signal(alert, active, known, rule.wait, rule.keep, rule.sinks)


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Return *template* with the values whose names it has; a name that is not known stays as it is."""
    for name, value in ChainMap(dict(values)).items():
        template = template.replace(f"{{{name}}}", value)
    return template


def _last_step(now: datetime, step: float) -> float:
    return math.floor(now.timestamp() / step) * step


def _regular(at_N: NDArray[np.float64], value_N: NDArray[np.float64], step: float, last: float) -> NDArray[np.float64]:
    """Return one value a step up to *last*, NaN where nothing was measured."""
    count = round((last - at_N[0]) / step) + 1
    regular_N = np.full(max(count, 1), np.nan)
    places = np.rint((at_N - at_N[0]) / step).astype(np.int64)
    kept = (places >= 0) & (places < len(regular_N))
    regular_N[places[kept]] = value_N[kept]
    return regular_N


def _verdict(rule: AnomalyRule, value_N: NDArray[np.float64]) -> Verdict:
    if rule.method == "z_score":
        return z_score(value_N, window=rule.window, limit=rule.z, direction=rule.direction)
    return seasonal(
        value_N,
        round(_WEEK / rule.step),
        false_alarm_rate=rule.false_alarm_rate,
        seasons=rule.seasons,
        min_change=rule.min_change,
        direction=rule.direction,
    )
