"""How true are figures of served models: measured with intervals, expected before labels, and called degraded?

``make bench B=performance``; the last line is one JSON object. Worlds are generated: users with a taste, items with an
appeal, a model that knows most of both. A history with labels is followed by recent rows of

- ``unchanged``: the same users and items;
- ``mix``: other users, whose taste is spread wider: scores tell;
- ``narrow``: only the best items are shown, as a stricter ranking does: AUC falls without any fault, scores tell;
- ``rarer``: clicks are rarer at every score: concept drift, which scores cannot tell;
- ``blunt``: what the model knows counts for half: concept drift that takes AUC.

``estimated`` is the mean absolute error of the expected AUC, log loss and CTR against those measured on the very
rows, ``unchanged`` beside it that of assuming what history showed, ``within`` the share of 95 % ranges that held.
``coverage`` is the least and greatest share of 95 % intervals of measured figures that held the truth (of two million
rows), rows of a user being alike; ``rows_alone`` the least where rows are taken for independent. ``degraded`` is how
often a loss of AUC of 0, of the threshold itself, and of twice as much was called sure, at a rate of 0.01.

    python -m benchmarks.performance [--runs 200] [--requests 2000] [--nannyml PYTHON]

PYTHON is that of an environment which has NannyML, such as ``peer/bin/python`` after

    python -m venv peer && peer/bin/pip install -r benchmarks/peers/requirements/nannyml.txt
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orita.monitoring.config import PerformanceConfig
from orita.monitoring.model_quality.estimation import fit_estimator
from orita.monitoring.model_quality.figures import Figures, figures_of
from orita.monitoring.quality import version_quality
from orita.stats.metrics import auc, log_loss

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

FIGURES = ("auc", "log_loss", "ctr")
INTERVALS = ("auc", "log_loss", "ctr", "ndcg")
_ITEMS, _USERS, _PER_REQUEST = 500, 400, 10
_PEER = Path(__file__).parent / "peers" / "nannyml_cbpe.py"


@dataclass(frozen=True)
class World:
    """How recent rows differ from history."""

    name: str
    taste: float = 0.7
    best_of: int = 1
    rarer: float = 0.0
    known: float = 1.0


WORLDS = (
    World("unchanged"),
    World("mix", taste=1.2),
    World("narrow", best_of=4),
    World("rarer", rarer=0.6),
    World("blunt", known=0.5),
)


@dataclass(frozen=True)
class Rows:
    """Served rows: what was scored, who saw it, and what they did."""

    scores: Floats
    clicks: Floats
    users: Codes
    requests: Codes


def drawn(world: World, requests: int, random: np.random.Generator, *, users: int = _USERS) -> Rows:
    """Return the rows of *requests* requests: users ask often, and like what they like each time."""
    taste_U, mood_U = random.normal(0, world.taste, users), random.normal(0, 0.5, users)
    appeal_I = np.random.default_rng(11).normal(0, 0.9, _ITEMS)
    user_R = random.integers(0, users, requests)
    item_RK = random.integers(0, _ITEMS, (requests, _PER_REQUEST * world.best_of))
    seen_RK = taste_U[user_R][:, None] + appeal_I[item_RK]
    if world.best_of > 1:
        kept = np.argsort(-appeal_I[item_RK], axis=1)[:, :_PER_REQUEST]
        seen_RK = np.take_along_axis(seen_RK, kept, axis=1)
    # The model knows taste and appeal, not the user's mood, which makes rows of one user alike.
    true_RK = -1.5 - world.rarer + world.known * seen_RK + mood_U[user_R][:, None]
    clicks_RK = random.random(true_RK.shape) < 1 / (1 + np.exp(-true_RK))
    scores_RK = 1 / (1 + np.exp(1.3 - 0.8 * seen_RK))  # a little flat, as uncalibrated models are
    return Rows(
        scores_RK.ravel(),
        clicks_RK.ravel().astype(np.float64),
        np.repeat(user_R, _PER_REQUEST),
        np.repeat(np.arange(requests), _PER_REQUEST),
    )


def measured(rows: Rows, *, alone: bool = False) -> Figures:
    """Return the figures of rows; *alone*: as if each row had a user of its own."""
    users = np.arange(len(rows.users)) if alone else rows.users
    return figures_of(rows.clicks, rows.scores, users, rows.requests)


def values_of(rows: Rows) -> list[float]:
    """Return AUC, log loss and CTR."""
    return [auc(rows.clicks, rows.scores), log_loss(rows.clicks, rows.scores), float(rows.clicks.mean())]


def estimation(options: argparse.Namespace) -> dict[str, Any]:
    """Return how far off estimates are, world by world."""
    wrong: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for run in range(options.runs):
        for number, world in enumerate(WORLDS):
            random = np.random.default_rng([run, number])
            past, now = (drawn(w, options.requests, random) for w in (WORLDS[0], world))
            estimator = fit_estimator(past.clicks, past.scores, past.users)
            found = estimator.estimate(now.scores, now.users)
            truth = values_of(now)
            ranges = [getattr(found, name) for name in FIGURES]
            pairs = list(zip(ranges, truth, strict=True))
            wrong[world.name]["estimated"].append([abs(each.value - true) for each, true in pairs])
            wrong[world.name]["unchanged"].append(np.abs(np.subtract(values_of(past), truth)).tolist())
            wrong[world.name]["within"].append([float(each.low <= true <= each.high) for each, true in pairs])
    return {
        world: {
            kind: dict(zip(FIGURES, np.mean(rows, axis=0).round(4).tolist(), strict=True)) for kind, rows in of.items()
        }
        for world, of in wrong.items()
    }


def coverage(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return how often intervals held the truth, by figure, with users and without."""
    truth = figures_of(*_arrays(drawn(WORLDS[0], 200_000, np.random.default_rng(99), users=100_000)))
    held: dict[str, dict[str, list[bool]]] = {"coverage": defaultdict(list), "rows_alone": defaultdict(list)}
    for run in range(options.runs):
        rows = drawn(WORLDS[0], options.requests, np.random.default_rng([run, 77]))
        for kind, found in (("coverage", measured(rows)), ("rows_alone", measured(rows, alone=True))):
            for name in INTERVALS:
                interval, true = getattr(found, name), getattr(truth, name).value
                held[kind][name].append(interval.low <= true <= interval.high)
    return {kind: {name: float(np.mean(of)) for name, of in by.items()} for kind, by in held.items()}


