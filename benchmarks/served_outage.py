"""What do callers of a real server notice of a store that stops, freezes, or is slow by 200 ms, for 30 seconds?

`orita serve` with its online state of 50,000 items in a Redis of our own, as it is configured by default; every 10 ms,
whether others were answered or not, a `POST /predict` of 100 items with a deadline of 250 ms. Redis is killed and
started again, stopped by SIGSTOP, or reached through a proxy that holds back each answer. Told are the slowest answer
as its caller waits for it, how many came later than their deadline, the levels, what was refused, and the seconds from
the end of the outage to the first of twenty answers in a row that are of level 1 again.

    python -m benchmarks.served_outage      # last line: one JSON object
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.outage import DEADLINE, EACH, Drill, Step
from benchmarks.outage import Server as Redis
from benchmarks.serve import WORLD, Server, made_requests, started

BEFORE, AFTER = 15.0, 10.0
SLOW_SECONDS = 0.2
REFUSED = 5
"""Stands for a level where there was no answer."""


class Proxy:
    """Stands before a server and may hold its answers back.

    Attributes:
        delay: seconds that each answer is held back.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener: asyncio.Server | None = None
        self.delay = 0.0

    async def serve(self) -> int:
        """Listen; return the port."""
        self._listener = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return int(self._listener.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Take no more connections."""
        if self._listener is not None:
            self._listener.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(self._copied(reader, ours, held=False), self._copied(theirs, writer, held=True))

    async def _copied(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool) -> None:
        try:
            while data := await reader.read(1 << 16):
                await asyncio.sleep(self.delay if held else 0)
                writer.write(data)
        except ConnectionError:
            pass  # whoever hung up wants no more
        finally:
            writer.close()


class Callers:
    """Connections to a server; who asks takes one that nobody waits at, or a new one."""

    def __init__(self, address: str, begun: float) -> None:
        self._host, _, self._port = address.partition(":")
        self._begun = begun
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.drill, self.refused = Drill(), Counter[str]()

    async def ask(self, request: bytes) -> None:
        """Ask, and note what became of it."""
        sent = time.perf_counter()
        reader, writer = await self._connection()
        writer.write(request)
        told = await reader.readuntil(b"\r\n\r\n")
        length = int(told.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer = json.loads(await reader.readexactly(length))
        self._free.append((reader, writer))
        self.drill.asked.append(sent - self._begun)
        self.drill.took.append(time.perf_counter() - sent)
        self.drill.levels.append(answer.get("level", REFUSED))
        if not told.startswith(b"HTTP/1.1 200"):
            self.refused[answer["code"]] += 1

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof():  # a server ends those that were idle for seconds
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, int(self._port))

    def close(self) -> None:
        """Hang up."""
        for _, writer in self._free:
            writer.close()


async def asked(server: Server, steps: list[Step], seconds: float) -> Callers:
    """Ask for so many seconds, and take each of *steps* at its second; return what became of it."""
    deadline = f"\r\nX-Request-Timeout-Ms: {DEADLINE * 1000:.0f}\r\n\r\n".encode()
    requests = [each.replace(b"\r\n\r\n", deadline, 1) for each in made_requests(100)]
    begun, due = time.perf_counter(), list(steps)
    callers, number = Callers(server.address, begun), 0
    async with asyncio.TaskGroup() as group:
        while (at := time.perf_counter() - begun) < seconds:
            while due and due[0][0] <= at:
                await asyncio.to_thread(due.pop(0)[1])
            group.create_task(callers.ask(requests[number % len(requests)]))
            number += 1
            await asyncio.sleep(max(0.0, begun + number * EACH - time.perf_counter()))
    callers.close()
    return callers


async def rehearsed(redis: Redis, home: Path, outage: str, seconds: float) -> Callers:
    """Return what became of the requests around an outage."""
    proxy = Proxy(int(redis.config.url.rpartition(":")[2].partition("/")[0]))
    url = f"redis://127.0.0.1:{await proxy.serve()}/0" if outage == "slow" else redis.config.url
    command = [sys.executable, "-m", "orita", *options_of(home, url), "serve", "--port", "0", "--json"]
    begin, end = {
        "stopped": (redis.kill, redis.start),
        "frozen": (redis.freeze, redis.thaw),
        "slow": (lambda: setattr(proxy, "delay", SLOW_SECONDS), lambda: setattr(proxy, "delay", 0.0)),
    }[outage]
    context = started("orita", command, pin=False)
    server = await asyncio.to_thread(context.__enter__)  # it reads its store by the proxy meanwhile
    try:
        return await asked(server, [(BEFORE, begin), (BEFORE + seconds, end)], BEFORE + seconds + AFTER)
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)
        proxy.close()


def options_of(home: Path, url: str) -> list[str]:
    """Return the options of a command whose online state is at *url*."""
    return ["--home", str(home), "--quiet", "--set=online.store=redis", f"--set=online.redis.url={url}"]


def main() -> None:
    """Run each outage and print what was noticed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="of each outage")
    seconds = parser.parse_args().seconds
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        sys.exit("There is no Redis server here: sudo apt-get install redis-server")
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        redis = Redis(program, Path(folder), durable=True)
        home = Path(folder) / "home"
        try:
            world = [f"--set={key}={value}" for key, value in WORLD.items()]
            world.append("--set=beside=[]")
            command = [sys.executable, "-m", "orita", *options_of(home, redis.config.url), *world, "run", "all"]
            subprocess.run(command, check=True)
            for outage in ("stopped", "frozen", "slow"):
                callers = asyncio.run(rehearsed(redis, home, outage, seconds))
                drill = callers.drill
                recovery, levels = drill.recovery(BEFORE + seconds), Counter(drill.levels)
                slowest, late = max(drill.took) * 1000, sum(took > DEADLINE for took in drill.took)
                print(
                    f"{outage}: {len(drill.took):,} requests, slowest {slowest:.0f} ms, {late} late, level 1 again "
                    f"after {recovery} s, by level {dict(levels)}, refused {dict(callers.refused)}"
                )
                figures[outage] = {
                    "requests": len(drill.took),
                    "late": late,
                    "slowest_ms": round(slowest, 1),
                    "recovery_s": recovery and round(recovery, 2),
                    "levels": {str(level): count for level, count in sorted(levels.items()) if level != REFUSED},
                    "refused": dict(callers.refused),
                }
        finally:
            redis.kill()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
