"""Pages of a feed, as the clients ask for them: cursors followed, ends and refusals typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from tests.client.wire import enveloped, refusal, wire

from orita.client import ExpiredCursor, FeedPage, Refused

Opened = Callable[..., Any]


def page(item: int, cursor: str | None) -> str:
    """Return the data of a page of one item."""
    items = f'[{{"item_id":{item},"score":0.5,"rank":{item}}}]'
    told = f'"predictions":{items},"model_version":"v1.0.0","latency_ms":1.5,"level":2,"cursor":{json.dumps(cursor)}'
    return f'{{"user_id":1,{told},"new":1}}'


def test_a_page(opened: Opened) -> None:
    """What is given is sent, what is not is the server's default, and the answer is typed, under its request id."""
    with wire([enveloped(page(7, "c1"))]) as server, opened(server.url) as ask:
        found = ask("feed", 1, limit=5, context={"device": "mobile"}, objective={"like": 2.0}, cursor="c0")
        ask("feed", 1)
    assert isinstance(found, FeedPage)
    assert (found.item_ids, found.level, found.cursor, found.request_id) == ([7], 2, "c1", "r-1")
    assert server.requests[0][0] == "POST /api/v1/feed HTTP/1.1"
    assert json.loads(server.bodies[0]) == {
        "user_id": 1,
        "limit": 5,
        "context": {"device": "mobile"},
        "objective": {"like": 2.0},
        "cursor": "c0",
    }
    assert json.loads(server.bodies[1]) == {"user_id": 1}


def test_pages_follow_the_cursor_to_the_end(opened: Opened) -> None:
    """Each page is asked for by the cursor of the one before, with the same options, and none after the last."""
    acts = [enveloped(page(1, "c1")), enveloped(page(2, "c2")), enveloped(page(3, None))]
    with wire(acts) as server, opened(server.url) as ask:
        items = [item for found in ask("feed_pages", 1, limit=1, priority="low") for item in found.item_ids]
    assert items == [1, 2, 3]
    assert [json.loads(body) for body in server.bodies] == [
        {"user_id": 1, "limit": 1},
        {"user_id": 1, "limit": 1, "cursor": "c1"},
        {"user_id": 1, "limit": 1, "cursor": "c2"},
    ]
    assert {headers["x-request-priority"] for _, headers in server.requests} == {"low"}
    assert len({headers["x-request-id"] for _, headers in server.requests}) == 3


def test_a_page_is_asked_for_when_it_is_wanted(opened: Opened) -> None:
    """Who takes one page costs the server one."""
    with wire([enveloped(page(1, "c1"))]) as server, opened(server.url) as ask:
        assert len(list(islice(ask("feed_pages", 1), 1))) == 1
    assert len(server.requests) == 1


def test_a_cursor_that_is_over_ends_the_pages_with_an_error_of_its_own(opened: Opened) -> None:
    """It is not retried, no new feed is begun behind the caller's back, and what was shown was shown."""
    acts = [enveloped(page(1, "c1")), refusal("expired_cursor", "410 Gone")]
    shown: list[Any] = []
    with wire(acts) as server, opened(server.url) as ask, pytest.raises(ExpiredCursor) as caught:
        for found in ask("feed_pages", 1):
            shown += found.item_ids
    assert shown == [1]
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (410, "expired_cursor", "r-9")
    assert len(server.requests) == 2


def test_a_cursor_of_somebody_else_is_a_refusal_like_others(opened: Opened) -> None:
    """Only a cursor that is over has an error of its own."""
    with wire([refusal("invalid_cursor", "422 Unprocessable")]) as server, opened(server.url) as ask:
        with pytest.raises(Refused) as caught:
            ask("feed", 1, cursor="c0")
    assert type(caught.value) is Refused
    assert caught.value.code == "invalid_cursor"
