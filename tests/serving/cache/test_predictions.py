"""A prediction that was computed is given again, as long as it holds; and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from pydantic import ValidationError

from orita.core.clock import ManualClock, SystemClock
from orita.core.errors import Unavailable
from orita.serving.cache.config import CacheConfig, open_cache
from orita.serving.cache.memory import MemoryStore
from orita.serving.cache.predictions import CachedScores, Kept, PredictionCache
from orita.serving.cache.store import Looked


class Model:
    """Computes records, counts them, and takes its time."""

    def __init__(self, clock: ManualClock, seconds: float = 0.0) -> None:
        self.clock, self.seconds = clock, seconds
        self.calls = 0
        self.error: Exception | None = None
        self.record: bytes | None = b"scores"

    async def __call__(self) -> bytes | None:
        """Return the record."""
        self.calls += 1
        await asyncio.sleep(0)
        self.clock.advance(timedelta(seconds=self.seconds))
        if self.error is not None:
            raise self.error
        return self.record


class Flaky(MemoryStore):
    """A store whose invalidations fail while it is away."""

    away = False

    async def get(self, key: bytes, tags: Sequence[bytes], /) -> Looked:
        """Find nothing while away."""
        return Looked(None, None) if self.away else await super().get(key, tags)

    async def invalidate(self, tags: Sequence[bytes], /) -> None:
        """Fail while away."""
        if self.away:
            raise Unavailable("the store is away.")
        await super().invalidate(tags)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> Flaky:
    """A store that can be away."""
    return Flaky(1 << 20, clock)


@pytest.fixture
def cache(clock: ManualClock, store: Flaky) -> PredictionCache:
    """A cache of an hour, without early expiry."""
    return PredictionCache(store, clock, beta=0.0, seed=1)


@pytest.fixture
def model(clock: ManualClock) -> Model:
    """A model that answers."""
    return Model(clock)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run *work* on a loop of its own."""
    asyncio.run(work())


def test_the_second_one_is_a_hit(cache: PredictionCache, model: Model) -> None:
    """The same key is computed once, another key for itself; the counters say so."""

    async def work() -> None:
        assert await cache.get(b"k", [b"t"], model) == Kept(b"scores", hit=False)
        assert await cache.get(b"k", [b"t"], model) == Kept(b"scores", hit=True)
        assert await cache.get(b"other", [b"t"], model) == Kept(b"scores", hit=False)

    run(work)
    assert (model.calls, cache.counts.hits, cache.counts.misses) == (2, 1, 2)
    assert cache.counts.hit_rate == pytest.approx(1 / 3)
    assert cache.size.entries == 2


def test_after_its_time_it_is_computed_anew(cache: PredictionCache, model: Model, clock: ManualClock) -> None:
    """A record is given for an hour, and not a second longer."""

    async def work() -> None:
        await cache.get(b"k", [], model)
        clock.advance(timedelta(seconds=3599))
        assert (await cache.get(b"k", [], model)).hit
        clock.advance(timedelta(seconds=2))
        assert not (await cache.get(b"k", [], model)).hit

    run(work)


def test_errors_and_nothing_are_not_kept(cache: PredictionCache, model: Model) -> None:
    """An error reaches who asked, and the next one computes again; so after None."""

    async def work() -> None:
        model.error = Unavailable("the model is away.")
        with pytest.raises(Unavailable):
            await cache.get(b"k", [], model)
        model.error, model.record = None, None
        assert await cache.get(b"k", [], model) == Kept(None, hit=False)
        model.record = b"now"
        assert await cache.get(b"k", [], model) == Kept(b"now", hit=False)
        assert (await cache.get(b"k", [], model)).hit

    run(work)


def test_one_computes_for_all_who_miss_at_once(cache: PredictionCache, model: Model) -> None:
    """Fifty who ask for the same key at once are answered by one computation; an error too is shared."""

    async def work() -> None:
        kept = await asyncio.gather(*(cache.get(b"k", [], model) for _ in range(50)))
        assert {one.record for one in kept} == {b"scores"}
        assert (model.calls, cache.counts.joined) == (1, 49)
        model.error = Unavailable("away.")
        failed = await asyncio.gather(*(cache.get(b"e", [], model) for _ in range(50)), return_exceptions=True)
        assert all(isinstance(one, Unavailable) for one in failed)
        assert model.calls == 2

    run(work)


