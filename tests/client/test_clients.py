"""Both clients on real sockets, against a server that behaves badly on purpose."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.client.wire import answer, breaks_off, drips, hangs_up, wire

from orita.client import AsyncClient, BadAnswer, Client, Refused, TimedOut, Unreachable
from orita.core.errors import MissingExtra, UserError

RANKING = '{"user_id":1,"predictions":[{"item_id":7,"score":0.5,"rank":1}],"model_version":"v1.0.0","latency_ms":1.5}'
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

Opened = Callable[..., Any]


def test_the_request_says_who_asks_and_until_when(opened: Opened) -> None:
    """Request id, trace, deadline and the client's own headers are passed on; the answer is typed."""
    with wire([answer(RANKING)]) as server, opened(server.url, headers={"Authorization": "Bearer x"}) as ask:
        ranking = ask("predict", 1, [7], request_id="r-1", traceparent=TRACE, tracestate="a=1", timeout=3)
        assert (ranking.item_ids, ranking.model_version, ranking.request_id) == ([7], "v1.0.0", "r-1")
    line, headers = server.requests[0]
    assert line == "POST /predict HTTP/1.1"
    assert headers["x-request-id"] == "r-1"
    assert (headers["traceparent"], headers["tracestate"]) == (TRACE, "a=1")
    assert headers["authorization"] == "Bearer x"
    assert 2000 < int(headers["x-request-timeout-ms"]) <= 3000
    assert headers["host"] == server.url.removeprefix("http://")


def test_every_attempt_has_the_same_request_id(opened: Opened) -> None:
    """A made id is one of a call, not of an attempt, so that the server's log shows them as one."""
    refusal = answer('{"code":"log_full","message":"later."}', "503 Busy", "Retry-After: 0\r\n")
    with wire([refusal, hangs_up, answer(RANKING)]) as server, opened(server.url, retries=1) as ask:
        assert ask("predict", 1, [7]).item_ids == [7]
    ids = [headers["x-request-id"] for _, headers in server.requests]
    assert len(ids) == 3 and len(set(ids)) == 1


def test_a_connection_is_kept_and_its_end_between_requests_goes_unseen(opened: Opened) -> None:
    """With no retries at all, a server that closes a kept connection when the next request comes is asked again."""
    with wire([answer(RANKING), answer(RANKING), hangs_up, answer(RANKING)]) as server:
        with opened(server.url, retries=0) as ask:
            for _ in range(3):
                ask("predict", 1, [7])
    assert server.connections == 2
    assert len(server.requests) == 4


def test_a_fresh_connection_that_ends_is_a_failure(opened: Opened) -> None:
    """Without retries a server that hangs up at once is unreachable, and the sentence says where."""
    with wire([hangs_up]) as server, opened(server.url, retries=0) as ask:
        with pytest.raises(Unreachable, match=rf"{server.url} did not answer: ") as caught:
            ask("predict", 1, [7], request_id="r-7")
    assert caught.value.request_id == "r-7"
    assert len(server.requests) == 1


def test_an_answer_that_breaks_off_is_not_asked_for_again(opened: Opened) -> None:
    """Some of an answer had come: the request was served, so it is not repeated."""
    with wire([breaks_off]) as server, opened(server.url, retries=5) as ask:
        with pytest.raises(Unreachable, match="broke off its answer"):
            ask("predict", 1, [7])
    assert len(server.requests) == 1


def test_nobody_there(opened: Opened) -> None:
    """A port where nobody listens is unreachable after the retries."""
    with wire([hangs_up]) as server:
        pass
    with opened(server.url, retries=1) as ask, pytest.raises(Unreachable, match="did not answer"):
        ask("health")


def test_the_deadline_holds_against_a_server_that_drips(opened: Opened) -> None:
    """A byte every 20 ms never exceeds the timeout of a read; the call ends at its deadline all the same."""
    with wire([drips]) as server, opened(server.url, timeout=0.3) as ask:
        began = time.monotonic()
        with pytest.raises(TimedOut, match=r"did not answer within 0\.3 s"):
            ask("health")
        assert 0.29 <= time.monotonic() - began < 5
    assert len(server.requests) == 1


def test_what_is_no_answer_of_orita_s_is_said(opened: Opened) -> None:
    """Another program at the address: a sentence that says so, not an attribute that is missing later."""
    with wire([answer('{"hello": 1}')]) as server, opened(server.url) as ask:
        with pytest.raises(BadAnswer, match="another program"):
            ask("health")


def test_an_error_in_the_place_of_a_health_is_a_refusal(opened: Opened) -> None:
    """503 may be the health of a server without a model; where it is an error instead, it is told as one."""
    body = '{"status":"error","code":"too_many_connections","message":"full.","request_id":"r-1"}'
    with wire([answer(body, "503 Busy")]) as server, opened(server.url) as ask:
        with pytest.raises(Refused, match="too_many_connections"):
            ask("health")


def test_what_is_not_http_is_said(opened: Opened) -> None:
    """A server of another protocol, which speaks first or answers in its own way, is named as such."""

    def speaks_otherwise(connection: Any, _: Any) -> bool:
        connection.sendall(b"220 mail.example.org ESMTP\r\n")
        return False

    with wire([speaks_otherwise]) as server, opened(server.url) as ask:
        with pytest.raises(BadAnswer, match="does not answer as Orita does"):
            ask("health")


def test_a_refusal_is_typed(opened: Opened) -> None:
    """Status, code, sentence and request id of the server's error."""
    body = '{"status":"error","code":"too_many_items","message":"item_ids has 2 items.","request_id":"r-3"}'
    with wire([answer(body, "422 Unprocessable")]) as server, opened(server.url) as ask:
        with pytest.raises(Refused) as caught:
            ask("predict", 1, [7, 8])
    refused = caught.value
    assert (refused.status, refused.code, refused.message) == (422, "too_many_items", "item_ids has 2 items.")
    assert (refused.request_id, refused.retry_after) == ("r-3", None)


