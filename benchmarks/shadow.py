"""What do requests notice of a shadow beside their server? `POST /predict`, 100 items, `orita serve` and `shadow run`.

A copy of the champion, so as dear as it, is the candidate. Answers are measured in turns, without the shadow and with
it, in an open loop at a rate that leaves the processors room. Without it its processes are stopped by a signal, so
nothing of it runs. Each figure is the median over the turns; what a shadow adds is the median of the differences of
turns side by side, and their quartiles stand beside it: what the machine alone does to the slowest of a hundred is in
them.

The processor time is that of the shadow's processes as the system counts it, over the turns in which it ran.

    python -m benchmarks.shadow                       # makes a feed of 300,000 events and trains for it, then measures
    python -m benchmarks.shadow --home .orita         # a home with a champion; it is copied first
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import uvloop
from benchmarks.http_load import Measured, connected, cpu_seconds, open_loop
from benchmarks.serve import ORITA, made_requests, make_home, started
from benchmarks.steady import deployed_package
from benchmarks.swap import publish_copy

from orita.core.home import Home
from orita.delivery.rollouts import RolloutPlan, Rollouts
from orita.delivery.shadow.kept import Counts, read_state, shadow_folder

_CANDIDATE = "v9.0.0"
_SETTLE_SECONDS = 2.5
_WARM_SECONDS = 240
_TOLD = {"actor": "bench", "reason": "shadow"}


@dataclass
class Shadowing:
    """`orita shadow run`, which can be made to do nothing at all.

    Attributes:
        cpu: processor seconds of its processes while it ran in a turn.
        seconds: how long those turns were.
    """

    home: Home
    rollout: str
    pid: int
    cpu: float = 0.0
    seconds: float = 0.0
    _turn: tuple[float, float] = field(default=(0.0, 0.0))

    def start(self) -> None:
        """Let it mirror what is answered from now on, and nothing of before."""
        self._signal(signal.SIGCONT)
        time.sleep(_SETTLE_SECONDS)  # it passes over what was answered while its rollout was paused
        Rollouts(self.home.control).resume("feed", self.rollout, **_TOLD)
        time.sleep(_SETTLE_SECONDS)
        self._turn = self._spent(), time.monotonic()

    def count(self) -> None:
        """Add up what it spent since it was started."""
        cpu, began = self._turn
        self.cpu, self.seconds = self.cpu + self._spent() - cpu, self.seconds + time.monotonic() - began

    def stop(self) -> None:
        """Let it do nothing."""
        Rollouts(self.home.control).pause("feed", self.rollout, **_TOLD)
        time.sleep(_SETTLE_SECONDS)
        self._signal(signal.SIGSTOP)

    @property
    def counts(self) -> Counts:
        """What became of the answers, as of the last commit."""
        state = read_state(shadow_folder(self.home, "feed", self.rollout))
        return state.counts.get(_CANDIDATE, Counts())

    def _spent(self) -> float:
        return sum(cpu_seconds(pid) for pid in self._processes())

    def _signal(self, number: int) -> None:
        for pid in self._processes():
            os.kill(pid, number)

    def _processes(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]


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
        shadow._signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
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


def in_turns(address: str, shadow: Shadowing, options: argparse.Namespace) -> dict[str, list[Measured]]:
    """Return what requests noticed with the shadow and without it, by turns whose order changes."""
    turns: dict[str, list[Measured]] = {"off": [], "on": []}
    shadow.stop()
    for number in range(options.turns):
        for what in ("off", "on") if number % 2 == 0 else ("on", "off"):
            if what == "on":
                shadow.start()
            uvloop.run(loaded(address, options, 1))
            turns[what].append(uvloop.run(loaded(address, options, options.seconds)))
            if what == "on":
                shadow.count()
                shadow.stop()
        off, on = (turns[what][-1] for what in ("off", "on"))
        print(
            f"turn {number + 1}: p50 {off.percentile(50):.2f} off, {on.percentile(50):.2f} on; "
            f"p99 {off.percentile(99):.2f} off, {on.percentile(99):.2f} on",
            flush=True,
        )
    return turns


def figures_of(turns: dict[str, list[Measured]], shadow: Shadowing, before: Counts) -> dict[str, object]:
    """Return the figures, medians over the turns."""
    p50, p99 = ({what: np.array([each.percentile(q) for each in its]) for what, its in turns.items()} for q in (50, 99))
    added = p99["on"] - p99["off"]
    counts = shadow.counts
    return {
        "p99_off_ms": round(float(np.median(p99["off"])), 3),
        "p99_on_ms": round(float(np.median(p99["on"])), 3),
        "added_ms": round(float(np.median(added)), 3),
        "added_quartiles_ms": [round(each, 3) for each in np.quantile(added, [0.25, 0.75]).tolist()],
        "p50_added_ms": round(float(np.median(p50["on"] - p50["off"])), 3),
        "cpu_percent": round(100 * shadow.cpu / shadow.seconds, 2),
        "mirrored_share": round((counts.scored - before.scored) / max(counts.seen - before.seen, 1), 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a home with online features and a champion")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=20, help="of each turn")
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--cpu", type=float, default=10, help="most percent of one processor for the shadow")
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="where other work keeps the cores busy")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        shutil.copytree(options.home, home) if options.home else make_home(home)
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
            turns = in_turns(server.address, shadow, options)
            shadow.start()
            time.sleep(12)  # until it has committed what it scored
            figures = figures_of(turns, shadow, before)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