def test_one_who_hangs_up_takes_nobody_along(cache: PredictionCache, model: Model) -> None:
    """Where the one who computes is cancelled, one of those who wait computes; where a waiter is, nothing changes."""

    async def work() -> None:
        asking = [asyncio.create_task(cache.get(b"k", [], model)) for _ in range(5)]
        await asyncio.sleep(0)
        asking[0].cancel()
        asking[3].cancel()
        kept = await asyncio.gather(*asking, return_exceptions=True)
        assert [isinstance(one, asyncio.CancelledError) for one in kept] == [True, False, False, True, False]
        assert model.calls == 2
        assert (await cache.get(b"k", [], model)).hit

    run(work)


def test_what_was_begun_before_an_invalidation_is_not_given_after_it(cache: PredictionCache, model: Model) -> None:
    """Who asks after an event does not wait for a computation that began before, and its record is not kept."""

    async def work() -> None:
        early = asyncio.create_task(cache.get(b"k", [b"user"], model))
        await asyncio.sleep(0)
        model.record = b"after the event"
        assert await cache.invalidate([b"user"])
        assert (await cache.get(b"k", [b"user"], model)).record == b"after the event"
        await early
        assert await cache.get(b"k", [b"user"], model) == Kept(b"after the event", hit=True)

    model.record = b"before"
    run(work)
    assert model.calls == 2


def test_invalidations_are_not_lost_while_the_store_is_away(
    cache: PredictionCache, model: Model, store: Flaky, clock: ManualClock
) -> None:
    """What could not be invalidated is not given, neither while the store is away nor once it is back."""

    async def work() -> None:
        await cache.get(b"k", [b"user"], model)
        store.away = True
        assert not await cache.invalidate([b"user"])
        store.away = False
        assert not (await cache.get(b"k", [b"user"], model)).hit, "it looked before the invalidation was made"
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not (await cache.get(b"k", [b"user"], model)).hit, "the old record was still there"
        assert (await cache.get(b"k", [b"user"], model)).hit

    run(work)
    assert cache.counts.bypassed == 1


