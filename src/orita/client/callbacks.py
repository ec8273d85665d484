"""Callbacks of jobs, on the side of who is called: whether one is to be believed, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from orita.client.errors import BadAnswer
from orita.client.jobs import PredictionJob
from orita.core.clock import Clock, SystemClock
from orita.core.webhooks import verify

__all__ = ["JobEnded", "verify_callback"]


class JobEnded(msgspec.Struct, frozen=True):
    """What a callback tells.

    Attributes:
        type: ``job.succeeded`` or ``job.failed``.
        timestamp: when the job ended.
        data: the job.
    """

    type: str
    timestamp: datetime
    data: PredictionJob


def verify_callback(
    secret: str, headers: Mapping[str, str], body: bytes, *, tolerance: float = 300.0, clock: Clock | None = None
) -> JobEnded:
    """Return what a server of Orita posted to a ``callback_url``; it may come more than once, so go by ``data.job``.

    Signatures are compared in constant time.

    Args:
        secret: the server's, ``whsec_`` and the base64 of 24 to 64 bytes.
        headers: of the request, their names in any case.
        body: of the request, every byte as it came.
        tolerance: seconds between the time that was signed and now; an older call may be one that somebody recorded.
        clock: the time; by default the system's.

    Raises:
        BadSignature: a header is missing, no signature fits the body, or the time is another: answer with 401.
        BadAnswer: it is signed, and is not the end of a job.
        UserError: the secret has a wrong form.
    """
    verify(secret, headers, body, (clock or SystemClock()).now().timestamp(), tolerance=tolerance)
    try:
        return msgspec.json.decode(body, type=JobEnded)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadAnswer(f"the callback is signed, and is not the end of a job: {error}.") from None
