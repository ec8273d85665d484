"""Generations, in folders and in Redis alike: begun beside the one that is read, finished in one step, retired."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest
from tests.features.stores.redis_process import RedisProcess

from orita.core.errors import OritaError
from orita.core.home import Home
from orita.features.generations.generation import Generation
from orita.features.generations.generations import Generations
from orita.features.generations.opening import OnlineConfig, open_generations
from orita.features.generations.redis import RedisGenerations
from orita.features.stores.store import StoreAway

Opens = Callable[[str], Generations]


def finished(generations: Generations, name: str, record: bytes = b"1", tables: int = 1) -> Generation:
    """Write one record, finish, and return what was finished."""
    with closing(generations.writing(name)) as store:
        store.apply("s", store.offset("s") or 0, 9, [(b"k", record)])
    made = Generation(name, "plan", None, 0, {"user": 1}, ("user",), {"interactions": tables})
    generations.finish(made)
    return made


def record_of(generations: Generations) -> list[bytes | None]:
    """Return what readers read."""
    current = generations.current()
    assert current is not None
    with closing(generations.reading(current.name)) as store:
        return store.get_many([b"k"])


def test_what_is_begun_is_read_by_nobody_until_it_is_finished(open_system: Opens) -> None:
    """Readers have nothing, then the first, then the second, as who finished it said it; each comes in one step."""
    generations, watching = open_system("feed"), open_system("feed")
    assert watching.current() is None
    first = generations.begin({"tables": {"a": 1}}, resume=True)
    assert watching.current() is None and watching.names() == (first,)
    assert finished(generations, first) == watching.current() == open_system("feed").current()
    second = generations.begin({"tables": {"a": 2}}, resume=True)
    with closing(generations.writing(second)) as store:
        store.apply("s", 0, 1, [(b"k", b"half")])
        assert record_of(watching) == [b"1"]
    finished(generations, second, b"2")
    assert record_of(watching) == [b"2"]
    assert watching.names() == (first, second)
    for each in (generations, watching):
        each.close()


def test_a_begun_generation_is_taken_up_by_who_makes_the_same(open_system: Opens) -> None:
    """Begun with the same and not finished: gone on with; another, or one that is finished: not; if asked for, anew."""
    generations = open_system("feed")
    first = generations.begin({"tables": {"a": 1}, "known_by": None}, resume=True)
    with closing(generations.writing(first)) as store:
        store.apply("s", 0, 5, [(b"half", b"done")])
    assert generations.begin({"tables": {"a": 2}, "known_by": None}, resume=True) != first
    assert generations.begin({"tables": {"a": 1}, "known_by": None}, resume=False) != first
    assert open_system("feed").begin({"known_by": None, "tables": {"a": 1}}, resume=True) == first
    with closing(generations.writing(first)) as store:
        assert (store.offset("s"), store.get_many([b"half"])) == (5, [b"done"])
    finished(generations, first)
    assert generations.names() == (first,), "what others began and did not finish is removed"
    assert generations.begin({"tables": {"a": 1}, "known_by": None}, resume=True) != first


def test_all_but_the_last_two_are_retired(open_system: Opens) -> None:
    """After each publish there are the present generation and the one before, which may still be read."""
    generations, names = open_system("feed"), list[str]()
    for number in range(4):
        names.append(generations.begin({"tables": {"a": number}}, resume=True))
        finished(generations, names[-1], b"%d" % number)
        assert generations.names() == tuple(names[-2:])
    with closing(generations.reading(names[-2])) as store:
        assert store.get_many([b"k"]) == [b"2"]


def test_systems_and_tenants_do_not_see_each_other(
    open_system: Opens, on_redis: OnlineConfig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What one system publishes and retires leaves the others as they are."""
    other = open_system("other")
    finished(other, other.begin({}, resume=False), b"others")
    generations = open_system("feed")
    for number in range(3):
        finished(generations, generations.begin({}, resume=False), b"%d" % number)
    assert (record_of(generations), record_of(other)) == ([b"2"], [b"others"])
    home = tmp_path_factory.mktemp("home")
    shared = [open_generations(on_redis, Home(home, tenant), "feed") for tenant in ("default", "b")]
    finished(shared[1], shared[1].begin({}, resume=False), b"of b")
    assert record_of(shared[1]) == [b"of b"]
    assert shared[0].current() is None or record_of(shared[0]) == [b"2"]


