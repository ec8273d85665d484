"""Callbacks: signed, at least once, and to nobody who was not declared."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from tests.serving.jobs.receiver import Receiver, receiver
from tests.serving.jobs.test_routes import ONE, ended, quick, refused, submitted
from tests.serving.patience import attempts

from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.webhooks import parse_secrets, signed_headers, verify
from orita.serving.http.refusal import Refused
from orita.serving.jobs.config import CallbackConfig, JobsConfig
from orita.serving.jobs.destinations import Destination, Destinations
from orita.serving.jobs.requests import PREFIX
from orita.testing.asgi import AsgiClient

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of 32 bytes, yes!").decode()


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a secret where a server looks for it."""
    monkeypatch.setenv("ORITA_CALLBACK_SECRET", SECRET)


@pytest.fixture
def called() -> Iterator[Receiver]:
    """Somebody who takes every call."""
    with receiver() as told:
        yield told


@pytest.fixture
def serving(make_app: Callable[..., Starlette], deploy: Callable[..., None], secret: None) -> Callable[..., AsgiClient]:
    """Make a client of a server that may call a receiver."""
    deploy("v1.0.0")

    def make(told: Receiver, **callbacks: object) -> AsgiClient:
        allowed = {"hosts": [f"127.0.0.1:{told.port}"], "networks": ["127.0.0.0/8"], **callbacks}
        return AsgiClient(make_app(jobs=quick(callbacks=allowed)))

    return make


def settled(client: AsgiClient, job: str) -> dict[str, Any]:
    """Ask for a job until its callback is settled."""
    for _ in attempts():
        data: dict[str, Any] = client.get(f"{PREFIX}/{job}").json()["data"]
        if data["callback"] in ("delivered", "failed"):
            return data
    raise AssertionError(f"the callback of {data} is not settled")


def test_a_result_is_posted_with_a_signature(
    serving: Callable[..., AsgiClient], called: Receiver, clock: ManualClock
) -> None:
    """Who gave a URL is posted what the job's URL answers, once, signed as Standard Webhooks are."""
    with serving(called) as client:
        data = submitted(client, {**ONE, "callback_url": f"http://127.0.0.1:{called.port}/done?for=me"})
        done = settled(client, data["job"])
    (call,) = called.calls
    assert (call.path, call.headers["content-type"]) == ("/done?for=me", "application/json")
    assert call.headers["webhook-id"] == data["job"]
    body = json.loads(call.body)
    assert body["type"] == "job.succeeded"
    assert body["timestamp"] == done["ended_at"]
    assert body["data"] == {**done, "callback": "pending"}
    verify(SECRET, call.headers, call.body, clock.now().timestamp())
    with pytest.raises(UserError, match="no signature"):
        verify(SECRET, call.headers, call.body.replace(b"succeeded", b"failed"), clock.now().timestamp())


def test_a_job_that_failed_is_told_of_too(serving: Callable[..., AsgiClient], called: Receiver) -> None:
    """An error is a result."""
    early = {**ONE, "context": {"timestamp": "1999-01-01T00:00:00Z"}}
    with serving(called) as client:
        data = submitted(client, {**early, "callback_url": f"http://127.0.0.1:{called.port}/"})
        settled(client, data["job"])
    body = json.loads(called.calls[0].body)
    assert (body["type"], body["data"]["error"]["code"]) == ("job.failed", "invalid_value")


def test_a_call_is_made_again_until_it_is_taken(serving: Callable[..., AsgiClient], clock: ManualClock) -> None:
    """Errors, redirects and silence are tried again after growing pauses, with the same id and a new timestamp."""
    with receiver(500, 302, 200) as told, serving(told, backoff_seconds=10) as client:
        data = submitted(client, {**ONE, "callback_url": f"http://127.0.0.1:{told.port}/"})
        for calls, pause in ((1, 10), (2, 20)):
            told.wait(calls)
            waited = 0
            while len(told.calls) == calls:
                clock.advance(timedelta(seconds=1))
                waited += 1
                threading.Event().wait(0.03)
            assert waited >= pause, "the pause is too short"
        assert settled(client, data["job"])["callback"] == "delivered"
        assert [call.path for call in told.calls] == ["/", "/", "/"], "a redirect was followed"
        assert len({call.headers["webhook-id"] for call in told.calls}) == 1
        assert len({call.headers["webhook-timestamp"] for call in told.calls}) == 3
        verify(SECRET, told.calls[2].headers, told.calls[2].body, clock.now().timestamp())


