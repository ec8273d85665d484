"""``POST /api/v1/feed`` over real features and the one predict path: answers, errors, log, metrics, description."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from tests.serving.feed.published import ITEMS, NOW, features_of, published_feed
from tests.serving.patience import attempts

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.core.progress import SILENT
from orita.events.predictions import prediction_log
from orita.features.online.following import OnlineFeatures
from orita.models.metadata import ModelMetadata
from orita.models.ranker import FitContext
from orita.models.retrieval.build import build_retriever
from orita.models.retrieval.config import RetrieverSection
from orita.models.retrieval.interactions import Interactions
from orita.models.retrieval.package import load_retriever, write_retriever
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import Answer, AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

PATH = "/api/v1/feed"


@pytest.fixture
def make(published: Home, features: OnlineFeatures) -> Callable[..., Starlette]:
    """Make an app whose feed has the given settings."""

    def app(load: Any = None, cache: dict[str, Any] | None = None, **feed: Any) -> Starlette:
        plain = {"session_items": 30, "diversity": {"method": "off"}, "exploration": {"share": 0}}
        config = ServingConfig.model_validate({"feed": {**plain, **feed}, "cache": cache or {}})
        clock = ManualClock(NOW)
        return create_app(published, "feed", features, config, clock=clock, load=load_line_package, load_retriever=load)

    return app


@pytest.fixture
def client(make: Callable[..., Starlette]) -> Iterator[AsgiClient]:
    """A client of a running app that has read its items."""
    with AsgiClient(make()) as opened:
        yield ready(opened)


def ready(client: AsgiClient) -> AsgiClient:
    """Wait until the feed knows its items."""
    for _ in attempts():
        if client.post(PATH, json={"user_id": 0}).status == 200:
            return client
    raise AssertionError("the feed has no items")


def page(client: AsgiClient, **asked: Any) -> dict[str, Any]:
    """Return a page."""
    answer = client.post(PATH, json={"user_id": 1, **asked})
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def items_of(page: dict[str, Any]) -> list[int]:
    """Return the items of a page."""
    return [item["item_id"] for item in page["predictions"]]


def test_a_feed_from_first_to_last_page(client: AsgiClient) -> None:
    """Best new items first, ranks go on from page to page, the last page has no cursor, what was seen comes behind."""
    answer = client.post(PATH, json={"user_id": 1, "limit": 12, "context": {"device": "mobile"}})
    body = answer.json()
    assert list(body) == ["status", "data", "message", "timestamp", "request_id"]
    assert (answer.status, body["status"], body["message"]) == (200, "success", "12 items.")
    assert body["request_id"] == answer.headers["x-request-id"]
    first = body["data"]
    assert list(first) == ["user_id", "predictions", "model_version", "latency_ms", "level", "cursor"]
    assert (first["user_id"], first["model_version"], first["level"]) == (1, "v1.0.0", 1)
    assert [item["rank"] for item in first["predictions"]] == list(range(1, 13))
    scores = [item["score"] for item in first["predictions"]]
    assert scores == sorted(scores, reverse=True)
    second = page(client, limit=12, cursor=first["cursor"])
    third = page(client, limit=12, cursor=second["cursor"])
    assert [item["rank"] for item in second["predictions"] + third["predictions"]] == list(range(13, 31))
    shown = items_of(first) + items_of(second) + items_of(third)
    assert len(set(shown)) == 30 and not {1, 5, 6, 10, 14} & set(shown)
    assert third["cursor"] is None


def test_what_was_seen_fills_up_and_may_be_left_out(make: Callable[..., Starlette]) -> None:
    """Of 40 items 5 were seen: a long feed ends with them, or without."""
    with AsgiClient(make(session_items=100)) as client:
        whole = items_of(page(ready(client), limit=100))
    assert len(whole) == ITEMS and set(whole[-5:]) == {1, 5, 6, 10, 14}
    with AsgiClient(make(session_items=100, seen="remove")) as client:
        assert sorted(items_of(page(ready(client), limit=100))) == sorted(set(whole) - {1, 5, 6, 10, 14})


def test_rules_hold_in_what_is_answered(make: Callable[..., Starlette]) -> None:
    """No excluded topic, the pinned one at its place, no more of one topic in a row than allowed."""
    rules = [
        {"kind": "exclude", "attribute": "topic", "values": ["art"]},
        {"kind": "pin", "attribute": "topic", "values": ["sport"], "position": 1},
        {"kind": "cap", "attribute": "topic", "most": 1, "window": 3},
    ]
    with AsgiClient(make(rules=rules, seen="keep")) as client:
        shown = items_of(page(ready(client), limit=24))
    topics = [item % 4 if item != 38 else None for item in shown]
    assert 0 not in topics and topics[0] == 3
    assert all(len(set(topics[at : at + 3])) == 3 for at in range(21))


def test_a_feed_of_nothing_is_empty(make: Callable[..., Starlette]) -> None:
    """Where rules leave no item the page is empty and the last, and nobody failed."""
    rules = [
        {"kind": "require", "attribute": "topic", "values": ["art"]},
        {"kind": "exclude", "attribute": "topic", "values": ["art"]},
    ]
    with AsgiClient(make(rules=rules)) as client:
        found = page(ready(client))
    assert (found["predictions"], found["cursor"], found["model_version"], found["level"]) == ([], None, "v1.0.0", 1)


def test_a_deployed_retriever_is_asked(make: Callable[..., Starlette], published: Home) -> None:
    """What it finds are candidates before those of other sources: here what others took beside what the user did."""
    users, items = [1, 2, 2, 2, 3, 3], [31, 31, 33, 35, 0, 1]
    ones = np.ones(len(users), np.float32)
    taken = Interactions(np.array(users), np.array(items), np.arange(len(users)), ones)
    retriever = build_retriever(RetrieverSection(type="ease"))
    retriever.fit(taken, FitContext(SILENT))
    card = ModelMetadata("id", "v2.0.0", "2024-11-15T00:00:00Z", "", "ease")
    write_retriever(published.packages / "feed-retriever" / "v2.0.0", retriever, card, np.array([1, 2]))
    Deployments(published.control_db).deploy("feed-retriever", "v2.0.0", actor="test", reason="test")
    few = {"candidates": 2, "session_items": 2, "sources": {"topics": 0, "newest": 0, "retriever": 2}}
    with AsgiClient(make(load=load_retriever, **few)) as client:
        ready(client)
        for _ in attempts():  # items are read first, then the retriever
            shown = set(items_of(page(client)))
            if 33 in shown:
                break
    assert shown == {33, 35}


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        ({}, 422, "missing_field", "user_id is missing: give user_id."),
        ({"user_id": -1}, 422, "invalid_value", "user_id has the value -1"),
        ({"user_id": 1, "limit": 0}, 422, "invalid_value", "limit has the value 0"),
        ({"user_id": 1, "limit": 101}, 422, "invalid_value", "allowed are 1 to 100"),
        ({"user_id": 1, "item_ids": [1]}, 422, "unknown_field", "'item_ids'"),
        ({"user_id": 1, "context": {"device": "tv"}}, 422, "invalid_value", "mobile, desktop, tablet"),
        ({"user_id": 1, "context": {"timestamp": "2024-11-15"}}, 422, "invalid_value", "context.timestamp"),
        (
            {"user_id": 1, "context": {"timestamp": "2020-01-01T00:00:00Z"}},
            422,
            "invalid_value",
            "not after the latest",
        ),
        ({"user_id": 1, "cursor": ""}, 422, "invalid_value", "cursor has the value"),
        ({"user_id": 1, "cursor": "lAHOZ"}, 422, "invalid_cursor", "ask without a cursor"),
    ],
)
def test_errors_have_the_documented_form(
    client: AsgiClient, body: dict[str, Any], status: int, code: str, words: str
) -> None:
    """The envelope of errors: a code, and a sentence that names the field."""
    refused(client.post(PATH, json=body), status, code, words)


def refused(answer: Answer, status: int, code: str, words: str = "") -> None:
    """Check an error's envelope."""
    body = answer.json()
    assert (answer.status, body["status"], body["code"], body["data"]) == (status, "error", code, None), body
    assert list(body) == ["status", "code", "data", "message", "timestamp", "request_id"]
    assert body["request_id"] == answer.headers["x-request-id"]
    assert words in body["message"]


