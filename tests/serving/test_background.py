"""What works beside requests goes on whatever happens, is told once, and is missed when it ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from orita.serving.background.parts import Background, BackgroundParts, BackgroundTask
from orita.serving.background.told_once import ToldOnce


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        threading.Event().wait(0.002)


class Turns:
    """Turns that end as they are told to."""

    def __init__(self) -> None:
        self.taken = 0
        self.raises: BaseException | None = None
        self.rest: float | None = 0.0

    def __call__(self) -> float | None:
        """Take one."""
        self.taken += 1
        if self.raises is not None:
            raise self.raises
        return self.rest


def test_no_failure_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a turn raises is told once, and the next turn comes; failing anew after it went well is told anew."""
    monkeypatch.setattr("orita.serving.background.parts._FAILED_SECONDS", 0.001)
    turns = Turns()
    part = Background("what turns", "orita-turns", turns)
    with capture_logs() as told:
        part.start()
        for error in (ValueError("broken"), RuntimeError("other")):
            turns.raises, before = error, turns.taken
            wait_for(lambda before=before: turns.taken > before + 5)  # type: ignore[misc]
            turns.raises, before = None, turns.taken
            wait_for(lambda before=before: turns.taken > before + 5)  # type: ignore[misc]
        part.close()
    assert [(line["event"], line["part"], line["kind"], line["error"]) for line in told] == [
        ("background_failed", "what turns", "ValueError", "broken"),
        ("background_failed", "what turns", "RuntimeError", "other"),
    ]
    assert not part.ended


def test_it_rests_until_it_is_woken_or_closed() -> None:
    """Without a time it takes its next turn when it is woken; closed, it ends at once."""
    turns = Turns()
    turns.rest = None
    part = Background("what turns", "orita-turns", turns)
    part.start()
    wait_for(lambda: turns.taken == 1)
    part.wake()
    wait_for(lambda: turns.taken == 2)
    part.close()
    assert not part.alive
    assert turns.taken == 2


def test_who_never_began_can_be_closed() -> None:
    """A part that was not needed neither ended nor holds up the stop."""
    part = Background("what turns", "orita-turns", Turns())
    assert not part.ended
    part.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_ends_is_missed() -> None:
    """A thread that ends all the same is named, and so is a task; one that was closed is not."""
    parts, turns = BackgroundParts(), Turns()
    turns.raises = SystemExit()
    ended, closed = Background("what ends", "orita-ends", turns), Background("what is closed", "orita-closed", Turns())
    for part in (ended, closed):
        parts.watch(part)
        part.start()
    wait_for(lambda: ended.ended)
    closed.close()
    assert parts.ended == ["what ends"]

    async def tasks() -> list[str]:
        gone = asyncio.create_task(asyncio.sleep(0))
        there = asyncio.create_task(asyncio.sleep(600))
        parts.watch(BackgroundTask("what the loop does", gone))
        parts.watch(BackgroundTask("what the loop goes on with", there))
        await gone
        names = parts.ended
        there.cancel()
        return names

    assert asyncio.run(tasks()) == ["what ends", "what the loop does"]


def test_a_reason_is_told_once_until_it_is_over() -> None:
    """The same reason is told once of each, no more than eight of an event, and again when it was over."""
    with capture_logs() as told:
        once = ToldOnce(system="feed")
        for _ in range(3):
            once.tell("broken", ValueError("a"), of="v1")
            once.tell("broken", ValueError("a"), of="v2")
            once.tell("slow", ValueError("a"), alert=False)
        once.over("broken")
        for number in range(100):
            once.tell("broken", ValueError(f"at {number}"), number=number)
    assert [(line["event"], line["log_level"], line.get("alert", False)) for line in told[:3]] == [
        ("broken", "error", True),
        ("broken", "error", True),
        ("slow", "warning", False),
    ]
    assert [line["number"] for line in told[3:]] == list(range(8))
    assert {line["system"] for line in told} == {"feed"}
