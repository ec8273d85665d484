"""What does routing add to a request while a rollout is under way? The predict path's first step, with and without.

One predictor has no rollout, one an A/B test by halves, one the same with an audience, a holdout and overrides by user
and header. Each makes the questions of the same 1,000 users; rounds take turns, so what else the machine does meets all
alike; told is the median of the rounds. What routing adds is the difference to the predictor without a rollout.

    python -m benchmarks.routing      # last line: one JSON object
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from orita.control.deployments import Deployments
from orita.core.clock import SystemClock
from orita.core.home import Home
from orita.delivery.assignment.conditions import OneOf
from orita.delivery.assignment.layers import Holdout
from orita.delivery.assignment.overrides import Override
from orita.delivery.rollouts import RolloutPlan, Rollouts
from orita.delivery.rollouts.routing import Router
from orita.serving.models.challengers import Challengers
from orita.serving.predict.predictor import LoadedModel, Predictor
from orita.serving.predict.requests import Asked
from orita.serving.protocols import LogStream
from orita.testing.serving import HashedFeatures, load_line_package, publish_line_package

FEATURES = ("item_ctr",)
USERS = 1000
PLAIN: dict[str, Any] = {"actor": "benchmark", "reason": "to measure"}


class Roomy:
    """A log that has room."""

    def room(self, rows: int, /) -> bool:
        """Return True."""
        return True

    def append(self, stream: object, request: object, /) -> None:
        """Do nothing."""


def main() -> None:
    """Measure, and print what routing adds."""
    parser = argparse.ArgumentParser(description="µs that routing adds to a request")
    parser.add_argument("--rounds", type=int, default=51, help="rounds of each (51)")
    parser.add_argument("--calls", type=int, default=10_000, help="requests a round (10000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        predictors = made(Home(Path(folder)))
        asked = [
            Asked(user, [1, 2, 3], {"device": "mobile"}, None, attributes={"country": "NG"}) for user in range(USERS)
        ]
        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"user-agent", b"benchmark")]
        some = (asked * (options.calls // USERS + 1))[: options.calls]
        timed: dict[str, list[float]] = {name: [] for name in predictors}
        for _ in range(options.rounds):
            for name, predictor in predictors.items():
                timed[name].append(spent(predictor, some, headers) / options.calls / 1000)
    shares = [predictors["split"].question(one).variant == "v1.1.0" for one in asked]
    print(f"{sum(shares) / len(shares):.1%} of {USERS} users get the challenger of the split")
    bare = statistics.median(timed["none"])
    figures = {}
    for name, rounds in timed.items():
        first, median, third = statistics.quantiles(rounds, n=4)
        print(f"{name:12} {median:6.2f} µs a question ({first:.2f} … {third:.2f}, {options.rounds} rounds)")
        if name != "none":
            figures[f"{name}_us"] = round(median - bare, 2)
    print(json.dumps(figures))


def made(home: Home) -> dict[str, Predictor]:
    """Return a predictor without a rollout, and one for each plan."""
    Deployments(home.control).deploy("feed", "v1.0.0", **PLAIN)
    loaded = {version: champion(home, version) for version in ("v1.0.0", "v1.1.0")}
    split: dict[str, Any] = {"strategy": "ab", "versions": ("v1.1.0",), "shares": (50,)}
    targeted = {
        **split,
        "audience": OneOf(attribute="country", values=("NG", "GH")),
        "holdouts": (Holdout("none", 5),),
        "overrides": (
            Override(attribute="user_id", values=("tester",), variant="v1.1.0"),
            Override(attribute="header.x-orita-variant", values=("next",), variant="v1.1.0"),
        ),
    }

    def predictor(challengers: Challengers | None) -> Predictor:
        return Predictor(lambda: loaded["v1.0.0"], Roomy(), SystemClock(), challengers=lambda: challengers)

    rollouts, predictors = Rollouts(home.control), {"none": predictor(None)}
    for name, told in (("split", split), ("targeted", targeted)):
        rollout = rollouts.start("feed", RolloutPlan(**told), **PLAIN)
        rollouts.abort("feed", **PLAIN)
        predictors[name] = predictor(Challengers(Router(rollout), MappingProxyType(loaded)))
    return predictors


def champion(home: Home, version: str) -> LoadedModel:
    """Return a loaded model."""
    package = load_line_package(publish_line_package(home, "feed", version, FEATURES))
    reader = HashedFeatures(FEATURES).reader(package.schema)
    return LoadedModel(package, reader, LogStream("feed", version, FEATURES), 1, datetime.now(UTC))


def spent(predictor: Predictor, asked: list[Asked], headers: list[tuple[bytes, bytes]]) -> float:
    """Return nanoseconds for the first step of each request, as the route of ``POST /predict`` does it."""
    question: Callable[..., object] = predictor.question
    preview = predictor.preview
    started = time.perf_counter_ns()
    for one in asked:
        question(one, preview(headers))
    return time.perf_counter_ns() - started


if __name__ == "__main__":
    main()
