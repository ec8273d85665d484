"""Signed messages: whoever has the secret believes what was signed, and nothing else, whatever the headers hold."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.core.errors import UserError
from orita.core.webhooks import BadSignature, parse_secrets, signed_headers, verify

AT = 1_731_666_602
SECRETS = st.binary(min_size=24, max_size=64).map(lambda key: f"whsec_{base64.b64encode(key).decode()}")
TEXTS = st.text(st.characters(), max_size=80) | st.sampled_from(["", str(AT), "v1,", "v1,AAAA", "²", "9" * 5000])


@given(secrets=st.lists(SECRETS, min_size=1, max_size=3), body=st.binary(max_size=200), message=st.uuids().map(str))
def test_what_was_signed_is_believed(secrets: list[str], body: bytes, message: str) -> None:
    """By each of the secrets, and with header names in any case."""
    headers = signed_headers(parse_secrets(" ".join(secrets), "X"), message, AT, body)
    for secret in secrets:
        verify(secret, {name.upper(): value for name, value in headers.items()}, body, AT)


@given(secret=SECRETS, body=st.binary(max_size=200), place=st.integers(0), bit=st.integers(0, 7))
def test_a_bit_that_was_changed_is_noticed(secret: str, body: bytes, place: int, bit: int) -> None:
    """Anywhere in the body, or a byte that was added."""
    headers = signed_headers(parse_secrets(secret, "X"), "m", AT, body)
    changed = bytearray(body + b"\0")
    changed[place % len(changed)] ^= 1 << bit
    with pytest.raises(BadSignature, match="no signature"):
        verify(secret, headers, bytes(changed), AT)


@given(message=TEXTS, at=TEXTS, signatures=TEXTS)
def test_headers_may_hold_anything(message: str, at: str, signatures: str) -> None:
    """What nobody signed is a `BadSignature` and never another failure."""
    headers = {"webhook-id": message, "webhook-timestamp": at, "webhook-signature": signatures}
    with pytest.raises(BadSignature, match="refuse the call"):
        verify("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", headers, b"{}", AT)


@pytest.mark.parametrize("away", [-300, 300])
def test_the_tolerance_is_of_both_sides(away: int) -> None:
    """Clocks go before and after each other; a second more is refused."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signed_headers(parse_secrets(secret, "X"), "m", AT, b"{}")
    verify(secret, headers, b"{}", AT + away)
    with pytest.raises(BadSignature, match="within 300 s of now"):
        verify(secret, headers, b"{}", AT + away * 1.01)


@pytest.mark.parametrize("secret", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_ü", "whsec_AAAA"])
def test_a_secret_of_a_wrong_form(secret: str) -> None:
    """It is not the message that is refused."""
    with pytest.raises(UserError, match="wrong form") as caught:
        verify(secret, {}, b"{}", AT)
    assert not isinstance(caught.value, BadSignature)
