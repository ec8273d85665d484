"""The state of an alert, and its file: what is told once, what outlives a kill, and what is never told twice."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.monitoring.alerting.book import AlertBook
from orita.monitoring.alerting.states import Condition, Signal, State, step
from orita.monitoring.alerts import Alert

_AT = datetime(2024, 11, 13, 4, tzinfo=UTC)
_DAY = timedelta(days=1)


def _signal(
    active: bool, *, wait: float = 0, keep: float = 0, subject: str = "feed", sinks: tuple[str, ...] = ()
) -> Signal:
    alert = Alert(
        "HIGH_LATENCY", subject, "critical", "slow", 2.0, 1.0, "page.html", "docs/runbook.md#high-latency", _AT
    )
    return Signal(alert, active, {}, wait, keep, sinks)


def _walk(looks: list[bool], *, wait: float = 0, keep: float = 0) -> list[State]:
    """Return the states after looks a minute apart."""
    condition, states = Condition(), []
    for number, active in enumerate(looks):
        condition = step(condition, _signal(active, wait=wait, keep=keep), _AT + timedelta(minutes=number))
        states.append(condition.state)
    return states


def test_an_alert_waits_fires_and_is_over() -> None:
    """It is pending until its condition has held for its time; one that ends sooner was never told."""
    assert _walk([True, True, True, False], wait=120) == ["pending", "pending", "firing", "resolved"]
    assert _walk([True, False, True, False], wait=120) == ["pending", "inactive", "pending", "inactive"]
    assert _walk([True, False, True], keep=0) == ["firing", "resolved", "firing"]


def test_a_moment_of_quiet_is_no_end() -> None:
    """With a time to keep it, an alert that flaps stays one alert."""
    assert _walk([True, False, True, False, False, False], keep=120) == ["firing"] * 5 + ["resolved"]


@given(st.lists(st.booleans(), max_size=40), st.sampled_from([0, 60, 150]), st.sampled_from([0, 60, 150]))
def test_no_state_is_skipped(looks: list[bool], wait: float, keep: float) -> None:
    """Whatever comes: it fires only while its condition holds, and is over only after it fired."""
    states: list[State] = ["inactive", *_walk(looks, wait=wait, keep=keep)]
    for before, after, active in zip(states, states[1:], looks, strict=False):
        if after == "firing" and before != "firing":
            assert active
        if after == "resolved":
            assert before in ("firing", "resolved", "pending")
            assert not active
        if active:
            assert after in ("pending", "firing")


def test_equal_labels_are_one_alert_and_others_are_not(tmp_path: Path) -> None:
    """Alerts are the same by name, subject and labels, whatever their value and severity."""
    one, other = _signal(True), _signal(True, subject="other")
    with closing(AlertBook(tmp_path / "alerts.db")) as book:
        book.observe([one, other], {}, _AT)
        book.observe([one], {}, _AT + _DAY)
        assert len(book.alerts()) == 2


def test_a_rule_s_own_sinks_are_told_alone(tmp_path: Path) -> None:
    """A rule that names sinks has notices for those only."""
    with closing(AlertBook(tmp_path / "alerts.db")) as book:
        book.observe([_signal(True, sinks=("slack",))], {"slack": _DAY, "email": _DAY}, _AT)
        assert [len(book.claim(sink, _AT)) for sink in ("slack", "email")] == [1, 0]


def test_notices_are_grouped_by_labels(tmp_path: Path) -> None:
    """One message a value of the labels that are grouped by; without any, one for all."""
    signals = [_signal(True, subject=f"feed/{n}") for n in range(4)]
    with closing(AlertBook(tmp_path / "a.db")) as book:
        book.observe(signals, {"slack": _DAY, "email": _DAY}, _AT)
        assert [len(message.notices) for message in book.claim("slack", _AT)] == [4]
        assert [len(message.notices) for message in book.claim("email", _AT, ("subject",))] == [1, 1, 1, 1]


def test_notices_wait_for_others(tmp_path: Path) -> None:
    """With a wait, an alert that fires a moment later is in the same message."""
    with closing(AlertBook(tmp_path / "a.db")) as book:
        wait = timedelta(seconds=30)
        book.observe([_signal(True)], {"slack": _DAY}, _AT, wait=wait)
        assert book.claim("slack", _AT) == []
        book.observe([_signal(True, subject="late")], {"slack": _DAY}, _AT + wait / 2, wait=wait)
        (message,) = book.claim("slack", _AT + 2 * wait)
        assert len(message.notices) == 2


def test_a_failure_is_tried_again_after_pauses_that_grow(tmp_path: Path) -> None:
    """30 s, 60 s, 120 s … an hour; the same message, the same key."""
    with closing(AlertBook(tmp_path / "a.db")) as book:
        book.observe([_signal(True)], {"slack": _DAY}, _AT)
        now, keys, pauses = _AT, set(), []
        for _ in range(9):
            (message,) = book.claim("slack", now)
            keys.add(message.key)
            book.failed(message, "slack", "away", now)
            pause = 1.0
            while not book.claim("slack", now + timedelta(seconds=pause)):
                pause += 1
            pauses.append(pause)
            now += timedelta(seconds=pause)
        assert len(keys) == 1
        assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_old_alerts_are_forgotten_and_firing_ones_are_not(tmp_path: Path) -> None:
    """After 90 days what is over goes; what fires stays, however old."""
    with closing(AlertBook(tmp_path / "a.db")) as book:
        book.observe([_signal(True), _signal(True, subject="old")], {"slack": _DAY}, _AT)
        book.observe([_signal(False, subject="old")], {"slack": _DAY}, _AT + _DAY)
        book.prune(_AT + 200 * _DAY)
        assert [known.subject for known in book.alerts()] == ["feed"]


_STORM = """
import itertools, os, random, signal, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from orita.core.clock import SystemClock
from orita.monitoring.alerting.book import AlertBook
from orita.monitoring.alerting.states import Signal
from orita.monitoring.alerts import Alert
from orita.monitoring.dispatch import dispatch

