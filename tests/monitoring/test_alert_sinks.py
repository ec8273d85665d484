"""Sinks against real servers on this machine: what arrives, what is tried again, and what never leaks."""

from __future__ import annotations

import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import stamina
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.monitoring.mailbox import Mailbox, running_mailbox, smtp_of

from orita.core.errors import OritaError, UserError
from orita.monitoring.config import AlertingConfig
from orita.monitoring.sinks import EmailSink, LogSink, Notice, SlackSink, WebhookSink, configured_sinks

_SINCE = datetime(2024, 11, 13, 4, tzinfo=UTC)
_ALERT = {
    "name": "FEATURE_DRIFT",
    "subject": "feed/item_ctr",
    "severity": "warning",
    "summary": "item_ctr <changed> & moved – now.",
    "value": 0.2,
    "threshold": 0.05,
    "evidence": "report.html",
    "runbook": "docs/runbook.md#feature-drift",
    "at": _SINCE.isoformat(),
}
_FIRING, _OVER = Notice("firing", _ALERT, _SINCE), Notice("recovered", _ALERT, _SINCE)


class _Web:
    """A web server that answers with the codes it is given, then with 200."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.answers: list[int] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                web.received.append(json.loads(body))
                self.send_response(web.answers.pop(0) if web.answers else 200)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(b"said the server")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret-token"


@pytest.fixture
def web() -> Iterator[_Web]:
    """A running web server."""
    web = _Web()
    thread = threading.Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield web
    web.server.shutdown()
    thread.join()
    web.server.server_close()


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    """Tries again without waiting, as often as configured."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


def test_a_webhook_gets_the_alerts(web: _Web) -> None:
    """One POST carries all notices with their state and all fields."""
    WebhookSink(web.url).send([_FIRING, _OVER])
    (content,) = web.received
    assert content["summary"].startswith("Orita: 1 firing and 1 recovered: FEATURE_DRIFT feed/item_ctr")
    assert [alert["status"] for alert in content["alerts"]] == ["firing", "recovered"]
    assert content["alerts"][0]["summary"] == _ALERT["summary"]


def test_slack_gets_a_message_it_accepts(web: _Web) -> None:
    """Text and blocks are there, the three special characters are escaped, and 200 notices stay under 50 blocks."""
    SlackSink(web.url).send([_FIRING])
    SlackSink(web.url).send([_FIRING] * 200)
    first, many = web.received
    assert "item_ctr &lt;changed&gt; &amp; moved" in first["blocks"][1]["text"]["text"]
    assert len(many["blocks"]) <= 50
    assert "155 more" in many["blocks"][-1]["text"]["text"]


def test_trouble_of_the_moment_is_tried_again(web: _Web) -> None:
    """Two failures that may pass are followed by the message."""
    web.answers = [503, 429]
    WebhookSink(web.url).send([_FIRING])
    assert len(web.received) == 3


@pytest.mark.parametrize("code", [400, 404, 302])
def test_a_refusal_is_final(web: _Web, code: int) -> None:
    """A refusal or a redirection is not tried again, and the error says what was answered and hides the URL."""
    web.answers = [code]
    with pytest.raises(OritaError, match=f"127.0.0.1 answered {code}") as caught:
        WebhookSink(web.url).send([_FIRING])
    assert len(web.received) == 1
    assert "secret-token" not in str(caught.value)


def test_a_server_that_never_recovers_is_given_up(web: _Web) -> None:
    """After the attempts the last answer is the error, and no log line holds the URL."""
    web.answers = [500] * 9
    with structlog.testing.capture_logs() as lines, pytest.raises(OSError, match="answered 500"):
        WebhookSink(web.url, attempts=3).send([_FIRING])
    assert len(web.received) == 3
    assert "secret-token" not in json.dumps(lines, default=str)


def test_an_unreachable_server_is_an_error() -> None:
    """A closed port is an error that names the host."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as closed:
        port = closed.server_address[1]
    with pytest.raises(OSError, match=r"127\.0\.0\.1 cannot be reached"):
        WebhookSink(f"http://127.0.0.1:{port}/", attempts=1).send([_FIRING])


def test_only_the_web_is_posted_to() -> None:
    """A file is no webhook."""
    with pytest.raises(UserError, match="https://"):
        WebhookSink("file:///etc/passwd").send([_FIRING])


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A running mail server."""
    with running_mailbox() as box:
        yield box


