"""A candidate's process and its limit of time: what it takes of a processor counts, waiting for one does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from tests.delivery.shadow.behaving import TRIGGER, Behaving
from tests.delivery.shadow.test_candidate import asked

from orita.delivery.shadow.candidate import Failed, Scored
from orita.delivery.shadow.scoring import CandidateProcess, Limits


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Let this process run on every processor again."""
    processors = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, processors)


def test_one_that_never_stops_computing_is_ended() -> None:
    """It is runnable all the time, and has taken more than it may."""
    with closing(CandidateProcess(Behaving({"v2.0.0": "loops"}), "v2.0.0", Limits(seconds=0.3))) as process:
        assert process.ready(60), process.trouble
        told = process.score(replace(asked(), item_ids=tuple(range(TRIGGER)), x_NL=asked().x_NL[:TRIGGER]))
    assert isinstance(told, Failed)
    assert told.kind == "timed_out"


def test_one_without_a_processor_is_waited_for() -> None:
    """Others keep its only processor busy for five times as long as it may take."""
    busy = "import time; until = time.monotonic() + 1.5\nwhile time.monotonic() < until: pass"
    with closing(CandidateProcess(Behaving({"v2.0.0": "spins"}), "v2.0.0", Limits(seconds=0.3))) as process:
        assert process.ready(60), process.trouble
        one = {min(os.sched_getaffinity(0))}
        os.sched_setaffinity(process.pid, one)
        os.sched_setaffinity(0, one)
        others = [subprocess.Popen([sys.executable, "-c", busy]) for _ in range(2)]
        told = process.score(asked())
        assert [other.wait(60) for other in others] == [0, 0]
    assert isinstance(told, Scored)
    assert process.starts == 1
