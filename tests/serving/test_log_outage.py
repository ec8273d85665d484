"""An event log that hangs, fails or is slow holds nobody: pushes get 503 in time, everybody else their answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from tests.serving.models_at_hand import FEATURES, StandInStore

from orita.core.clock import SystemClock
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import Answer, AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

PUSH = "/api/v1/features/push"
EVENTS = {"events": [{"user_id": 1, "item_id": 7, "timestamp": "2024-11-15T10:30:00Z"}]}


@pytest.fixture
def serve(home: Home, deploy: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run an app over a store of stand-ins with the given faults and guard."""
    deploy("v1.0.0", FEATURES)
    monkeypatch.setenv("ORITA_ALLOW_FAULTS", "1")

    @contextmanager
    def serving(fault: dict[str, object], **broker: object) -> Iterator[AsgiClient]:
        config = ServingConfig.model_validate(
            {"faults": [{"part": "broker", **fault}], "resilience": {"broker": broker}}
        )
        app: Starlette = create_app(
            home,
            "feed",
            HashedFeatures(FEATURES),
            config,
            store=StandInStore(),
            clock=SystemClock(),
            load=load_line_package,
        )
        with AsgiClient(app) as client:
            yield client

    return serving


def refused(answer: Answer, code: str) -> None:
    """Check a refusal for a while."""
    assert (answer.status, answer.json()["code"]) == (503, code), answer.text
    assert int(answer.headers["retry-after"]) >= 1


def told(client: AsgiClient, name: str) -> dict[str, float]:
    """Return the samples of a metric by their labels."""
    lines = client.get("/metrics", {"accept": "text/plain"}).text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)}


def test_a_log_that_hangs_holds_nobody(serve: Any) -> None:
    """Pushes are let go after ``wait_ms``, then refused at once and counted; predictions are answered throughout."""
    with serve({"kind": "hang", "hang_seconds": 60}, wait_ms=100, failures=3) as client:
        for _ in range(3):
            refused(client.post(PUSH, json=EVENTS), "log_unavailable")
        assert client.get("/health").json()["dependencies"]["broker"] == "OPEN"
        refused(client.post(PUSH, json=EVENTS), "log_unavailable")
        assert told(client, "breaker_refused_total")['breaker_refused_total{dependency="broker"}'] == 1
        assert client.post("/predict", json={"user_id": 1, "item_ids": [1, 2]}).status == 200
        latency = told(client, "api_latency_count")
        assert latency[f'api_latency_count{{route="POST {PUSH}",status="5xx"}}'] == 4


def test_a_log_that_is_back_takes_events(serve: Any) -> None:
    """Once the drill is over a trial goes through, and the breaker closes."""
    with serve({"kind": "error", "until_seconds": 0.5}, failures=2, seconds=0.1) as client:
        began = time.monotonic()
        while (answer := client.post(PUSH, json=EVENTS)).status != 200:
            refused(answer, "log_unavailable")
            assert time.monotonic() - began < 30
            time.sleep(0.02)
        assert client.get("/health").json()["dependencies"]["broker"] == "CLOSED"


def test_a_caller_says_how_long_it_waits(serve: Any) -> None:
    """Its deadline goes before the configuration's; what is no time is refused by name."""
    with serve({"kind": "latency", "milliseconds": 20_000}, wait_ms=60_000) as client:
        answer = client.post(PUSH, json=EVENTS, headers={"x-request-timeout-ms": "50"})
        assert (answer.status, answer.json()["code"]) == (504, "deadline_exceeded")
        refused(client.post(PUSH, json=EVENTS, headers={"x-request-timeout-ms": "1000"}), "log_unavailable")
        wrong = client.post(PUSH, json=EVENTS, headers={"x-request-timeout-ms": "soon"})
        assert (wrong.status, wrong.json()["code"]) == (422, "invalid_value")
