"""What failed as nobody expected: the log gets the trace, the caller a refusal without the reason."""

from __future__ import annotations

import traceback

import structlog

from orita.serving.http.refusal import Refused, internal_error

__all__ = ["failure", "log_failure"]

_log = structlog.stdlib.get_logger("orita.serving")


def failure(event: str, error: BaseException, **said: object) -> Refused:
    """Log *error* as `log_failure` does; return what its caller is told, with status 500: not the reason."""
    log_failure(event, error, **said)
    return internal_error()


def log_failure(event: str, error: BaseException, **said: object) -> None:
    """Log the alert *event* with the trace of *error* and what is *said* of it."""
    _log.error(event, alert=True, **said, error=repr(error), trace="".join(traceback.format_exception(error)))
