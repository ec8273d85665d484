"""What does a model gain by scoring several requests in one run, and what does a whole request gain by it?

First the models alone, of several types with their default sizes, trained briefly on made-up clicks of 16 features and
ids (seed 0): processor time for a request of 1, 10 and 100 items, scored by itself and in one run with others. Then,
with ``--home``, whole requests of ``POST /predict`` to its champion, from the bytes of the body to those of the answer,
with features, log and all: of 17 that come at once, 16 wait at the door and have their turn alone, by twos, by fours
and so on. All in this process, so without HTTP, which costs the same however many are together. Of many rounds the
least is told, since what else the machine does only adds.

    python -m benchmarks.batching [--home .orita]      # last line: one JSON object; needs the extra train
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.applications import Starlette

from orita.core.progress import SILENT
from orita.features.schema import FeatureColumn, FeatureSchema, Side
from orita.models.build import build_ranker
from orita.models.config import ModelSection, TrainingSection
from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.package import Package, load_package, write_package
from orita.models.ranker import FitContext
from orita.project import open_project
from orita.serving.app import create_app
from orita.serving.batching.measuring import gains_up_to

TYPES = ("two_tower", "deep_mlp", "dcn_v2", "lightgbm", "linear")
ITEMS, TOGETHER = (1, 10, 100), (1, 2, 4, 8, 16)
FEATURES, ROWS, IDS, ROUNDS = 16, 30_000, 5_000, 200
SIDES: tuple[Side, ...] = ("user", "item", "context", "pair")
SCHEMA = FeatureSchema(tuple(FeatureColumn(f"feature_{n}", SIDES[n % 4]) for n in range(FEATURES)))

Floats = npt.NDArray[np.float32]


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description="Requests scored in one run.")
    parser.add_argument("--home", type=Path, help="of a project with a champion, whose requests are measured whole")
    home: Path | None = parser.parse_args().home
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for type_ in TYPES:
            package = trained(Path(folder) / type_, type_)
            print(f"{type_}: the server joins requests of up to {gains_up_to(package)} items")
            figures |= {f"{type_}_{name}": figure for name, figure in models_alone(package).items()}
    if home is not None:
        figures |= asyncio.run(whole_requests(home))
    print(json.dumps(figures))


def trained(folder: Path, type_: str) -> Package:
    """Train a model, and return it as a package."""
    trained_ranker(folder, type_)
    return load_package(folder)


def trained_ranker(folder: Path, type_: str) -> Any:
    """Train a model, write its package into *folder*, and return it."""
    random = np.random.default_rng(0)
    x_NF = random.random((ROWS, FEATURES), np.float32)
    logit_N = 3 * (x_NF[:, 0] + x_NF[:, 5] - 1) + np.sin(6 * x_NF[:, 3]) + 8 * (x_NF[:, 1] - 0.5) * (x_NF[:, 2] - 0.5)
    y_N = (1 / (1 + np.exp(-logit_N)) > random.random(ROWS)).astype(np.float32)
    users_N, items_N = random.integers(0, IDS, (2, ROWS))
    rows = Examples(SCHEMA, users_N, items_N, x_NF, y_N, np.arange(ROWS, dtype=np.int64))
    ranker = build_ranker(type_, ModelSection(), TrainingSection(epochs=1))
    ranker.fit(rows.take(slice(0, 25_000)), rows.take(slice(25_000, 29_000)), FitContext(SILENT))
    card = ModelMetadata("bench", "v1.0.0", "2024-11-15T00:00:00Z", "", type_, {}, SCHEMA.version)
    write_package(folder, ranker, card, SCHEMA, rows.take(slice(29_000, None)))
    return ranker


def models_alone(package: Package) -> dict[str, float]:
    """Return microseconds of processor time a request, by items and by how many are scored in one run."""
    random, figures = np.random.default_rng(1), dict[str, float]()
    print(f"  {'items':>6}  " + "  ".join(f"{f'alone ×{k}' if k == 1 else f'joined ×{k}':>11}" for k in TOGETHER))
    for count in ITEMS:
        told = []
        for together in TOGETHER:
            users = random.integers(0, IDS, together).tolist()
            items = [random.permutation(IDS)[:count].tolist() for _ in users]
            asked = [of_one_user(random, count) for _ in users]
            alone = partial(one_by_one, package, users, items, asked)
            joint = partial(in_one, package, users, items, asked)
            micros = least(alone if together == 1 else joint) / together
            told.append(micros)
            figures[f"{count}_items_x{together}_us"] = round(micros, 1)
        print(f"  {count:6}  " + "  ".join(f"{micros:8.1f} µs" for micros in told))
    return figures


def of_one_user(random: np.random.Generator, count: int) -> Floats:
    """Return rows that agree in what belongs to user and context."""
    x_NF = random.random((count, FEATURES), np.float32)
    shared = [column for column, side in enumerate(SIDES * (FEATURES // 4)) if side in ("user", "context")]
    x_NF[:, shared] = x_NF[0, shared]
    return x_NF


def one_by_one(package: Package, users: Sequence[int], items: Sequence[list[int]], asked: Sequence[Floats]) -> None:
    """Score each request by itself."""
    for user, its, x_NF in zip(users, items, asked, strict=True):
        package.score_user(user, its, x_NF)


def in_one(package: Package, users: Sequence[int], items: Sequence[list[int]], asked: Sequence[Floats]) -> None:
    """Score all requests in one run."""
    lengths = [len(its) for its in items]
    package.score_requests(users, lengths, [item for its in items for item in its], np.concatenate(asked))


def least(work: Callable[[], object], rounds: int = 30, seconds: float = 0.01) -> float:
    """Return the microseconds of processor time that *work* takes, of the quickest round."""
    work()
    times = max(1, round(seconds / max(timed(work, 1), 1e-6)))
    return min(timed(work, times) for _ in range(rounds)) * 1e6 / times


def timed(work: Callable[[], object], times: int) -> float:
    """Return the seconds of processor time of several calls."""
    started = time.thread_time()
    for _ in range(times):
        work()
    return time.thread_time() - started


async def whole_requests(home: Path) -> dict[str, float]:
    """Return microseconds of processor time a request behind the door, by items and by how many are together."""
    app, figures = opened(home), dict[str, float]()
    print("POST /predict, whole requests, together at the door:")
    async with app.router.lifespan_context(app):
        champion = app.state.service.follower.champion
        assert champion is not None, "promote a model first"
        print(f"  the server joins requests of up to {gains_up_to(champion.package)} items")
        print(f"  {'items':>6}  " + "  ".join(f"{f'×{k}':>9}" for k in TOGETHER))
        for count in ITEMS:
            told = await behind_the_door(app, count)
            print(f"  {count:6}  " + "  ".join(f"{micros:6.0f} µs" for micros in told.values()))
            figures |= {f"predict_{count}_items_x{most}_us": round(micros) for most, micros in told.items()}
    return figures


async def behind_the_door(app: Starlette, count: int) -> dict[int, float]:
    """Return microseconds a request where one has its turn and 16 more wait for theirs, 1, 2, 4 … of them together."""
    random, waiting = np.random.default_rng(2), TOGETHER[-1]
    route, service = app.state.quick.fixed[b"/predict"], app.state.service
    took = dict.fromkeys(TOGETHER, float("inf"))
    statuses: list[int] = []
    for _ in range(ROUNDS):
        users, items = random.integers(0, IDS, waiting + 1).tolist(), random.permutation(IDS)[:count].tolist()
        for most in TOGETHER:  # in turns, so that all have their share of a quiet moment
            service.joint.largest = most
            bodies = [json.dumps({"user_id": user, "item_ids": items}).encode() for user in users]
            started = time.thread_time()
            for body in bodies:
                route.enter((), body, lambda reply: statuses.append(reply.status), lambda: False)
            while service.parts.turnstile.admission.inside:
                await asyncio.sleep(0)
            took[most] = min(took[most], time.thread_time() - started)
    assert set(statuses) == {200}, f"answers were {set(statuses)}"
    return {most: seconds * 1e6 / (waiting + 1) for most, seconds in took.items()}


def opened(home: Path) -> Starlette:
    """Return the server of a home."""
    project = open_project(
        home=home, overrides=["serving.batching.enabled=always", "serving.resilience.admission.least=64"]
    )
    features = project.online_features(ahead=True)
    config = project.main.value.serving
    return create_app(project.home, project.system.name, features, config, load=project.load_package)


if __name__ == "__main__":
    main()
