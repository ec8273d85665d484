"""What do requests notice of a shadow beside their server? `POST /predict`, 100 items, `orita serve` and `shadow run`.

A copy of the champion, so as dear as it, is the candidate. Requests come in an open loop at a rate that leaves the
processors room, for some minutes. Those are cut into short windows, in pairs: in one of each pair the processes of the
shadow are stopped by a signal, so nothing of it runs; in the other they go on. What else goes on in the machine changes
more slowly than that, and is in both. ``added_ms`` is the 99th percentile with the shadow less that without it, over
all windows; its interval (95 %) is that of a bootstrap over the pairs.

What the machine does to the slowest of a hundred can be a hundred times what is asked about. So the bench also reads
from the system how long the server's thread was ready to run and had no processor (``waited_us``, a request): a shadow
takes processors, and that is where it would show. Steal, which is time that the machine's host gave to others, is in
neither.

    python -m benchmarks.shadow                       # makes a feed of 300,000 events and trains for it, then measures
    python -m benchmarks.shadow --home .orita         # a home with a champion; it is copied first
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import uvloop
from benchmarks.http_load import Measured, connected, cpu_seconds, open_loop
from benchmarks.serve import ORITA, Server, made_requests, own_home, started
from benchmarks.steady import deployed_package
from benchmarks.swap import publish_copy

from orita.core.home import Home
from orita.delivery.rollouts import RolloutPlan, Rollouts
from orita.delivery.shadow.kept import Counts, read_state, shadow_folder

_CANDIDATE = "v9.0.0"
_WARM_SECONDS = 240
_EDGE_SECONDS = 0.2  # of a window, at both ends, is not counted
_RESAMPLES = 1000
_TOLD = {"actor": "bench", "reason": "shadow"}

Floats = npt.NDArray[np.float64]


@dataclass
class Shadowing:
    """`orita shadow run`, which can be made to do nothing at all."""

    home: Home
    rollout: str
    pid: int

    def let(self, *, run: bool) -> None:
        """Let its processes go on, or stop them."""
        for pid in self._processes():
            os.kill(pid, signal.SIGCONT if run else signal.SIGSTOP)

    @property
    def counts(self) -> Counts:
        """What became of the answers, as of the last commit."""
        state = read_state(shadow_folder(self.home, "feed", self.rollout))
        return state.counts.get(_CANDIDATE, Counts())

    @property
    def cpu_seconds(self) -> float:
        """Processor time of its processes up to now."""
        return sum(cpu_seconds(pid) for pid in self._processes())

    def _processes(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]


@dataclass(frozen=True)
class Windows:
    """What was measured, window by window (W), a pair one after the other.

    Attributes:
        latencies_W: milliseconds of the requests of each.
        with_W: whether the shadow ran.
        waited_us_W: microseconds a request that the server was ready to run and had no processor.
        cpu_share: of a processor that the shadow took where it ran.
    """

    latencies_W: list[Floats]
    with_W: npt.NDArray[np.bool_]
    waited_us_W: Floats
    cpu_share: float

    def percentile(self, share: float, *, run: bool, pairs: npt.NDArray[np.intp] | None = None) -> float:
        """Return that percentile over the windows with or without the shadow, of all pairs or of these."""
        pairs = np.arange(len(self.with_W) // 2) if pairs is None else pairs
        windows = [window for pair in pairs for window in (2 * pair, 2 * pair + 1) if self.with_W[window] == run]
        return float(np.percentile(np.concatenate([self.latencies_W[window] for window in windows]), share))

    def added(self, share: float, pairs: npt.NDArray[np.intp] | None = None) -> float:
        """Return how much higher that percentile is with the shadow."""
        return self.percentile(share, run=True, pairs=pairs) - self.percentile(share, run=False, pairs=pairs)

    def waited_us(self, *, run: bool) -> float:
        """Return the mean wait of a request for a processor."""
        return float(self.waited_us_W[self.with_W == run].mean())


@contextmanager
def shadowing(home: Path, cpu_percent: float) -> Iterator[Shadowing]:
    """Begin a shadow and run what follows it."""
    opened = Home(home)
    plan = RolloutPlan(strategy="shadow", versions=(_CANDIDATE,), cpu_percent=cpu_percent)
    rollout = Rollouts(opened.control).start("feed", plan, **_TOLD)
    command = [sys.executable, "-m", "orita", "--home", str(home), "--quiet", "shadow", "run", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    shadow = Shadowing(opened, rollout.id, process.pid)
    try:
        yield shadow
    finally:
        shadow.let(run=True)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


async def loaded(address: str, options: argparse.Namespace, seconds: float) -> Measured:
    """Return what requests noticed."""
    callers = await connected(address, 16)
    measured = await open_loop(callers, made_requests(options.candidates), options.rate, seconds)
    for caller in callers:
        caller.transport.close()
    if measured.failed:
        print(f"{measured.failed} of {len(measured.latencies_ms)} requests were refused or failed", flush=True)
    return measured


def warmed(address: str, shadow: Shadowing, options: argparse.Namespace) -> None:
    """Ask until the candidate, which pays for its start first, scores."""
    give_up = time.monotonic() + _WARM_SECONDS
    while not shadow.counts.scored:
        assert time.monotonic() < give_up, f"nothing was mirrored within {_WARM_SECONDS} s"
        uvloop.run(loaded(address, options, 5))


async def in_windows(server: Server, shadow: Shadowing, options: argparse.Namespace) -> Windows:
    """Return what requests noticed with the shadow and without it, in pairs of windows in random order."""
    random = np.random.default_rng(0)
    first_P = random.random(options.pairs) < 0.5
    with_W = np.stack([first_P, ~first_P], axis=1).ravel()
    load = asyncio.create_task(loaded(server.address, options, len(with_W) * options.window))
    edge = _EDGE_SECONDS
    begin = time.perf_counter() + 0.1  # as that of the load
    waited_W = np.zeros(len(with_W))
    cpu = 0.0
    for window, run in enumerate(with_W.tolist()):
        await asyncio.sleep(begin + window * options.window - time.perf_counter())
        shadow.let(run=run)
        await asyncio.sleep(edge)
        waited, spent = waited_seconds(server.pid), shadow.cpu_seconds
        await asyncio.sleep(begin + (window + 1) * options.window - edge - time.perf_counter())
        waited_W[window] = waited_seconds(server.pid) - waited
        cpu += (shadow.cpu_seconds - spent) if run else 0.0
    latencies_ms = (await load).latencies_ms
    due = np.arange(len(latencies_ms)) / options.rate
    window_of, within = np.divmod(due, options.window)
    counted = (within >= edge) & (within < options.window - edge)
    seconds = options.window - 2 * edge
    return Windows(
        latencies_W=[latencies_ms[counted & (window_of == window)] for window in range(len(with_W))],
        with_W=with_W,
        waited_us_W=waited_W / (options.rate * seconds) * 1e6,
        cpu_share=cpu / (with_W.sum() * seconds),
    )


def waited_seconds(pid: int) -> float:
    """Return how long the main thread of a process was ready to run and had no processor (``/proc/PID/schedstat``)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def figures_of(windows: Windows) -> dict[str, object]:
    """Return the figures."""
    random = np.random.default_rng(1)
    pairs = len(windows.with_W) // 2
    added = [windows.added(99, random.integers(pairs, size=pairs)) for _ in range(_RESAMPLES)]
    return {
        "p99_off_ms": round(windows.percentile(99, run=False), 3),
        "p99_on_ms": round(windows.percentile(99, run=True), 3),
        "added_ms": round(windows.added(99), 3),
        "added_interval_ms": [round(each, 3) for each in np.quantile(added, [0.025, 0.975]).tolist()],
        "p50_added_ms": round(windows.added(50), 3),
        "p90_added_ms": round(windows.added(90), 3),
        "waited_us": {"off": round(windows.waited_us(run=False), 1), "on": round(windows.waited_us(run=True), 1)},
        "cpu_percent": round(100 * windows.cpu_share, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a home with online features and a champion")
    parser.add_argument("--pairs", type=int, default=100, help="of windows")
    parser.add_argument("--window", type=float, default=2, help="seconds of a window")
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--cpu", type=float, default=10, help="most percent of one processor for the shadow")
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="where other work keeps the cores busy")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = own_home(options.home, Path(folder))
        publish_copy(deployed_package(home), _CANDIDATE)
        command = [sys.executable, "-m", "orita", "--home", str(home), "serve", "--port", "0", "--json"]
        with (
            shadowing(home, options.cpu) as shadow,
            started(ORITA, command, pin=options.pin) as server,
        ):
            if options.pin:
                os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            warmed(server.address, shadow, options)
            before = shadow.counts
            windows = uvloop.run(in_windows(server, shadow, options))
            shadow.let(run=True)
            time.sleep(12)  # until it has committed what it scored
            after = shadow.counts
            seen, scored = after.seen - before.seen, after.scored - before.scored
            figures = {**figures_of(windows), "mirrored_share": round(scored / max(seen, 1), 3)}
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