def test_mail_arrives_whole(mailbox: Mailbox) -> None:
    """One mail goes to all recipients, with what fires, the evidence and the runbook, dashes and all."""
    EmailSink(("a@example.org", "b@example.org"), smtp_of(mailbox)).send([_FIRING, _OVER])
    (raw,) = mailbox.mails
    mail = message_from_bytes(raw, policy=policy.default)
    # Folding a long header may add white space, which readers of mail take away.
    assert mail["Subject"].strip() == "Orita: 1 firing and 1 recovered: FEATURE_DRIFT feed/item_ctr and 1 more"
    assert mail["To"] == "a@example.org, b@example.org"
    text = mail.get_body().get_content()  # type: ignore[union-attr]
    for part in (_ALERT["summary"], "RECOVERED", "report.html", "docs/runbook.md#feature-drift"):
        assert str(part) in text
    assert len(mailbox.recipients) == 2


def test_a_subject_cannot_write_headers(mailbox: Mailbox) -> None:
    """A line break in a name stays inside the subject."""
    notice = Notice("firing", _ALERT | {"subject": "feed\r\nBcc: thief@example.org"}, _SINCE)
    EmailSink(("a@example.org",), smtp_of(mailbox)).send([notice])
    assert message_from_bytes(mailbox.mails[0])["Bcc"] is None
    assert len(mailbox.recipients) == 1


def test_a_refusing_mail_server_is_an_error(mailbox: Mailbox) -> None:
    """A refused recipient is an error that dispatch can report."""
    mailbox.refused = True
    with pytest.raises(OSError, match="no such user"):
        EmailSink(("a@example.org",), smtp_of(mailbox)).send([_FIRING])


def test_a_missing_password_is_named(mailbox: Mailbox) -> None:
    """A user name without a password names the variable to set."""
    with pytest.raises(UserError, match="ORITA_SMTP_PASSWORD is not"):
        EmailSink(("a@example.org",), smtp_of(mailbox, username="me"), environment={}).send([_FIRING])


@pytest.fixture
def trusted(mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the mail server speak TLS, with a certificate that this process trusts."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = made.add_extension(addresses, critical=False).sign(key, SHA256())
    chain, secret = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(signed.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    mailbox.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mailbox.context.load_cert_chain(chain, secret)
    monkeypatch.setenv("SSL_CERT_FILE", str(chain))


@pytest.mark.usefixtures("trusted")
def test_mail_is_secured_before_anybody_signs_in(mailbox: Mailbox) -> None:
    """STARTTLS, then the password, then the mail; its Message-ID is the message's key."""
    smtp = smtp_of(mailbox, security="starttls", username="me")
    EmailSink(("a@example.org",), smtp, {"ORITA_SMTP_PASSWORD": "pass word"}).send([_FIRING], "k3y")
    verbs = [line.split()[0].upper() for line in mailbox.said]
    assert verbs[:5] == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL"]
    assert message_from_bytes(mailbox.mails[0])["Message-ID"] == "<k3y@example.org>"
    with pytest.raises(OSError, match="535"):
        EmailSink(("a@example.org",), smtp, {"ORITA_SMTP_PASSWORD": "wrong"}).send([_FIRING])


def test_a_certificate_that_is_not_trusted_ends_it(
    mailbox: Mailbox, trusted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No password and no mail go to a server that cannot prove who it is."""
    monkeypatch.delenv("SSL_CERT_FILE")
    smtp = smtp_of(mailbox, security="starttls", username="me")
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        EmailSink(("a@example.org",), smtp, {"ORITA_SMTP_PASSWORD": "pass word"}).send([_FIRING])
    assert mailbox.mails == [] and not any(line.startswith("AUTH") for line in mailbox.said)


def test_log_lines_carry_the_alert() -> None:
    """A firing alert is a warning, a recovery is information, and both carry the fields."""
    with structlog.testing.capture_logs() as lines:
        LogSink().send([_FIRING, _OVER])
    assert [(line["log_level"], line["event"]) for line in lines] == [("warning", "firing"), ("info", "recovered")]
    assert lines[0]["runbook"] == _ALERT["runbook"]


def test_the_configuration_chooses_the_sinks() -> None:
    """The log is always there; an address adds its sink."""
    assert list(configured_sinks(AlertingConfig())) == ["log"]
    every = AlertingConfig(email="a@example.org", slack_webhook="https://s.example/x", webhook="https://w.example/x")
    assert list(configured_sinks(every)) == ["log", "email", "slack", "webhook"]
