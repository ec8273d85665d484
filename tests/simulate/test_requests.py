"""Simulated users ask a server, look, react, and leave feedback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from orita.core.clock import ManualClock, from_micros, to_micros
from orita.core.errors import UserError
from orita.events.world import World, WorldConfig
from orita.simulate import SimulationReport, simulate_requests
from orita.simulate.requests import FEEDBACK_COLUMNS, strictly_rising, weeks_since

Answering = Callable[[dict[str, Any], int], tuple[int, dict[str, str], Any]]


@pytest.fixture(scope="module")
def world() -> World:
    """A small world."""
    return World.build(WorldConfig(num_users=60, num_items=800, num_interactions=20_000, seed=5))


@contextmanager
def _server(answer: Answering, *, hang_up_every: int = 0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve ``POST /predict`` with *answer*(request, number); yield the address and what was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body are two writes: without it each answer waits 40 ms

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path not in ("/predict", "/api/v1/feed"):
                self.send_error(404)
                return
            asked.append(json.loads(body))
            status, headers, content = answer(asked[-1], len(asked))
            content = content if self.path == "/predict" else {"status": "success", "data": content}
            text = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(text))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)
            if hang_up_every and len(asked) % hang_up_every == 0:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _by_id(request: dict[str, Any], number: int) -> tuple[int, dict[str, str], Any]:
    ranked = sorted(request["item_ids"])
    rows = [{"item_id": item, "score": 0.5, "rank": rank} for rank, item in enumerate(ranked, 1)]
    return 200, {"X-Request-Id": f"req-{number}"}, {"user_id": request["user_id"], "predictions": rows[::-1]}


def _by_truth(world: World) -> Answering:
    def answer(request: dict[str, Any], number: int) -> tuple[int, dict[str, str], Any]:
        items = np.array(request["item_ids"])
        at = to_micros(datetime.fromisoformat(request["context"]["timestamp"]))
        device = ["mobile", "desktop", "tablet"].index(request["context"]["device"])
        user, time, devices, top = (np.full(len(items), value) for value in (request["user_id"], at, device, 1))
        ranked = items[np.argsort(-world.click_probability(user, items, time, devices, top), kind="stable")].tolist()
        rows = [{"item_id": item, "score": 0.5, "rank": rank} for rank, item in enumerate(ranked, 1)]
        return 200, {"X-Request-Id": f"req-{number}"}, {"predictions": rows}

    return answer


def _run(world: World, url: str, folder: Path, **sizes: int) -> SimulationReport:
    parts: list[pa.Table] = []
    report = simulate_requests(
        world,
        url,
        parts.append,
        start=sizes.get("start", world.rhythm.end),
        requests=sizes.get("requests", 30),
        items=sizes.get("items", 40),
        page_length=sizes.get("page_length", 10),
        seed=sizes.get("seed", 0),
    )
    folder.mkdir(exist_ok=True)
    rows = [row for part in parts for row in part.to_pylist()]
    (folder / "feedback.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return report


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "feedback.jsonl").read_text().splitlines()]


def test_requests_follow_the_serving_contract(world: World, tmp_path: Path) -> None:
    """Each request names user, distinct items, device and an ISO time; times strictly rise after the history."""
    with _server(_by_id) as (url, asked):
        report = _run(world, url, tmp_path)
    assert len(asked) == report.requests == 30
    times = [datetime.fromisoformat(request["context"]["timestamp"]) for request in asked]
    assert all(a < b for a, b in pairwise(times))
    assert to_micros(times[0]) == report.first_micros >= world.rhythm.end
    assert to_micros(times[-1]) == report.last_micros
    for request in asked:
        assert request.keys() == {"user_id", "item_ids", "context"}
        assert len(set(request["item_ids"])) == 40
        assert request["context"]["device"] in {"mobile", "desktop", "tablet"}


def test_feedback_is_the_first_page_as_ranked(world: World, tmp_path: Path) -> None:
    """Feedback rows are Interactions: the first page in order of rank, with the answer's request id and positions."""
    with _server(_by_id) as (url, asked):
        report = _run(world, url, tmp_path, page_length=7)
    rows = _rows(tmp_path)
    assert report.shown == len(rows) == 30 * 7
    assert report.clicks == sum(row["click"] for row in rows) > 0
    for number, request in enumerate(asked, 1):
        page = rows[(number - 1) * 7 : number * 7]
        assert [row["item_id"] for row in page] == sorted(request["item_ids"])[:7]
        assert [row["position"] for row in page] == list(range(1, 8))
        assert {row["request_id"] for row in page} == {f"req-{number}"}
        assert {row["user_id"] for row in page} == {request["user_id"]}
        assert {row["timestamp"] for row in page} == {request["context"]["timestamp"]}
        assert {row["ingested_at"] for row in page} == {request["context"]["timestamp"]}
        assert all(list(row) == FEEDBACK_COLUMNS.names for row in page)
    assert len({row["interaction_id"] for row in rows}) == len(rows)