folder, kills = Path(sys.argv[1]), int(sys.argv[2])

def note(name, line):
    with (folder / name).open("a") as file:
        file.write(line + "\\n")
        file.flush()
        os.fsync(file.fileno())

def lines(name):
    return (folder / name).read_text().splitlines() if (folder / name).exists() else []

class File:
    def send(self, notices, key=""):
        for notice in notices:
            note("received", f"{key} {notice.kind} {notice.alert['subject']}")

def work(numbers):
    book, clock = AlertBook(folder / "alerts.db"), SystemClock()
    def tell(subject, active):
        alert = Alert("A", subject, "critical", "x", None, None, "e", "r", clock.now())
        dispatch([Signal(alert, active)], {"file": File()}, book=book, clock=clock, cooldown=timedelta(days=1))
    for known in book.alerts():  # what a kill left firing is over
        if known.firing:
            tell(known.subject, False)
    for number in numbers:
        note("begun", str(number))
        tell(f"s{number}", True)
        tell(f"s{number}", False)
    dispatch([], {"file": File()}, book=book, clock=clock, cooldown=timedelta(days=1))

chance, storm = random.Random(0), os.getpid()
for number in range(kills + 1):
    before, child = len(lines("begun")), os.fork()
    if child == 0:  # without an end, but for the last: however fast it is, a kill finds it at work
        endless = itertools.takewhile(lambda _: os.getppid() == storm, itertools.count(before))
        work(endless if number < kills else range(before, before + 8))
        os._exit(0)
    if number < kills:
        while len(lines("begun")) == before:  # one more alert begins; then it dies at any moment
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == (-signal.SIGKILL if number < kills else 0), status
"""


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_no_notice_is_lost_or_told_twice_by_kills(kills: int, tmp_path: Path) -> None:
    """``kill -9`` at random moments: what fired was told, and its end; a second delivery has the first one's key."""
    command = [sys.executable, "-c", _STORM, str(tmp_path), str(kills)]
    judged = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert judged.returncode == 0, judged.stderr
    told: dict[tuple[str, str], set[str]] = {}
    for line in (tmp_path / "received").read_text().splitlines():
        key, kind, subject = line.split()
        told.setdefault((kind, subject), set()).add(key)
    assert all(len(keys) == 1 for keys in told.values()), "a second delivery with another key"
    with closing(AlertBook(tmp_path / "alerts.db")) as book:
        fired = {known.subject for known in book.alerts() if known.condition.episode}
    assert {subject for kind, subject in told if kind == "firing"} == fired
    assert {subject for kind, subject in told if kind == "recovered"} == fired
    # An alert that had begun when its process was killed may not have been noted yet.
    begun = len((tmp_path / "begun").read_text().splitlines())
    assert begun - kills <= len(fired) <= begun