def degradation(options: argparse.Namespace) -> dict[str, float]:
    """Return how often losses of AUC were called sure."""
    config = PerformanceConfig(resamples=200)
    called: dict[str, list[bool]] = defaultdict(list)
    truth = auc(*_arrays(drawn(WORLDS[0], 200_000, np.random.default_rng(99), users=100_000))[:2])
    for run in range(options.runs):
        rows = drawn(WORLDS[0], options.requests, np.random.default_rng([run, 78]))
        calibrated = np.clip(rows.scores, 0, 1)
        for loss in (0.0, config.auc_degradation_threshold, 2 * config.auc_degradation_threshold):
            known = truth + loss
            found = version_quality("v", rows.clicks, _sharper(calibrated), rows.users, config, test_auc=known)
            called[f"{loss:g}"].append(found.state == "degraded")
    return {loss: float(np.mean(of)) for loss, of in called.items()}


def _sharper(scores: Floats) -> Floats:
    """Return scores in the same order that promise more: what rows allow is then no lower bound of what is expected."""
    odds = scores / (1 - scores)
    return odds**4 / (1 + odds**4)


def _arrays(rows: Rows) -> tuple[Floats, Floats, Codes, Codes]:
    return rows.clicks, rows.scores, rows.users, rows.requests


def peer(options: argparse.Namespace) -> dict[str, Any]:
    """Return the error of NannyML's CBPE on the same rows."""
    wrong: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for run in range(min(options.runs, 10)):
            for number, world in enumerate(WORLDS):
                random = np.random.default_rng([run, number])
                past, now = (drawn(w, options.requests, random) for w in (WORLDS[0], world))
                for name, rows in (("reference", past), ("analysis", now)):
                    table = pa.table({"score": rows.scores, "click": rows.clicks.astype(np.int64)})
                    pq.write_table(table, f"{folder}/{name}.parquet")
                asked = [options.nannyml, str(_PEER), folder]
                alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
                said = subprocess.run(asked, check=True, capture_output=True, text=True, env=alone).stdout
                wrong[world.name].append(abs(json.loads(said.splitlines()[-1])["auc"] - values_of(now)[0]))
    return {world: round(float(np.mean(of)), 4) for world, of in wrong.items()}


def main() -> None:
    """Run, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--nannyml", help="a Python that has NannyML")
    options = parser.parse_args()
    began = time.perf_counter()
    found: dict[str, Any] = {"worlds": estimation(options)}
    for world, of in found["worlds"].items():
        for kind, figures in of.items():
            print(f"  {world:<10} {kind:<10} {figures}")
    by_figure = coverage(options)
    print(f"  {by_figure}")
    found["coverage"] = [min(by_figure["coverage"].values()), max(by_figure["coverage"].values())]
    found["rows_alone"] = min(by_figure["rows_alone"].values())
    found["degraded"] = degradation(options)
    if options.nannyml:
        found["nannyml_auc"] = peer(options)
    print(f"{time.perf_counter() - began:.0f} s")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