@pytest.fixture
def in_redis(on_redis: OnlineConfig) -> RedisGenerations:
    """Generations in Redis."""
    return RedisGenerations(on_redis.redis, tenant="default", system="feed")


def keys_of(process: RedisProcess, config: OnlineConfig) -> set[str]:
    """Return the keys of a prefix, without what all have in common."""
    found = process.server.read("KEYS", f"*{config.redis.prefix}*")
    return {key.decode().partition("}:")[2] for key in found}


def test_a_retired_generation_leaves_no_key(
    in_redis: RedisGenerations, on_redis: OnlineConfig, redis_process: RedisProcess
) -> None:
    """The keys on the server are those of two generations and three more, and none of any other user was touched."""
    redis_process.server.write("SET", "somebody", "else")
    for _ in range(4):
        with closing(in_redis.writing(in_redis.begin({}, resume=False))) as killed:
            killed.apply("s", 0, 1, [(b"k", b"half")])
        finished(in_redis, in_redis.begin({}, resume=False))
    kept = in_redis.names()
    assert len(kept) == 2
    parts = {f"{name}:{part}" for name in kept for part in ("records", "offsets")}
    assert keys_of(redis_process, on_redis) == parts | {"current", "begun", "made"}
    assert redis_process.server.read("GET", "somebody") == b"else"


def test_a_retired_generation_is_an_error_not_empty(in_redis: RedisGenerations) -> None:
    """Who still reads one that is gone is told, not answered that nothing was ever seen; nobody brings it back."""
    names = []
    for _ in range(3):
        names.append(in_redis.begin({}, resume=False))
        if len(names) == 1:
            reader, writer = in_redis.reading(names[0]), in_redis.writing(names[0])
            assert reader.get_many([b"k"]) == [None]
        finished(in_redis, names[-1])
    calls: tuple[Callable[[], object], ...] = (
        lambda: reader.get_many([b"k"]),
        lambda: writer.apply("s", 0, 1, [(b"k", b"late")]),
        lambda: writer.put_many([(b"k", b"late")]),
        writer.clear,
        lambda: list(reader.scan()),
        reader.size,
        lambda: in_redis.finish(Generation(names[0], "plan", None, 0, {}, (), {})),
    )
    for call in calls:
        with pytest.raises(StoreAway, match=f"{names[0]}.* is no more in Redis at"):
            call()
    assert in_redis.names() == tuple(names[1:])
    assert (current := in_redis.current()) is not None and current.name == names[2]
    reader.close()
    writer.close()


def test_what_the_server_has_lost_is_not_published(
    in_redis: RedisGenerations, on_redis: OnlineConfig, redis_process: RedisProcess
) -> None:
    """Records that were evicted, or never restored, are told by readers, and the next publish begins anew."""
    made = finished(in_redis, in_redis.begin({"of": 2}, resume=True))
    begun = in_redis.begin({"of": 1}, resume=True)
    for name in (made.name, begun):
        (key,) = redis_process.server.read("KEYS", f"*{on_redis.redis.prefix}*{name}:records")
        redis_process.server.write("DEL", key)
    with closing(in_redis.reading(made.name)) as store, pytest.raises(OritaError, match="orita features backfill"):
        store.get_many([b"k"])
    fresh = RedisGenerations(on_redis.redis, tenant="default", system="feed")
    assert fresh.current() is None
    assert fresh.begin({"of": 1}, resume=True) != begun
    fresh.close()


def test_the_present_generation_is_found_in_one_round_trip(
    in_redis: RedisGenerations, redis_process: RedisProcess
) -> None:
    """Who looks again and again sends one command a look, as long as nothing was published; a read is one command."""
    made = finished(in_redis, in_redis.begin({}, resume=False))
    in_redis.current()
    store = in_redis.reading(made.name)
    store.get_many([b"k"])

    def commands() -> int:
        return int(redis_process.server.write("INFO", "stats")["total_commands_processed"])

    commands()
    before = commands()
    in_redis.current()
    store.get_many([b"k", b"l"])
    assert commands() == before + 3
    store.close()
