"""The feed of several workers: one that starts takes callers once it knows the items, if others answer meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.serving.feed.published import published_feed
from tests.serving.patience import patient

from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.testing.serving import publish_line_package

ROOT = Path(__file__).resolve().parents[3]
_SERVER = """
import json, sys, time
from pathlib import Path
from tests.serving.feed.published import features_of
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.feed.item_reading import ItemReading
from orita.serving.server import serve, serve_with_workers
from orita.testing.serving import load_line_package
home, config, slow = Home(Path(sys.argv[1])), ServingConfig.model_validate_json(sys.argv[2]), float(sys.argv[3])
read = ItemReading.items
def slowly(self, at, goes_on):
    time.sleep(slow)
    return read(self, at, goes_on)
ItemReading.items = slowly
def make_app():
    return create_app(home, "feed", features_of(home), config, load=load_line_package)
def announce(address):
    print(address, flush=True)
if config.workers > 1:
    serve_with_workers(make_app, config, announce=announce)
else:
    serve(make_app(), config, announce=announce)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with online state and a deployed model."""
    made = Home(tmp_path / "home")
    published_feed(made)
    publish_line_package(made, "feed", "v1.0.0", ("item_ctr",))
    Deployments(made.control_db).deploy("feed", "v1.0.0", actor="test", reason="test")
    return made


@contextmanager
def serving(home: Home, slow: float, **settings: object) -> Iterator[tuple[int, str]]:
    """Run a server that takes *slow* seconds to read the items; give its process and its address."""
    config = json.dumps(patient({"port": 0, **settings}))
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(home.root), config, str(slow)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        while line and not line.startswith("http"):  # what the server logs
            line = process.stdout.readline()
        yield process.pid, urlsplit(line.strip()).netloc
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        process.stdout.close()


def ask(address: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """Ask once, on a connection of its own; return status and body."""
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        method = "GET" if body is None else "POST"
        connection.request(method, path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def page(address: str) -> int:
    """Ask for a page, once more where the connection was closed; return the status."""
    with suppress(OSError, http.client.HTTPException):
        return ask(address, "/api/v1/feed", {"user_id": 1})[0]
    return ask(address, "/api/v1/feed", {"user_id": 1})[0]


def workers(address: str) -> dict[int, str]:
    """Return what each worker does, by its process."""
    with suppress(OSError, http.client.HTTPException):
        return {worker["pid"]: worker["status"] for worker in ask(address, "/health")[1]["workers"]}
    return {}


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    give_up = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def both_answer(address: str, without: set[int]) -> bool:
    """Return whether two workers answer, none of *without*."""
    there = workers(address)
    return list(there.values()) == ["answering"] * 2 and not without & set(there)


@pytest.mark.slow
def test_a_new_worker_knows_the_items(home: Home) -> None:
    """After a kill, and after all were replaced (SIGHUP), no caller of the feed is told that there are no items."""
    statuses: Counter[int] = Counter()
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            statuses[page(address)] += 1

    with serving(home, slow=0.4, workers=2) as (supervisor, address):
        until(lambda: both_answer(address, set()))
        until(lambda: all(page(address) == 200 for _ in range(20)))
        callers = [threading.Thread(target=call) for _ in range(2)]
        for caller in callers:
            caller.start()
        before = set(workers(address))
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        until(lambda: both_answer(address, {killed}))
        there = set(workers(address))
        os.kill(supervisor, signal.SIGHUP)
        until(lambda: both_answer(address, there))
        stop.set()
        for caller in callers:
            caller.join()
    assert set(statuses) == {200}
    assert statuses[200] > 20


def test_one_process_says_that_it_is_starting(home: Home) -> None:
    """It answers predictions at once, and is not ready until it knows the items; the feed refuses meanwhile."""
    with serving(home, slow=1.0) as (_, address):
        assert ask(address, "/predict", {"user_id": 1, "item_ids": [1, 2]})[0] == 200
        assert ask(address, "/health/ready") == (
            503,
            {"status": "starting", "detail": "the items of the feed are being read."},
        )
        assert page(address) == 503
        assert ask(address, "/health")[1]["status"] == "ok"
        until(lambda: ask(address, "/health/ready")[0] == 200)
        assert page(address) == 200


def test_nobody_waits_for_ever(home: Home) -> None:
    """Past the time that items are awaited the server is ready without them, and says what it lacks."""
    with serving(home, slow=600, feed={"await_seconds": 0.2}) as (process, address):
        until(lambda: ask(address, "/health/ready")[0] == 200)
        status, health = ask(address, "/health")
        assert (status, health["status"]) == (200, "degraded")
        assert "the feed knows no items yet" in health["detail"]
        assert page(address) == 503
        os.kill(process, signal.SIGKILL)