def test_a_better_order_shows(world: World, tmp_path: Path) -> None:
    """The expected click rate of an informed order is the best there is; a blind one is near random."""
    with _server(_by_truth(world)) as (url, _):
        informed = _run(world, url, tmp_path / "informed")
    with _server(_by_id) as (url, _):
        blind = _run(world, url, tmp_path / "blind")
    assert informed.expected_click_rate == pytest.approx(informed.best_click_rate, rel=1e-5)
    assert informed.random_click_rate == pytest.approx(blind.random_click_rate)
    assert informed.random_click_rate is not None
    assert informed.expected_click_rate is not None
    assert informed.expected_click_rate > 1.5 * informed.random_click_rate
    assert blind.expected_click_rate == pytest.approx(blind.random_click_rate, rel=0.25)


def test_the_same_seed_gives_the_same_feedback(world: World, tmp_path: Path) -> None:
    """Runs against servers that answer alike leave the same bytes; another seed or start leaves others."""
    texts = []
    for seed, later in ((1, 0), (1, 0), (2, 0), (1, 5_000_000)):
        with _server(_by_id) as (url, _):
            _run(world, url, tmp_path, seed=seed, start=world.rhythm.end + later)
        texts.append((tmp_path / "feedback.jsonl").read_bytes())
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3
    random_bits = [{json.loads(line)["interaction_id"][-12:] for line in text.splitlines()} for text in texts]
    assert not random_bits[0] & random_bits[3]


def test_a_closed_connection_is_opened_again(world: World, tmp_path: Path) -> None:
    """A server that hangs up between requests costs nothing."""
    with _server(_by_id, hang_up_every=3) as (url, _):
        report = _run(world, url, tmp_path)
    assert report.failures == 0
    assert report.latency_p50_ms is not None
    assert report.latency_p99_ms is not None
    assert 0 < report.latency_p50_ms <= report.latency_p99_ms


def test_failures_are_counted_and_leave_no_feedback(world: World, tmp_path: Path) -> None:
    """Refusals and answers that make no sense are counted by kind; their pages are not shown."""

    def answer(request: dict[str, Any], number: int) -> tuple[int, dict[str, str], Any]:
        status, headers, content = _by_id(request, number)
        wrong: dict[int, tuple[int, dict[str, str], Any]] = {
            1: (503, headers, {"message": "busy"}),
            2: (200, headers, b"not json"),
            3: (200, {}, content),
            4: (200, {"X-Request-Id": 'x"y'}, content),
            5: (200, headers, {"predictions": [{"item_id": 10**6, "score": 0.1, "rank": 1}]}),
            6: (200, headers, {"predictions": []}),
            7: (200, headers, {"predictions": [{"item_id": [], "score": 0.1, "rank": 1}]}),
            8: (200, headers, [1]),
        }
        return wrong.get(number, (status, headers, content))

    with _server(answer) as (url, _):
        report = _run(world, url, tmp_path)
    assert report.outcomes == {"503": 1, "malformed": 7, "ok": 22}
    assert report.failures == 8
    assert report.shown == len(_rows(tmp_path)) == 220


def test_all_failed_is_a_report_too(world: World, tmp_path: Path) -> None:
    """When every request is refused, the report says so, rates are unknown, and the feedback is empty."""
    with _server(lambda request, number: (503, {}, {})) as (url, _):
        report = _run(world, url, tmp_path)
    assert report.failures == 30
    assert report.click_rate is None
    assert report.latency_p99_ms is None
    assert _rows(tmp_path) == []
    assert json.loads(json.dumps(report.to_dict()))["click_rate"] is None