def test_errors_of_http(client: AsgiClient) -> None:
    """No JSON, too long a body, a wrong id, a wrong deadline, a deadline that is past."""
    refused(client.post(PATH, body=b"{"), 400, "invalid_json")
    refused(client.post(PATH, body=b" " * (1024 * 1024 + 1)), 413, "body_too_large")
    refused(client.post(PATH, json={"user_id": 1}, headers={"x-request-id": "a b"}), 422, "invalid_request_id")
    wrong = {"x-request-timeout-ms": "soon"}
    refused(client.post(PATH, json={"user_id": 1}, headers=wrong), 422, "invalid_value", "X-Request-Timeout-Ms")
    past = {"grpc-timeout": "1n"}
    refused(client.post(PATH, json={"user_id": 1}, headers=past), 504, "deadline_exceeded")


def test_a_cursor_ends_and_is_its_user_s(make: Callable[..., Starlette]) -> None:
    """410 after its time, 422 for anybody else."""
    app = make(cursor={"seconds": 60})
    with AsgiClient(app) as client:
        cursor = page(ready(client))["cursor"]
        refused(client.post(PATH, json={"user_id": 2, "cursor": cursor}), 422, "invalid_cursor", "none of this user's")
        app.state.service.clock.advance(NOW - NOW.replace(hour=11))
        refused(client.post(PATH, json={"user_id": 1, "cursor": cursor}), 410, "expired_cursor", "60 seconds")


