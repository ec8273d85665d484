"""Does a server's memory stay flat over a million requests? `POST /predict`, as fast as they are answered, one worker.

Requests of 10,000 users for random items come over a few connections. A hundred times, evenly over the requests, the
memory that the server has for itself is looked at (``Pss_Anon`` of ``smaps_rollup``: anonymous memory, mapped files
apart). The first tenth of the requests fills what is bounded (last good scores, the log's queue, the allocator's
arenas), and is told apart. Of the nine tenths that follow each has a median: flat is that none is further from the
first of them than the share that is told.

    python -m benchmarks.memory                       # makes a feed of 300,000 events and trains for it, then measures
    python -m benchmarks.memory --home .orita         # a home with a champion; it is copied first
    python -m benchmarks.memory --requests 100000     # in short

The log of a million requests of 100 items is some 8 GB, of which the copy is rid in the end. Asked is 0.02. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path

import uvloop
from benchmarks.http_load import Caller, connected
from benchmarks.serve import ORITA, made_requests, own_home, started
from benchmarks.start import own_mib

_LOOKS = 100
_TENTHS = 10


async def watched(address: str, pid: int, options: argparse.Namespace) -> tuple[list[float], Counter[int]]:
    """Ask all requests; return the memory after each hundredth of them, in MiB, and the statuses of the answers."""
    callers = await connected(address, options.callers)
    requests = made_requests(options.candidates)
    looks: list[float] = []
    statuses: Counter[int] = Counter()
    for look in range(_LOOKS):
        statuses += await _ask(callers, requests, max(1, options.requests // _LOOKS))
        looks.append(own_mib(pid))
        if look % _TENTHS == _TENTHS - 1:
            print(f"{(look + 1) * options.requests // _LOOKS:>9,} requests   {looks[-1]:6.1f} MiB", flush=True)
    for caller in callers:
        caller.transport.close()
    return looks, statuses


async def _ask(callers: list[Caller], requests: list[bytes], count: int) -> Counter[int]:
    async def one(caller: Caller, first: int) -> Counter[int]:
        return Counter([await caller.call(requests[at % len(requests)]) for at in range(first, count, len(callers))])

    return sum(await asyncio.gather(*(one(caller, first) for first, caller in enumerate(callers))), Counter())


def flatness(looks: list[float]) -> tuple[list[float], float]:
    """Return the median of each tenth, and by what share those after the second are off it at most, with its sign."""
    size = len(looks) // _TENTHS
    medians = [statistics.median(looks[at : at + size]) for at in range(0, size * _TENTHS, size)]
    return medians, max((median / medians[1] - 1 for median in medians[2:]), key=abs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a home with online features and a champion")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--candidates", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = own_home(options.home, Path(folder))
        command = [sys.executable, "-m", "orita", "--home", str(home), "serve", "--port", "0", "--json"]
        with started(ORITA, command, pin=False) as server:
            looks, statuses = uvloop.run(watched(server.address, server.pid, options))
    medians, share = flatness(looks)
    figures = {
        "answered": statuses[200],
        "refused": statuses.total() - statuses[200],
        "flat_share": round(share, 4),
        "first_tenth_mib": round(medians[0], 1),
        "second_tenth_mib": round(medians[1], 1),
        "last_tenth_mib": round(medians[-1], 1),
        "most_mib": round(max(looks), 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
