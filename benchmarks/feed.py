"""How long does a whole feed take? `POST /api/v1/feed` of random users: candidates, scores, order, 20 items, log.

The server is a process of its own on one core, the caller is on another. Pages are asked for in an open loop at a fixed
rate, and latency runs from the moment a request was due. ``next_p50_ms`` and ``next_p99_ms`` are those of second pages,
which a cursor asks for.

    python -m benchmarks.feed                        # makes a feed of 50,000 items and trains for it, then measures
    python -m benchmarks.feed --home .orita          # after make demo: a home with a champion; it is copied first
    python -m benchmarks.feed --home .orita --set serving.feed.diversity.method=dpp
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import uvloop
from benchmarks.http_load import Measured, connected, open_loop
from benchmarks.serve import Server, own_home, started

from orita.core.config import load
from orita.project.project import OritaConfig

_PATH = "/api/v1/feed"
_USERS = 10_000
_PAGE = 20
_READY_SECONDS = 120


def asked(server: Server, body: dict[str, object]) -> dict[str, object]:
    """Return one page; wait for a server that is reading its items."""
    url, deadline = f"http://{server.address}{_PATH}", time.monotonic() + _READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())) as answer:
                page: dict[str, object] = json.loads(answer.read())["data"]
                return page
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def raw(body: dict[str, object]) -> bytes:
    """Return a request as it goes over the wire."""
    content = json.dumps(body).encode()
    lines = [f"POST {_PATH} HTTP/1.1", "Host: bench", "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


def made_requests(server: Server) -> tuple[list[bytes], list[bytes]]:
    """Return requests of random users for first pages, and some for second ones."""
    choose = random.Random(0)
    first = [
        {
            "user_id": choose.randrange(_USERS),
            "limit": _PAGE,
            "context": {"device": choose.choice(["mobile", "tablet"])},
        }
        for _ in range(500)
    ]
    second = [{**body, "cursor": asked(server, body)["cursor"]} for body in first[:50]]
    return [raw(body) for body in first], [raw(body) for body in second]


async def at_a_rate(server: Server, requests: list[bytes], options: argparse.Namespace) -> Measured:
    """Ask at a fixed rate."""
    callers = await connected(server.address, 16)
    await open_loop(callers, requests, options.rate, 2)
    return await open_loop(callers, requests, options.rate, options.seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a home with online features and a champion")
    parser.add_argument("--rate", type=float, default=20, help="pages a second")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--set", dest="settings", action="append", default=[], help="a setting of the server")
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="where other work keeps the cores busy")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = own_home(options.home, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        settings = [f"--set={setting}" for setting in options.settings]
        command = [sys.executable, "-m", "orita", "--home", str(home), *settings, "serve"]
        server = stack.enter_context(started("feed", [*command, "--port", "0", "--json"], pin=options.pin))
        first, second = made_requests(server)
        everything = os.sched_getaffinity(0)
        if options.pin:
            os.sched_setaffinity(0, {max(everything)})
        measured = [uvloop.run(at_a_rate(server, requests, options)) for requests in (first, second)]
        os.sched_setaffinity(0, everything)
    for name, pages in zip(("first pages", "next pages"), measured, strict=True):
        assert not pages.failed, f"{pages.failed} {name} failed"
        print(f"{name}: p50 {pages.percentile(50)} ms, p99 {pages.percentile(99)} ms at {options.rate:g} a second")
    feed = load(OritaConfig, overrides=options.settings, environment={}).value.serving.feed
    figures = {
        "p50_ms": measured[0].percentile(50),
        "p99_ms": measured[0].percentile(99),
        "next_p50_ms": measured[1].percentile(50),
        "next_p99_ms": measured[1].percentile(99),
        "candidates": feed.candidates,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