def test_calls_end_after_so_many_attempts(serving: Callable[..., AsgiClient], clock: ManualClock) -> None:
    """Who never takes a call is given up, and the result can still be asked for."""
    with receiver(503) as told, serving(told, attempts=2, backoff_seconds=1) as client:
        data = submitted(client, {**ONE, "callback_url": f"http://127.0.0.1:{told.port}/"})
        told.wait(1)
        while len(told.calls) < 2:
            clock.advance(timedelta(seconds=1))
            threading.Event().wait(0.02)
        done = settled(client, data["job"])
        assert (done["state"], done["callback"], len(told.calls)) == ("succeeded", "failed", 2)


def test_who_is_gone_is_called_no_more(serving: Callable[..., AsgiClient]) -> None:
    """410 Gone ends the calls at once."""
    with receiver(410) as told, serving(told) as client:
        data = submitted(client, {**ONE, "callback_url": f"http://127.0.0.1:{told.port}/"})
        assert settled(client, data["job"])["callback"] == "failed"
        assert len(told.calls) == 1


def test_who_does_not_answer_is_given_up_in_time(serving: Callable[..., AsgiClient], called: Receiver) -> None:
    """A receiver that hangs holds up neither other calls nor the stop of the server, which calls again later."""
    called.free.clear()
    with serving(called, timeout_seconds=20, at_once=1) as client:
        data = submitted(client, {**ONE, "callback_url": f"http://127.0.0.1:{called.port}/"})
        called.wait(1)
        assert ended(client, data["job"])["callback"] == "pending"
    called.free.set()
    with serving(called) as client:
        assert settled(client, data["job"])["callback"] == "delivered"
    assert len(called.calls) == 2


def test_a_call_has_a_deadline(serving: Callable[..., AsgiClient], called: Receiver) -> None:
    """After its timeout a call has failed."""
    called.free.clear()
    with serving(called, timeout_seconds=0.05, attempts=1) as client:
        data = submitted(client, {**ONE, "callback_url": f"http://127.0.0.1:{called.port}/"})
        assert settled(client, data["job"])["callback"] == "failed"


def test_an_address_that_is_not_public_is_not_called(serving: Callable[..., AsgiClient], called: Receiver) -> None:
    """A declared name that leads into the server's own network is not connected to, unless that is declared too."""
    hosts = [f"localhost:{called.port}"]
    with serving(called, hosts=hosts, networks=["10.0.0.0/8"], attempts=1) as client:
        data = submitted(client, {**ONE, "callback_url": f"http://localhost:{called.port}/"})
        assert settled(client, data["job"])["callback"] == "failed"
    assert called.calls == []
    with serving(called, hosts=hosts, attempts=1) as client:
        data = submitted(client, {**ONE, "callback_url": f"http://localhost:{called.port}/"})
        assert settled(client, data["job"])["callback"] == "delivered"


@pytest.mark.parametrize("hosts", [["other.example.org"], []])
def test_who_is_declared_no_more_is_not_called(
    serving: Callable[..., AsgiClient], called: Receiver, hosts: list[str]
) -> None:
    """The configuration of the moment of the call counts."""
    url = f"http://127.0.0.1:{called.port}/"
    called.free.clear()
    with serving(called) as client:
        data = submitted(client, {**ONE, "callback_url": url})
        called.wait(1)
    called.free.set()
    with serving(called, hosts=hosts) as client:
        assert settled(client, data["job"])["callback"] == "failed"
        refused(client.post(PREFIX, json={**ONE, "callback_url": url}), 422, "callback_not_allowed")
    assert len(called.calls) == 1


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("https://hooks.example.org/a?b=c", Destination("https", "hooks.example.org", 443, "/a?b=c")),
        ("http://HOOKS.example.org", Destination("http", "hooks.example.org", 80, "/")),
        ("https://hooks.example.org:80/", Destination("https", "hooks.example.org", 80, "/")),
        ("https://other.example.org:8443/", Destination("https", "other.example.org", 8443, "/")),
        ("http://[2001:db8::1]/", Destination("http", "2001:db8::1", 80, "/")),
    ],
)
def test_declared_hosts_are_allowed(url: str, where: Destination) -> None:
    """A name allows the ports of the web, a name with a port that one."""
    hosts = ("hooks.example.org", "other.example.org:8443", "[2001:db8::1]")
    assert Destinations(CallbackConfig(hosts=hosts)).parse(url) == where


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://hooks.example.org.evil.org/", "callback_not_allowed"),
        ("https://evil.org/hooks.example.org", "callback_not_allowed"),
        ("https://hooks.example.org:8443/", "callback_not_allowed"),
        ("https://other.example.org/", "callback_not_allowed"),
        ("http://169.254.169.254/latest/meta-data", "callback_not_allowed"),
        ("https://hooks.example.org@evil.org/", "invalid_value"),
        ("https://user:word@hooks.example.org/", "invalid_value"),
        ("https://hooks.example.org/#x", "invalid_value"),
        ("file:///etc/passwd", "invalid_value"),
        ("gopher://hooks.example.org/", "invalid_value"),
        ("//hooks.example.org/", "invalid_value"),
        ("https://hooks.example.org:99999/", "invalid_value"),
        ("https://[hooks.example.org/", "invalid_value"),
        ("https://hooks.example.org/ b", "invalid_value"),
        ("https://hooks.example.org/\r\nx: y", "invalid_value"),
        ("https://höoks.example.org/", "invalid_value"),
        ("https://hooks.example.org/" + "a" * 3000, "invalid_value"),
        ("", "invalid_value"),
    ],
)
def test_other_urls_are_refused(url: str, code: str) -> None:
    """What is no declared host, or could be read in two ways, is refused in a sentence."""
    with pytest.raises(Refused, match="callback_url") as caught:
        Destinations(CallbackConfig(hosts=("hooks.example.org", "other.example.org:8443"))).parse(url)
    assert (caught.value.status, caught.value.code) == (422, code)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"),
        *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::"),
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    """Loopback, private, link-local, shared, multicast and reserved addresses, also where IPv6 hides them."""
    assert not Destinations(CallbackConfig()).allows(address)


