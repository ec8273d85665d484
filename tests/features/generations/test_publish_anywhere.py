"""Publishing, in folders and in Redis alike: the same state, whole or not at all, resumed after a kill."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from tests.features.state.keeping import ITEM, MINUTE, PAID, USER, plan_with
from tests.features.stores.redis_process import RedisProcess

from orita.core.errors import OritaError
from orita.core.home import Home
from orita.features.generations.filling import fill_store
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.generation import Generation, NotPublished
from orita.features.generations.generations import Generations
from orita.features.generations.opening import OnlineConfig, open_generations
from orita.features.generations.publish import publish
from orita.features.generations.steps import apply_in_pieces, is_torn, most_events
from orita.features.online.following import OnlineFeatures
from orita.features.plan import Plan
from orita.features.stores.lmdb import LmdbStore
from orita.features.stores.redis import RedisStore
from orita.features.stores.store import StoreAway

Opens = Callable[[str], Generations]

PLAN = plan_with(
    n=PAID.count().by(USER),
    item=PAID.count().by(ITEM).over("10m"),
    pair=PAID.count().by(USER, ITEM),
    everything=PAID.count(),
)


def paid(rows: int) -> pa.Table:
    """Return *rows* events, a minute apart, of seven users and five items."""
    return pa.table({
        "event_id": [f"e{i}" for i in range(rows)], "user_id": [i % 7 for i in range(rows)],
        "item_id": [i % 5 for i in range(rows)], "chain": ["a"] * rows, "branch": ["b"] * rows,
        "at": pa.array([i * MINUTE for i in range(rows)]).cast(pa.timestamp("us")),
        "good": pa.array([1] * rows, pa.int8()), "amount": [2.0] * rows, "units": [1] * rows,
    })  # fmt: skip


def published(generations: Generations, rows: int, plan: Plan = PLAN, **more: Any) -> Generation:
    """Publish as many events, as version *rows* of their table."""
    with duckdb.connect() as connection:
        connection.register("paid", paid(rows))
        return publish(plan, connection, {"paid": "paid"}, generations, tables={"paid": rows}, unique=True, **more)


def records_of(generations: Generations, name: str) -> dict[bytes, Any]:
    """Return the records of keys."""
    with closing(generations.reading(name)) as store:
        return {key: np.frombuffer(row).tolist() for key, row in store.scan() if key[:1] < b"\x80"}


def test_both_stores_hold_the_same(open_system: Opens, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is published has the same records and the same description wherever it is."""
    generations, plain = open_system("paid"), FolderGenerations(tmp_path_factory.mktemp("plain"))
    made, expected = published(generations, 50, at_once=7), published(plain, 50)
    assert (made.events, made.records, made.watermark) == (expected.events, expected.records, expected.watermark)
    assert records_of(generations, made.name) == records_of(plain, expected.name)