def test_servers_with_one_key_continue_each_other_s_feeds(make: Callable[..., Starlette], tmp_path: Path) -> None:
    """A page may come from any of them; one with another key refuses."""
    with AsgiClient(make()) as one, AsgiClient(make()) as two:
        first = page(ready(one), limit=5)
        assert items_of(page(two, limit=5, cursor=first["cursor"])) == items_of(
            page(one, limit=5, cursor=first["cursor"])
        )
    (tmp_path / "key").write_bytes(bytes(32))
    with AsgiClient(make(cursor={"key_file": str(tmp_path / "key")})) as other:
        refused(other.post(PATH, json={"user_id": 1, "cursor": first["cursor"]}), 422, "invalid_cursor")


def test_the_log_and_the_metrics_have_what_was_shown(make: Callable[..., Starlette], published: Home) -> None:
    """A row an item of a page, by the id of its request, at the place where it was shown; and each page counts."""
    with AsgiClient(make()) as client:
        before = ready(client).get("/metrics").json()
        first = client.post(PATH, json={"user_id": 1, "limit": 4}, headers={"x-request-id": "page-1"}).json()["data"]
        client.post(
            PATH, json={"user_id": 1, "limit": 3, "cursor": first["cursor"]}, headers={"x-request-id": "page-2"}
        )
        after = client.get("/metrics").json()
    assert after["requests_total"] - before["requests_total"] == 2
    assert after["predictions_total"] - before["predictions_total"] == 7
    rows = prediction_log(published, columns=["request_id", "item_id", "position", "score", "features"]).to_pylist()
    logged = [row for row in rows if row["request_id"] == "page-1"]
    assert [(row["item_id"], row["position"]) for row in logged] == [
        (str(item["item_id"]), item["rank"]) for item in first["predictions"]
    ]
    assert all(set(row["features"]) == {"user_topic_ctr", "item_ctr"} for row in logged)
    assert [row["position"] for row in rows if row["request_id"] == "page-2"] == [5, 6, 7]