def test_public_and_declared_addresses_are_allowed() -> None:
    """What is public is allowed, and of the rest what a declared network holds."""
    assert Destinations(CallbackConfig()).allows("93.184.215.14")
    assert Destinations(CallbackConfig()).allows("2606:2800:21f:cb07:6820:80da:af6b:8b2c")
    declared = Destinations(CallbackConfig(networks=("10.0.0.0/8", "::1")))
    assert [declared.allows(each) for each in ("10.1.2.3", "::ffff:10.1.2.3", "::1", "192.168.0.1")] == [
        *(True, True, True),
        False,
    ]


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of Standard Webhooks' own libraries: the same secret, id, time and body, the same signature."""
    body = b'{"test": 2432232314}'
    headers = signed_headers(parse_secrets(SECRET, "X"), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    content = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + body
    signed = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{signed}"


def test_secrets_change_without_a_gap() -> None:
    """Of two secrets both sign, and either verifies; an old message and a missing header do not."""
    headers = signed_headers(parse_secrets(f"{SECRET} {OTHER}", "X"), "m", 1000, b"body")
    for each in (SECRET, OTHER):
        verify(each, headers, b"body", 1299.0)
    for at in (1301.0, 699.0):
        with pytest.raises(UserError, match="webhook-timestamp"):
            verify(SECRET, headers, b"body", at)
    with pytest.raises(UserError, match="is missing"):
        verify(SECRET, {**headers, "webhook-id": ""}, b"body", 1000.0)
    third = "whsec_" + base64.b64encode(bytes(32)).decode()
    with pytest.raises(UserError, match="no signature"):
        verify(third, headers, b"body", 1000.0)


@pytest.mark.parametrize("text", ["", "short", "whsec_", "whsec_AAAA", "whsec_@@@@", SECRET.removeprefix("whsec_")])
def test_a_secret_of_another_form_is_refused(text: str) -> None:
    """The sentence names the variable and the form, and never the secret."""
    with pytest.raises(UserError, match="whsec_ and the base64") as caught:
        parse_secrets(text, "THE_VARIABLE")
    assert "THE_VARIABLE" in str(caught.value)
    assert not text or text == "whsec_" or text not in str(caught.value)


def test_callbacks_without_a_secret_do_not_start(
    make_app: Callable[..., Starlette], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that may call somebody needs a secret, and says where."""
    monkeypatch.delenv("ORITA_CALLBACK_SECRET", raising=False)
    with pytest.raises(UserError, match="'ORITA_CALLBACK_SECRET'"):
        make_app(jobs={"callbacks": {"hosts": ["hooks.example.org"]}})


@pytest.mark.parametrize(
    "callbacks",
    [
        *(
            {"hosts": [wrong]}
            for wrong in ("", "https://x.org", "x.org/", "a@b", "x.org:0", "x.org:x", "*.x.org", "::1")
        ),
        *({"networks": [wrong]} for wrong in ("", "10.0.0.0/33", "10.0.0.1/8", "private")),
        {"hosts": ["x.org"], "timeout_seconds": 30},
    ],
)
def test_a_configuration_that_cannot_be_is_refused(callbacks: dict[str, object]) -> None:
    """Hosts, networks and timeouts that cannot be meant are refused when they are read."""
    with pytest.raises(ValidationError):
        JobsConfig.model_validate({"callbacks": callbacks})


def test_loopback_is_a_name_for_this_machine() -> None:
    """What the tests of addresses rely on: localhost is not public here."""
    found = {str(each[4][0]) for each in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    assert found <= {"127.0.0.1", "::1"}
