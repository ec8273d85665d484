"""The cursor of a feed: what is still to be shown, signed, so that no server has to remember it.

The first page fixes the order of the whole feed. What is left of it travels in the cursor: pages of one feed neither
repeat nor lose an item, whatever scores do meanwhile, and any server with the same key can give the next one. A cursor
is bound to its user and its system, and ends; the same cursor gives the same items again, so a page can be asked twice.

    base64url(payload + HMAC-SHA256(key, context + payload)[:16]), payload = MessagePack [version, expiry, rank, ids]
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

import msgspec

from orita.core.clock import Clock
from orita.serving.http.refusal import Refused

__all__ = ["Cursors", "Remaining"]

_FORMAT = 1
_TAG_BYTES = 16
_AGAIN = "ask without a cursor for a new feed."


class Remaining(msgspec.Struct, array_like=True, frozen=True):
    """What a cursor carries.

    Attributes:
        format: of this list.
        expires: seconds since the Unix epoch.
        rank: of the first item, from 1 in the whole feed.
        item_ids: what is still to be shown, in order.
    """

    format: int
    expires: int
    rank: int
    item_ids: list[int | str]


class Cursors:
    """Makes cursors and reads them.

    Args:
        key: signs them.
        scope: whose they are, such as tenant and system; others' cursors are refused.
        clock: the time.
        seconds: how long one can be used.
        max_bytes: its longest form; a feed that needs more is cut.
    """

    def __init__(self, key: bytes, scope: str, clock: Clock, *, seconds: float, max_bytes: int) -> None:
        self._key, self._scope, self._clock = key, scope, clock
        self._seconds, self._max_bytes = seconds, max_bytes
        self._encode = msgspec.msgpack.encode
        self._decode = msgspec.msgpack.Decoder(Remaining).decode

    def make(self, user_id: int | str, rank: int, item_ids: Sequence[int | str]) -> str | None:
        """Return the cursor for what is left of a user's feed, None where nothing is.

        Args:
            user_id: whose feed.
            rank: of the first of *item_ids*.
            item_ids: what is to be shown, in order; so many of them as a cursor may hold.
        """
        left, expires = list(item_ids), int(self._clock.now().timestamp() + self._seconds)
        while left:
            payload = self._encode(Remaining(_FORMAT, expires, rank, left))
            cursor = base64.urlsafe_b64encode(payload + self._tag(user_id, payload)).decode("ascii")
            if len(cursor) <= self._max_bytes:
                return cursor
            left = left[: min(len(left) - 1, len(left) * self._max_bytes // len(cursor))]
        return None

    def open(self, user_id: int | str, cursor: str) -> Remaining:
        """Return what *cursor* carries.

        Raises:
            Refused: 422, it was not made for this user here, or was changed; 410, it is over.
        """
        if len(cursor) > self._max_bytes:
            raise Refused(422, "invalid_cursor", f"cursor has {len(cursor)} characters, none is so long: {_AGAIN}")
        try:
            raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raw = b""
        payload, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(user_id, payload)):
            message = f"cursor is none of this user's feeds here, or was changed: {_AGAIN}"
            raise Refused(422, "invalid_cursor", message)
        remaining = self._decode(payload)  # signed here, so it is what it should be
        if remaining.expires < self._clock.now().timestamp():
            message = f"cursor is over: it could be used for {self._seconds:g} seconds; {_AGAIN}"
            raise Refused(410, "expired_cursor", message)
        return remaining

    def _tag(self, user_id: int | str, payload: bytes) -> bytes:
        # 12 and "12" are one user. Lengths first, so that no two contexts are written alike.
        context = msgspec.msgpack.encode([_FORMAT, self._scope, str(user_id)])
        return hmac.new(self._key, context + payload, hashlib.sha256).digest()[:_TAG_BYTES]
