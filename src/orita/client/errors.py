"""Why there is no answer."""

from __future__ import annotations

from orita.core.errors import OritaError, Unavailable

__all__ = ["BadAnswer", "ExpiredCursor", "JobFailed", "Refused", "TimedOut", "Unreachable", "Untrusted"]


class Refused(OritaError):
    """The server answered, and the answer is no.

    Attributes:
        status: the HTTP status.
        code: stable, for programs: ``invalid_value``, ``no_model`` …; ``http_error`` where another program answered.
        message: one sentence for people.
        request_id: what the server's log calls the request.
        retry_after: seconds after which to ask again, None where the server said nothing of that.
    """

    def __init__(
        self, status: int, code: str, message: str, request_id: str, *, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message} (request {request_id})")
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.retry_after = retry_after


class ExpiredCursor(Refused):
    """The rest of a feed was kept for a while and is over: ask for a new feed, which may show items again."""


class JobFailed(OritaError):
    """A job ended without results.

    Attributes:
        job: its id.
        code: stable, for programs: that of a refusal, or ``cancelled``.
        message: one sentence for people.
    """

    def __init__(self, job: str, code: str, message: str) -> None:
        super().__init__(f"job {job} ended without results, {code}: {message}")
        self.job = job
        self.code = code
        self.message = message


class Unreachable(Unavailable):
    """There was no answer: no connection, or it broke.

    Attributes:
        request_id: what the server's log calls the request, if it came that far.
    """

    def __init__(self, message: str, request_id: str = "") -> None:
        super().__init__(message)
        self.request_id = request_id


class TimedOut(Unreachable):
    """There was no answer by the deadline."""


class Untrusted(Unreachable):
    """The server's certificate is not one to trust; nothing of the request was sent."""


class BadAnswer(Unavailable):
    """What was answered is not what Orita answers: another program, or another version of it, is at that address."""
