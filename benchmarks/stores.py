"""How fast are the online stores? A request's read (1 user, 100 items, 100 pairs), and batches of 1,000 changes.

Records are 20 float64. LMDB holds 500,000 items and 2,000,000 pairs; Redis, a server started for this on loopback with
its append-only file synced at every batch, holds 50,000 items and 200,000 pairs. Items of a request are drawn evenly,
which no cache likes, and once more as users ask for them (rank to the power -1). Time goes from keys to arrays.

    python -m benchmarks.stores      # last line: one JSON object
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orita.core.errors import OritaError
from orita.features.keys import encode_rows
from orita.features.state.rows import rows_read
from orita.features.stores.lmdb import LmdbStore
from orita.features.stores.redis import RedisConfig, RedisStore
from orita.features.stores.store import OnlineStore

WIDTH = 20
ITEMS_ASKED = 100
PAIRS_A_USER = 50
REQUESTS = 2_000
APPLY_SECONDS = 3.0
MISSING = np.full(WIDTH, np.nan).tobytes()
USERS, ITEMS, PAIRS = b"\x00", b"\x01", b"\x02"


@dataclass(frozen=True)
class World:
    """How many there are of each kind."""

    items: int
    users: int


def main() -> None:
    """Fill both stores, ask and apply, and print what was measured."""
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        figures |= measured("lmdb", LmdbStore(Path(folder) / "lmdb"), World(500_000, 40_000))
        figures |= measured("lmdb_small", LmdbStore(Path(folder) / "small"), World(5_000, 400))
        if program := shutil.which("redis-server") or shutil.which("valkey-server"):
            with serving(program, Path(folder)) as config:
                figures |= measured("redis", RedisStore(config, system="benchmark"), World(50_000, 4_000))
        else:
            print("There is no Redis server here: sudo apt-get install redis-server")
    print(json.dumps(figures))


def measured(name: str, store: OnlineStore, world: World) -> dict[str, object]:
    """Fill *store* and return its figures, each named for it."""
    random = np.random.default_rng(7)
    started = time.perf_counter()
    records = fill(store, world, random)
    print(f"{name}: {records:,} records in {time.perf_counter() - started:.1f} s, {store.size().bytes >> 20} MiB")
    even = random.integers(0, world.items, (REQUESTS, ITEMS_ASKED))
    share_I = 1 / np.arange(1, world.items + 1)
    skewed = random.permutation(world.items)[random.choice(world.items, even.shape, p=share_I / share_I.sum())]
    figures: dict[str, object] = {}
    for label, items_RN in (("", even), ("skewed_", skewed)):
        spent_R = ask(store, world, items_RN, random)
        for percent in (50, 99):
            figures[f"{name}_{label}p{percent}_us"] = round(float(np.percentile(spent_R, percent)) * 1e6, 1)
    batches, slowest = apply_batches(store, world, random)
    figures[f"{name}_apply_1000_per_s"] = round(batches, 1)
    figures[f"{name}_apply_1000_p99_ms"] = round(slowest * 1e3, 1)
    store.close()
    print(figures)
    return figures


def fill(store: OnlineStore, world: World, random: np.random.Generator) -> int:
    """Write every user, item and pair, by key; return how many."""
    users_P = np.repeat(np.arange(world.users), PAIRS_A_USER)
    items_P = np.concatenate([pairs_of(user, world) for user in range(world.users)])
    kinds = ((USERS, [np.arange(world.users)]), (ITEMS, [np.arange(world.items)]), (PAIRS, [users_P, items_P]))
    row = random.random(WIDTH).tobytes()
    count = 0
    for prefix, columns in kinds:
        for start in range(0, len(columns[0]), 100_000):
            part = [column[start : start + 100_000] for column in columns]
            count += store.put_many((key, row) for key in encode_rows(prefix, part, len(part[0])))
    return count


def pairs_of(user: int, world: World) -> npt.NDArray[np.int64]:
    """Return the items that a user has met."""
    step = world.items // PAIRS_A_USER
    return np.arange(PAIRS_A_USER) * step + user % step


def ask(
    store: OnlineStore, world: World, items_RN: npt.NDArray[np.int64], random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Read what each request needs; return the seconds of each. A quarter of the pairs exist."""
    spent = []
    for items_N in items_RN:
        user = int(random.integers(0, world.users))
        met = pairs_of(user, world)[: ITEMS_ASKED // 4]
        users_N = np.full(ITEMS_ASKED, user)
        paired_N = np.concatenate([met, items_N[len(met) :]])
        keys = [
            *encode_rows(USERS, [users_N[:1]], 1),
            *encode_rows(ITEMS, [items_N], ITEMS_ASKED),
            *encode_rows(PAIRS, [users_N, paired_N], ITEMS_ASKED),
        ]
        start = time.perf_counter()
        row_NW = rows_read(MISSING, store.get_many(keys))
        spent.append(time.perf_counter() - start)
        known_N = ~np.isnan(row_NW).all(axis=1)
        there = [int(part_N.sum()) for part_N in np.split(known_N, [1, 1 + ITEMS_ASKED])]
        assert there[:2] == [1, ITEMS_ASKED] and there[2] >= len(met)
    return np.array(spent[REQUESTS // 10 :])


def apply_batches(store: OnlineStore, world: World, random: np.random.Generator) -> tuple[float, float]:
    """Apply batches of 1,000 changes, half to items and half to pairs; return batches a second, seconds at p99."""
    row = random.random(WIDTH).tobytes()
    spent: list[float] = []
    while sum(spent) < APPLY_SECONDS:
        items_N = random.integers(0, world.items, 500)
        users_N = random.integers(0, world.users, 500)
        keys = encode_rows(ITEMS, [items_N], 500) + encode_rows(PAIRS, [users_N, items_N], 500)
        at = store.offset("interactions/0") or 0
        start = time.perf_counter()
        assert store.apply("interactions/0", at, at + 1000, [(key, row) for key in keys])
        spent.append(time.perf_counter() - start)
    return len(spent) / sum(spent), float(np.percentile(spent, 99))


@contextmanager
def serving(program: str, folder: Path) -> Iterator[RedisConfig]:
    """Run a server that keeps what the contract promises."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning"]
    options += ["--auto-aof-rewrite-percentage", "0"]
    process = subprocess.Popen([program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *options])
    try:
        config = RedisConfig(url=f"redis://127.0.0.1:{port}/0")
        wait_for(lambda: RedisStore(config, system="benchmark").offset("any"))
        yield config
    finally:
        process.terminate()
        process.wait()


def wait_for(answer: Callable[[], object], seconds: float = 10) -> None:
    """Call *answer* until it raises no error of ours."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer()
            return
        except OritaError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


if __name__ == "__main__":
    main()
