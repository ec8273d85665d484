"""A real server whose parts fail: each level answers, says so everywhere, and level 1 comes back by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving.talking import Answer, Talk, request, served

from orita.core.home import Home
from orita.events.predictions import prediction_log
from orita.serving.resilience.fallbacks import write_popularity

_ENOUGH_SECONDS = 60


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home")


def _asked(user: int, *items: int) -> bytes:
    return request(json.dumps({"user_id": user, "item_ids": items}).encode())


def _is_popular(answer: Any) -> bool:
    return bool(answer["level"] == 3)


def _until(talk: Talk, asked: Callable[[], bytes], wanted: Callable[[Any], bool]) -> Any:
    """Ask again until the answer is *wanted*, and return it; each must be a prediction."""
    end = time.monotonic() + _ENOUGH_SECONDS
    while time.monotonic() < end:
        talk.send(asked())
        status, _, answer = talk.answer()
        assert status == 200, answer
        if wanted(answer):
            return answer
        time.sleep(0.01)
    raise AssertionError(f"no such answer came; the last was {answer}")


def _got(talk: Talk, path: str) -> Answer:
    talk.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n".encode())
    return talk.answer()


def test_every_level_answers_and_the_first_comes_back(home: Home, tmp_path: Path) -> None:
    """The model, what a user was told before, popularity where nobody is known, the model again; all is logged."""
    table = tmp_path / "popularity.parquet"
    write_popularity(table, [1, 2, 3], np.array([1.0, 5, 3]), np.array([100.0, 100, 100]))
    outages = ((3 * n + 1.5, 3 * n + 3) for n in range(40))
    faults = [{"part": "store", "kind": "error", "from_seconds": begin, "until_seconds": end} for begin, end in outages]
    resilience = {"popularity": str(table), "ping_seconds": 0.2}
    with served(home, faults=faults, resilience=resilience) as (port, process), closing(Talk(port)) as talk:
        model = _until(talk, lambda: _asked(7, 1, 2, 3), lambda answer: answer["level"] == 1)
        assert "reason" not in model
        known = _until(talk, lambda: _asked(7, 1, 2, 3), lambda answer: answer["level"] != 1)
        assert (known["level"], known["predictions"]) == (2, model["predictions"])
        assert known["reason"] in ("failed", "open", "resting")
        numbers = iter(range(100, 10**9))
        stranger = _until(talk, lambda: _asked(n := next(numbers), *range(10 * n, 10 * n + 5), 2), _is_popular)
        assert stranger["predictions"][0]["item_id"] == 2, "who is popular goes before who is unknown"
        health = _got(talk, "/health")[2]
        assert (health["status"], health["level"]) == ("degraded", 3)
        back = _until(talk, lambda: _asked(7, 1, 2, 3), lambda answer: answer["level"] == 1)
        assert back["predictions"] == model["predictions"]
        assert _got(talk, "/health")[2]["status"] == "ok"
        talk.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\n\r\n")
        counted = talk.text()
        process.terminate()
        assert process.wait(30) == 0
    rows = prediction_log(home, columns=["level", "features", "item_id"]).to_pylist()
    assert {row["level"] for row in rows} == {1, 2, 3}
    assert all((row["features"]["item_ctr"] is None) == (row["level"] > 1) for row in rows)
    for level in (1, 2, 3):
        assert f'answers_total{{level="{level}"}}' in counted
    assert 'degraded_answers_total{reason="failed"}' in counted
    assert 'breaker_state{dependency="store",state=' in counted


def test_a_model_that_is_back_answers_long_before_its_breaker_would_try_it(home: Home) -> None:
    """Its breaker opens for an hour, and the ping half-opens it."""
    outages = ((4 * n + 3.0, 4 * n + 5.0) for n in range(30))
    faults = [{"part": "model", "kind": "error", "from_seconds": begin, "until_seconds": end} for begin, end in outages]
    resilience = {"model": {"failures": 2, "seconds": 3600}, "ping_seconds": 0.2}
    with served(home, faults=faults, resilience=resilience) as (port, _), closing(Talk(port)) as talk:
        _until(talk, lambda: _asked(7, 1, 2, 3), lambda answer: answer["level"] == 1)
        _until(talk, lambda: _asked(7, 1, 2, 3), lambda answer: answer.get("reason") == "open")
        _until(talk, lambda: _asked(7, 1, 2, 3), lambda answer: answer["level"] == 1)
