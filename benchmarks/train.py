"""How fast does the two-tower train? Against a plain loop on the same rows, and the machine's matrix products.

``make bench B=train``; the last line is one JSON object. The plain loop is what one writes first: tensors in memory,
the same layers and widths, ``nn.Embedding`` with dense Adam, ``nn.Dropout``, float32, batches of 8,192, rate 0.001.
Both are measured in turn, some rounds long; figures are medians of the rounds' ratios.

- ratio_plain_loop: samples a second over those of the plain loop.
- share_of_gemm_limit: nominal floating-point operations a second (forward multiply-adds x 2, three times that with the
  backward pass) over the rate of a float32 matrix product of 2,048 x 2,048, measured in the same rounds.
- ratio_time_to_auc: training time to the plain loop's best validation AUC - 0.001, over the plain loop's to the same.
- peak_mib: of a process that trains one epoch, its data included.

    python -m benchmarks.train [HOME] [--rows N] [--times 10] [--set training.batch_size=…]

HOME is a folder whose feed has a training set already; without one a world of 1 M interactions is made. ``--times 10``
repeats the training rows ten times and prints how much longer than ten times one epoch then takes.

Legend: N rows, B rows of a batch, F inputs of a tower.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from orita.core.progress import SILENT
from orita.features.schema import Side
from orita.features.training_sets.training_set import latest_training_set
from orita.models.config import EarlyStoppingSection, ModelSection, TrainingSection
from orita.models.examples import Examples
from orita.models.neural import NeuralRanker
from orita.models.preparation import Preparation
from orita.models.ranker import FitContext
from orita.models.reading import read_examples
from orita.models.training.job import write_job
from orita.models.two_tower import TwoTower
from orita.models.vocabulary import Vocabulary
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import run_graph
from orita.project import open_project
from orita.stats.metrics import auc

SIDES: tuple[tuple[Side, ...], ...] = (("user", "context"), ("item",), ("pair", "user", "context", "item"))
PLAIN_BATCH, PLAIN_RATE, PATIENCE, EPOCHS = 8192, 0.001, 3, 20
ROUNDS, ROUND_ROWS, EPOCHS_OF_ROUNDS, SEED = 9, 131_072, 10_000, 0


class PlainInputs(nn.Module):
    """The features of some sides, categories embedded."""

    def __init__(self, preparation: Preparation, sides: tuple[Side, ...]) -> None:
        super().__init__()
        self.columns = torch.from_numpy(preparation.dense_of(sides))
        self.positions = preparation.categories_of(sides)
        values = [int(preparation.cardinalities[c]) for c in self.positions]
        self.tables = nn.ModuleList(nn.Embedding(1 + count, min(count, 16)) for count in values)
        self.width = len(self.columns) + sum(min(count, 16) for count in values)

    def forward(self, dense_BD: Tensor, categories_BC: Tensor) -> Tensor:
        """Return them side by side."""
        tables = zip(self.positions, self.tables, strict=True)
        return torch.cat([dense_BD[:, self.columns], *(table(categories_BC[:, c]) for c, table in tables)], 1)


class PlainTwoTower(nn.Module):
    """The same network, as one writes it first."""

    def __init__(self, users: int, items: int, preparation: Preparation, model: ModelSection) -> None:
        super().__init__()
        self.inputs = nn.ModuleList(PlainInputs(preparation, sides) for sides in SIDES)
        widths = [PlainInputs(preparation, sides).width for sides in SIDES]
        width, k = model.id_embedding_dim, model.embedding_dim
        self.users, self.items = nn.Embedding(1 + users, width), nn.Embedding(1 + items, width)
        self.user_bias, self.item_bias = nn.Embedding(1 + users, 1), nn.Embedding(1 + items, 1)
        self.user_tower = _layers(width + widths[0], (*model.user_tower_dims, k), model.dropout)
        self.item_tower = _layers(width + widths[1], (*model.item_tower_dims, k), model.dropout)
        self.cross = _layers(widths[2], (64, 32, 1), 0.0)

    def forward(self, users_B: Tensor, items_B: Tensor, dense_BD: Tensor, categories_BC: Tensor) -> Tensor:
        """Return ``logits_B``."""
        inputs = [part(dense_BD, categories_BC) for part in self.inputs]
        user_BK = self.user_tower(torch.cat([self.users(users_B), inputs[0]], 1))
        item_BK = self.item_tower(torch.cat([self.items(items_B), inputs[1]], 1))
        dots_B1 = (user_BK * item_BK).sum(1, keepdim=True) / user_BK.shape[1] ** 0.5
        logits_B1: Tensor = dots_B1 + self.user_bias(users_B) + self.item_bias(items_B) + self.cross(inputs[2])
        return logits_B1.squeeze(1)


def _layers(width: int, dims: tuple[int, ...], dropout: float) -> nn.Sequential:
    parts: list[nn.Module] = []
    for units in dims[:-1]:
        parts += [nn.Linear(width, units), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
        width = units
    return nn.Sequential(*parts, nn.Linear(width, dims[-1]))


class Plain:
    """The plain loop over the rows of *train*."""

    def __init__(self, train: Examples, val: Examples, model: ModelSection) -> None:
        self.preparation = Preparation.fit(train.schema, train.x_NF)
        self.known = Vocabulary.of(train.users_N), Vocabulary.of(train.items_N)
        self.train, self.val = self._tensors(train), self._tensors(val)
        torch.manual_seed(SEED)
        self.network = PlainTwoTower(len(self.known[0]), len(self.known[1]), self.preparation, model)
        self.adam = torch.optim.Adam(self.network.parameters(), lr=PLAIN_RATE)

    def _tensors(self, rows: Examples) -> list[Tensor]:
        prepared = self.preparation.apply(rows.x_NF)
        dense, categories = torch.from_numpy(prepared.dense_ND), torch.from_numpy(prepared.categories_NC)
        ids = [torch.from_numpy(v.rows(i)) for v, i in zip(self.known, (rows.users_N, rows.items_N), strict=True)]
        return [*ids, dense, categories, torch.from_numpy(np.array(rows.y_N, np.float32))]

    def steps(self) -> Iterator[int]:
        """Learn, one epoch after the other, and yield how many rows each step took."""
        while True:
            order_N = torch.randperm(len(self.train[-1]))
            for start in range(0, len(order_N), PLAIN_BATCH):
                *inputs, y = (tensor[order_N[start : start + PLAIN_BATCH]] for tensor in self.train)
                loss = nn.functional.binary_cross_entropy_with_logits(self.network(*inputs), y)
                self.adam.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.adam.step()
                yield len(y)

    @torch.inference_mode()
    def val_auc(self) -> float:
        """Return the AUC on validation rows."""
        self.network.eval()
        *inputs, y = self.val
        logits = self.network(*inputs)
        self.network.train()
        return float(auc(y.numpy(), logits.numpy()))

    def course(self) -> list[tuple[float, float]]:
        """Train until validation rows gain nothing for some epochs; return (seconds, AUC) of each."""
        found: list[tuple[float, float]] = []
        steps, rows = self.steps(), len(self.train[-1])
        while len(found) < EPOCHS:
            begun = time.perf_counter()
            done = 0
            while done < rows:
                done += next(steps)
            found.append((time.perf_counter() - begun, self.val_auc()))
            best = max(range(len(found)), key=lambda epoch: found[epoch][1])
            print(f"  plain loop, epoch {len(found)}: {found[-1][0]:.1f} s, AUC {found[-1][1]:.4f}", flush=True)
            if len(found) - 1 - best >= PATIENCE:
                break
        return found


class _Rounds:
    """Counts the rows of our own loop, and hands over to *between* after each round of them."""

    def __init__(self, rows: int, between: Callable[[float], None]) -> None:
        self.rows, self.between = rows, between
        self.seen, self.begun = 0.0, 0.0

    def bar(self, title: str, total: float | None = None) -> _Rounds:
        """Be the bar."""
        return self

    def __enter__(self) -> _Rounds:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def describe(self, text: str) -> None:
        """Say nothing."""

    def advance(self, by: float = 1.0) -> None:
        """Count; the first batches are a warm-up, and so is the one after a round of others."""
        if not self.begun:
            self.seen, self.begun = 0.0, time.perf_counter() if by else 0.0
            return
        self.seen += by
        if self.seen >= self.rows:
            self.between(self.seen / (time.perf_counter() - self.begun))
            self.begun = 0.0


class _Enough(Exception):
    """All rounds are done."""


def rates(ranker: NeuralRanker, train: Examples, val: Examples, plain: Plain) -> list[tuple[float, float, float]]:
    """Return (ours, plain, multiply-adds of the matrix product) a second, of each round."""
    found: list[tuple[float, float, float]] = []
    steps = plain.steps()
    next(steps)

    def others(ours: float) -> None:
        begun, rows = time.perf_counter(), 0
        while rows < ROUND_ROWS:
            rows += next(steps)
        found.append((ours, rows / (time.perf_counter() - begun), _products_a_second()))
        print(f"  round {len(found)}: ours {ours:,.0f}/s, plain loop {found[-1][1]:,.0f}/s", flush=True)
        if len(found) == ROUNDS:
            raise _Enough

    progress = _Rounds(ROUND_ROWS, others)
    try:
        ranker.fit(train, val, FitContext(progress, seed=SEED))
    except _Enough:
        return found
    raise AssertionError("all epochs ended before the last round")


def _products_a_second(size: int = 2048, times: int = 6) -> float:
    a = torch.ones(size, size)
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - begun)
    return size**3 / statistics.median(seconds[1:])


def multiply_adds(network: nn.Module) -> int:
    """Return the multiply-adds of one row's forward pass through the linear layers."""
    return sum(m.in_features * m.out_features for m in network.modules() if isinstance(m, nn.Linear))


