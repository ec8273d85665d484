"""What became of a month: how long the model was good, what was alarmed and why, what was promoted.

An alarm has a reason where tastes moved since what it is held against (for drift the version's first requests, for
performance the version's test rows), or where nobody was answered in its window: the last day, for the outage's own
alert the last four hours. It is an *echo* where tastes moved before that, at most seven days ago: features that look
back go on moving. Else it is false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from benchmarks.month_life import Course, Fired
from benchmarks.month_noon import Noons

from orita.core.errors import NotFound
from orita.features.training_sets.training_set import open_training_set
from orita.project import Project
from orita.simulate.scenario import Scenario

__all__ = ["SILENCE", "Alarm", "Month", "judged"]

SILENCE = "LOW_THROUGHPUT"
"""The alert of an outage."""

_DRIFT = ("FEATURE_DRIFT", "PREDICTION_DRIFT")
_ECHO = 24 * 7


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert that began to fire, and its reason: ``drift``, ``outage``, ``echo`` or ``none``."""

    fired: Fired
    reason: str


@dataclass(frozen=True, slots=True)
class Month:
    """What was found with one seed.

    Attributes:
        seed, scenario: of the world and its users; what happened.
        noons: every day's measurements.
        course: what the machinery did.
        alarms: with the judgement.
        seconds: how long it took.
    """

    seed: int
    scenario: Scenario
    noons: Noons
    course: Course
    alarms: tuple[Alarm, ...]
    seconds: float

    @property
    def drifts(self) -> list[int]:
        """The days on which tastes moved."""
        return [each.day for each in self.scenario.happenings if each.drift is not None]

    @property
    def outages(self) -> list[tuple[float, float]]:
        """From which hour to which nobody was answered."""
        return _outages(self.scenario)

    def recovered(self, figure: str) -> list[int | None]:
        """Return, for each drift, the days until *figure* was within 1 % of the oracle's and stayed so the day after;
        None: not before the next drift, or the end."""
        days = [noon.day for noon in self.noons]
        within = {noon.day: noon.within(figure) for noon in self.noons}
        found: list[int | None] = []
        for drift, end in zip(self.drifts, [*self.drifts[1:], days[-1] + 1], strict=True):
            stays = (day for day in range(drift, end) if within[day] and within.get(day + 1 if day + 1 < end else day))
            day = next(stays, None)
            found.append(None if day is None else day - drift)
        return found

    def retrained(self) -> list[float]:
        """Return the hours at which a training for promotion was begun."""
        return [ran.hour for ran in self.course.ran if ran.pipeline == "retraining"
                and ran.results.get("check_trigger_conditions", {}).get("retrain")]  # fmt: skip

    def figures(self) -> dict[str, Any]:
        """Return what there is to tell, as JSON values."""
        promotions = [noon for noon in self.noons if noon.gain is not None]
        silences = [a.fired.hour for a in self.alarms if a.fired.name == SILENCE]
        return {
            "within_auc": _share([noon.within("auc") for noon in self.noons]),
            "within_ctr": _share([noon.within("ctr") for noon in self.noons]),
            "recovered_auc": self.recovered("auc"),
            "recovered_ctr": self.recovered("ctr"),
            "promotions": len(promotions),
            "false_promotions": sum(noon.gain < 0 for noon in promotions if noon.gain is not None),
            "rolled_back": sum(a.fired.name == "MODEL_ROLLED_BACK" for a in self.alarms),
            "alarms": len(self.alarms),
            "echoes": sum(alarm.reason == "echo" for alarm in self.alarms),
            "false_alarms": sum(alarm.reason == "none" for alarm in self.alarms),
            "outage_alarmed": all(any(b <= h <= e + 1 for h in silences) for b, e in self.outages),
            "retrained_in_outage": sum(b <= hour < e for hour in self.retrained() for b, e in self.outages),
        }


def judged(project: Project, month: Scenario, course: Course) -> tuple[Alarm, ...]:
    """Return the alarms of a month, each with its reason."""
    drifts = [24.0 * (each.day - 1) for each in month.happenings if each.drift is not None]
    outages = _outages(month)

    def reason(fired: Fired) -> str:
        window = 4 if fired.name == SILENCE else 24
        if any(begin < fired.hour <= end + window for begin, end in outages):
            return "outage"
        if fired.name == SILENCE:
            return "none"
        if fired.name in _DRIFT:
            since = max((d.hour for d in course.deployed if d.version == fired.version), default=0.0)
        else:
            since = _tested_from(project, fired.version, course)
        if any(since < drift <= fired.hour for drift in drifts):
            return "drift"
        return "echo" if any(drift <= fired.hour <= drift + _ECHO for drift in drifts) else "none"

    return tuple(Alarm(fired, reason(fired)) for fired in course.fired)


def _outages(month: Scenario) -> list[tuple[float, float]]:
    """Return from which hour to which nobody was answered."""
    found = [(24.0 * (each.day - 1) + each.outage.at_hour, each.outage.hours)
             for each in month.happenings if each.outage is not None]  # fmt: skip
    return [(begin, begin + hours) for begin, hours in found]


def _tested_from(project: Project, version: str, course: Course) -> float:
    """Return the hour of the first test row of a version."""
    package = project.package(version)
    try:
        made = open_training_set(project.home.training_sets, project.system.name, str(package.extra["training_set"]))
    except NotFound:  # let go since; what it learned from ended a little earlier
        return course.hour(datetime.fromisoformat(package.metadata.training_data_date_range["end"]))
    return course.hour(datetime.fromisoformat(made.splits["test"].start))


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), 3)