def test_what_changed_is_invalidated_once_more(clock: ManualClock, store: Flaky, model: Model) -> None:
    """What was computed after an event and before it was in the features is let go when it should be there."""
    cache = PredictionCache(store, clock, beta=0.0, settle_seconds=0.05)

    async def work() -> None:
        assert await cache.changed([b"user"])
        await cache.get(b"k", [b"user"], model)
        await cache.get(b"other", [b"another"], model)
        assert (await cache.get(b"k", [b"user"], model)).hit
        while cache.counts.invalidations < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        assert not (await cache.get(b"k", [b"user"], model)).hit
        assert (await cache.get(b"other", [b"another"], model)).hit
        await cache.close()

    run(work)


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_what_would_be_invalidated_later_does_not_hold_up_a_stop(
    clock: ManualClock, store: Flaky, model: Model, seconds: float
) -> None:
    """With 0 there is no second time; one that is yet to come ends with the cache, one at work too."""
    cache = PredictionCache(store, clock, settle_seconds=seconds)

    async def work() -> None:
        await cache.changed([b"user"])
        waiting = [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        assert len(waiting) == (seconds > 0)
        await cache.close()
        assert all(handle.cancelled() for handle in waiting)
        assert cache.counts.invalidations == 1

    run(work)


def test_pending_invalidations_are_bounded(cache: PredictionCache, model: Model, store: Flaky) -> None:
    """More than can be remembered become one of everything."""

    async def work() -> None:
        await cache.get(b"k", [b"*"], model)
        store.away = True
        for number in range(3):
            await cache.invalidate(b"%d %d" % (number, n) for n in range(4000))
        store.away = False
        assert await cache.invalidate([])
        assert not (await cache.get(b"k", [b"*"], model)).hit

    run(work)


def test_a_store_that_is_away_is_a_miss(cache: PredictionCache, model: Model, store: Flaky) -> None:
    """Everybody is answered, nothing is kept."""

    async def work() -> None:
        store.away = True
        for _ in range(3):
            assert await cache.get(b"k", [], model) == Kept(b"scores", hit=False)
        store.away = False
        assert not (await cache.get(b"k", [], model)).hit

    run(work)


def test_early_expiry_spares_the_stampede(clock: ManualClock, store: Flaky) -> None:
    """Of keys asked a hundred times a second, nearly all are renewed before they expire, and few twice.

    Without it every key expires and is missed by whoever comes then.
    """
    expired = {}
    for beta in (0.0, 1.0):
        cache, model = PredictionCache(store, clock, seconds=60.0, beta=beta, seed=7), Model(clock, seconds=0.05)

        async def work(cache: PredictionCache = cache, model: Model = model, beta: float = beta) -> None:
            await cache.get(b"%f" % beta, [], model)
            for _ in range(120 * 100):
                clock.advance(timedelta(seconds=0.01))
                await cache.get(b"%f" % beta, [], model)

        run(work)
        expired[beta] = model.calls - 1 - cache.counts.early
        assert 1 <= model.calls - 1 <= 4, "two minutes of a key that lives a minute"
    assert expired[0.0] >= 1
    assert expired[1.0] == 0


def test_early_expiry_is_exponential_in_what_is_left(clock: ManualClock, store: Flaky) -> None:
    """With δ seconds to compute and δ seconds left, e⁻¹ of those who ask compute; with 3 δ left, e⁻³."""
    cache, model = PredictionCache(store, clock, seconds=100.0, seed=3), Model(clock, seconds=1.0)
    shares = []

    async def work() -> None:
        for left in (1.0, 3.0):
            due = 0
            for number in range(3000):
                key = b"%f %d" % (left, number)
                await cache.get(key, [], model)
                clock.advance(timedelta(seconds=100.0 - left))
                calls = model.calls
                await cache.get(key, [], model)
                due += model.calls > calls
            shares.append(due / 3000)

    run(work)
    assert shares == pytest.approx([np.exp(-1), np.exp(-3)], abs=0.025)


def test_scores_survive_the_record() -> None:
    """What is kept of a prediction is found again bit by bit."""
    scores_N = np.array([0.1, np.float32(1e-30), 0.9], np.float32)
    record = msgspec.msgpack.encode(CachedScores(scores_N.tobytes(), b"", 5))
    found = msgspec.msgpack.decode(record, type=CachedScores)
    assert np.frombuffer(found.scores, np.float32).tobytes() == scores_N.tobytes()
    assert len(record) < 4 * 3 + 16


def test_a_cache_is_off_unless_it_is_wanted(clock: ManualClock) -> None:
    """Nothing is opened by default; switched on it keeps for an hour, by ids for as long as features are stable."""
    assert open_cache(CacheConfig(), clock, tenant="default", system="feed") is None
    assert isinstance(open_cache(CacheConfig(enabled=True), clock, tenant="default", system="feed"), PredictionCache)
    assert CacheConfig(enabled=True).seconds == 3600
    assert CacheConfig(key="ids", stable_seconds=30).seconds == 30
    assert CacheConfig().settle_seconds == 2
    with pytest.raises(ValidationError, match="stable_seconds must say"):
        CacheConfig(key="ids")


@pytest.mark.parametrize("most_bytes", [1 << 20, 900])
def test_nothing_stale_is_ever_given(most_bytes: int) -> None:
    """Under a storm of requests, events, hang-ups and outages, no answer is older than the moment it was asked for."""
    random, clock = Random(11), SystemClock()
    store = Flaky(most_bytes, clock, most_tags=40)
    cache = PredictionCache(store, clock, seconds=0.02, seed=5)
    events = dict.fromkeys(range(6), 0)
    hits = 0

    async def ask(user: int) -> None:
        nonlocal hits
        since = events[user]

        async def compute() -> bytes:
            seen = events[user]
            await asyncio.sleep(random.choice([0.0, 0.0005]))
            return b"%d" % seen

        kept = await cache.get(b"user %d" % user, [b"%d" % user], compute)
        assert kept.record is not None
        assert int(kept.record) >= since, "an answer from before an event that was told"
        hits += kept.hit

    async def happen(user: int) -> None:
        events[user] += 1
        await cache.invalidate([b"%d" % user, b"filler %d" % random.randrange(100)])

    async def storm() -> None:
        tasks: list[asyncio.Task[None]] = []
        for number in range(4000):
            user = random.randrange(6)
            tasks.append(asyncio.create_task(happen(user) if random.random() < 0.05 else ask(user)))
            if random.random() < 0.02:
                random.choice(tasks[-5:]).cancel()
            if random.random() < 0.5:
                await asyncio.sleep(0)
            store.away = 1000 < number < 1200
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError), outcome
        await cache.close()

    asyncio.run(storm())
    assert hits > 100
