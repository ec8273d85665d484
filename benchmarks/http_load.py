"""A caller over HTTP: requests at a rate whether answered or not, or as fast as the answers come."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

__all__ = ["Caller", "Measured", "closed_loop", "connected", "cpu_seconds", "open_loop"]


@dataclass
class Caller(asyncio.Protocol):
    """One kept connection, one request at a time.

    Attributes:
        error: the last answer that was no 200.
    """

    answer: asyncio.Future[int] | None = None
    received: bytearray = field(default_factory=bytearray)
    error: bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Collect an answer; whole, it resolves with its status."""
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) >= length and self.answer is not None:
            answer, self.answer = self.answer, None
            status = int(head[9:12])
            if status != 200:
                self.error = bytes(body)
            self.received.clear()
            answer.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request under way."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(exc or ConnectionError("the server closed the connection"))

    async def call(self, request: bytes) -> int:
        """Send a request; return the status of its answer."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer


@dataclass(frozen=True)
class Measured:
    """Milliseconds of each request (of `open_loop` in the order in which they were due), failures, seconds in all."""

    latencies_ms: npt.NDArray[np.float64]
    failed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies_ms) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency that *share* percent of the requests stayed under, in milliseconds."""
        return round(float(np.percentile(self.latencies_ms, share)), 3)


async def connected(address: str, connections: int) -> list[Caller]:
    """Return callers of ``host:port``."""
    host, port = address.split(":")
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Caller, host, int(port)))[1] for _ in range(connections)]


async def open_loop(callers: list[Caller], requests: list[bytes], rate: float, seconds: float) -> Measured:
    """Send *rate* requests a second; a request that finds every connection busy waits, and its wait counts."""
    free: asyncio.Queue[Caller] = asyncio.Queue()
    for caller in callers:
        free.put_nowait(caller)
    latencies_ms = np.zeros(int(rate * seconds))
    failed = 0
    begin = time.perf_counter() + 0.1

    async def one(number: int, due: float) -> None:
        nonlocal failed
        caller = await free.get()
        status = await caller.call(requests[number % len(requests)])  # added below: += would read before it waits
        failed += status != 200
        latencies_ms[number] = (time.perf_counter() - due) * 1000
        free.put_nowait(caller)

    under_way: set[asyncio.Task[None]] = set()
    for number in range(len(latencies_ms)):
        due = begin + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(number, due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    return Measured(latencies_ms, failed, time.perf_counter() - begin)


async def closed_loop(callers: list[Caller], requests: list[bytes], seconds: float) -> Measured:
    """Let every connection send its next request as soon as it has its answer."""
    latencies: list[float] = []
    failed = 0
    begin = time.perf_counter()

    async def one(caller: Caller, first: int) -> None:
        nonlocal failed
        number = first
        while (sent := time.perf_counter()) < begin + seconds:
            status = await caller.call(requests[number % len(requests)])
            failed += status != 200
            latencies.append((time.perf_counter() - sent) * 1000)
            number += len(callers)

    await asyncio.gather(*(one(caller, first) for first, caller in enumerate(callers)))
    return Measured(np.array(latencies), failed, time.perf_counter() - begin)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