def peak_mib(train: Examples, val: Examples, model: ModelSection, training: TrainingSection) -> float:
    """Return the peak memory of a process that trains one epoch."""
    with tempfile.TemporaryDirectory() as folder:
        one = training.model_copy(update={"epochs": 1})
        write_job(Path(folder), "two_tower", model, one, train, val, SEED, Path(folder) / "checkpoints")
        subprocess.run([sys.executable, "-m", "orita.models.training.job", folder], check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def time_to(target: float, course: list[tuple[float, float]]) -> float:
    """Return seconds of training until the AUC is at least *target*: epochs needed x the median epoch; inf: never."""
    reached = [epoch for epoch, (_, value) in enumerate(course, start=1) if value >= target]
    return reached[0] * statistics.median(seconds for seconds, _ in course) if reached else float("inf")


def rows_of(home: Path | None, overrides: list[str]) -> tuple[Examples, Examples, TrainingSection]:
    """Return training and validation rows of the feed in *home*, made where there is none, and its training section."""
    with tempfile.TemporaryDirectory() as folder:
        where = home or Path(folder)
        project = open_project(where, home=where, system="feed", overrides=overrides)
        workspace = project.workspace()
        if home is None:
            run_graph(etl_graph(workspace), workspace)
        found = latest_training_set(workspace.home.training_sets, workspace.system.name)
        train, val = (read_examples(found.file(part), found.schema) for part in ("train", "val"))
        return train, val, project.model.value.training


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, help="use only the first rows for training")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()
    model = ModelSection()  # the contract's: towers of 256 and 128, embeddings of 128
    train, val, training = rows_of(options.home, options.overrides)
    train = train.take(slice(0, options.rows))
    print(f"protocol: {len(train):,} training rows, {len(val):,} validation rows by time, seed {SEED}, {training}")
    plain = Plain(train, val, model)
    forward = multiply_adds(plain.network)
    endless = EarlyStoppingSection(patience=EPOCHS_OF_ROUNDS)
    rounds = training.model_copy(update={"epochs": EPOCHS_OF_ROUNDS, "early_stopping": endless})
    found = rates(_ranker(model, rounds), train, val, plain)
    figures = {
        "ratio_plain_loop": statistics.median(ours / other for ours, other, _ in found),
        "share_of_gemm_limit": statistics.median(3 * forward * ours / limit for ours, _, limit in found),
    }
    limit = 2 * statistics.median(products for _, _, products in found) / 1e9
    print(f"  {6 * forward:,} operations a row; matrix products {limit:.0f} GFLOP/s")
    history = _ranker(model, training).fit(train, val, FitContext(SILENT, seed=SEED)).history
    ours = [(epoch["seconds"], epoch["val_auc"]) for epoch in history]
    for number, (seconds, value) in enumerate(ours, start=1):
        print(f"  ours, epoch {number}: {seconds:.1f} s, AUC {value:.4f}", flush=True)
    course = Plain(train, val, model).course()
    target = max(value for _, value in course) - 0.001
    figures["ratio_time_to_auc"] = time_to(target, ours) / time_to(target, course)
    figures["peak_mib"] = peak_mib(train, val, model, training)
    if options.times > 1:
        figures["ratio_to_linear"] = _linearity(model, training, train, val, options.times)
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def _ranker(model: ModelSection, training: TrainingSection) -> NeuralRanker:
    return NeuralRanker("two_tower", TwoTower, model, training)


def _linearity(model: ModelSection, training: TrainingSection, train: Examples, val: Examples, times: int) -> float:
    """Return an epoch of *times* as many rows over *times* an epoch; the short one is measured before and after."""
    one = training.model_copy(update={"epochs": 1})
    many = train.take(np.tile(np.arange(len(train)), times))
    seconds = [
        _ranker(model, one).fit(rows, val, FitContext(SILENT, seed=SEED)).history[0]["seconds"]
        for rows in (train, many, train)
    ]
    return seconds[1] / (times * (seconds[0] + seconds[2]) / 2)


if __name__ == "__main__":
    main()
