"""How fast are online features? One user and 100 items, every feature of the feed system, in process.

Events of a made-up feed are published to LMDB with 50,000 and with 500,000 items (and 2,000,000 pairs), and to Redis, a
server started for this on loopback, with 50,000. Items of a request are drawn as users come to see them (rank to the
power -0.7); a quarter of the pairs exist. Time goes from ids to the float32 matrix.

    python -m benchmarks.online      # last line: one JSON object
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from benchmarks.stores import serving

from orita.features.generations.filling import Filled, fill_store
from orita.features.online.reader import OnlineReader
from orita.features.online.rows import RequestRows
from orita.features.plan import Plan, plan_of
from orita.features.stores.lmdb import LmdbStore
from orita.features.stores.redis import RedisStore
from orita.features.stores.store import OnlineStore
from orita.features.system import System

START = 1_704_067_200_000_000
DAYS = 300
MICROS_PER_DAY = 86_400_000_000
ITEMS_ASKED = 100
REQUESTS = 3_000
WARM_UP = 300

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """How many there are of each."""

    events: int
    users: int
    items: int

    def shares(self) -> npt.NDArray[np.float64]:
        """Return how often each item is shown."""
        weight_I = np.arange(1, self.items + 1, dtype=np.float64) ** -0.7
        return np.random.default_rng(3).permutation(weight_I / weight_I.sum())


class Opened:
    """A store that was filled, as readers want it."""

    def __init__(self, plan: Plan, store: OnlineStore, filled: Filled) -> None:
        self.plan = plan
        self._rows = RequestRows(plan, store, filled.string_ids, prepared=isinstance(store, LmdbStore))
        self._rows.prepare()

    def current(self) -> RequestRows:
        """Return how its rows are read."""
        return self._rows


def main() -> None:
    """Fill the stores, ask, and print what was measured."""
    plan = plan_of(feed())
    small, large = World(1_000_000, 10_000, 50_000), World(2_000_000, 40_000, 500_000)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, world in (("lmdb", small), ("lmdb_500k", large)):
            with closing(LmdbStore(Path(folder) / name)) as store:
                figures |= measured(name, plan, store, world)
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program:
            with serving(program, Path(folder)) as config:
                figures |= measured("redis", plan, RedisStore(config, system="benchmark"), small)
        else:
            print("There is no Redis server here: sudo apt-get install redis-server")
    print(json.dumps(figures))


def feed() -> System:
    """Return the feed system as it is shipped."""
    path = Path(__file__).parents[1] / "systems" / "feed" / "implementation" / "data_models.py"
    spec = importlib.util.spec_from_file_location("feed_data_models", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    declared: System = module.feed
    return declared


def measured(name: str, plan: Plan, store: OnlineStore, world: World) -> dict[str, float]:
    """Fill *store* and return its figures, each named for it."""
    events = events_of(world)
    begun = time.perf_counter()
    with duckdb.connect() as connection:
        for table, content in ({"interactions": events} | entities_of(world)).items():
            connection.register(table, content)
        relations = {table: table for table in ("interactions", "users", "items")}
        filled = fill_store(plan, connection, relations, store, unique=True, at_once=100_000)
    print(f"{name}: {filled.records} in {time.perf_counter() - begun:.1f} s")
    reader = OnlineReader(Opened(plan, store, filled), plan.system.schema())
    spent_R = ask(reader, world, events)
    return {f"{name}_p{p}_ms": round(float(np.percentile(spent_R, p)) * 1e3, 4) for p in (50, 99)}


def events_of(world: World) -> pa.Table:
    """Return the events of *world*, by time."""
    random = np.random.default_rng(1)
    count = world.events
    time_N = np.sort(START + random.integers(0, DAYS * MICROS_PER_DAY, count))
    devices = pa.array(["mobile", "desktop", "tablet"])
    return pa.table({
        "interaction_id": pa.array(np.arange(count)).cast(pa.string()),
        "user_id": random.integers(0, world.users, count),
        "item_id": random.choice(world.items, count, p=world.shares()),
        "timestamp": pa.array(time_N).cast(pa.timestamp("us")),
        "click": random.integers(0, 2, count).astype(np.int8),
        "dwell_time": random.random(count) * 300,
        "device": devices.take(pa.array(random.integers(0, 3, count))),
    })  # fmt: skip


def entities_of(world: World) -> dict[str, pa.Table]:
    """Return users and items."""

    def born(count: int) -> pa.Array:
        return pa.array(np.full(count, START)).cast(pa.timestamp("us"))

    topics = pa.array([str(topic) for topic in range(64)]).take(pa.array(np.arange(world.items) % 64))
    return {
        "users": pa.table({"user_id": np.arange(world.users), "joined_at": born(world.users)}),
        "items": pa.table({"item_id": np.arange(world.items), "created_at": born(world.items), "topic": topics}),
    }


def ask(reader: OnlineReader, world: World, events: pa.Table) -> npt.NDArray[np.float64]:
    """Return the seconds of each request."""
    random = np.random.default_rng(2)
    user_R = random.integers(0, world.users, REQUESTS)
    items_RN = random.choice(world.items, (REQUESTS, ITEMS_ASKED), p=world.shares())
    met = met_by(events)
    at = START + (DAYS + 1) * MICROS_PER_DAY
    spent = []
    for user, items_N in zip(user_R.tolist(), items_RN, strict=True):
        known_N = met(user)[: ITEMS_ASKED // 4]
        items = [*known_N.tolist(), *items_N[len(known_N) :].tolist()]
        begun = time.perf_counter()
        x_NF = reader.matrix(user, items, {"device": "mobile"}, at)
        spent.append(time.perf_counter() - begun)
        assert x_NF.shape == (ITEMS_ASKED, len(reader.schema.names))
    return np.array(spent[WARM_UP:])


def met_by(events: pa.Table) -> Callable[[int], Integers]:
    """Return a function from a user to the items that they have met."""
    user_N, item_N = events["user_id"].to_numpy(), events["item_id"].to_numpy()
    order_N = np.argsort(user_N, kind="stable")
    user_N, item_N = user_N[order_N], item_N[order_N]

    def met(user: int) -> Integers:
        low, high = np.searchsorted(user_N, [user, user + 1])
        return np.asarray(np.unique(item_N[low:high]))

    return met


if __name__ == "__main__":
    main()
