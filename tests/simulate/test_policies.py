"""Models as policies: in process by the server's predict path, and over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from orita.core.errors import UserError
from orita.events.prediction_segment import ScoredRequest
from orita.events.world import World
from orita.events.world.arrays import Integers
from orita.serving.protocols import LogStream
from orita.simulate.feed import simulate_feed
from orita.simulate.feed_plan import FeedParts, FeedPlan
from orita.simulate.http_policy import HttpFeedback, HttpPolicy
from orita.simulate.life import Pages
from orita.simulate.model_policy import ModelPolicy
from orita.simulate.online_copy import SimulatedClock
from orita.simulate.policies import ItemRates, Popularity

Floats = npt.NDArray[np.float32]


class _Schema:
    names = ("item",)

    def __len__(self) -> int:
        return 1


class _Features:
    """Tells the item's id, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, dict[str, Any], int]] = []

    def reader(self, schema: object, /) -> _Features:
        return self

    def refresh(self) -> bool:
        return False

    def matrix(self, user: Any, items: Sequence[Any], context: Mapping[str, Any], at: int, /) -> Floats:
        self.asked.append((user, dict(context), at))
        return np.array(items, np.float32)[:, None]


class _Package:
    """The score of an item is 1 ÷ (1 + its id), alone as together."""

    version, schema, heads, metadata = "v1.0.0", _Schema(), (), None
    objective: Mapping[str, float] = {}
    extra: Mapping[str, Any] = {}

    def score_user(self, user: Any, items: Sequence[Any], x_NF: Floats, /, **_: object) -> Floats:
        return np.reciprocal(1 + x_NF[:, 0])

    def check_sample(self) -> None:
        pass


class _JointPackage(_Package):
    def score_requests(self, users: Any, lengths: Sequence[int], items: Any, x_NF: Floats, /) -> Floats:
        assert sum(lengths) == len(x_NF)
        return np.reciprocal(1 + x_NF[:, 0])


def _pages(candidates_PC: Integers) -> Pages:
    pages = len(candidates_PC)
    return Pages(
        np.arange(pages), np.arange(100, 100 + pages), 1_000_000 * (1 + np.arange(pages)), np.zeros(pages, np.int64),
        candidates_PC,
    )  # fmt: skip


@pytest.mark.parametrize("package", [_Package(), _JointPackage()])
def test_a_model_ranks_by_its_scores(package: Any) -> None:
    """Each page is ordered by the scores of its own items, for its user, device and time, one page or many at once."""
    candidates_PC = np.random.default_rng(0).permuted(np.tile(np.arange(7), (150, 1)), axis=1)
    features = _Features()
    policy = ModelPolicy("champion", "feed", package, features, SimulatedClock(0))
    ranked = policy.rank(np.random.default_rng(0), _pages(candidates_PC))
    assert (ranked.items_PC == np.arange(7)).all()
    assert features.asked[3] == (103, {"device": "mobile"}, 4_000_000)


def test_answers_of_a_model_are_logged_under_the_names_that_feedback_has() -> None:
    """Each page once, at its own time, with the features it was scored by; without a log pages have no names."""

    class Log:
        def __init__(self) -> None:
            self.kept: list[ScoredRequest] = []

        def room(self, rows: int, /) -> bool:
            return True

        def append(self, stream: LogStream, request: ScoredRequest, /) -> None:
            self.kept.append(request)

    candidates_PC, log = np.tile(np.arange(7), (3, 1)), Log()
    policy = ModelPolicy("champion", "feed", _JointPackage(), _Features(), SimulatedClock(0), log=log)  # type: ignore[arg-type]
    ranked = policy.rank(np.random.default_rng(0), _pages(candidates_PC))
    assert [each.request_id for each in log.kept] == ranked.request_ids
    assert len(set(ranked.request_ids or ())) == 3
    assert [(each.user_id, each.at_micros, each.as_of_micros) for each in log.kept] == [
        (100 + page, 1_000_000 * (1 + page), 1_000_000 * (1 + page)) for page in range(3)
    ]
    assert np.frombuffer(log.kept[0].features, np.float32).tolist() == list(range(7))
    unlogged = ModelPolicy("champion", "feed", _JointPackage(), _Features(), SimulatedClock(0))  # type: ignore[arg-type]
    assert unlogged.rank(np.random.default_rng(0), _pages(candidates_PC)).request_ids is None


