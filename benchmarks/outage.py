"""What do requests notice of a store that stops, freezes, or is slow by 200 ms, for 30 seconds? The parts alone.

A Redis of our own, requests every 10 ms with a deadline of 250 ms, on one event loop: features are read through a guard
(reads wait 50 ms at most, 100 ms is slow, a ping every half second while the breaker is open), below it the last good
scores and a static list. Told are the slowest answer, the levels, and the seconds from the end of the outage
to the first of twenty answers in a row that are of level 1 again. `benchmarks.served_outage` asks a real server.

    python -m benchmarks.outage      # last line: one JSON object
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orita.core.clock import SystemClock
from orita.core.errors import OritaError
from orita.features.stores.redis import RedisConfig, RedisStore
from orita.serving.resilience.fallbacks import StaticList
from orita.serving.resilience.faults import ALLOW_VARIABLE, FaultRule, Faults
from orita.serving.resilience.guard import Guard, GuardConfig
from orita.serving.resilience.ladder import Ladder, Level, Rung
from orita.serving.resilience.last_good import LastGood, LastGoodConfig
from orita.serving.resilience.prober import probing

DEADLINE = 0.25
READ_TIMEOUT = 0.05
EACH = 0.01
BEFORE, OUTAGE, AFTER = 2.0, 30.0, 8.0
_RUN = 20

Floats = npt.NDArray[np.float32]
Step = tuple[float, Callable[[], None]]


@dataclass
class Drill:
    """What became of the requests: when each was asked, how long it took (seconds), and its level."""

    asked: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)

    def recovery(self, end: float) -> float | None:
        """Return seconds from *end* to the first of twenty answers in a row that are of level 1; None without them."""
        after = [(at, level) for at, level in zip(self.asked, self.levels, strict=True) if at >= end]
        runs = (at for n, (at, _) in enumerate(after) if {level for _, level in after[n : n + _RUN]} == {Level.FULL})
        return next((at - end for at in runs), None)


def main() -> None:
    """Run each outage and print what was noticed."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        sys.exit("There is no Redis server here: sudo apt-get install redis-server")
    figures: dict[str, object] = {}
    for outage in ("stopped", "frozen", "slow"):
        with tempfile.TemporaryDirectory() as folder:
            server = Server(program, Path(folder))
            try:
                drill = asyncio.run(rehearsed(server, outage))
            finally:
                server.kill()
        recovery, levels = drill.recovery(BEFORE + OUTAGE), Counter(level.value for level in drill.levels)
        slowest = max(drill.took) * 1000
        print(f"{outage}: slowest answer {slowest:.0f} ms, level 1 again after {recovery} s, by level {dict(levels)}")
        figures[outage] = {"slowest_ms": round(slowest, 1), "recovery_s": recovery and round(recovery, 2)}
        figures[outage] |= {"levels": dict(sorted(levels.items()))}  # type: ignore[operator]
    print(json.dumps(figures))


async def rehearsed(server: Server, outage: str) -> Drill:
    """Return what became of the requests around an outage."""
    faults, steps = Faults([], SystemClock(), {}), []
    if outage == "slow":
        rule = {"part": "store", "kind": "latency", "milliseconds": 200}
        when = {"from_seconds": BEFORE, "until_seconds": BEFORE + OUTAGE}
        faults = Faults([FaultRule.model_validate(rule | when)], SystemClock(), {ALLOW_VARIABLE: "1"})
    else:
        begin, end = {"stopped": (server.kill, server.start), "frozen": (server.freeze, server.thaw)}[outage]
        steps = [(BEFORE, begin), (BEFORE + OUTAGE, end)]
    store = RedisStore(server.config.model_copy(update={"read_timeout": READ_TIMEOUT}), system="feed")
    try:
        return await drilled(store, faults, steps, lambda at, _: at >= BEFORE + OUTAGE + AFTER)
    finally:
        store.close()


async def drilled(
    store: RedisStore, faults: Faults, steps: list[Step], is_over: Callable[[float, Drill], bool]
) -> Drill:
    """Ask until it is over, and take each of *steps* at its second."""
    clock, drill = SystemClock(), Drill()
    guard = Guard("store", GuardConfig(slow_ms=100), clock)

    def read(keys: list[bytes]) -> list[bytes | None]:
        faults.strike("store")
        return store.get_many(keys)

    ladder = standing(guard, read, clock)
    started, due = clock.monotonic(), list(steps)
    async with probing(lambda: guard, lambda: asyncio.to_thread(read, [b"ping"]), seconds=0.5):
        while not is_over(at := clock.monotonic() - started, drill):
            while due and due[0][0] <= at:
                await asyncio.to_thread(due.pop(0)[1])
            asked = clock.monotonic()
            answer = ladder.answer([1, 2, 3], asked + DEADLINE)
            drill.asked.append(asked - started)
            drill.took.append(clock.monotonic() - asked)
            drill.levels.append(answer.level)
            await asyncio.sleep(EACH)
    return drill


def standing(guard: Guard, read: Callable[[list[bytes]], object], clock: SystemClock) -> Ladder[list[int], Floats]:
    """Return a ladder: what *read* is needed for, the last good scores, and a list."""
    last_good = LastGood(LastGoodConfig(), clock)

    def full(items: list[int]) -> Floats:
        guard.call(read, [b"%d" % item for item in items])
        scores_N = np.linspace(1, 0, len(items), dtype=np.float32)
        last_good.remember(7, items, scores_N)
        return scores_N

    def remembered(items: list[int]) -> Floats | None:
        recalled = last_good.recall(7, items)
        return None if recalled is None else recalled.scores_N

    rungs: list[Rung[list[int], Floats]] = [
        Rung(Level.FULL, "model", full),
        Rung(Level.LAST_GOOD, "last_good", remembered),
        Rung(Level.STATIC, "static", StaticList([]).scores),
    ]
    return Ladder(rungs, clock)


class Server:
    """A Redis on a free port, which can be killed, frozen and started again; *durable*: with what it had."""

    def __init__(self, program: str, folder: Path, *, durable: bool = False) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self._command += ["--appendonly", "yes" if durable else "no"]
        self.config = RedisConfig(url=f"redis://127.0.0.1:{port}/0")
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        store = RedisStore(self.config, system="waits")
        while True:
            try:
                store.offset("anything")
                break
            except OritaError:
                if self._process.poll() is not None:
                    sys.exit("Redis does not start: see its words above.")
                time.sleep(0.01)
        store.close()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let it stand still, its connections open."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._process.pid, signal.SIGCONT)


if __name__ == "__main__":
    main()
