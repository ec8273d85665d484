"""What does a server still answer when it is asked for more than it can do? One user and 100 items, `POST /predict`.

A real `orita serve`, everything on, on one core; the callers are on another. First its maximum: a closed loop of 16
connections. Then, for a minute each, an open loop at twice that rate, and ten times as many connections in a closed
loop, where whoever is refused waits as `Retry-After` says. At last an open loop at ten times the rate, or at as much as
one core can ask for, beside an ideal shedder: one that spends on a refusal what this server does, and nothing on
deciding.

*goodput_share* is what was answered within 50 ms, relative to the maximum; *p99_ms* is of what was answered, from the
moment it was due (open loop) or sent (closed loop). Both are the worse of the two loads. Every other answer must be a
429 or a 503 with ``Retry-After``; anything else is counted as *failed*.

    python -m benchmarks.overload                 # makes a feed of 300,000 events and trains for it, then measures
    python -m benchmarks.overload --home .orita   # after make demo: the home of a project with a champion
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import uvloop
from benchmarks.http_load import cpu_seconds
from benchmarks.serve import Server, made_requests, make_home, started

from orita.testing.open_loop import ideal_goodput

GOOD_SECONDS = 0.050
TICK_SECONDS = 0.001


@dataclass
class Outcome:
    """What became of requests.

    Attributes:
        latencies: seconds of each that was answered.
        shed: how many were refused with a time to come back.
        failed: what else was answered, and how often.
        seconds: from the first request to the last answer.
    """

    latencies: list[float] = field(default_factory=list)
    shed: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def asked(self) -> int:
        """How many there were."""
        return len(self.latencies) + self.shed + sum(self.failed.values())

    @property
    def goodput(self) -> float:
        """Requests that were answered in good time, a second."""
        return sum(latency <= GOOD_SECONDS for latency in self.latencies) / self.seconds

    @property
    def p99_ms(self) -> float:
        """Milliseconds within which 99 of 100 of the answered ones were."""
        return float(np.percentile(self.latencies, 99)) * 1000 if self.latencies else float("inf")

    def take(self, head: bytes, latency: float) -> int:
        """Count an answer; return after how many seconds its caller may come back, 0: at once."""
        if head.startswith(b"HTTP/1.1 200"):
            self.latencies.append(latency)
            return 0
        status, after = head[9:12], head.lower().partition(b"\r\nretry-after: ")[2].partition(b"\r\n")[0]
        if status in (b"429", b"503") and after.isdigit():
            self.shed += 1
            return int(after)
        self.failed[status.decode("latin-1")] = self.failed.get(status.decode("latin-1"), 0) + 1
        return 1


class Connection(asyncio.Protocol):
    """A kept connection, one request at a time.

    Args:
        answered: told of each answer: the connection, the head of the answer, and since when it was due.
    """

    def __init__(self, answered: Callable[[Connection, bytes, float], None]) -> None:
        self._answered = answered
        self._received = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes, due: float) -> None:
        """Send a request that was *due* at that second."""
        self._due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        at = self._received.find(b"content-length: ")
        if end < 0 or len(self._received) < end + 4 + int(self._received[at + 16 : self._received.find(b"\r", at)]):
            return
        head, self._received = self._received[:end], b""
        self._answered(self, head, self._due)


async def connect(server: Server, count: int, answered: Callable[[Connection, bytes, float], None]) -> list[Connection]:
    """Return so many connections."""
    host, port = server.address.split(":")
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(lambda: Connection(answered), host, int(port)))[1] for _ in range(count)]


async def closed(server: Server, requests: list[bytes], count: int, seconds: float, patience: float = 5) -> Outcome:
    """Let every connection ask again as soon as it may, and who is refused after *patience* seconds at the latest."""
    outcome, loop = Outcome(), asyncio.get_running_loop()
    begin = time.perf_counter()
    numbers = iter(range(10**12))

    def ask(connection: Connection) -> None:
        now = time.perf_counter()
        if now < begin + seconds:
            connection.ask(requests[next(numbers) % len(requests)], now)

    def answered(connection: Connection, head: bytes, due: float) -> None:
        after = outcome.take(head, time.perf_counter() - due)
        if after:
            loop.call_later(min(after, patience), ask, connection)
        else:
            ask(connection)

    connections = await connect(server, count, answered)
    for connection in connections:
        ask(connection)
    await asyncio.sleep(seconds + 0.5)
    outcome.seconds = seconds
    for connection in connections:
        connection.transport.close()
    return outcome


async def opened(server: Server, requests: list[bytes], rate: float, seconds: float, count: int) -> Outcome:
    """Ask *rate* times a second whether answered or not; what finds no connection free waits, and its wait counts."""
    outcome = Outcome()
    free: deque[Connection] = deque()
    late: deque[tuple[bytes, float]] = deque()

    def answered(connection: Connection, head: bytes, due: float) -> None:
        outcome.take(head, time.perf_counter() - due)
        if late:
            connection.ask(*late.popleft())
        else:
            free.append(connection)

    connections = await connect(server, count, answered)
    free.extend(connections)
    begin, number = time.perf_counter(), 0
    while (now := time.perf_counter()) < begin + seconds:
        for _ in range(int((now - begin) * rate) - number):
            request, due = requests[number % len(requests)], begin + number / rate
            number += 1
            if free:
                free.popleft().ask(request, due)
            else:
                late.append((request, due))
        await asyncio.sleep(TICK_SECONDS)
    outcome.seconds = time.perf_counter() - begin
    await asyncio.sleep(1.0)
    for connection in connections:
        connection.transport.close()
    return outcome


def told(name: str, outcome: Outcome, most: float, cpu: float) -> str:
    """Return a line of the table."""
    return (
        f"{name:22} asked {outcome.asked / outcome.seconds:8.0f}/s   answered {len(outcome.latencies):8}   "
        f"shed {outcome.shed:8}   failed {outcome.failed or 0}   goodput {outcome.goodput / most:.3f}   "
        f"p99 {outcome.p99_ms:6.1f} ms   cpu {cpu:.2f}"
    )


async def measured(server: Server, requests: list[bytes], options: argparse.Namespace) -> dict[str, object]:
    """Measure all loads; return the figures."""
    await closed(server, requests, options.callers, 3)  # warms up
    maximum = await closed(server, requests, options.callers, options.seconds / 4)
    most = maximum.goodput
    print(f"maximum: {most:.0f} requests/s on {options.callers} connections, p99 {maximum.p99_ms:.1f} ms")
    runs: dict[str, Outcome] = {}
    for name in ("open_2", "closed_10", "open_10"):
        before = cpu_seconds(server.pid)
        if name == "closed_10":
            run = await closed(server, requests, 10 * options.callers, options.seconds, options.patience)
        else:
            times = int(name.rpartition("_")[2])
            run = await opened(server, requests, times * most, options.seconds, options.connections)
        runs[name] = run
        print(told(name, run, most, (cpu_seconds(server.pid) - before) / run.seconds))
    return figures_of(runs, most, options.refusal_us)


def figures_of(runs: dict[str, Outcome], most: float, refusal_us: float) -> dict[str, object]:
    """Return the figures.

    Args:
        runs: what became of the requests of ``open_2``, ``closed_10`` and ``open_10``.
        most: requests a second that the server answers in good time.
        refusal_us: microseconds of a refusal by the ideal shedder.
    """
    judged = [runs["open_2"], runs["closed_10"]]
    ten = runs["open_10"]
    offered = ten.asked / ten.seconds / most
    return {
        "goodput_share": round(min(run.goodput for run in judged) / most, 3),
        "p99_ms": round(max(run.p99_ms for run in judged), 1),
        "failed": sum(sum(run.failed.values()) for run in runs.values()),
        "requests_per_second_max": round(most, 1),
        "open_2": round(runs["open_2"].goodput / most, 3),
        "closed_10": round(runs["closed_10"].goodput / most, 3),
        "open_10": round(ten.goodput / most, 3),
        "open_10_offered": round(offered, 1),
        "open_10_p99_ms": round(ten.p99_ms, 1),
        "open_10_ideal": round(ideal_goodput(offered, refusal=refusal_us * most / 1e6), 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a home with online features and a champion")
    parser.add_argument("--seconds", type=float, default=60, help="of each load")
    parser.add_argument("--callers", type=int, default=16, help="connections that find the maximum")
    parser.add_argument("--connections", type=int, default=400, help="of the open loops")
    parser.add_argument(
        "--patience", type=float, default=5, help="most seconds of Retry-After; 0: callers are deaf to it"
    )
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--refusal-us", type=float, default=32, help="what a refusal costs the ideal shedder")
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="where other work keeps the cores busy")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = options.home or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "home"
        if not options.home:
            make_home(home)
        command = [sys.executable, "-m", "orita", "--home", str(home.absolute()), "serve", "--port", "0", "--json"]
        server = stack.enter_context(started("orita", command, pin=options.pin))
        if options.pin:
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        figures = uvloop.run(measured(server, made_requests(options.candidates), options))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
