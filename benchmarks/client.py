"""What does the typed client cost? The same predict request by it, by bare httpx2, and by the standard library.

A server of Orita with a small model in memory runs in a process of its own; the callers share another, on another core
where there are two. Each sends one request after another over one kept connection and turns the answer into objects:
the client into its types, the others into dictionaries. Rounds alternate between callers, so that what else the machine
does hits all alike. CPU is that of the calling process.

    python -m benchmarks.client      # last line: one JSON object
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from orita.client import AsyncClient, Client
from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.testing.serving import publish_line_package

ROUNDS, REQUESTS = 15, 200
ITEMS = 100
FEATURES = ("item_ctr", "item_popularity")

Caller = Callable[[int], list[float]]
"""Sends so many requests; returns the seconds of each."""

_SERVER = """
import sys
from pathlib import Path
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.server import serve
from orita.testing.serving import HashedFeatures, load_line_package
config = ServingConfig(port=0)
app = create_app(Home(Path(sys.argv[1])), "feed", HashedFeatures(sys.argv[2:]), config, load=load_line_package)
serve(app, config, announce=lambda address: print(address, flush=True))
"""


def main() -> None:
    """Let every caller ask in turns, and print what each took."""
    with tempfile.TemporaryDirectory() as folder, serving(Home(Path(folder))) as url, asyncio.Runner() as runner:
        if (cores := sorted(os.sched_getaffinity(0)))[1:]:
            os.sched_setaffinity(0, cores[:1])
        with Client(url) as client:
            callers = {
                "standard_library": standard_library(url),
                "httpx2": bare(url),
                "client": lambda count: timed(lambda: client.predict(1, range(ITEMS)), count),
                "httpx2_async": lambda count: runner.run(bare_async(url, count)),
                "client_async": lambda count: runner.run(own_async(url, count)),
            }
            print(f"{ROUNDS} rounds of {REQUESTS} requests of {ITEMS} items for each caller, one connection, no seeds")
            figures = measured(callers)
    for name, (p50, p99, cpu) in figures.items():
        print(f"{name:17} p50 {p50:6.0f} µs   p99 {p99:6.0f} µs   CPU {cpu:6.0f} µs a request")
    flat = {
        f"{name}_{what}_us": round(value)
        for name, of in figures.items()
        for what, value in zip(("p50", "p99", "cpu"), of, strict=True)
    }
    ratios = {
        f"cpu_over_httpx2{kind}": figures[f"client{kind}"][2] / figures[f"httpx2{kind}"][2] for kind in ("", "_async")
    }
    print(json.dumps(flat | {name: round(value, 3) for name, value in ratios.items()}))


def measured(callers: dict[str, Caller]) -> dict[str, tuple[float, float, float]]:
    """Return the median and the 99th percentile of latency and the CPU time of a request, in µs, by caller."""
    spent: dict[str, list[float]] = {name: [] for name in callers}
    cpu = dict.fromkeys(callers, 0.0)
    for round_ in range(ROUNDS + 1):  # the first warms up
        for name, caller in callers.items():
            before = time.process_time()
            seconds = caller(REQUESTS)
            if round_:
                cpu[name] += time.process_time() - before
                spent[name] += seconds
    micros = {name: np.percentile(seconds, (50, 99)) * 1e6 for name, seconds in spent.items()}
    return {name: (float(p50), float(p99), cpu[name] / len(spent[name]) * 1e6) for name, (p50, p99) in micros.items()}


def timed(ask: Callable[[], object], count: int) -> list[float]:
    """Return the seconds of each of *count* calls."""
    marks = [time.perf_counter()]
    for _ in range(count):
        ask()
        marks.append(time.perf_counter())
    return np.diff(marks).tolist()


def body() -> bytes:
    """Return the request as JSON."""
    return json.dumps({"user_id": 1, "item_ids": list(range(ITEMS))}).encode()


def standard_library(url: str) -> Caller:
    """Return a caller over ``http.client``, which connects in each round: the server closes what is idle."""

    def ask(connection: http.client.HTTPConnection) -> None:
        connection.request("POST", "/predict", body(), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert len(json.loads(response.read())["predictions"]) == ITEMS and response.status == 200

    def round_of(count: int) -> list[float]:
        with closing(http.client.HTTPConnection(urlsplit(url).netloc)) as connection:
            ask(connection)
            return timed(lambda: ask(connection), count)

    return round_of


def bare(url: str) -> Caller:
    """Return a caller over httpx2."""
    import httpx2

    session = httpx2.Client(base_url=url)

    def ask() -> None:
        answer = session.post("/predict", content=body(), headers={"Content-Type": "application/json"})
        assert len(answer.raise_for_status().json()["predictions"]) == ITEMS

    return lambda count: timed(ask, count)


async def bare_async(url: str, count: int) -> list[float]:
    """Send *count* requests by httpx2 from an event loop."""
    import httpx2

    marks = []
    async with httpx2.AsyncClient(base_url=url) as session:
        for _ in range(count + 1):  # the first connects
            answer = await session.post("/predict", content=body(), headers={"Content-Type": "application/json"})
            assert len(answer.raise_for_status().json()["predictions"]) == ITEMS
            marks.append(time.perf_counter())
    return np.diff(marks).tolist()


async def own_async(url: str, count: int) -> list[float]:
    """Send *count* requests by the client from an event loop."""
    marks = []
    async with AsyncClient(url) as client:
        for _ in range(count + 1):
            assert len((await client.predict(1, range(ITEMS))).predictions) == ITEMS
            marks.append(time.perf_counter())
    return np.diff(marks).tolist()


@contextmanager
def serving(home: Home) -> Iterator[str]:
    """Run a server on the last core; give its address."""
    publish_line_package(home, "feed", "v1.0.0", FEATURES)
    Deployments(home.control_db).deploy("feed", "v1.0.0", actor="bench", reason="bench")
    core = max(os.sched_getaffinity(0))
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(home.root), *FEATURES],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    os.sched_setaffinity(process.pid, {core})
    assert process.stdout is not None
    try:
        yield next(line.strip() for line in process.stdout if line.startswith("http"))
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    main()
