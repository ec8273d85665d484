"""What a feed keeps ready, and what becomes of it when items or retriever are broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.serving.feed.made import made_items

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock, SystemClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.serving.feed.follower import FeedFollower, retriever_name
from orita.serving.feed.items import Items


class Reading:
    """Reads what it is given, or fails with it."""

    def __init__(self) -> None:
        self.next: Items | Exception | None = made_items(3)
        self.pieces = 0
        self.held = threading.Event()
        self.held.set()

    def items(self, at: int, goes_on: Callable[[], bool]) -> Items | None:
        """Return the next items, after a piece."""
        assert self.held.wait(60)
        if isinstance(self.next, Exception):
            raise self.next
        self.pieces += 1
        return self.next if goes_on() else None


class Loaded:
    """A retriever by its folder's name; one that is called broken is."""

    type = "stub"

    def __init__(self, folder: Path) -> None:
        if folder.name.endswith("9"):
            raise UserError(f"{folder.name} does not match its checksum.")
        if folder.name.endswith("7"):
            raise ValueError(f"{folder.name} cannot be parsed.")
        self.version = "v1.0.0" if folder.name.endswith("8") else folder.name

    retrieve: Any = None


@pytest.fixture
def reading() -> Reading:
    """What reads the items."""
    return Reading()


@pytest.fixture
def deployments(tmp_path: Path) -> Deployments:
    """No deployment yet."""
    return Deployments(Home(tmp_path).control_db)


@pytest.fixture
def follower(reading: Reading, deployments: Deployments, tmp_path: Path) -> Iterator[FeedFollower]:
    """A follower that looks when it is told to."""
    yield FeedFollower(
        "feed",
        reading,  # type: ignore[arg-type]
        deployments,
        tmp_path / "packages",
        load=Loaded,
        clock=SystemClock(),
        seconds=0.01,
    )


def test_broken_items_leave_the_ones_before(follower: FeedFollower, reading: Reading) -> None:
    """Why is told once; when it is mended, and broken again, once more."""
    follower.look()
    first = follower.items
    with capture_logs() as logs:
        reading.next = UserError("nothing is published.")
        for _ in range(3):
            follower.look()
        assert follower.items is first is not None
        reading.next = made_items(4)
        follower.look()
        assert follower.items is reading.next
        reading.next = UserError("nothing is published.")
        follower.look()
    told = [line for line in logs if line["event"] == "feed_items_not_read"]
    assert [(line["alert"], line["error"]) for line in told] == [(True, "nothing is published.")] * 2


def test_a_retriever_is_taken_up_as_it_is_deployed(follower: FeedFollower, deployments: Deployments) -> None:
    """It has a name of its own beside the ranker's; one that does not load, or is another, leaves the one before."""
    follower.look()
    assert follower.retriever is None

    def deployed(version: str) -> str | None:
        deployments.deploy(retriever_name("feed"), version, actor="test", reason="test")
        with capture_logs() as logs:
            follower.look()
            follower.look()
        assert len([line for line in logs if line["log_level"] == "error"]) == (version[-1] in "789")
        return follower.retriever.version if follower.retriever is not None else None

    assert retriever_name("feed") == "feed-retriever"
    assert deployed("v1.0.0") == "v1.0.0"
    assert deployed("v1.0.9") == "v1.0.0"
    assert deployed("v1.0.8") == "v1.0.0"
    assert deployed("v1.0.7") == "v1.0.0"
    assert deployed("v1.1.0") == "v1.1.0"


def test_each_outage_of_the_deployments_is_told(
    follower: FeedFollower, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once as long as it lasts, and again when it comes again."""
    deployments.deploy(retriever_name("feed"), "v1.0.0", actor="test", reason="test")
    follower.look()
    real, away = deployments.current, False

    def current(name: str) -> object:
        if away:
            raise OSError("the database is away.")
        return real(name)

    monkeypatch.setattr(deployments, "current", current)
    with capture_logs() as logs:
        for away in (True, True, False, True):  # noqa: B007 - read by what is patched
            follower.look()
    assert [line["event"] for line in logs] == ["feed_retriever_not_loaded"] * 2


def test_it_looks_on_until_it_is_closed(follower: FeedFollower, reading: Reading) -> None:
    """What is published next is taken up by itself; closed, the thread ends at once, amid the items."""
    follower.start()
    assert follower.background.alive
    deadline = time.monotonic() + 20
    while reading.pieces < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    follower.close()
    assert reading.pieces >= 3
    assert "orita-feed" not in {thread.name for thread in threading.enumerate()}


def test_first_items_are_awaited_and_not_for_ever(
    reading: Reading, deployments: Deployments, tmp_path: Path, clock: ManualClock
) -> None:
    """A server waits for the items that are being read; once that failed, or takes too long, it goes without."""

    def begun(seconds: float = 5.0) -> FeedFollower:
        made = FeedFollower(
            "feed",
            reading,  # type: ignore[arg-type]
            deployments,
            tmp_path,
            load=None,
            clock=clock,
            seconds=30,
            await_seconds=seconds,
        )
        reading.held.clear()
        made.start()
        return made

    follower = begun()
    assert (follower.awaited, follower.lacking) == ("the items of the feed are being read.", None)
    clock.advance(timedelta(seconds=5))
    assert follower.awaited is None
    assert follower.lacking is not None
    assert "knows no items" in follower.lacking
    reading.held.set()
    _wait_for(lambda: follower.items is not None)
    assert not follower.lacking
    follower.close()
    at_once = begun(0)
    assert at_once.awaited is None
    reading.held.set()
    at_once.close()
    reading.next = UserError("nothing is published.")
    follower = begun()
    assert follower.awaited is not None
    with capture_logs():
        reading.held.set()
        _wait_for(lambda: follower.awaited is None)
    assert follower.lacking is not None
    follower.close()


def _wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)
