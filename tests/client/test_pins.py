"""Pinned public keys, against real TLS servers with certificates of their own."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from tests.client.wire import answer, wire

from orita.client import Untrusted, pin_of
from orita.client.pins import public_key_info
from orita.core.errors import UserError

HEALTH = '{"status":"ok","model_version":"v1","model_loaded_at":null,"uptime_seconds":1.0,"last_prediction":null}'
Opened = Callable[..., Any]
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def certificate(folder: Path, key: Key, host: str = "127.0.0.1") -> tuple[Path, bytes]:
    """Write a self-signed certificate of *key* and the key; return the file of both, and the key's SPKI."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "orita test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = folder / f"{type(key).__name__}-{host}.pem"
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(built.public_bytes(pem) + secret)
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return file, spki


def served(file: Path) -> ssl.SSLContext:
    """Return the server's side of *file*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1."""
    return certificate(tmp_path_factory.mktemp("own"), ec.generate_private_key(ec.SECP256R1()))[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        ed25519.Ed25519PrivateKey.generate,
    ],
    ids=["ec", "rsa", "ed25519"],
)
def test_a_pin_is_the_digest_of_the_public_key(tmp_path: Path, make: Callable[[], Key]) -> None:
    """Of every kind of key, as ``cryptography`` writes it, and as curl's ``--pinnedpubkey`` takes it."""
    file, spki = certificate(tmp_path, make())
    assert pin_of(file) == f"sha256//{base64.b64encode(hashlib.sha256(spki).digest()).decode()}"


def test_every_prefix_of_a_certificate_is_refused(own: Path) -> None:
    """A certificate that ends anywhere is no certificate; nothing is read beyond its end."""
    der = ssl.PEM_cert_to_DER_cert(own.read_text().partition("-----BEGIN PRIVATE")[0])
    assert public_key_info(der)
    for length in range(len(der)):
        with pytest.raises(ValueError, match="not a certificate"):
            public_key_info(der[:length])


def test_the_right_key_among_several_answers(opened: Opened, own: Path) -> None:
    """One of the pins is enough, so that the next key can be pinned before it is used."""
    pins = ["sha256//" + base64.b64encode(bytes(32)).decode(), pin_of(own)]
    with wire([answer(HEALTH)], served(own)) as server:
        with opened(server.url, authorities=own, pins=pins) as ask:
            assert ask("health").status == "ok"


def test_another_key_is_refused_before_anything_is_sent(opened: Opened, own: Path, tmp_path: Path) -> None:
    """The certificate is trusted, its key is not pinned: no byte of a request leaves, and there is no second try."""
    other, _ = certificate(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    with wire([answer(HEALTH)], served(own)) as server:
        with opened(server.url, authorities=own, pins=[pin_of(other)], retries=5) as ask:
            with pytest.raises(Untrusted, match="which is not pinned") as caught:
                ask("predict", 1, [7])
    assert pin_of(own) in str(caught.value)
    assert (server.requests, server.connections) == ([], 1)


@pytest.mark.parametrize("pinned", [False, True], ids=["no pin", "right pin"])
def test_a_pin_does_not_replace_trust(opened: Opened, own: Path, pinned: bool) -> None:
    """A certificate that no authority signed is refused also where its key is the pinned one."""
    with wire([answer(HEALTH)], served(own)) as server:
        with opened(server.url, pins=[pin_of(own)] if pinned else []) as ask:
            with pytest.raises(Untrusted, match="self-signed"):
                ask("health")
    assert server.requests == []


def test_a_certificate_of_another_host_is_refused(opened: Opened, tmp_path: Path) -> None:
    """The name is checked as ever."""
    other, _ = certificate(tmp_path, ec.generate_private_key(ec.SECP256R1()), "127.0.0.2")
    with wire([answer(HEALTH)], served(other)) as server:
        with opened(server.url, authorities=other, pins=[pin_of(other)]) as ask:
            with pytest.raises(Untrusted, match="IP address mismatch"):
                ask("health")
    assert server.requests == []


def test_a_pin_of_no_certificate(tmp_path: Path) -> None:
    """A file that is missing, or holds something else, is a sentence."""
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(UserError, match="holds no certificate"):
        pin_of(tmp_path / "empty.pem")
    with pytest.raises(UserError, match="cannot be read"):
        pin_of(tmp_path / "missing.pem")
