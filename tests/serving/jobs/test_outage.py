"""A queue that is away, frozen or broken: callers get 503 in time, and jobs go on by themselves afterwards."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from tests.features.stores.redis_process import RedisProcess

from orita.core.clock import Clock, SystemClock
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.jobs.requests import PREFIX
from orita.testing.asgi import Answer, AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

ONE = {"user_id": 5, "item_ids": [1, 2, 3]}
FEATURES = ("item_ctr",)


class _Ahead:
    """The machine's clock, whose monotonic time a test may put forward."""

    seconds = 0.0

    def now(self) -> datetime:
        """Return the machine's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic() + self.seconds


@pytest.fixture
def process(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis that the test may stop."""
    process = RedisProcess(tmp_path)
    yield process
    process.kill()


@pytest.fixture
def make(home: Home, deploy: Callable[..., None]) -> Callable[..., Starlette]:
    """Make an app with settings of jobs and of their guard."""
    deploy("v1.0.0", FEATURES)

    def app(
        jobs: dict[str, object],
        guard: dict[str, object],
        faults: tuple[dict[str, object], ...] = (),
        clock: Clock | None = None,
    ) -> Starlette:
        config = ServingConfig.model_validate(
            {
                "jobs": {"poll_seconds": 0.02, **jobs},
                "resilience": {"jobs": guard, "ping_seconds": 0.1},
                "faults": faults,
            }
        )
        clock = clock or SystemClock()
        return create_app(home, "feed", HashedFeatures(FEATURES), config, clock=clock, load=load_line_package)

    return app


def refused(answer: Answer) -> None:
    """Check that the queue cannot be used for a while."""
    assert (answer.status, answer.json()["code"]) == (503, "queue_unavailable"), answer.text
    assert int(answer.headers["retry-after"]) >= 1


def until(there: Callable[[], Any]) -> Any:
    """Return what *there* returns once it is true."""
    give_up = time.monotonic() + 30
    while not (found := there()):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return found


def done(client: AsgiClient, url: str) -> bool:
    """Return whether a job has succeeded."""
    answer = client.get(url)
    return answer.status == 200 and answer.json()["data"]["state"] == "succeeded"


@pytest.mark.parametrize("outage", ["frozen", "stopped"])
def test_redis_goes_and_comes_back(make: Callable[..., Starlette], process: RedisProcess, outage: str) -> None:
    """While it is away a job is refused with 503, at once after a while; then jobs are taken in and done again."""
    pid = process._process.pid
    redis = process.config.model_dump()
    app = make({"queue": "redis", "redis": redis}, {"wait_ms": 2000, "failures": 2})
    with AsgiClient(app) as client:
        url = client.post(PREFIX, json=ONE).json()["data"]["url"]
        until(lambda: done(client, url))
        if outage == "frozen":
            os.kill(pid, signal.SIGSTOP)
        else:
            process.kill()
        try:
            until(lambda: client.get("/health").json()["dependencies"]["jobs"] == "OPEN")  # nobody has to ask for that
            refused(client.post(PREFIX, json=ONE))
            refused(client.get(url))
            assert client.post("/predict", json=ONE).status == 200
        finally:
            if outage == "frozen":
                os.kill(pid, signal.SIGCONT)
            else:
                process.start()
        answer = until(lambda: found if (found := client.post(PREFIX, json=ONE)).status == 202 else None)
        until(lambda: done(client, answer.json()["data"]["url"]))
        until(lambda: client.get("/health").json()["dependencies"]["jobs"] == "CLOSED")


def test_a_caller_says_how_long_it_waits(make: Callable[..., Starlette], process: RedisProcess) -> None:
    """Its deadline goes before ``wait_ms``."""
    app = make({"queue": "redis", "redis": process.config.model_dump(), "work": False}, {"wait_ms": 20_000})
    with AsgiClient(app) as client:
        assert client.post(PREFIX, json=ONE).status == 202
        os.kill(process._process.pid, signal.SIGSTOP)
        late = client.post(PREFIX, json=ONE, headers={"x-request-timeout-ms": "100"})
        assert (late.status, late.json()["code"]) == (504, "deadline_exceeded")
        refused(client.post(PREFIX, json=ONE, headers={"x-request-timeout-ms": "1000"}))
        os.kill(process._process.pid, signal.SIGCONT)


def test_faults_reach_the_queue(make: Callable[..., Starlette], monkeypatch: pytest.MonkeyPatch) -> None:
    """A drill lets it fail, also for its workers; when the drill is over, jobs are done."""
    monkeypatch.setenv("ORITA_ALLOW_FAULTS", "1")
    clock = _Ahead()
    app = make({}, {"failures": 2}, ({"part": "jobs", "kind": "error", "until_seconds": 3600},), clock)
    with AsgiClient(app) as client:
        refused(client.post(PREFIX, json=ONE))
        clock.seconds = 3600
        answer = until(lambda: found if (found := client.post(PREFIX, json=ONE)).status == 202 else None)
        until(lambda: done(client, answer.json()["data"]["url"]))


def test_a_full_queue_is_well(make: Callable[..., Starlette]) -> None:
    """Refusing a job for want of room opens no breaker: jobs that are there can be asked for."""
    with AsgiClient(make({"most_open": 1, "work": False}, {"failures": 2})) as client:
        url = client.post(PREFIX, json=ONE).json()["data"]["url"]
        for _ in range(5):
            assert client.post(PREFIX, json=ONE).json()["code"] == "queue_full"
        assert client.get(url).status == 200
