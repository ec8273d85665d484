"""The status page tells people how a server is, with scripts off and nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from tests.serving.models_at_hand import FEATURES, publish_model

from orita.core.clock import SystemClock
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.status_page import Rollout, Shown, status_page
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

_AT = datetime(2024, 11, 12, 10, tzinfo=UTC)
_HEALTH = {
    "status": "degraded",
    "model_version": "v1.2.0",
    "model_loaded_at": (_AT - timedelta(hours=3)).isoformat(),
    "uptime_seconds": 7200.0,
    "detail": "the prediction log is stuck.",
    "level": 2,
    "dependencies": {"store": "OPEN", "model": "CLOSED"},
    "workers": [{"worker": 1, "pid": 17, "status": "answering", "model_version": "v1.2.0", "starts": 2}],
}
_FIGURES = {"requests_total": 12345, "requests_per_second": 17.5, "error_rate": 0.015, "predictions_total": 99}


class _Reader(HTMLParser):
    """Checks that tags are closed, and keeps what is loaded or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.suspect: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if (
            tag in ("script", "link", "img", "iframe")
            or names & {"src", "style"}
            or any(n.startswith("on") for n in names)
        ):
            self.suspect.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _shown(**more: Any) -> Shown:
    given: dict[str, Any] = {
        "system": "feed",
        "at": _AT,
        "health": _HEALTH,
        "figures": _FIGURES,
        "latencies_ms": np.array([1.0, 2.0, 3.0]),
        "pending_rows": 7,
        "rollout": None,
        "report": None,
    }
    return Shown(**(given | more))


def _report(**more: Any) -> dict[str, Any]:
    finding = {"name": "item_ctr", "drifted": True, "sentence": "item_ctr moved by 12 %."}
    alert = {"severity": "critical", "name": "HIGH_LATENCY", "subject": "feed", "summary": "p99 is 2 s."}
    versions = [{"sentence": "v1.2.0: AUC 0.71."}]
    return {
        "at": (_AT - timedelta(hours=5)).isoformat(),
        "features": {"findings": [finding, {"name": "other", "drifted": False, "sentence": "steady."}]},
        "predictions": None,
        "performance": {"versions": versions},
        "alerts": [alert],
    } | more


@pytest.mark.parametrize("report", [None, _report(), _report(alerts=[])])
def test_it_tells_all_and_loads_nothing(report: dict[str, Any] | None) -> None:
    """Health, workers, latency, breakers, drift and alerts are there; no script, no style attribute, no address."""
    page = status_page(_shown(report=report))
    reader = _Reader()
    reader.feed(page)
    assert (reader.open, reader.suspect) == ([], [])
    assert "http://" not in page and "https://" not in page
    for told in ("degraded", "the prediction log is stuck.", "12,345", "17.5", "1.50%", "2.0 ms", "v1.2.0", "store"):
        assert told in page
    if report is None:
        assert "Nothing was looked at yet" in page
    else:
        assert "5 hours ago" in page and "item_ctr moved by 12 %." in page and "steady." not in page
        assert ("HIGH_LATENCY" in page) == bool(report["alerts"]) != ("No alert fires." in page)


def test_an_old_report_says_so() -> None:
    """What was looked at days ago is marked: silence since then is no good news."""
    old = _report(at=(_AT - timedelta(days=4)).isoformat())
    assert ">old</span>" in status_page(_shown(report=old))
    assert ">old</span>" not in status_page(_shown(report=_report()))


def test_whatever_names_say_it_is_text() -> None:
    """Names and sentences of models, features and alerts are escaped."""
    hostile = "<script>alert(1)</script>"
    finding = {"name": hostile, "drifted": True, "sentence": hostile}
    alert = dict.fromkeys(("severity", "name", "subject", "summary"), hostile)
    page = status_page(
        _shown(
            system=hostile,
            health=_HEALTH | {"detail": hostile, "model_version": hostile, "dependencies": {hostile: hostile}},
            rollout=Rollout(hostile, {hostile: 5.0}, hostile, hostile),
            report=_report(alerts=[alert], features={"findings": [finding]}),
        )
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 10


def test_a_rollout_is_told() -> None:
    """Who gets what, and what was said of it."""
    rollout = Rollout("canary", {"v1.2.0": 90.0, "v1.3.0": 10.0}, "running", "not looked at")
    page = status_page(_shown(rollout=rollout))
    assert "canary, running: not looked at" in page and "<td>v1.3.0</td><td>10 %</td>" in page


@pytest.fixture
def client(home: Home) -> Iterator[AsgiClient]:
    """A client of a server with one model."""
    publish_model(home, "v1.2.0", deploy=True)
    features = HashedFeatures(FEATURES)
    app = create_app(home, "feed", features, ServingConfig(), clock=SystemClock(), load=load_line_package)
    with AsgiClient(app) as client:
        yield client


def test_it_is_served(client: AsgiClient, home: Home) -> None:
    """The server answers it, fresh each time, under a policy that allows its own style alone."""
    assert client.post("/predict", json={"user_id": 7, "item_ids": [1, 2]}).status == 200
    folder = home.reports / "monitoring"
    folder.mkdir(parents=True)
    (folder / "monitoring-feed-20241112T050000.json").write_text(json.dumps(_report()))
    answer = client.get("/status")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.headers["content-type"].startswith("text/html")
    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{hashed}'" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "v1.2.0" in answer.text and "HIGH_LATENCY" in answer.text and 'http-equiv="refresh"' in answer.text