def test_a_prefix_of_a_proxy_is_kept(opened: Opened) -> None:
    """A server below a path is asked below that path."""
    with wire([answer(RANKING)]) as server, opened(f"{server.url}/feed/") as ask:
        ask("predict", 1, [7])
    assert server.requests[0][0] == "POST /feed/predict HTTP/1.1"


def test_arrays_are_sent_as_numbers(opened: Opened) -> None:
    """Ids of any library with ``tolist``, ranges and tuples become lists; the client knows none of the libraries."""
    numpy = pytest.importorskip("numpy")
    with wire([answer(RANKING)]) as server, opened(server.url) as ask:
        for items in (numpy.array([7, 8]), (7, 8), range(7, 9), [numpy.int64(7), 8]):
            ask("predict", numpy.int64(1), items)
    assert {headers["content-length"] for _, headers in server.requests} == {str(len('{"user_id":1,"item_ids":[7,8]}'))}


@pytest.mark.parametrize(
    ("url", "options", "sentence"),
    [
        ("localhost:8080", {}, "is not a URL"),
        ("ftp://x", {}, "is not a URL"),
        ("http://x:99999", {}, "is not a URL"),
        ("http://user:secret@x", {}, "leave the rest out"),
        ("http://x?a=1", {}, "leave the rest out"),
        ("http://x", {"timeout": 0}, "timeout has the value 0"),
        ("http://x", {"timeout": "a"}, "timeout has the value 'a'"),
        ("http://x", {"timeout": float("nan")}, "timeout has the value nan"),
        ("http://x", {"retries": -1}, "retries has the value -1, allowed are 0 to 10"),
        ("http://x", {"connections": 0}, "connections has the value 0"),
        ("http://x", {"headers": {"Host": "y"}}, "that the client sets itself"),
        ("http://x", {"headers": {"A": "b\r\nC: d"}}, "the header 'A' has a value"),
        ("http://x", {"pins": ["sha256//" + "A" * 43 + "="]}, "write https://"),
        ("https://x", {"pins": ["sha256//AAAA"]}, "pins has the value 'sha256//AAAA'"),
        ("https://x", {"authorities": "/nowhere.pem"}, "authorities /nowhere.pem is not a PEM file"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(url: str, options: dict[str, Any], sentence: str) -> None:
    """Addresses and options are checked when a client is made."""
    for kind in (Client, AsyncClient):
        with pytest.raises(UserError, match=sentence.replace("(", r"\(")):
            kind(url, **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"request_id": "a b"}, "request_id has the value 'a b'"),
        ({"traceparent": "00-0-0-0"}, "traceparent has the value '00-0-0-0'"),
        ({"traceparent": f"00-{'0' * 32}-{'1' * 16}-01"}, "traceparent has the value"),
        ({"timeout": -1}, "timeout has the value -1"),
        ({"context": {"device": object()}}, "cannot be written as JSON: a object is no number"),
    ],
)
def test_a_call_is_checked_before_it_is_sent(opened: Opened, options: dict[str, Any], sentence: str) -> None:
    """What a server would refuse, or could not read, is a sentence here, and no request."""
    with wire([answer(RANKING)]) as server, opened(server.url) as ask:
        with pytest.raises(UserError, match=sentence):
            ask("predict", 1, [7], **options)
    assert server.requests == []


def test_threads_share_a_client() -> None:
    """Eight threads, one client, four connections at most: every answer is that of its own request."""
    with wire([answer(RANKING)]) as server, Client(server.url, connections=4) as client:
        with ThreadPoolExecutor(8) as pool:
            rankings = list(pool.map(lambda n: client.predict(n, [7]), range(64)))
        assert len(rankings) == 64 and {ranking.request_id for ranking in rankings} == {"r-1"}
        assert server.connections <= 4


def test_tasks_share_a_client() -> None:
    """As threads do; and a task that is cancelled leaves the client usable."""

    async def main(url: str) -> None:
        async with AsyncClient(url, connections=4) as client:
            rankings = await asyncio.gather(*(client.predict(n, [7]) for n in range(64)))
            assert len(rankings) == 64
            waiting = asyncio.create_task(client.predict(1, [7]))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (await client.predict(1, [7])).item_ids == [7]

    with wire([answer(RANKING)]) as server:
        asyncio.run(main(server.url))
        assert server.connections <= 5


def test_a_missing_extra_is_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package can be imported without it, and making a client says what to install."""
    monkeypatch.setitem(sys.modules, "httpcore2", None)
    for kind in (Client, AsyncClient):
        with pytest.raises(MissingExtra, match=r"pip install 'orita\[client\]'"):
            kind("http://127.0.0.1:8080")


def test_a_secret_in_a_header_is_not_shown() -> None:
    """Neither the text of a client nor the sentence of an error has the value of a header."""
    with Client("http://127.0.0.1:9", headers={"Authorization": "Bearer s3cret"}, retries=0) as client:
        with pytest.raises(Unreachable) as caught:
            client.health()
        assert "s3cret" not in f"{client!r} {vars(client)!r} {caught.value}"


def test_importing_it_loads_nothing_of_a_server(tmp_path: Path) -> None:
    """`import orita.client` loads no numpy, no pydantic, no server, and not even the HTTP library."""
    code = (
        "import sys, orita.client\n"
        "heavy = {'numpy', 'pyarrow', 'pydantic', 'starlette', 'onnxruntime', 'httpcore2', 'cryptography'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout.strip() == "[]"
