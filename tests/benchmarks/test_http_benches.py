"""Benches of servers, without a server: what they count, and what they make of it."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.http_load import Measured
from benchmarks.kill import missing
from benchmarks.overload import Load, Outcome, figures_of
from benchmarks.serve import made_requests, side_by_side
from benchmarks.shadow import Windows, waited_seconds
from benchmarks.shadow import figures_of as figures_of_shadow
from benchmarks.steady import SteadyLoad
from benchmarks.swap import announced

from benchmarks import kill
from orita.testing.open_loop import ideal_goodput


def test_an_answer_of_too_much_load_is_good_late_shed_or_failed() -> None:
    """A refusal is one with a time to come back; the same status without it is a failure, as all else is."""
    outcome = Outcome(seconds=2.0)
    ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    assert [outcome.take(ok, latency) for latency in (0.01, 0.05, 0.2)] == [0, 0, 0]
    assert outcome.take(b"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\n\r\n", 0.0) == 3
    assert outcome.take(b"HTTP/1.1 503 Unavailable\r\nretry-after: 2\r\n\r\n", 0.0) == 2
    assert outcome.take(b"HTTP/1.1 503 Unavailable\r\n\r\n", 0.0) == 1
    assert outcome.take(b"HTTP/1.1 500 Error\r\nretry-after: 2\r\n\r\n", 0.0) == 1
    assert (outcome.asked, outcome.goodput, outcome.shed, outcome.failed) == (7, 1.0, 2, {"503": 1, "500": 1})
    assert outcome.p99_ms == pytest.approx(1000 * np.percentile([0.01, 0.05, 0.2], 99))
    assert Outcome().p99_ms == float("inf")


def test_overload_tells_the_worse_of_both_loads() -> None:
    """Goodput relative to the maximum, p99 and failures of all; what an answer and a refusal cost, from all turns."""

    def load(name: str, most: float, *turns: Outcome) -> Load:
        made = Load(name, most=most)
        for turn in turns:
            made.add(turn, 0.004 * len(turn.latencies) + 0.0001 * turn.shed)
        return made

    loads = {
        "maximum": load("maximum", 100.0, Outcome([0.01] * 100, seconds=1.0)),
        "open_2": load("open_2", 200.0, *(Outcome([0.01] * 90 + [0.2] * 10, shed=100, seconds=1.0) for _ in range(2))),
        "closed_10": load("closed_10", 100.0, Outcome([0.02] * 80, shed=10, failed={"500": 2}, seconds=1.0)),
        "open_10": load("open_10", 100.0, Outcome([0.04] * 50, shed=949, failed={"0": 1}, seconds=1.0)),
    }
    found = figures_of(loads)
    assert (found["goodput_share"], found["open_2"], found["closed_10"], found["open_10"]) == (0.8, 0.9, 0.8, 0.5)
    assert (found["p99_ms"], found["open_10_p99_ms"], found["failed"]) == (200.0, 40.0, 3)
    assert (found["open_10_offered"], found["requests_per_second_max"]) == (10.0, 100.0)
    assert (found["answer_us"], found["refusal_us"]) == (4000, 100)
    assert found["open_10_ideal"] == round(ideal_goodput(10.0, 100 / 4000), 3)
    assert list(loads) == ["maximum", "open_2", "closed_10", "open_10"]


def test_rates_are_compared_turn_by_turn() -> None:
    """A turn in which the machine was slow for all changes no ratio; the median is told, and none of itself."""
    rates = {"orita": [100.0, 10.0, 90.0], "bare_asgi": [200.0, 20.0, 100.0]}
    assert side_by_side(rates) == {"bare_asgi": 0.5}


def test_requests_are_whole_and_the_same_each_time() -> None:
    """The length is that of the body, items are different ones, and who repeats the bench asks the same."""
    requests = made_requests(7)
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert len(set(json.loads(body)["item_ids"])) == 7
    assert requests == made_requests(7)
    assert len(set(requests)) == 500


def test_percentiles_and_rate_of_what_was_measured() -> None:
    """In milliseconds, and requests a second."""
    measured = Measured(np.arange(101.0), 3, 50.5)
    assert (measured.percentile(99), measured.rate) == (99.0, 2.0)


def test_a_steady_load_counts_what_was_not_answered() -> None:
    """Each answer that is no 200, and those that never came; a refusal by its code."""

    class Calls:
        error = b'{"code": "busy"}'

        def __init__(self) -> None:
            self.statuses = [200, 503, 0]

        async def call(self, request: bytes) -> int:
            assert request in (b"one", b"two")
            status = self.statuses.pop(0)
            if not self.statuses:
                load.stop()
                self.statuses = [200] * 100
            return status

    load = SteadyLoad([b"one", b"two"], 1000)
    asyncio.run(load.run([Calls()]))
    assert load.failed == 2
    assert load.codes == Counter({"busy": 1})
    assert len(load.latencies_ms) == load.statuses.total()
    load.dues, load.latencies_ms = [1.0, 2.0, 3.0], [5.0, 7.0, 9.0]
    assert [load.worst_ms(*span) for span in ((1.0, 3.0), (2.0, 9.0), (4.0, 9.0))] == [7.0, 9.0, 0]


@pytest.mark.parametrize(("swaps", "broken"), [(50, 10), (9, 3), (4, 0), (3, 3)])
def test_broken_versions_are_spread_over_the_swaps(swaps: int, broken: int) -> None:
    """As many as asked for, their names end in 99, and each kind of fault comes before one comes again."""
    faults = announced(swaps, broken)
    assert len(faults) == swaps
    named = [version for version in faults if version.endswith(".99")]
    assert named == [version for version, fault in faults.items() if fault]
    assert [faults[version] for version in named] == [("byte", "file", "sample")[n % 3] for n in range(broken)]


def test_rows_that_a_kill_costs() -> None:
    """Of each kill; a row more than was answered is that of an answer on its way, and is none less."""
    assert (missing(6000, 5800, 20), missing(5800, 6000, 20)) == (10.0, 0.0)


@pytest.mark.parametrize(
    ("told", "pids"),
    [
        ({}, set()),
        ({"workers": [{"pid": 1, "status": "answering"}, {"pid": 2, "status": "starting"}]}, {1}),
    ],
)
def test_workers_that_answer(told: dict[str, Any], pids: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that starts does not yet; of a server that says nothing, none."""

    async def health(address: str) -> dict[str, Any]:
        assert address == "here:1"
        return told

    monkeypatch.setattr(kill, "health", health)
    assert asyncio.run(kill.answering("here:1")) == pids


