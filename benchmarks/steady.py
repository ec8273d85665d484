"""A caller that never pauses: requests at a rate until it is told to stop, each with the time when it was due."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from benchmarks.http_load import Caller

__all__ = ["RetryingCaller", "SteadyLoad", "deployed_package", "health"]


class Calls(Protocol):
    """Sends a request; see `benchmarks.http_load.Caller`."""

    @property
    def error(self) -> bytes:
        """The last answer that was no 200."""
        ...

    async def call(self, request: bytes) -> int:
        """Return the status of the answer."""
        ...


@dataclass
class RetryingCaller:
    """One connection, made anew when it was closed; a request whose connection is closed is sent once more.

    Attributes:
        retried: requests that were.
    """

    address: str
    retried: int = 0
    _caller: Caller | None = None

    async def call(self, request: bytes) -> int:
        """Send a request; return the status of its answer, 0 where the second connection was closed too."""
        for attempt in range(2):
            try:
                return await (await self._connected()).call(request)
            except OSError:
                self._caller = None
                self.retried += attempt == 0
        return 0

    @property
    def error(self) -> bytes:
        """The last answer that was no 200."""
        return b"" if self._caller is None else self._caller.error

    async def _connected(self) -> Caller:
        if self._caller is None or self._caller.transport.is_closing():
            host, port = self.address.split(":")
            loop = asyncio.get_running_loop()
            self._caller = (await loop.create_connection(Caller, host, int(port)))[1]
        return self._caller


@dataclass
class SteadyLoad:
    """Requests at a rate.

    Attributes:
        latencies_ms: of each, from when it was due.
        dues: when each was due, as `time.perf_counter` counts.
        statuses: of the answers; 0 where there was none.
        codes: of the refusals.
    """

    requests: list[bytes]
    rate: float
    latencies_ms: list[float] = field(default_factory=list)
    dues: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    _stop: bool = False

    async def run(self, callers: list[Any]) -> None:
        """Ask until `stop`."""
        free: asyncio.Queue[Calls] = asyncio.Queue()
        for caller in callers:
            free.put_nowait(caller)
        begin, number = time.perf_counter(), 0
        async with asyncio.TaskGroup() as group:
            while not self._stop:
                due = begin + number / self.rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(self._one(free, self.requests[number % len(self.requests)], due))
                number += 1

    def stop(self) -> None:
        """Ask no more; what was asked is still answered."""
        self._stop = True

    def percentile(self, share: float) -> float:
        """Return the latency that *share* percent of the requests stayed under, in milliseconds."""
        return float(np.percentile(np.array(self.latencies_ms), share))

    def worst_ms(self, since: float, until: float) -> float:
        """Return the latency of the slowest request that was due in [*since*, *until*) and is answered; 0: of none."""
        return max(
            (ms for due, ms in zip(self.dues, self.latencies_ms, strict=True) if since <= due < until), default=0
        )

    @property
    def failed(self) -> int:
        """How many were not answered with 200."""
        return self.statuses.total() - self.statuses[200]

    async def _one(self, free: asyncio.Queue[Calls], request: bytes, due: float) -> None:
        caller = await free.get()
        status = await caller.call(request)
        self.statuses[status] += 1
        if status not in (0, 200):
            self.codes[json.loads(caller.error)["code"]] += 1
        self.latencies_ms.append((time.perf_counter() - due) * 1000)
        self.dues.append(due)
        free.put_nowait(caller)


async def health(address: str) -> dict[str, Any]:
    """Return what ``GET /health`` says, on a connection of its own; nothing where it cannot be had."""
    try:
        reader, writer = await asyncio.open_connection(*address.split(":"))
    except OSError:
        return {}
    try:
        writer.write(b"GET /health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2] or b"{}")
        return found
    except (OSError, ValueError):
        return {}
    finally:
        writer.close()


def deployed_package(home: Path, system: str = "feed") -> Path:
    """Return the folder of the package that is deployed."""
    from orita.control.deployments import Deployments
    from orita.core.home import Home

    opened = Home(home)
    deployed = Deployments(opened.control_db).current(system)
    assert deployed is not None, f"{home} has no champion"
    return opened.packages / system / deployed.version
