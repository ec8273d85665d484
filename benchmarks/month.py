"""Thirty simulated days that nobody looks after: three drifts, one outage. Does the loop keep the model good?

``make bench B=month``; the last line is one JSON object. A small world is generated and a first model trained; then
users live with what the champion serves, what it answers and what they do is logged, and the pipelines run when the
scheduler of ``orita schedule`` says, by the simulated clock: ETL and a training at 02:00, monitoring at 04:00,
retraining on Sundays and when monitoring asks. Alerts are looked at every hour. Nothing is done by hand between days.

At noon of every day the champion is held against an oracle: a model of the same type and settings, trained on pages of
that very noon that nobody else sees, of other users and other items than those on which both are judged. What is judged
is the world's own click probability, so that no luck of clicks is in it: ``auc`` weighs each row by its probability,
``ctr`` is the mean probability of the five items on top. *Within* is a quality of at least 99 % of the oracle's;
``best`` is the order by the truth itself.

A promotion is false where the version before would have had the higher AUC at the next noon. An alarm is false where
the world did not change since what it is held against: for drift the version's first requests, for performance the
version's test rows, for the outage the hours before.

    python -m benchmarks.month [--seeds 10] [--days 30] [--scenario FILE] [--html PAGE] [--set training.epochs=2]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.month_life import Course, Fired, live
from benchmarks.month_noon import Noon, Noons
from benchmarks.month_page import write_month_page

from orita.features.training_sets.training_set import open_training_set
from orita.project import Project, open_project
from orita.simulate.scenario import Scenario, read_scenario

SCENARIO = Path(__file__).with_name("month.yaml")
_DRIFT = ("FEATURE_DRIFT", "PREDICTION_DRIFT")
_SILENCE = "LOW_THROUGHPUT"
_CONFIG = (
    "beside=[]",
    "model.type=lightgbm",
    # Small trees, no page for each training, and one thread: a month has sixty trainings or more.
    *(f"model.lightgbm.{setting}" for setting in ("max_trees=80", "num_leaves=15", "threads=1")),
    "evaluation.report=false",
    # Nobody was answered for two hours: from the prediction log, as no server is there whose metrics could be read.
    f"alerting.rules.{_SILENCE}={{measure: {{source: log, metric: requests, stat: increase, over: 2h}}, below: 1, "
    "severity: critical}",
    f"retraining_triggers.hold_while=[{_SILENCE}]",
)


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert that began to fire, and whether there was reason."""

    fired: Fired
    true: bool


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
        found = [(24 * (each.day - 1) + each.outage.at_hour, each.outage.hours)
                 for each in self.scenario.happenings if each.outage is not None]  # fmt: skip
        return [(float(begin), float(begin + hours)) for begin, hours in found]

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
        silences = [a.fired.hour for a in self.alarms if a.fired.name == _SILENCE]
        return {
            "within_auc": _share([noon.within("auc") for noon in self.noons]),
            "within_ctr": _share([noon.within("ctr") for noon in self.noons]),
            "recovered_auc": self.recovered("auc"),
            "recovered_ctr": self.recovered("ctr"),
            "promotions": len(promotions),
            "false_promotions": sum(noon.gain < 0 for noon in promotions if noon.gain is not None),
            "rolled_back": sum(a.fired.name == "MODEL_ROLLED_BACK" for a in self.alarms),
            "alarms": len(self.alarms),
            "false_alarms": sum(not alarm.true for alarm in self.alarms),
            "outage_alarmed": all(any(b <= h <= e + 1 for h in silences) for b, e in self.outages),
            "retrained_in_outage": sum(b <= hour < e for hour in self.retrained() for b, e in self.outages),
        }


def main() -> None:
    """Measure and print."""
    options = parsed()
    scenario = read_scenario(str(options.scenario))
    told = {}
    for seed in options.seeds:
        month = measured(seed, scenario, options)
        told[str(seed)] = month.figures()
        _show(month)
        if options.html is not None:
            several = len(options.seeds) > 1
            page = options.html.with_stem(f"{options.html.stem}-{seed}") if several else options.html
            write_month_page(page, month)
    print(json.dumps({"seeds": told, **_worst(list(told.values()))}))


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options; without any they are those of the figures in the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10])
    parser.add_argument("--scenario", type=Path, default=SCENARIO, help="what happens, a YAML file")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--users", type=int, default=600, help="of the world")
    parser.add_argument("--panel", type=int, default=250, help="users who take part in the simulated days")
    parser.add_argument("--items", type=int, default=1500)
    parser.add_argument("--interactions", type=int, default=40_000, help="before the simulated days")
    parser.add_argument("--candidates", type=int, default=40, help="items that a page is chosen from")
    parser.add_argument("--pages", type=int, default=1600, help="that measure a noon")
    parser.add_argument("--html", type=Path, help="write the page with plots here; of several seeds one each")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    return parser.parse_args(arguments)


