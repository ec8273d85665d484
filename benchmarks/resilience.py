"""What does staying up cost a request that needs none of it? Microseconds of CPU time, the least of seven rounds.

Each part is called as the server calls it for an idle request: 1 user, 100 items, 18 features. *turnstile* runs on an
event loop (uvloop) and includes its extra turn of the loop; *guards* are the store's and the
model's. The cache is off by default; *cache_key* and *cache_hit* are what it costs where it is on, in process.

    python -m benchmarks.resilience      # last line: one JSON object
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import numpy as np
import uvloop

from orita.core.clock import SystemClock
from orita.serving.cache.keys import Scorer, key_of_values, tags_of
from orita.serving.cache.memory import MemoryStore
from orita.serving.cache.predictions import PredictionCache
from orita.serving.resilience.admission import Admission
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.deadline import Deadlines, check_deadline
from orita.serving.resilience.guard import Guard, GuardConfig
from orita.serving.resilience.ladder import Ladder, Level, Rung
from orita.serving.resilience.last_good import LastGood, LastGoodConfig
from orita.serving.resilience.limit import BudgetLimit
from orita.serving.resilience.priority import Priorities
from orita.serving.resilience.turnstile import Turnstile

CALLS = 20_000
ROUNDS = 7
ITEMS = list(range(1000, 1100))
SCORES_N = np.linspace(0, 1, 100, dtype=np.float32)
X_NF = np.random.default_rng(0).random((100, 18), np.float32)


def main() -> None:
    """Measure every part and print its microseconds a request."""
    clock = SystemClock()
    deadlines, priorities = Deadlines(), Priorities()

    def headers() -> None:
        deadline = deadlines.read(b"250", None, clock.monotonic())
        priorities.read(None, Priority.NORMAL)
        check_deadline(deadline, clock.monotonic())

    guards = [Guard(name, GuardConfig(), clock) for name in ("store", "model")]
    ladder = Ladder([Rung(Level.FULL, "model", scored), Rung(Level.STATIC, "static", scored)], clock)
    last_good, users = LastGood(LastGoodConfig(), clock), iter(range(10**9))
    figures = {
        "deadline_and_priority": spent(headers),
        "turnstile": turnstile_us(clock),
        "guards": spent(lambda: [guard.call(scored, ITEMS) for guard in guards]) - 2 * spent(lambda: scored(ITEMS)),
        "ladder": spent(lambda: ladder.answer(ITEMS, 1e12)) - spent(lambda: scored(ITEMS)),
        "last_good": spent(lambda: last_good.remember(next(users) % 5000, ITEMS, SCORES_N)),
    }
    figures["sum"] = sum(figures.values())
    scorer = Scorer("v1.2.0", "ab12")
    figures["cache_key"] = spent(lambda: key_of_values(scorer, 7, ITEMS, X_NF))
    figures["cache_hit"] = cache_us(clock)
    for name, microseconds in figures.items():
        print(f"{name:>22}  {microseconds:6.2f} µs")
    print(json.dumps({name: round(microseconds, 2) for name, microseconds in figures.items()}))


def scored(items: list[int]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return scores that were computed before: what is measured is what is around it."""
    return SCORES_N


def spent(call: Callable[[], object]) -> float:
    """Return microseconds of a call."""
    return min(timed(call) for _ in range(ROUNDS)) / CALLS * 1e6


def timed(call: Callable[[], object]) -> float:
    """Return seconds of `CALLS` calls."""
    started = time.thread_time()
    for _ in range(CALLS):
        call()
    return time.thread_time() - started


def looped(call: Callable[[], Awaitable[object]]) -> float:
    """Return microseconds of a call on an event loop."""

    async def rounds() -> float:
        seconds = []
        for _ in range(ROUNDS):
            started = time.thread_time()
            for _ in range(CALLS):
                await call()
            seconds.append(time.thread_time() - started)
        return min(seconds) / CALLS * 1e6

    microseconds: float = uvloop.run(rounds())
    return microseconds


def turnstile_us(clock: SystemClock) -> float:
    """Return microseconds that a turnstile adds to a request on an idle loop, its extra turn included."""
    turnstile = Turnstile(Admission(BudgetLimit(0.010)), clock)

    async def through() -> None:
        arrived = clock.monotonic()
        turnstile.go(Priority.NORMAL, arrived + 1, arrived, yes, print, no)
        await asyncio.sleep(0)

    async def past() -> None:
        clock.monotonic()
        yes()
        await asyncio.sleep(0)

    return looped(through) - looped(past)


def yes() -> bool:
    """Return that it was answered."""
    return True


def no() -> bool:
    """Return that the caller is still there."""
    return False


def cache_us(clock: SystemClock) -> float:
    """Return microseconds of a hit in process, its tags included."""
    cache = PredictionCache(MemoryStore(1 << 26, clock), clock, seed=1)

    async def compute() -> bytes:
        return SCORES_N.tobytes()

    return looped(lambda: cache.get(b"key", tags_of("v1.2.0", 7), compute))


if __name__ == "__main__":
    main()