def test_popularity_learns_rates() -> None:
    """Popularity orders by clicks ÷ shown, so that what is shown often gains nothing by that alone."""
    shown_I, clicks_I = np.array([1000.0, 100.0, 0.0]), np.array([100.0, 60.0, 0.0])
    policy = Popularity(ItemRates(shown_I, clicks_I))
    ranked = policy.rank(np.random.default_rng(0), _pages(np.array([[0, 1, 2]])))
    assert ranked.items_PC.tolist() == [[1, 2, 0]]


@contextmanager
def _server(answer: Callable[[dict[str, Any]], tuple[int, Any]]) -> Iterator[tuple[str, dict[str, list[Any]]]]:
    """Serve predictions by *answer* and take pushes; yield the address and the bodies by path."""
    bodies: dict[str, list[Any]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bodies.setdefault(self.path, []).append(body)
            status, content = answer(body) if self.path == "/predict" else (200, _pushed(body))
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Request-Id", f"req-{len(bodies[self.path])}")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _pushed(body: dict[str, Any]) -> dict[str, Any]:
    data = {"taken": len(body["events"]), "offsets": {}}
    return {"status": "success", "data": data, "message": "", "timestamp": "2024-11-15T00:00:00Z", "request_id": "r"}


def _by_id(body: dict[str, Any]) -> tuple[int, Any]:
    rows = [{"item_id": item, "score": 0.5, "rank": rank} for rank, item in enumerate(sorted(body["item_ids"]), 1)]
    return 200, {"user_id": body["user_id"], "predictions": rows}


def test_a_server_ranks_and_takes_every_event(parts: FeedParts, small_world: World) -> None:
    """Over HTTP each page of the model is a request at its simulated time, and all that users did is pushed once."""
    with _server(_by_id) as (address, bodies):
        plan = FeedPlan("champion", "random", days=1, users=30, candidates=20, http=address)
        found = simulate_feed(parts, plan)
    asked = bodies["/predict"]
    assert len(asked) == found.figures.totals[0]["pages"]
    assert all(body["context"]["timestamp"].startswith("2024-11-15T") for body in asked)
    pushed = [event for body in bodies["/api/v1/features/push"] for event in body["events"]]
    assert len(pushed) == found.events == len({event["interaction_id"] for event in pushed})
    named = {event["request_id"] for event in pushed if event["request_id"].startswith("req-")}
    assert named == {f"req-{number}" for number in range(1, len(asked) + 1)}
    assert found.figures.totals[0]["failures"] == 0


def test_a_refusal_is_a_page_of_the_list(parts: FeedParts) -> None:
    """Where the server refuses, users see the list, and the pages count as failures."""
    with _server(lambda _: (503, {"error": "no model"})) as (address, _):
        found = simulate_feed(parts, FeedPlan("champion", "random", days=1, users=20, candidates=20, http=address))
    total = found.figures.totals[0]
    assert total["failures"] == total["pages"] > 0


def test_a_server_that_is_not_there_is_a_sentence() -> None:
    """Nobody simulates a month against nothing."""
    with HttpPolicy("http://127.0.0.1:9", "champion") as policy, pytest.raises(UserError, match="no server answers"):
        policy.rank(np.random.default_rng(0), _pages(np.array([[1, 2]])))
    with closing(HttpFeedback("http://127.0.0.1:9", "interactions")):
        pass  # nothing is sent before there are events