def measured(seed: int, scenario: Scenario, options: argparse.Namespace) -> Month:
    """Let one month pass."""
    began = time.monotonic()
    sizes = {
        "num_users": options.users, "num_items": options.items, "num_interactions": options.interactions, "seed": seed,
        "date_range": "{start: 2024-10-16, end: 2024-11-15}",
    }  # fmt: skip
    overrides = [*(f"data_generation.{name}={value}" for name, value in sizes.items()), *_CONFIG, *options.overrides]
    with tempfile.TemporaryDirectory(prefix="month-") as folder:
        home = Path(folder)
        project = open_project(home, home=home, system="feed", overrides=overrides)
        scenario.checked(days=options.days, topics=project.data.value.data_generation.topics)
        noons = Noons(Noon(project, pages=options.pages, candidates=options.candidates, seed=seed))
        course = live(
            project,
            scenario,
            days=options.days,
            users=options.panel,
            candidates=options.candidates,
            seed=seed,
            noon=noons.measure,
        )
        alarms = _judged(project, scenario, course)
    return Month(seed, scenario, noons, course, alarms, time.monotonic() - began)


def _judged(project: Project, scenario: Scenario, course: Course) -> tuple[Alarm, ...]:
    drifts = [24.0 * (each.day - 1) for each in scenario.happenings if each.drift is not None]
    outages = [(24.0 * (each.day - 1) + each.outage.at_hour, each.outage.hours)
               for each in scenario.happenings if each.outage is not None]  # fmt: skip

    def true(fired: Fired) -> bool:
        if fired.name == _SILENCE:
            return any(begin <= fired.hour <= begin + hours + 2 for begin, hours in outages)
        if fired.name in _DRIFT:
            since = max((d.hour for d in course.deployed if d.version == fired.version and d.hour <= fired.hour),
                        default=0.0)  # fmt: skip
        else:
            since = _tested_from(project, fired.version, course)
        return any(since < drift <= fired.hour for drift in drifts)

    return tuple(Alarm(fired, true(fired)) for fired in course.fired)


def _tested_from(project: Project, version: str, course: Course) -> float:
    """Return the hour of the first test row of a version."""
    name = str(project.package(version).extra["training_set"])
    made = open_training_set(project.home.training_sets, project.system.name, name)
    return course.hour(datetime.fromisoformat(made.splits["test"].start))


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), 3)


def _worst(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums and the worst over seeds."""
    recovered = [days for figures in found for days in figures["recovered_auc"]]
    return {
        "within_auc": min(figures["within_auc"] for figures in found),
        "recovered": sum(days is not None for days in recovered),
        "drifts": len(recovered),
        "false_promotions": sum(figures["false_promotions"] for figures in found),
        "most_false_alarms": max(figures["false_alarms"] for figures in found),
        "outage_alarmed": all(figures["outage_alarmed"] for figures in found),
        "retrained_in_outage": sum(figures["retrained_in_outage"] for figures in found),
    }


def _show(month: Month) -> None:
    print(f"seed {month.seed}: {len(month.noons)} days, {month.seconds:.0f} s")
    print("  day  version   AUC: champion oracle best    CTR: champion oracle best   served")
    for noon in month.noons:
        auc, ctr = noon.auc, noon.ctr
        gain = "" if noon.gain is None else f"  promoted, {noon.gain:+.4f} AUC"
        print(f"  {noon.day:3}  {noon.version:9} {auc.champion:.4f} {auc.oracle:.4f} {auc.best:.4f} {auc.ratio:7.2%}    "
              f"{ctr.champion:.4f} {ctr.oracle:.4f} {ctr.best:.4f} {ctr.ratio:7.2%}   "
              f"{month.course.clicked[noon.day - 1]:.4f}{gain}")  # fmt: skip
    for happening in month.scenario.happenings:
        print(f"  {happening.sentence}")
    for alarm in month.alarms:
        fired = alarm.fired
        day, hour = divmod(fired.hour, 24)
        print(f"  day {day + 1:.0f} {hour:02.0f}:00 {'' if alarm.true else 'FALSE '}{fired.name} {fired.subject} "
              f"({fired.version}): {fired.sentence}")  # fmt: skip
    for ran in month.course.ran:
        if ran.pipeline == "retraining":
            asked = ran.results["check_trigger_conditions"]
            ended = ran.results.get("promote_if_better", {}).get("why", "")
            print(f"  day {ran.hour // 24 + 1:.0f} retraining: {asked['retrain']}, {asked['reasons']} {asked['held']} "
                  f"{ended}")  # fmt: skip
    print(f"  {month.figures()}", flush=True)


if __name__ == "__main__":
    main()
