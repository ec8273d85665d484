"""What does a server still answer when it is asked for more than it can do? One user and 100 items, `POST /predict`.

A real `orita serve`, everything on, on one core; the callers are on another. Its maximum is a closed loop of 16
connections; the loads are an open loop at twice that rate, and ten times as many connections in a closed loop, where
whoever is refused waits as `Retry-After` says. A processor that others use too is now half as fast, now twice, for
seconds at a time; so maximum and loads take turns of some seconds, until each load had its minute, and each is judged
by the maximum of the turns around it. At last an open loop at ten times the rate, or at as much as one core can ask
for. Beside the open loops stands an ideal shedder: one that spends on answers and refusals what this server does (least
squares over all turns), and lets in exactly those it can answer.

*goodput_share* is what was answered within 50 ms, relative to the maximum; *p99_ms* is of what was answered, from the
moment it was due (open loop) or sent (closed loop). Both are the worse of the two loads. *max_p99_ms* is that of the
maximum itself. Every other answer must be a 429 or a 503 with ``Retry-After``; anything else is counted as *failed*.

    python -m benchmarks.overload                 # makes a feed of 300,000 events and trains for it, then measures
    python -m benchmarks.overload --home .orita   # after make demo: a home with a champion; it is copied first
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
from benchmarks.serve import Server, made_requests, own_home, started

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

    def add(self, other: Outcome) -> None:
        """Count what became of *other* requests, too."""
        self.latencies += other.latencies
        self.shed += other.shed
        self.seconds += other.seconds
        for status, count in other.failed.items():
            self.failed[status] = self.failed.get(status, 0) + count

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


@dataclass
class Load:
    """A load, turn by turn.

    Attributes:
        name: its name.
        outcome: what became of its requests.
        most: requests that would have been answered in good time at the maximum meanwhile.
        work: of each turn the server's seconds of processor time, and how many requests it answered and shed.
    """

    name: str
    outcome: Outcome = field(default_factory=Outcome)
    most: float = 0.0
    work: list[tuple[float, int, int]] = field(default_factory=list)

    def add(self, outcome: Outcome, cpu: float) -> None:
        """Count a turn."""
        self.outcome.add(outcome)
        self.work.append((cpu, len(outcome.latencies), outcome.shed))

    @property
    def share(self) -> float:
        """Its goodput, relative to the maximum."""
        return self.outcome.goodput * self.outcome.seconds / self.most

    @property
    def offered(self) -> float:
        """Requests that came, relative to the maximum."""
        return self.outcome.asked / self.most

    def __str__(self) -> str:
        one, seconds = self.outcome, self.outcome.seconds
        return (
            f"{self.name:12} asked {one.asked / seconds:8.0f}/s   answered {len(one.latencies):8}   "
            f"shed {one.shed:8}   failed {one.failed or 0}   goodput {self.share:.3f}   "
            f"p99 {one.p99_ms:6.1f} ms   cpu {sum(cpu for cpu, _, _ in self.work) / seconds:.2f}"
        )


async def in_turns(server: Server, requests: list[bytes], options: argparse.Namespace) -> dict[str, Load]:
    """Return the maximum and the loads, by name."""
    loads = {name: Load(name) for name in ("maximum", "open_2", "closed_10", "open_10")}
    seconds = options.seconds / options.turns

    async def run(name: str, before: float) -> float:
        """Let a load have its turn; return its requests a second in good time."""
        used = cpu_seconds(server.pid)
        kind, _, times = name.partition("_")
        if kind == "open":
            outcome = await opened(server, requests, int(times) * before, seconds, options.connections)
        else:
            callers = int(times or 1) * options.callers
            outcome = await closed(server, requests, callers, seconds if times else seconds / 2, options.patience)
        loads[name].add(outcome, cpu_seconds(server.pid) - used)
        return outcome.goodput

    await closed(server, requests, options.callers, 3)  # warms up
    now = await run("maximum", 0.0)
    for name in [*["open_2", "closed_10"] * options.turns, *["open_10"] * options.turns]:
        before, asked = now, loads[name].outcome.seconds
        await run(name, before)
        now = await run("maximum", 0.0)
        loads[name].most += (before + now) / 2 * (loads[name].outcome.seconds - asked)
    loads["maximum"].most = loads["maximum"].outcome.goodput * loads["maximum"].outcome.seconds
    return loads


async def measured(server: Server, requests: list[bytes], options: argparse.Namespace) -> dict[str, object]:
    """Measure all loads; return the figures."""
    loads = await in_turns(server, requests, options)
    print(*loads.values(), sep="\n")
    return figures_of(loads)


def figures_of(loads: dict[str, Load]) -> dict[str, object]:
    """Return the figures of ``maximum``, ``open_2``, ``closed_10`` and ``open_10``."""
    loads = dict(loads)
    maximum = loads.pop("maximum")
    work = np.array([turn for load in (maximum, *loads.values()) for turn in load.work], dtype=float)
    answer, refusal = np.linalg.lstsq(work[:, 1:], work[:, 0], rcond=None)[0]
    judged = loads["open_2"], loads["closed_10"]
    ideal = {name: ideal_goodput(load.offered, refusal / answer) for name, load in loads.items() if "open" in name}
    return {
        "goodput_share": round(min(load.share for load in judged), 3),
        "p99_ms": round(max(load.outcome.p99_ms for load in judged), 1),
        "failed": sum(sum(load.outcome.failed.values()) for load in loads.values()),
        "requests_per_second_max": round(maximum.outcome.goodput, 1),
        "max_p99_ms": round(maximum.outcome.p99_ms, 1),
        "answer_us": round(answer * 1e6),
        "refusal_us": round(refusal * 1e6),
        **{name: round(load.share, 3) for name, load in loads.items()},
        **{f"{name}_p99_ms": round(load.outcome.p99_ms, 1) for name, load in loads.items()},
        **{f"{name}_ideal": round(goodput, 3) for name, goodput in ideal.items()},
        "open_10_offered": round(loads["open_10"].offered, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a home with online features and a champion")
    parser.add_argument("--seconds", type=float, default=60, help="of each load")
    parser.add_argument("--turns", type=int, default=6, help="in so many, with the maximum between them")
    parser.add_argument("--callers", type=int, default=16, help="connections that find the maximum")
    parser.add_argument("--connections", type=int, default=400, help="of the open loops")
    parser.add_argument(
        "--patience", type=float, default=5, help="most seconds of Retry-After; 0: callers are deaf to it"
    )
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="where other work keeps the cores busy")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = own_home(options.home, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        command = [sys.executable, "-m", "orita", "--home", str(home), "serve", "--port", "0", "--json"]
        server = stack.enter_context(started("orita", command, pin=options.pin))
        if options.pin:
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        figures = uvloop.run(measured(server, made_requests(options.candidates), options))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
