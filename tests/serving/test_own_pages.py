"""Requests that a browser sends for somebody else's page, and those that anybody else sends."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest
from tests.serving.standing_server import standing_server

from orita.core.home import Home
from orita.serving.access.own_pages import OwnPages
from orita.serving.config import ServingConfig

EVIL = "https://evil.example"
LOCAL = "127.0.0.1:8080"
EVENTS = {"events": [{"user_id": 1, "item_id": 2, "timestamp": "2024-11-15T10:30:00Z", "click": 1}]}


def code_of(pages: OwnPages, method: str, headers: dict[str, str], path: str = "/predict") -> str | None:
    """Return the code by which a request with *headers* is refused, None where it is not."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    refused = pages.refused(method, path, raw)
    return None if refused is None else refused.code


@pytest.mark.parametrize(
    ("method", "headers", "code"),
    [
        ("POST", {"host": LOCAL}, None),
        ("POST", {}, None),
        ("POST", {"host": LOCAL, "origin": f"http://{LOCAL}"}, None),
        ("POST", {"host": LOCAL, "origin": f"http://{LOCAL}".upper()}, None),
        ("POST", {"host": LOCAL, "origin": "https://other", "sec_fetch_site": "same-origin"}, None),
        ("POST", {"host": LOCAL, "origin": EVIL}, "foreign_page"),
        ("POST", {"host": LOCAL, "origin": "null"}, "foreign_page"),
        ("POST", {"host": LOCAL, "origin": ""}, "foreign_page"),
        ("POST", {"origin": "://"}, "foreign_page"),
        ("POST", {"host": LOCAL, "origin": "http://127.0.0.1:3000"}, "foreign_page"),
        ("POST", {"host": LOCAL, "sec_fetch_site": "cross-site"}, "foreign_page"),
        ("POST", {"host": LOCAL, "sec_fetch_site": "same-site"}, "foreign_page"),
        ("POST", {"host": LOCAL, "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, "foreign_page"),
        ("GET", {"host": LOCAL, "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, None),
        ("GET", {"host": LOCAL, "sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, "foreign_page"),
        ("POST", {"host": "evil.example:8080", "origin": "http://evil.example:8080"}, "unknown_host"),
        ("GET", {"host": "localhost.evil.example"}, "unknown_host"),
        ("GET", {"host": "10.0.0.7:8080"}, "unknown_host"),
        ("GET", {"host": "127.0.0.1.evil.example"}, "unknown_host"),
        ("GET", {"host": "localhost.:8080"}, None),
        ("GET", {"host": "server-1:8080"}, None),
        ("GET", {"host": "[::1]:8080"}, None),
        ("POST", {"host": LOCAL, "content_type": "application/json; charset=utf-8"}, None),
        ("POST", {"host": LOCAL, "content_type": "Application/Cloudevents+JSON"}, None),
        ("POST", {"host": LOCAL, "content_type": "application/x-www-form-urlencoded"}, None),
        ("POST", {"host": LOCAL, "content_type": "text/plain"}, "unsupported_media_type"),
        ("POST", {"host": LOCAL, "content_type": "text/plain; application/json"}, "unsupported_media_type"),
        ("PUT", {"host": LOCAL, "content_type": "multipart/form-data; boundary=x"}, "unsupported_media_type"),
        ("GET", {"host": LOCAL, "content_type": "text/plain"}, None),
    ],
)
def test_what_a_local_server_takes(method: str, headers: dict[str, str], code: str | None) -> None:
    """A server of this machine takes what programs send, and what its own pages do."""
    pages = OwnPages("127.0.0.1")
    assert code_of(pages, method, headers) == code
    assert code_of(pages, method, headers) == code  # what it remembers changes nothing


@pytest.mark.parametrize("name", ["origin", "content-type", "sec-fetch-site", "sec-fetch-mode"])
def test_what_is_said_twice_is_refused(name: str) -> None:
    """Of two headers neither counts: somebody before this server may have looked at the other one."""
    once = [(b"host", LOCAL.encode()), (name.encode(), b"application/json")]
    refused = OwnPages("127.0.0.1").refused("POST", "/predict", [*once, (name.encode(), b"same-origin")])
    assert refused is not None
    assert (refused.status, refused.code) == (400, "invalid_http")
    assert name in refused.message.lower()


def test_hosts_that_are_named() -> None:
    """A server that others reach takes any name until names are given, then those, addresses, and their pages."""
    assert code_of(OwnPages("0.0.0.0"), "POST", {"host": "api.example"}) is None
    assert code_of(OwnPages("0.0.0.0"), "POST", {"host": "api.example", "origin": EVIL}) == "foreign_page"
    pages = OwnPages("0.0.0.0", ["api.example", "Shop.example"])
    for host in ("api.example", "API.example:443", "10.0.0.7:8080", "orita:8080", LOCAL, "[2001:db8::1]:80"):
        assert code_of(pages, "POST", {"host": host, "origin": "https://shop.example"}) is None, host
    assert code_of(pages, "POST", {"host": "evil.example"}) == "unknown_host"
    assert code_of(pages, "POST", {"host": "api.example", "origin": EVIL}) == "foreign_page"
    local = OwnPages("127.0.0.1", ["dev.example"])
    assert code_of(local, "POST", {"host": "dev.example"}) is None
    assert code_of(local, "POST", {"host": "10.0.0.7"}) == "unknown_host"


def test_public_paths_are_for_pages_of_anybody() -> None:
    """A public path is asked by any page and name, with JSON; other paths are not."""
    pages = OwnPages("127.0.0.1", public=["/predict"])
    evil = {"host": "evil.example", "origin": EVIL, "sec_fetch_site": "cross-site"}
    assert code_of(pages, "POST", evil) is None
    assert code_of(pages, "POST", evil | {"content_type": "text/plain"}) == "unsupported_media_type"
    assert code_of(pages, "POST", evil, "/api/v1/feed") == "unknown_host"
    assert pages.known == set(), "what a public path takes is not known for others"


def test_what_is_remembered_is_bounded() -> None:
    """Callers who name ever new ports fill no memory, and are answered."""
    pages = OwnPages("127.0.0.1")
    for port in range(1, 5000):
        assert code_of(pages, "POST", {"host": f"localhost:{port}", "content_type": "application/json"}) is None
    assert len(pages.known) < 300


@pytest.mark.parametrize("value", ["http://x.example", "x:80", "", "a b"])
def test_names_are_names(value: str) -> None:
    """A host that is configured is a name alone."""
    with pytest.raises(ValueError, match="is no name of a host"):
        ServingConfig(hosts=(value,))


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a real server answers."""
    with standing_server(Home(tmp_path_factory.mktemp("home"))) as server:
        yield server.port


def ask(port: int, path: str, body: object, headers: dict[str, str]) -> tuple[int, dict[str, object]]:
    """Send a POST request; return the status, and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def bodies() -> dict[str, object]:
    """Return a request for each path that takes one."""
    one = {"user_id": 1, "item_ids": [1, 2]}
    return {
        "/predict": one,
        "/api/v1/feed": {"user_id": 1, "limit": 5},
        "/api/v1/jobs": {"request": one},
        "/api/v1/features/push": EVENTS,
        "/api/v1/features/online": one,
        "/graphql": {"query": "{models {id}}"},
    }


@pytest.mark.parametrize("path", bodies())
def test_no_page_of_another_site_asks_anything(port: int, path: str) -> None:
    """By both ways through the server, a page of another site is refused in the documented form on every path."""
    body, sent = bodies()[path], {"Content-Type": "application/json"}
    status, _ = ask(port, path, body, sent)
    assert status not in (403, 415)
    evil = [
        ({"Origin": EVIL}, 403, "foreign_page"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "foreign_page"),
        ({"Host": "evil.example"}, 403, "unknown_host"),
        ({"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        ({"Origin": EVIL, "Content-Type": "text/plain", "Host": "evil.example"}, 415, "unsupported_media_type"),
    ]
    for headers, status, code in evil:
        answered, error = ask(port, path, body, sent | headers)
        assert (answered, code in json.dumps(error)) == (status, True), (headers, error)
