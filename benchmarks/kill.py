"""What do requests notice of 20 killed workers? `POST /predict`, 100 items, `orita serve --workers 2`.

Under a steady load, by callers that send a request once more where its connection was closed, one worker after another
is killed (`kill -9`), the next as soon as all answer again: that time is the recovery. At the end the server is
stopped, and the prediction log is counted: each answer has its rows, but for those of the last moment of a killed
worker, and none twice.

    python -m benchmarks.kill                       # makes a feed of 300,000 events and trains for it, then measures
    python -m benchmarks.kill --home .orita         # a home with a champion; it is copied first
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from benchmarks.serve import ORITA, made_requests, own_home, started
from benchmarks.steady import RetryingCaller, SteadyLoad, deployed_package, health

from orita.core.home import Home
from orita.events.predictions import prediction_log


async def answering(address: str) -> set[int]:
    """Return the processes that answer."""
    workers = (await health(address)).get("workers", [])
    return {worker["pid"] for worker in workers if worker["status"] == "answering"}


async def killed(address: str, options: argparse.Namespace) -> tuple[SteadyLoad, list[float], int]:
    """Return what requests noticed, the seconds of each recovery, and how many requests were sent twice."""
    load = SteadyLoad(made_requests(options.candidates), options.rate)
    callers = [RetryingCaller(address) for _ in range(16)]
    asking = asyncio.create_task(load.run(callers))
    recoveries = []
    there = await answering(address)
    for _ in range(options.kills):
        await asyncio.sleep(options.pause)
        victim = min(there)
        os.kill(victim, signal.SIGKILL)
        at = time.monotonic()
        while len(there := await answering(address)) < options.workers or victim in there:
            assert time.monotonic() < at + 60, "no new worker within a minute"
            await asyncio.sleep(0.01)
        recoveries.append(time.monotonic() - at)
    await asyncio.sleep(options.pause)
    load.stop()
    await asking
    return load, recoveries, sum(caller.retried for caller in callers)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a home with online features and a champion")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between a recovery and the next kill")
    parser.add_argument("--candidates", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = own_home(options.home, Path(folder))
        deployed_package(home)
        before = len(prediction_log(Home(home), columns=["prediction_id"]))
        command = [sys.executable, "-m", "orita", "--home", str(home), "serve", "--port", "0", "--json"]
        with started(ORITA, [*command, "--workers", str(options.workers)], pin=False) as server:
            load, recoveries, retried = uvloop.run(killed(server.address, options))
        logged = prediction_log(Home(home), columns=["prediction_id"])
    answered = (len(load.latencies_ms) - load.failed) * options.candidates
    ids = logged["prediction_id"].to_pylist()
    rows, twice = len(ids) - before, len(ids) - len(set(ids))
    print(
        f"{options.kills} kills: {len(load.latencies_ms)} requests, by status {dict(load.statuses)}, "
        f"refused {dict(load.codes)}, "
        f"{retried} sent twice; p50 {load.percentile(50):.2f} ms, p99 {load.percentile(99):.2f} ms; recovery median "
        f"{statistics.median(recoveries):.2f} s; {answered} rows answered, {rows} logged, {twice} twice"
    )
    figures = {"failed": load.failed, "recovery_s": round(max(recoveries), 3), "retried": retried}
    print(json.dumps({**figures, "rows_missing_per_kill": missing(answered, rows, options.kills), "rows_twice": twice}))


def missing(answered: int, logged: int, kills: int) -> float:
    """Return how many rows of answers the log lacks for each kill; what it has more is of answers that never came."""
    return round(max(0, answered - logged) / kills, 1)


if __name__ == "__main__":
    main()