def windows(added: float, pairs: int = 40) -> Windows:
    """Return windows whose requests take *added* ms more with the shadow."""
    random = np.random.default_rng(0)
    with_W = np.tile([True, False], pairs)
    return Windows(
        [random.uniform(1, 2, 200) + added * run for run in with_W], with_W, np.where(with_W, 30.0, 10.0), 0.0712
    )


@pytest.mark.parametrize("added", [0.0, 0.5])
def test_a_shadow_is_charged_for_what_its_windows_have_more(added: float) -> None:
    """The difference of percentiles with its interval, the wait for a processor, and what the shadow took of one."""
    found = figures_of_shadow(windows(added))
    assert found["added_interval_ms"] == pytest.approx([added, added], abs=0.02)
    assert found["p99_on_ms"] == pytest.approx(1.99 + added, abs=0.01)
    assert (found["waited_us"], found["cpu_percent"]) == ({"off": 10.0, "on": 30.0}, 7.12)
    assert set(found) == {
        *("p99_off_ms", "p99_on_ms", "added_ms", "added_interval_ms", "p50_added_ms", "p90_added_ms"),
        *("waited_us", "cpu_percent"),
    }


def test_the_wait_for_a_processor_is_read_from_the_system() -> None:
    """Seconds, of this process's main thread; it only grows."""
    if not Path("/proc/self/schedstat").exists():
        pytest.skip("this system does not tell")
    before = waited_seconds(os.getpid())
    assert 0 <= before <= waited_seconds(os.getpid())
