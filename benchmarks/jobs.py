"""What do jobs cost? Durable submissions a second, and what those who wait for a prediction notice of jobs.

*submit* takes jobs of one request into the queue in a file, each durable when it returns; *through* takes, ends and
forgets them. Then a server of stand-ins is asked for predictions of 100 items at a fixed rate, with nothing else to do
and with jobs of 100 such requests each that never end; *jobs* is how many requests of jobs it answers a second beside
that, *refused* the share of predictions that were shed.

    python -m benchmarks.jobs      # last line: one JSON object; the machine should have nothing else to do
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.http_load import Measured, connected, open_loop
from benchmarks.serve import started

from orita.control.deployments import Deployments
from orita.core.clock import SystemClock
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.serving.jobs.config import JobsConfig
from orita.serving.jobs.opening import open_queue
from orita.serving.jobs.queue import JobQueue, NewJob
from orita.testing.serving import publish_line_package

_SERVER = """
import json, sys
from pathlib import Path
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.server import serve
from orita.testing.serving import HashedFeatures, load_line_package
config = ServingConfig(port=0)
app = create_app(Home(Path(sys.argv[1])), "feed", HashedFeatures(("a", "b")), config, load=load_line_package)
serve(app, config, announce=lambda address: print(json.dumps({"address": address}), flush=True))
"""
_BODY = json.dumps({"user_id": 7, "item_ids": list(range(100))}).encode()
_REQUEST = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=300.0, help="predictions asked a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--jobs", type=int, default=2000, help="for submit and through")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        publish_line_package(home, "feed", "v1.0.0", ("a", "b"))
        Deployments(home.control_db).deploy("feed", "v1.0.0", actor="benchmark", reason="benchmark")
        submit, through = queue_rates(Home(Path(folder) / "queue"), options.jobs)
        queue = open_queue(JobsConfig(), home, "feed", SystemClock())
        with started("orita", [sys.executable, "-c", _SERVER, str(home.root)], pin=False) as server:
            idle = asyncio.run(asked(server.address, options))
            before = answered(queue)
            busy = asyncio.run(beside_jobs(server.address, options, queue))
            done = (answered(queue) - before) / busy.seconds
        queue.close()
    figures: dict[str, float] = {
        "submit_per_s": round(submit),
        "through_per_s": round(through),
        "jobs_per_s": round(done),
    }
    for name, measured in (("idle", idle), ("busy", busy)):
        figures |= {f"{name}_p50_ms": measured.percentile(50), f"{name}_p99_ms": measured.percentile(99)}
        figures[f"{name}_refused"] = round(measured.failed / len(measured.latencies_ms), 4)
    print(json.dumps(figures))


def queue_rates(home: Home, count: int) -> tuple[float, float]:
    """Return jobs a second that one caller takes in, and that one worker takes out and ends."""
    queue = open_queue(JobsConfig(), home, "feed", SystemClock())
    begun = time.perf_counter()
    for _ in range(count):
        queue.submit(new_job(1))
    taken_in = time.perf_counter()
    while (lease := queue.take("answer")) is not None:
        assert queue.finish(lease, "succeeded", b"[]")
    ended = time.perf_counter()
    queue.close()
    return count / (taken_in - begun), count / (ended - taken_in)


def new_job(requests: int) -> NewJob:
    """Return a job of so many requests."""
    return NewJob(uuid7(), b"[" + b",".join([_BODY] * requests) + b"]", requests, b"")


async def asked(address: str, options: argparse.Namespace) -> Measured:
    """Ask for predictions at the rate."""
    callers = await connected(address, 16)
    await open_loop(callers, [_REQUEST], options.rate, 2.0)  # warms up
    return await open_loop(callers, [_REQUEST], options.rate, options.seconds)


async def beside_jobs(address: str, options: argparse.Namespace, queue: JobQueue) -> Measured:
    """Ask for predictions while the server has jobs without an end."""

    async def feed() -> None:
        while True:
            while queue.size().open < 20:
                queue.submit(new_job(100))
            await asyncio.sleep(0.2)

    feeding = asyncio.create_task(feed())
    try:
        return await asked(address, options)
    finally:
        feeding.cancel()


def answered(queue: JobQueue) -> int:
    """Return how many requests of jobs were answered."""
    return sum(job.count for job in queue.latest(10_000) if job.state == "succeeded")


if __name__ == "__main__":
    main()
