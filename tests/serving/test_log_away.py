"""A prediction log that cannot be written: nobody is answered unlogged, the probes say so, and it recovers."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from structlog.testing import capture_logs

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.prediction_files import segment_folder
from orita.events.prediction_segment import SegmentHeader
from orita.events.predictions import prediction_log
from orita.serving.log.segment_file import SegmentFile
from orita.testing.asgi import AsgiClient

ASKED = {"user_id": 1, "item_ids": list(range(100))}


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def _status(client: AsgiClient, path: str) -> tuple[int, str]:
    answer = client.get(path)
    return answer.status, answer.json()["status"]


def _gauge(client: AsgiClient, name: str) -> float:
    exposed = client.get("/metrics", {"accept": "text/plain"}).text
    return next(family.samples[0].value for family in text_string_to_metric_families(exposed) if family.name == name)


def test_nobody_is_answered_unlogged(
    make_app: Callable[..., Starlette], deploy: Callable[..., None], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first failed commit on: 503, not ready, degraded, and why; once it can be written, all is as before."""
    monkeypatch.setattr("orita.serving.log.prediction_log._RETRY_SECONDS", 0.01)
    monkeypatch.setattr("orita.serving.log.prediction_log._REFUSED_SECONDS", 0.01)
    deploy("v1.0.0")
    wal = segment_folder(home)
    wal.parent.mkdir(parents=True)
    wal.write_text("this is no folder")
    with AsgiClient(make_app()) as client, capture_logs() as logs:
        log = client.app.state.service.log  # type: ignore[attr-defined]
        assert client.post("/predict", json=ASKED).status == 200
        _until(lambda: log.stuck)
        answers = [client.post("/predict", json=ASKED) for _ in range(20)]
        assert {(answer.status, answer.json()["code"]) for answer in answers} == {(503, "log_full")}
        assert answers[0].headers["retry-after"] == "1"
        assert _status(client, "/health/ready") == (503, "log_full")
        assert _status(client, "/health/live") == (200, "ok")
        assert _status(client, "/health") == (200, "degraded")
        assert "cannot be written (File exists)" in client.get("/health").json()["detail"]
        assert str(home.root) not in client.get("/health").text
        assert _gauge(client, "prediction_log_stuck") == 1
        wal.unlink()
        _until(lambda: client.get("/health/ready").status == 200)
        assert client.post("/predict", json=ASKED).status == 200
        assert _status(client, "/health") == (200, "ok")
        assert _gauge(client, "prediction_log_stuck") == 0
        left = SegmentFile(wal, SegmentHeader("2024-11-15-a", date(2024, 11, 15), "feed", "v1.0.0", ()))
        assert _gauge(client, "prediction_log_unconverted_bytes") == 0, "it is being written"
        left.close()
        assert _gauge(client, "prediction_log_unconverted_bytes") == left.size
    assert prediction_log(home, columns=["item_id"]).num_rows == 2 * 100
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["prediction_log_cannot_write"]


def test_rows_may_be_dropped_and_are_counted(
    make_app: Callable[..., Starlette], deploy: Callable[..., None], home: Home
) -> None:
    """Where the configuration says so answers go on, their rows are counted, and ``/health`` says why."""
    deploy("v1.0.0")
    segment_folder(home).parent.mkdir(parents=True)
    segment_folder(home).write_text("this is no folder")
    with capture_logs(), AsgiClient(make_app(log={"when_full": "drop"})) as client:
        log = client.app.state.service.log  # type: ignore[attr-defined]
        assert client.post("/predict", json=ASKED).status == 200
        _until(lambda: log.stuck)
        assert client.post("/predict", json=ASKED).status == 200
        assert log.dropped_rows == 100
        assert _status(client, "/health/ready") == (200, "ok")
        assert _status(client, "/health") == (200, "degraded")


def test_whoever_sheds_is_not_ready(make_app: Callable[..., Starlette], deploy: Callable[..., None]) -> None:
    """A log without room for the requests that come is not ready, also where a smaller one would still fit."""
    deploy("v1.0.0")
    with AsgiClient(make_app(log={"flush_ms": 100, "max_pending_rows": 4096})) as client:
        asked = {"user_id": 1, "item_ids": list(range(1000))}
        while client.post("/predict", json=asked).status == 200:
            pass
        assert _status(client, "/health/ready") == (503, "log_full")
        _until(lambda: client.get("/health/ready").status == 200)
        assert client.post("/predict", json=asked).status == 200


def test_a_package_that_is_refused_is_a_metric(
    make_app: Callable[..., Starlette], deploy: Callable[..., None], clock: ManualClock
) -> None:
    """While another version answers than the deployed one, Prometheus reads for how long; then 0."""
    deploy("v1.0.0")
    with capture_logs(), AsgiClient(make_app(reload_seconds=0.01)) as client:
        follower = client.app.state.service.follower  # type: ignore[attr-defined]
        assert _gauge(client, "package_refused_seconds") == 0
        deploy("v2.0.0", fault="load")
        _until(lambda: follower.failure is not None)
        clock.advance(timedelta(seconds=90))
        assert _gauge(client, "package_refused_seconds") == 90
        deploy("v3.0.0")
        _until(lambda: follower.failure is None)
        assert _gauge(client, "package_refused_seconds") == 0
