"""``/ofrep/v1``: flags of control state, evaluated over HTTP; changes are followed, and no failure ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette

from orita.control.database import ControlDatabase
from orita.control.replay import rebuild
from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.delivery.flags import FlagSet, read_flags
from orita.delivery.flags.kept import FLAG, SEGMENT, Flags
from orita.serving.flags.follower import FlagFollower
from orita.testing.asgi import AsgiClient

ALL = "/ofrep/v1/evaluate/flags"
FLAGS = """
flags:
  - key: checkout
    rules:
      - {name: north, when: {is: in, attribute: country, values: [SE]}, serve: "on"}
  - {key: a/b, kind: multivariate, variants: {big: {size: 2}, small: {size: 1}}, default: small}
"""


def declare(home: Home, text: str) -> Flags:
    """Declare flags in control state."""
    flags = Flags(home.control_db, home.tenant)
    flags.declare(read_flags(text, "yaml"), actor="ana", reason="test", whole=True)
    return flags


@pytest.fixture
def client(home: Home, make_app: Callable[..., Starlette]) -> Iterator[AsgiClient]:
    """A server with two flags and no model."""
    declare(home, FLAGS)
    with AsgiClient(make_app()) as running:
        yield running


def now(follower: FlagFollower) -> FlagSet:
    """Return the flags that are followed."""
    assert follower.current is not None
    return follower.current


def asked(client: AsgiClient, path: str, body: Any, **headers: str) -> tuple[int, Any, dict[str, str]]:
    """Return status, document and headers of an answer."""
    answer = client.post(path, json=body, headers={"content-type": "application/json", **headers})
    return answer.status, answer.json() if answer.body else None, dict(answer.headers)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (f"{ALL}/a%0Ab", {"key", "errorCode", "errorDetails"}),
        ("/api/v1/models/a%0Ab/c", {"status", "code", "data", "message", "timestamp", "request_id"}),
        ("/v2/a%0Ab", {"error"}),
    ],
)
def test_a_line_s_end_in_a_path_is_refused_in_the_form_of_its_face(
    client: AsgiClient, path: str, form: set[str]
) -> None:
    """A path may hold any character; what is unknown has the documented error."""
    status, document, _ = asked(client, path, {})
    assert (status, set(document)) == (404, form)


def test_one_flag(client: AsgiClient) -> None:
    """Value, variant, reason and rule, as the protocol writes them."""
    status, document, headers = asked(
        client, f"{ALL}/checkout", {"context": {"country": "SE"}}, **{"x-request-id": "r1"}
    )
    assert (status, headers["x-request-id"]) == (200, "r1")
    assert document == {
        "key": "checkout",
        "value": True,
        "variant": "on",
        "reason": "TARGETING_MATCH",
        "metadata": {"rule": "north"},
    }
    assert asked(client, f"{ALL}/a/b", {})[1]["value"] == {"size": 1}


def test_all_flags_and_not_again(client: AsgiClient) -> None:
    """Who has the answer already is told so, until its context or a flag changes."""
    status, document, headers = asked(client, ALL, {"context": {"country": "SE"}})
    assert status == 200
    assert {each["key"]: each["value"] for each in document["flags"]} == {"a/b": {"size": 1}, "checkout": True}
    again = {"if-none-match": headers["etag"]}
    status, document, _ = asked(client, ALL, {"context": {"country": "SE"}}, **again)
    assert (status, document) == (304, None)
    assert asked(client, ALL, {"context": {"country": "DK"}}, **again)[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (f"{ALL}/nothing", b"{}", 404, "FLAG_NOT_FOUND"),
        (f"{ALL}/checkout", b"[]", 400, "PARSE_ERROR"),
        (f"{ALL}/checkout", b"{", 400, "PARSE_ERROR"),
        (f"{ALL}/checkout", b"[" * 60_000, 400, "PARSE_ERROR"),
        (f"{ALL}/checkout", b'{"context": 7}', 400, "INVALID_CONTEXT"),
        (ALL, b'{"context": []}', 400, "INVALID_CONTEXT"),
        (ALL, b"", 400, "PARSE_ERROR"),
        (ALL, b" " * 70_000, 413, "GENERAL"),
        (ALL, b'{"context": {"country": "' + b"x" * 1025 + b'"}}', 400, "INVALID_CONTEXT"),
        (ALL, b'{"context": {"country": [' + b"1," * 256 + b"1]}}", 400, "INVALID_CONTEXT"),
        (ALL, b'{"context": {"country": [["SE"]]}}', 400, "INVALID_CONTEXT"),
    ],
)
def test_wrong_requests(client: AsgiClient, path: str, body: bytes, status: int, code: str) -> None:
    """Each is refused in the form of the protocol, with a sentence."""
    answer = client.post(path, body=body, headers={"content-type": "application/json"})
    document = answer.json()
    assert (answer.status, document["errorCode"]) == (status, code)
    assert document["errorDetails"]
    assert "x-request-id" in answer.headers


def test_a_page_of_others_is_refused_in_the_same_form(client: AsgiClient) -> None:
    """What the gate refuses has the form of the protocol too."""
    answer = client.post(ALL, body=b"{}", headers={"content-type": "text/plain"})
    assert answer.status == 415
    assert answer.json()["errorCode"] == "GENERAL"


def test_before_the_flags_were_read(home: Home, make_app: Callable[..., Starlette]) -> None:
    """Nobody is told that there is no flag while nobody knows: 503, in the form of the protocol."""
    home.root.mkdir(parents=True)
    home.control_db.write_bytes(b"this is no database" * 100)
    with AsgiClient(make_app()) as client:
        for path in (ALL, f"{ALL}/checkout"):
            status, document, headers = asked(client, path, {})
            assert (status, document["errorCode"], headers["retry-after"]) == (503, "PROVIDER_NOT_READY", "1")


def test_what_was_mended_is_seen(home: Home) -> None:
    """A replay that mends what is kept reaches a server that runs, though nothing was decided."""
    flags = declare(home, FLAGS)
    with ControlDatabase(home.control_db).writing() as connection:
        connection.exec_driver_sql("DELETE FROM control_states WHERE name = 'checkout'")
    follower = FlagFollower(Flags(home.control_db), 0.5)
    follower.look()
    assert set(now(follower).flags) == {"a/b"}
    rebuild(flags.log, {"flag": FLAG, "segment": SEGMENT})
    for _ in range(20):
        follower.look()
    assert set(now(follower).flags) == {"a/b", "checkout"}


def test_changes_are_followed(home: Home) -> None:
    """A look sees what changed; while nothing did, the set stays the same one."""
    flags = declare(home, FLAGS)
    follower = FlagFollower(Flags(home.control_db), 0.5)
    assert follower.current is None
    follower.look()
    before = now(follower)
    follower.look()
    assert now(follower) is before
    flags.switch("checkout", enabled=False, actor="ana", reason="it breaks")
    follower.look()
    assert now(follower).evaluate("checkout", {"country": "SE"}).value is False
    declare(home, "flags: []")
    follower.look()
    assert not now(follower).flags


def test_flags_go_on_while_control_state_is_away(home: Home, clock: ManualClock) -> None:
    """They say that they are stale; once it is back, they are not."""
    declare(home, FLAGS)
    follower = FlagFollower(Flags(home.control_db, clock=clock), 0.5)
    follower.look()
    whole = home.control_db.read_bytes()
    home.control_db.write_bytes(b"this is no database" * 100)
    follower.look()
    found = now(follower).evaluate("checkout", {"country": "SE"})
    assert (found.value, found.reason.value) == (True, "STALE")
    home.control_db.write_bytes(whole)
    follower.look()
    assert now(follower).evaluate("checkout", {"country": "SE"}).reason.value == "TARGETING_MATCH"


def test_flags_that_contradict_one_another_are_not_taken(home: Home) -> None:
    """Should control state hold such, by whatever way, the flags of before go on."""
    flags = declare(home, FLAGS)
    follower = FlagFollower(Flags(home.control_db), 0.5)
    follower.look()
    flags.switch("checkout", enabled=False, actor="ana", reason="")
    with ControlDatabase(home.control_db).writing() as connection:
        connection.exec_driver_sql(
            'UPDATE control_states SET state = \'{"key":"a/b","default":"none"}\' WHERE name = \'a/b\''
        )
    follower.look()
    assert now(follower).stale
    assert now(follower).evaluate("checkout", {"country": "SE"}).value is True


def test_it_is_described(client: AsgiClient) -> None:
    """The OpenAPI document has both operations, their answers and their errors."""
    answer = client.get("/openapi.json")
    assert answer.status == 200, answer.text
    document = answer.json()
    one, every = document["paths"][f"{ALL}/{{key}}"]["post"], document["paths"][ALL]["post"]
    assert {"200", "400", "404", "413", "500"} <= set(one["responses"])
    assert {"200", "304", "400", "413", "500"} <= set(every["responses"])