@pytest.mark.parametrize("key", [{"key": "values"}, {"key": "ids", "stable_seconds": 60}])
def test_scores_are_kept_where_it_is_asked(
    make: Callable[..., Starlette], published: Home, key: dict[str, Any]
) -> None:
    """A feed, or a later page, whose candidates were scored is not scored again: it says so, and so does the log."""
    with AsgiClient(make(cache={"enabled": True, "feeds": True, **key})) as client:
        scored = page(ready(client), limit=12)
        again = client.post(PATH, json={"user_id": 1, "limit": 12}, headers={"x-request-id": f"kept-{key['key']}"})
        kept = again.json()["data"]
        assert "cached" not in scored and kept["cached"]
        assert kept["predictions"] == scored["predictions"]
        later = [page(client, limit=12, cursor=kept["cursor"]) for _ in range(2)]
        assert "cached" not in later[0] and later[1]["cached"]
        assert "cached" not in page(client, limit=12, user_id=2)
    rows = prediction_log(published, columns=["request_id", "cached"]).to_pylist()
    assert [row["cached"] for row in rows if row["request_id"] == f"kept-{key['key']}"] == [True] * 12
    with AsgiClient(make(cache={"enabled": True, **key})) as client:
        assert not any("cached" in page(ready(client), limit=12) for _ in range(2))


def test_it_is_described_with_every_answer(client: AsgiClient) -> None:
    """The document has its path, its bounds, and each status that it answers."""
    described = client.get("/openapi.json").json()
    operation = described["paths"][PATH]["post"]
    assert set(operation["responses"]) >= {"200", "400", "410", "413", "422", "500", "503", "504"}
    asked = described["components"]["schemas"]["FeedRequest"]["properties"]
    assert asked["limit"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 100}
    assert json.dumps(operation).count("Answered_FeedAnswer_") == 1


def test_without_items_a_model_or_its_switch_it_says_so(
    make: Callable[..., Starlette], published: Home, tmp_path: Path
) -> None:
    """404 where it is off, or the features know no items; 503 where nothing is published, or no model is deployed."""
    with AsgiClient(make(enabled=False)) as client:
        assert client.post(PATH, json={"user_id": 1}).status == 404
    hashed = create_app(
        published, "feed", HashedFeatures(("item_ctr",)), clock=ManualClock(NOW), load=load_line_package
    )
    with AsgiClient(hashed) as client:
        assert client.post(PATH, json={"user_id": 1}).status == 404
        assert PATH not in client.get("/openapi.json").json()["paths"]
    empty = Home(tmp_path / "empty")
    with closing(features_of(empty)) as features:
        app = create_app(empty, "feed", features, clock=ManualClock(NOW), load=load_line_package)
        with AsgiClient(app) as client:
            answer = client.post(PATH, json={"user_id": 1})
            refused(answer, 503, "no_items", "publish online features")
            assert answer.headers["retry-after"] == "1"
    published_feed(empty)
    with closing(features_of(empty)) as features:
        app = create_app(empty, "feed", features, clock=ManualClock(NOW), load=load_line_package)
        with AsgiClient(app) as client:
            for _ in attempts():
                answer = client.post(PATH, json={"user_id": 1})
                if answer.json()["code"] != "no_items":
                    break
            refused(answer, 503, "no_model")


def test_a_wrong_configuration_starts_no_server(make: Callable[..., Starlette]) -> None:
    """What rules and signals name has to be declared."""
    with pytest.raises(UserError, match="Did you mean 'topic'"):
        make(rules=[{"kind": "exclude", "attribute": "topics", "values": ["art"]}])
    with pytest.raises(UserError, match=r"signals\.age names the feature 'age'"):
        make(signals={"age": "age"})
