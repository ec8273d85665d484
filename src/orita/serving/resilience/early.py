"""Refusing before reading: the whole answer to a request that there is no room for, from the bytes that came.

Under too much load most of what a server does is to refuse, so what a refusal costs decides how much is left for
answers: at twice the load a share ρ of the cost of an answer leaves (1 − 2ρ) ÷ (1 − ρ) of the goodput. Parsing a
request of a hundred items, deciding, and encoding an error costs more than a third of an answer; this costs an eighth,
most of it in the two system calls. It takes only what is plainly one whole request to its route; everything else goes
the long way, which decides the same.

    early = EarlyRefusal(turnstile.admission, clock, b"/predict", trusting=config.priority.trust_callers)
    def data_received(self, data):
        if self.is_between_requests and (answer := early(data)) is not None:
            self.transport.write(answer)
            return
        super().data_received(data)
"""

from __future__ import annotations

import re
import secrets

from orita.core.clock import Clock
from orita.serving.http.decoding import check_request_id
from orita.serving.http.refusal import Refused, encode_error
from orita.serving.resilience.admission import Admission, overloaded
from orita.serving.resilience.contracts import Priority

__all__ = ["EarlyRefusal"]

_LONG_WAY = re.compile(rb"\r\n(?:transfer-encoding|expect|connection|upgrade):")
_LENGTH, _ID, _PRIORITY = b"\r\ncontent-length:", b"\r\nx-request-id:", b"\r\nx-request-priority:"
_MOST_DIGITS = 9  # of a length that is plain: a longer one goes the long way
_ID_BITS = (1 << 62) - 1


class EarlyRefusal:
    """Refuses requests to one route.

    Args:
        admission: whether there is room.
        clock: the time.
        path: of the route; its method is POST.
        priority: of the route.
        trusting: whether callers may raise their priority: who names one then goes the long way.
    """

    def __init__(
        self,
        admission: Admission,
        clock: Clock,
        path: bytes,
        *,
        priority: Priority = Priority.NORMAL,
        trusting: bool = False,
    ) -> None:
        self._admission, self._clock = admission, clock
        self._start = b"POST " + path + b" HTTP/1.1\r\n"
        self._priority, self._trusting = priority, trusting
        self._counter = secrets.randbits(62)
        self._before, self._after = _body_around_id()

    def __call__(self, data: bytes) -> bytes | None:
        """Return the answer to *data*, which came on a connection that waits for a request; None: go the long way."""
        if self._admission.inside < self._admission.limit or not data.startswith(self._start):
            return None
        end = data.find(b"\r\n\r\n")
        head = data[:end].lower()
        length = _value(data, head, _LENGTH)
        if end < 0 or not length.isdigit() or len(length) > _MOST_DIGITS:
            return None
        if len(data) != end + 4 + int(length) or _LONG_WAY.search(head):
            return None
        if head.count(_LENGTH) > 1 or head.count(_ID) > 1 or (self._trusting and _PRIORITY in head):
            return None
        request_id = self._request_id(_value(data, head, _ID))
        if request_id is None:
            return None
        seconds = self._admission.turn_away(self._priority, self._clock.monotonic())
        return None if seconds is None else self._answer(request_id, seconds)

    def _answer(self, request_id: bytes, seconds: int) -> bytes:
        return (
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"x-request-id: %b\r\nretry-after: %d\r\n\r\n%b%b%b"
        ) % (
            len(self._before) + len(request_id) + len(self._after),
            request_id,
            seconds,
            self._before,
            request_id,
            self._after,
        )

    def _request_id(self, given: bytes) -> bytes | None:
        """Return the caller's id where it is one, a new UUID version 7 where there is none, None where it is wrong."""
        if given:
            try:
                return check_request_id(given).encode()
            except Refused:
                return None
        self._counter += 1  # random at the start, then counted (RFC 9562, 6.2): drawing bits costs more than the rest
        millis = int(self._clock.now().timestamp() * 1000)
        digits = b"%012x7%03x%016x" % (millis, self._counter >> 62 & 0xFFF, 1 << 63 | self._counter & _ID_BITS)
        return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _value(data: bytes, head: bytes, name: bytes) -> bytes:
    """Return the value of a header, empty where it is not there; *head* is in small letters, *data* as it came."""
    at = head.find(name)
    if at < 0:
        return b""
    begin = at + len(name)
    stop = head.find(b"\r\n", begin)
    return data[begin : stop if stop >= 0 else len(head)].strip(b" \t")


def _body_around_id() -> tuple[bytes, bytes]:
    """Return what is before and after the request's id in the body of the refusal."""
    refused = overloaded(0)
    before, _, after = encode_error(refused.code, refused.message, "@").partition(b"@")
    return before, after
