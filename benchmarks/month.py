"""Thirty simulated days that nobody looks after: three drifts, one outage. Does the loop keep the model good?

``make bench B=month``; the last line is one JSON object. A small world is generated and a first model trained, which
serves for two weeks; on the eve of the first day ``orita run all`` trains on what users did with it. From then on they
live with what the champion serves, what it answers and what they do is logged, and the pipelines run when the scheduler
of ``orita schedule`` says, by the simulated clock: ETL and a training at 02:00, monitoring at 04:00, retraining on
Sundays and when monitoring asks. Alerts are looked at every hour. Nothing is done by hand between days.

At noon of every day the champion is held against an oracle: a model of the same type and settings, trained on pages of
that very noon that nobody else sees, of other users and other items than those on which both are judged. What is judged
is the world's own click probability, so that no luck of clicks is in it: ``auc`` weighs each row by its probability,
``ctr`` is the mean probability of the five items on top. *Within* is a quality of at least 99 % of the oracle's;
``best`` is the order by the truth itself.

A promotion is false where the version before would have had the higher AUC at the next noon; which alarms are false
says `benchmarks.month_found`.

    python -m benchmarks.month [--seeds 10] [--days 30] [--scenario FILE] [--html PAGE] [--set training.epochs=2]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.month_found import SILENCE, Month, judged
from benchmarks.month_life import live
from benchmarks.month_noon import Noon, Noons
from benchmarks.month_page import write_month_page

from orita.project import open_project
from orita.simulate.scenario import Scenario, read_scenario

SCENARIO = Path(__file__).with_name("month.yaml")
_CONFIG = (
    "beside=[]",
    "model.type=lightgbm",
    # Small trees, no page for each training, and one thread: a month has sixty trainings or more.
    *(f"model.lightgbm.{setting}" for setting in ("max_trees=80", "num_leaves=15", "threads=1")),
    "evaluation.report=false",
    # What a retraining learns ends where validation rows begin: with the default shares that is 30 % of all rows ago,
    # two weeks of them at the end of the month.
    "split={train: 0.9, val: 0.05, test: 0.05}",
    # Nobody was answered for four hours: from the prediction log, as no server is there whose metrics could be read.
    f"alerting.rules.{SILENCE}={{measure: {{source: log, metric: requests, stat: increase, over: 4h}}, below: 1, "
    "severity: critical}",
    f"retraining_triggers.hold_while=[{SILENCE}]",
)


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
    parser.add_argument("--settling", type=int, default=14, help="days before the first")
    parser.add_argument("--panel", type=int, default=320, help="users who take part in the simulated days")
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
            settling=options.settling,
            days=options.days,
            users=options.panel,
            candidates=options.candidates,
            seed=seed,
            noon=noons.measure,
        )
        alarms = judged(project, scenario, course)
    return Month(seed, scenario, noons, course, alarms, time.monotonic() - began)


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
        print(f"  {noon.day:3}  {noon.version:9} {auc.champion:.4f} {auc.oracle:.4f} {auc.best:.4f} {auc.ratio:7.2%}"
              f"    {ctr.champion:.4f} {ctr.oracle:.4f} {ctr.best:.4f} {ctr.ratio:7.2%}   "
              f"{month.course.clicked[noon.day - 1]:.4f}{gain}")  # fmt: skip
    for happening in month.scenario.happenings:
        print(f"  {happening.sentence}")
    for alarm in month.alarms:
        fired = alarm.fired
        day, hour = divmod(fired.hour, 24)
        print(f"  day {day + 1:.0f} {hour:02.0f}:00 {alarm.reason}: {fired.name} {fired.subject} "
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
