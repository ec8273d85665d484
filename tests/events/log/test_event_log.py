"""Every log keeps the contract, and the check of the contract catches those that do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orita.core.clock import Clock
from orita.core.home import Home
from orita.events.log.embedded import EmbeddedLog
from orita.events.log.log import Batch, EventLog
from orita.testing.event_logs import EVENT_LOG_PROMISES, check_event_log

MakeLog = Callable[[Clock], EventLog]


def _embedded(folder: Path) -> MakeLog:
    return lambda clock: EmbeddedLog(Home(folder), clock, segment_bytes=2000)


@pytest.mark.parametrize("promise", EVENT_LOG_PROMISES)
def test_the_embedded_log_keeps_the_contract(promise: str, tmp_path: Path) -> None:
    """The embedded log keeps every promise, and declares no gap."""
    check_event_log(_embedded(tmp_path), promises=[promise])
    assert not EmbeddedLog.gaps


class _Wrong(EmbeddedLog):
    """A log that breaks one promise."""

    def __init__(self, home: Home, clock: Clock, fault: str) -> None:
        super().__init__(home, clock, segment_bytes=2000)
        self._fault = fault
        self.gaps = {"order": "it says so"} if fault == "claims a gap" else {}

    def append(self, stream: str, rows: Any, *, key: Any) -> Any:
        if self._fault == "loses rows" and rows.num_rows > 2:
            rows = rows.slice(0, rows.num_rows - 1)
        if self._fault == "parts rows by another hash":
            rows, key = rows.append_column("k", [["x"] * rows.num_rows]), ["k"]
        return super().append(stream, rows, key=key)

    def read(self, stream: str, partition: int, offset: int, max_rows: int) -> Batch:
        most = 1000 if self._fault == "ignores max_rows" else max_rows
        return super().read(stream, partition, offset, most)

    def retire(self, stream: str, partition: int, before: int) -> int:
        end = self.end(stream, partition)
        return super().retire(stream, partition, end if self._fault == "retires too much" else before)

    def committed(self, group: str, stream: str, partition: int) -> int | None:
        found = super().committed(group, stream, partition)
        return 0 if self._fault == "forgets commits" and found else found


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ("loses rows", "order"),
        ("parts rows by another hash", "order"),
        ("claims a gap", "order"),
        ("ignores max_rows", "any offset"),
        ("retires too much", "retire"),
        ("forgets commits", "commits"),
    ],
)
def test_a_broken_promise_is_caught(fault: str, promise: str, tmp_path: Path) -> None:
    """A log with a fault does not pass, and without it does."""
    check_event_log(lambda clock: _Wrong(Home(tmp_path / "sound"), clock, ""), promises=[promise])
    with pytest.raises((AssertionError, KeyError)):
        check_event_log(lambda clock: _Wrong(Home(tmp_path / "broken"), clock, fault), promises=[promise])