def test_a_broken_publish_is_gone_on_with_anywhere(open_system: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publish that fails at any step leaves nothing published, and the next one counts the rest only."""
    whole = open_system("whole")
    expected = records_of(whole, published(whole, 50).name)
    generations, calls, tries = open_system("broken"), 0, 0
    for kind in (LmdbStore, RedisStore):
        applied = kind.apply

        def failing(self: Any, *arguments: Any, applied: Any = applied, **more: Any) -> bool:
            nonlocal calls
            calls += 1
            if calls % 3 == 0:
                raise OritaError("killed")
            done: bool = applied(self, *arguments, **more)
            return done

        monkeypatch.setattr(kind, "apply", failing)
    while generations.current() is None:
        tries += 1
        assert tries < 20
        try:
            published(generations, 50, at_once=7)
        except OritaError:
            assert len(generations.names()) == 1
    monkeypatch.undo()
    made = generations.current()
    assert made is not None and tries > 2
    assert generations.names() == (made.name,)
    assert records_of(generations, made.name) == expected


def test_what_one_step_cannot_take_is_written_in_pieces(open_system: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few changes a step may make, and wherever a publish was cut off, the state is that of the events."""
    whole = open_system("whole")
    expected = records_of(whole, published(whole, 40).name)
    generations = open_system("pieces")
    monkeypatch.setattr(type(generations), "most_changes", 5)
    torn = 0
    for kind in (LmdbStore, RedisStore):
        applied = kind.apply

        def failing(self: Any, source: str, *arguments: Any, applied: Any = applied, **more: Any) -> bool:
            nonlocal torn
            if "pieces/done" in more.get("also", {}) and torn < 3:  # the last piece of some
                torn += 1
                assert is_torn(self)
                raise OritaError("killed")
            done: bool = applied(self, source, *arguments, **more)
            return done

        monkeypatch.setattr(kind, "apply", failing)
    for _ in range(4):
        try:
            made = published(generations, 40, at_once=20)
        except OritaError:
            assert generations.current() is None
    assert torn == 3 and most_events(PLAN, 5) == 1
    assert records_of(generations, made.name) == expected
    assert generations.names() == (made.name,)


def test_pieces_are_torn_between_two_of_them_only(open_system: Opens) -> None:
    """A store is torn from the first piece until the last; a second writer of the same changes nothing by then."""
    generations = open_system("torn")
    with closing(generations.writing(generations.begin({}, resume=False))) as store:
        changes = [(b"%d" % number, b"x") for number in range(10)]
        assert store.apply("pieces/begun", 0, 1, changes[:3])
        assert is_torn(store)
        assert not apply_in_pieces(store, "s", 0, 1, changes, 3)
        assert store.offset("s") is None
        store.clear()
        assert not is_torn(store) and apply_in_pieces(store, "s", 0, 1, changes, 3)
        assert not is_torn(store) and store.offset("s") == 1
        assert not apply_in_pieces(store, "s", 0, 1, changes, 3)
        assert apply_in_pieces(store, "s", 1, 2, [(key, None) for key, _ in changes], 4)
        assert dict(store.scan()) == {}


def test_readers_see_one_generation_or_the_next(open_system: Opens) -> None:
    """While generation after generation is published, whoever reads has all of one or all of another, and no error."""
    publishing, stopped, seen = open_system("paid"), threading.Event(), set()
    wrong: list[object] = []
    published(publishing, 10)
    features = OnlineFeatures(PLAN, open_system("paid"))

    def read() -> None:
        try:
            reader = features.reader(PLAN.system.schema())
            while not stopped.is_set():
                features.refresh()
                x_NF = reader.values(0, [0, 1, 2, 3, 4], {}, 1_000 * MINUTE)
                rows = int(x_NF[0, 3])
                seen.add(rows)
                users = len(range(0, rows, 7))
                if x_NF[0, 0] != users or x_NF[:, 2].sum() != users:
                    wrong.append(x_NF)
        except OritaError as error:
            wrong.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for rows in range(20, 90, 10):
        published(publishing, rows)
    stopped.set()
    thread.join()
    assert not wrong, wrong[0]
    assert len(seen) > 1
    features.close()


def test_features_of_other_declarations_are_refused(open_system: Opens) -> None:
    """Nothing published, and something else published, are two sentences that say what to run."""
    other = plan_with(n=PAID.sum("units").by(USER))
    features = OnlineFeatures(PLAN, open_system("paid"))
    with pytest.raises(NotPublished, match="no online features yet: run 'orita run etl'"):
        features.refresh()
    generations = open_system("paid")
    published(generations, 5, other)
    with pytest.raises(NotPublished, match="published for other declarations"):
        features.refresh()
    published(generations, 6)
    assert features.refresh() and not features.refresh()
    features.close()


def test_a_server_killed_under_a_publish_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publish whose server is killed says so; once it is back, the next one goes on, and the state is exact."""
    (tmp_path / "redis").mkdir()
    process = RedisProcess(tmp_path / "redis")
    generations = open_generations(OnlineConfig(store="redis", redis=process.config), Home(tmp_path), "paid")
    applied, calls = RedisStore.apply, 0

    def killing(self: RedisStore, *arguments: Any, **more: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 4:
            process.kill()
        return applied(self, *arguments, **more)

    monkeypatch.setattr(RedisStore, "apply", killing)
    try:
        with pytest.raises(StoreAway, match="is away"):
            published(generations, 60, at_once=5)
        process.start()
        (begun,) = generations.names()
        made = published(generations, 60, at_once=5)
        assert made.name == begun and calls == 4 + 14 - 3, "what was counted was counted again"
        plain = FolderGenerations(tmp_path / "plain")
        assert records_of(generations, made.name) == records_of(plain, published(plain, 60).name)
    finally:
        process.kill()


def test_two_publishers_of_the_same_do_not_mix(on_redis: OnlineConfig, tmp_path: Path) -> None:
    """From two machines at once: one ends, the other is told; the state is that of the events."""
    opened = [open_generations(on_redis, Home(tmp_path), "paid") for _ in range(2)]
    errors: list[Exception] = []

    def one(generations: Generations) -> None:
        try:
            published(generations, 60, at_once=5)
        except OritaError as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(each,)) for each in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) <= 1
    made = opened[0].current()
    assert made is not None
    plain = FolderGenerations(tmp_path / "plain")
    assert records_of(opened[0], made.name) == records_of(plain, published(plain, 60).name)


def test_a_publisher_that_was_overtaken_while_it_began_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another counted between two looks at the store is neither passed over nor written over."""
    generations, read = FolderGenerations(tmp_path), LmdbStore.get_many
    name = generations.begin({}, resume=False)

    def filled(store: LmdbStore) -> None:
        with duckdb.connect() as connection:
            connection.register("paid", paid(60))
            fill_store(PLAN, connection, {"paid": "paid"}, store, unique=True, at_once=5)

    def overtaken(store: LmdbStore, keys: Sequence[bytes]) -> list[bytes | None]:
        found = read(store, keys)
        monkeypatch.setattr(LmdbStore, "get_many", read)
        filled(store)
        return found

    monkeypatch.setattr(LmdbStore, "get_many", overtaken)
    with closing(generations.writing(name)) as store, pytest.raises(OritaError, match="someone else is filling"):
        filled(store)
    plain = FolderGenerations(tmp_path / "plain")
    assert records_of(generations, name) == records_of(plain, published(plain, 60).name)