def test_no_server_is_said_at_once(world: World, tmp_path: Path) -> None:
    """Where nothing listens, one sentence says where it looked and what to do; nothing is written."""
    with _server(_by_id) as (url, _):
        pass
    with pytest.raises(UserError, match=f"no server answers at {url}.*orita serve"):
        _run(world, url, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_many_at_one_time_still_rise() -> None:
    """Visits so dense that they fall on one millisecond are moved apart: times strictly rise, none is earlier."""
    at_P = np.array([0, 0, 0, 1_000, 1_000, 9_000], np.int64)
    assert strictly_rising(at_P).tolist() == [0, 1_000, 2_000, 3_000, 4_000, 9_000]


class _Ticking(ManualClock):
    """A clock on which each look takes 400 ms and 0.4 ms."""

    def now(self) -> datetime:
        self.advance(timedelta(microseconds=400_400))
        return self.at


@pytest.mark.parametrize("after", [timedelta(days=-9), timedelta(hours=5), timedelta(weeks=105, hours=30)])
def test_users_come_now_and_react_after_the_answer(world: World, after: timedelta) -> None:
    """Without a start the request names no time; what is done happened after the answer, and becomes known soon."""
    clock = _Ticking(from_micros(world.rhythm.end) + after)
    begun, answered, parts, known = clock.at, [], [], []

    def answer(request: dict[str, Any], number: int) -> tuple[int, dict[str, str], Any]:
        assert "timestamp" not in request["context"]
        answered.append(clock.at)
        return _by_id(request, number)

    def take(rows: pa.Table) -> None:
        parts.append(rows)
        known.append(clock.at)

    with _server(answer) as (url, _):
        report = simulate_requests(world, url, take, requests=40, items=40, clock=clock)
    rows = [row for part in parts for row in part.to_pylist()]
    assert report.shown == len(rows) == 400
    assert len(parts) > 3
    assert begun < from_micros(report.first_micros) <= answered[0] + timedelta(milliseconds=1)
    for number, at in enumerate(answered):
        (happened,) = {datetime.fromisoformat(row["timestamp"]) for row in rows[10 * number : 10 * number + 10]}
        assert at < happened < at + timedelta(seconds=1)
        assert rows[10 * number]["day_of_week"] == happened.weekday()
    for part, at in zip(parts, known, strict=True):
        (ingested,) = {datetime.fromisoformat(row["ingested_at"]) for row in part.to_pylist()}
        times = [datetime.fromisoformat(row["timestamp"]) for row in part.to_pylist()]
        assert times == sorted(times)
        assert max(times) <= ingested <= at
        assert ingested - min(times) < timedelta(seconds=8)


def test_of_the_feed_users_see_what_the_server_chose(world: World) -> None:
    """A feed is asked for with its length and no candidates; the page is what came back, in order."""

    def answer(request: dict[str, Any], number: int) -> tuple[int, dict[str, str], Any]:
        assert request.keys() == {"user_id", "limit", "context"}
        chosen = {"item_ids": list(range(number, number + request["limit"])), "user_id": request["user_id"]}
        return _by_id(chosen, number)

    parts: list[pa.Table] = []
    with _server(answer) as (url, asked):
        report = simulate_requests(world, url, parts.append, requests=6, items=40, page_length=8, feed=True)
    rows = [row for part in parts for row in part.to_pylist()]
    assert (report.failures, report.shown, len(asked)) == (0, 48, 6)
    assert [row["item_id"] for row in rows] == [number + place for number in range(1, 7) for place in range(8)]
    assert [row["position"] for row in rows] == list(range(1, 9)) * 6
    assert None not in (report.random_click_rate, report.best_click_rate)


@pytest.mark.parametrize(("days", "weeks"), [(-3, 0), (0, 0), (6.9, 0), (7, 1), (735, 105)])
def test_now_is_a_moment_of_the_week_after_the_history(world: World, days: float, weeks: int) -> None:
    """The world is as it was when its history ended, at the same hour of the same weekday."""
    assert weeks_since(world, world.rhythm.end + round(days * 86_400_000_000)) == weeks


def test_users_of_a_world_that_begins_later_are_refused(world: World) -> None:
    """Nobody comes before the world begins, and none of its own time comes later than now."""
    before = ManualClock(from_micros(world.rhythm.start - 1_000_000))
    with pytest.raises(UserError, match="before the world begins"):
        simulate_requests(world, "http://127.0.0.1:9", print, clock=before)
    ends = ManualClock(from_micros(world.rhythm.end))
    with pytest.raises(UserError, match=r"later than now: .*--clock wall"):
        simulate_requests(world, "http://127.0.0.1:9", print, start=world.rhythm.end, clock=ends)


@pytest.mark.parametrize("address", ["localhost:8080", "ftp://localhost", "http://", "http://a:b:c"])
def test_an_address_must_be_http(world: World, tmp_path: Path, address: str) -> None:
    """An address that is not an HTTP URL is refused with an example."""
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:8080"):
        _run(world, address, tmp_path)


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [({"requests": 0}, "requests is 0"), ({"items": 0}, "items is 0"), ({"start": 0}, "before the world begins")],
)
def test_sizes_must_make_sense(world: World, tmp_path: Path, sizes: dict[str, int], sentence: str) -> None:
    """A size below one, or a start before the world begins, is refused in a sentence."""
    with pytest.raises(UserError, match=sentence):
        _run(world, "http://127.0.0.1:9", tmp_path, **sizes)
