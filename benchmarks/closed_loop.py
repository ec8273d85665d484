"""Does a model that was trained here serve users better than popularity, over a month of their lives?

``make bench B=closed_loop``; the last line is one JSON object. A world is generated, features are computed and a
two-tower is trained as the feed ships it; then 30 simulated days pass, half of the users with the model, half with the
click rate of items (``popularity``), on the same candidates. What users do comes back into the features of both. Lifts
are relative, with 95 % intervals over users; ``*_low`` is their lower end.

Two checks go with it, on other seeds: the model against itself must find nothing, and without any effect of
satisfaction on coming back and leaving no retention may be gained. Nothing of users is fitted to what a ranking
achieves; ``docs/simulator.md`` says what is assumed.

    python -m benchmarks.closed_loop [--panel 4000] [--days 30] [--world 0] [--no-checks] [--html PAGE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orita.cli.console import Screen
from orita.cli.simulate import feed_parts
from orita.events.world import Habits
from orita.project import open_project
from orita.simulate.feed import simulate_feed
from orita.simulate.feed_page import write_feed_page
from orita.simulate.feed_plan import FeedParts, FeedPlan, FeedSimulation
from orita.simulate.feed_words import lift_text

_KEYS = ("ctr", "engagement", "retention")


def main() -> None:
    """Measure and print."""
    options = parsed()
    plan = FeedPlan(days=options.days, users=options.panel, seed=options.seed)
    with tempfile.TemporaryDirectory() as folder:
        parts = _trained(options.home or Path(folder), options)
        found = _shown("model against popularity", parts, plan)
        if options.html is not None:
            write_feed_page(options.html, found)
        if not options.no_checks:
            _shown("model against itself: nothing should be found", parts, replace(plan, vs="champion", seed=1))
            indifferent = Habits(return_slope=0.0, leave_slope=0.0)
            _shown(
                "users who do not mind: no retention should be gained", parts, replace(plan, habits=indifferent, seed=2)
            )
    lifts = {key: found.figures.compared[0][key].lift for key in _KEYS}
    told = {f"{key}_{name}": round(value, 4) for key in _KEYS for name, value in
            (("lift", lifts[key].value), ("low", lifts[key].low))}  # fmt: skip
    print(json.dumps(told))


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options; without any they are those of the figures in the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=4000, help="of the world")
    parser.add_argument("--panel", type=int, default=4000, help="users who take part in the simulated days")
    parser.add_argument("--items", type=int, default=4000)
    parser.add_argument("--interactions", type=int, default=500_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--world", type=int, default=0, help="seed of the world")
    parser.add_argument("--seed", type=int, default=0, help="seed of the days")
    parser.add_argument("--home", type=Path, help="train here, or use what is trained here; by default anew")
    parser.add_argument("--no-checks", action="store_true", help="leave the two checks out")
    parser.add_argument("--html", type=Path, help="write the page of the comparison here")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    return parser.parse_args(arguments)


def _trained(home: Path, options: argparse.Namespace) -> FeedParts:
    """Return a project with a world and a champion in *home*."""
    sizes = {
        "num_users": options.users, "num_items": options.items, "num_interactions": options.interactions,
        "seed": options.world,
    }  # fmt: skip
    overrides = ["beside=[]", *(f"data_generation.{name}={value}" for name, value in sizes.items()), *options.overrides]
    project = open_project(home, home=home, system="feed", overrides=overrides)
    runs = project.run("all")
    judged = next(run.results["evaluate_model"] for run in runs if "evaluate_model" in run.results)
    auc = judged["metrics"][judged["best"]]["test"]["auc"]
    print(f"protocol: world of seed {options.world}, {options.interactions:,} interactions of {options.users:,} users "
          f"with {options.items:,} items; {judged['best']}, test AUC {auc:.4f}")  # fmt: skip
    return feed_parts(project)


def _shown(title: str, parts: FeedParts, plan: FeedPlan) -> FeedSimulation:
    found = simulate_feed(parts, plan, progress=Screen())
    figures = found.figures
    print(f"{title} ({plan.days} days, {figures.users[0]:,} and {figures.users[1]:,} users, seed {plan.seed}, "
          f"{found.events:,} items shown, {found.seconds:.0f} s)")  # fmt: skip
    for key, each in figures.compared[0].items():
        values = f"{each.treatment:9.4f} against {each.control:9.4f}"
        print(f"  {key:15} {values}  {lift_text(each.lift)}  p {each.p_value:.2g}")
    print(f"  left for good   {figures.left[0][-1]:9.1%} against {figures.left[1][-1]:9.1%}", flush=True)
    return found


if __name__ == "__main__":
    main()
