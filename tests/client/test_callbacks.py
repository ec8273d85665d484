"""Callbacks, on the side of who is called: what is believed, what is refused and why."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.client.test_jobs import job

from orita.client import BadAnswer, BadSignature, verify_callback
from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.webhooks import parse_secrets, signed_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of 32 bytes, yes!").decode()
AT = datetime(2024, 11, 15, 10, 30, 2, tzinfo=UTC)
BODY = f'{{"type":"job.succeeded","timestamp":"2024-11-15T10:30:01Z","data":{job("succeeded")}}}'.encode()

Headers = dict[str, str]


def headers(body: bytes = BODY, secrets: str = SECRET) -> Headers:
    """Return the headers that a server signs *body* with."""
    return signed_headers(parse_secrets(secrets, "X"), "j-1", int(AT.timestamp()), body)


def test_a_callback_is_read() -> None:
    """One that is signed is typed, its rankings have their request ids; header names may be in any case."""
    for given in (headers(), {name.title(): value for name, value in headers().items()}):
        ended = verify_callback(SECRET, given, BODY, clock=ManualClock(AT))
        assert (ended.type, ended.data.job, ended.data.state) == ("job.succeeded", "j-1", "succeeded")
        assert ended.data.results is not None
        assert [result.answer.request_id for result in ended.data.results] == ["j-1:0:1"]


def test_secrets_are_changed_without_a_gap() -> None:
    """Who has either secret of a server that signs with both believes it."""
    for secret in (SECRET, OTHER):
        assert verify_callback(secret, headers(secrets=f"{OTHER} {SECRET}"), BODY, clock=ManualClock(AT)).data.ended


def _without(name: str) -> Callable[[Headers], Headers]:
    return lambda given: {key: value for key, value in given.items() if key != name}


def _with(name: str, value: str) -> Callable[[Headers], Headers]:
    return lambda given: given | {name: value}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_without("webhook-id"), "is missing: refuse the call"),
        (_without("webhook-timestamp"), "is missing: refuse the call"),
        (_without("webhook-signature"), "is missing: refuse the call"),
        (_with("webhook-id", "j-2"), "no signature"),
        (_with("webhook-timestamp", str(int(AT.timestamp()) + 1)), "no signature"),
        (_with("webhook-timestamp", "1"), "webhook-timestamp is '1'"),
        (_with("webhook-timestamp", "²"), "webhook-timestamp is '²'"),
        (_with("webhook-timestamp", "9" * 5000), "webhook-timestamp is '9999"),
        (_with("webhook-timestamp", "nan"), "webhook-timestamp is 'nan'"),
        (_with("webhook-signature", "v1,AAAA v1a,BBBB ü \ud800"), "no signature"),
    ],
)
def test_what_is_not_genuine_is_refused(change: Callable[[Headers], Headers], sentence: str) -> None:
    """Whatever the headers hold, it is a sentence and no other failure."""
    with pytest.raises(BadSignature, match=sentence.replace("'", ".").replace("²", ".")):
        verify_callback(SECRET, change(headers()), BODY, clock=ManualClock(AT))


def test_another_body_or_another_secret_is_refused() -> None:
    """A byte is enough."""
    with pytest.raises(BadSignature, match="no signature"):
        verify_callback(SECRET, headers(), BODY + b" ", clock=ManualClock(AT))
    with pytest.raises(BadSignature, match="no signature"):
        verify_callback(OTHER, headers(), BODY, clock=ManualClock(AT))


def test_an_old_call_is_refused_unless_it_is_allowed() -> None:
    """What somebody recorded is not believed later; how long is the caller's to say."""
    late = ManualClock(datetime(2024, 11, 15, 10, 36, tzinfo=UTC))
    with pytest.raises(BadSignature, match="within 300 s of now"):
        verify_callback(SECRET, headers(), BODY, clock=late)
    assert verify_callback(SECRET, headers(), BODY, clock=late, tolerance=600).data.ended


def test_a_secret_of_a_wrong_form_is_the_programmer_s() -> None:
    """It is no message that is refused, and the sentence does not tell it."""
    with pytest.raises(UserError, match="wrong form") as caught:
        verify_callback("whsec_c2hvcnQ=", headers(), BODY, clock=ManualClock(AT))
    assert not isinstance(caught.value, BadSignature)
    assert "c2hvcnQ" not in str(caught.value)


@pytest.mark.parametrize("said", [b"{}", b"\xff", json.dumps({"type": "x"}).encode()])
def test_what_is_signed_and_no_callback_is_said(said: Any) -> None:
    """Another program with the same secret, or another version of this one."""
    with pytest.raises(BadAnswer, match="not the end of a job"):
        verify_callback(SECRET, headers(said), said, clock=ManualClock(AT))
