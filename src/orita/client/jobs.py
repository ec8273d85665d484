"""Jobs: predictions that are answered later. What is sent and told of them, and the calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Unpack
from urllib.parse import quote

import msgspec

from orita.client.answers import Ranking
from orita.client.asking import CallOptions
from orita.client.course import Asks, asked
from orita.client.errors import JobFailed, Refused, TimedOut, Unreachable, Untrusted
from orita.client.exchange import Call, Course, Pause
from orita.client.json_form import read_data, written
from orita.core.errors import UserError
from orita.core.ids import uuid7

__all__ = ["JobCalls", "JobError", "JobResult", "PredictRequest", "PredictionJob"]

_PREFIX = "/api/v1/jobs"
_TAKEN = 202
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_MOST_KEY = 255
_PASSING = frozenset({429, 503})


class PredictRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request of a job, or of a batch.

    Attributes:
        user_id: a non-negative integer or a text.
        item_ids: likewise, each once; arrays of numbers too.
        context: ``device``, and ``timestamp``; by default the time when it is answered.
        objective: what one unit of each head of the model is worth; by default as the model declares.
    """

    user_id: int | str
    item_ids: Sequence[int | str]
    context: Mapping[str, Any] | None = None
    objective: Mapping[str, float] | None = None


class JobError(msgspec.Struct, frozen=True):
    """Why a job failed: a stable code, and a sentence."""

    code: str
    message: str


class JobResult(msgspec.Struct, frozen=True):
    """The answer to one request of a job.

    Attributes:
        request_id: its id in the prediction log, to join feedback to it.
        answer: what `Client.predict` would have returned.
    """

    request_id: str
    answer: Ranking

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self.answer, "request_id", self.request_id)


class PredictionJob(msgspec.Struct, frozen=True):
    """A job as it is.

    Attributes:
        job: its id.
        state: ``queued``, ``running``, ``succeeded``, ``failed`` or ``cancelled``.
        url: its path on the server.
        requests: how many it has.
        attempts: how often it was begun.
        submitted_at: when it was taken in.
        ended_at: when it ended, None before.
        results: one for each request, in their order; None unless it has succeeded.
        error: why it failed; None unless it has.
        callback: whether the ``callback_url`` was told: ``pending``, ``delivered`` or ``failed``; None: the job has not
            ended, or nobody is to be told.
    """

    job: str
    state: str
    url: str
    requests: int
    attempts: int
    submitted_at: datetime
    ended_at: datetime | None = None
    results: tuple[JobResult, ...] | None = None
    error: JobError | None = None
    callback: Literal["pending", "delivered", "failed"] | None = None

    @property
    def ended(self) -> bool:
        """Whether it has succeeded, failed or been cancelled."""
        return self.ended_at is not None


_job = read_data(PredictionJob)


class JobCalls(Asks):
    """What can be asked of jobs; each takes the id of a job, or the job."""

    @asked
    def submit(
        self,
        requests: Sequence[PredictRequest],
        *,
        callback_url: str | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Course[PredictionJob]:
        """Hand in *requests*, to be answered soon; the job that is returned is durable.

        Args:
            requests: one or more.
            callback_url: who is posted the end; its host must be one that the server may call. See `verify_callback`.
            idempotency_key: 1 to 255 printable ASCII characters without blanks: a job that is sent again with the same
                key and requests is the same job. Made if not given, so that a retry makes no second job; give your own
                where your program itself may send the job again.
            options: see `CallOptions`.

        Raises:
            Refused: a request cannot be answered, or has too many others beside it; ``idempotency_key_reused``: the
                key is that of other requests; ``queue_full``.
        """
        key = uuid7(self._asker.clock) if idempotency_key is None else _checked_key(idempotency_key)
        body = written(requests=requests, callback_url=callback_url)
        headers = ((b"idempotency-key", key.encode()),)
        call = Call(b"POST", _PREFIX, _job, body, frozenset({_TAKEN}), headers)
        return self._start(call, options)

    @asked
    def get(self, job: str | PredictionJob, **options: Unpack[CallOptions]) -> Course[PredictionJob]:
        """Return a job as it is now; one that is not known, or not any more, is refused with ``job_not_found``."""
        return self._start(Call(b"GET", _path(job), _job), options)

    @asked
    def cancel(self, job: str | PredictionJob, **options: Unpack[CallOptions]) -> Course[PredictionJob]:
        """Cancel a job that waits; one that has begun is refused with ``job_begun``."""
        return self._start(Call(b"DELETE", _path(job), _job), options)

    @asked
    def wait(self, job: str | PredictionJob, **options: Unpack[CallOptions]) -> Course[PredictionJob]:
        """Return a job once it has ended, however it did.

        It is asked for after pauses that grow from 0.05 to 2 seconds, and are never shorter than ``Retry-After`` asks.
        A server that is away meanwhile, or has too much to do, is asked again: the job is durable.

        Raises:
            TimedOut: it has not ended within ``timeout``, by default the client's; it goes on.
        """
        return self._ended(job, options)

    @asked
    def result(self, job: str | PredictionJob, **options: Unpack[CallOptions]) -> Course[tuple[Ranking, ...]]:
        """Return the answers to a job's requests, in their order, once it has succeeded; it waits as `wait` does.

        Raises:
            JobFailed: it failed, or was cancelled.
            TimedOut: as of `wait`.
        """
        ended = yield from self._ended(job, options)
        if ended.results is None:
            error = ended.error or JobError(ended.state, "nobody will answer it.")
            raise JobFailed(ended.job, error.code, error.message)
        return tuple(result.answer for result in ended.results)

    def _ended(self, job: str | PredictionJob, options: CallOptions) -> Course[PredictionJob]:
        clock, call = self._asker.clock, Call(b"GET", _path(job), _job)
        seconds = options.get("timeout", self._asker.timeout)
        ends_at = clock.monotonic() + seconds
        pause, left, state = _FIRST_PAUSE, seconds, "not known"
        while True:
            at_least, trouble = 0.0, None
            try:
                found = yield from self._start(call, {**options, "timeout": left})
                if found.ended:
                    return found
                state = found.state
            except (Refused, Unreachable) as error:
                if not _passes(error):
                    raise
                at_least, trouble = _asked_pause(error), error
            left = ends_at - clock.monotonic()
            if left <= max(at_least, 2 * _FIRST_PAUSE):  # nothing could be asked after the pause
                said = f"job {_id(job)} of {self._asker.address} has not ended within {seconds:g} s: it is {state}."
                raise TimedOut(said, options.get("request_id", "")) from trouble
            yield Pause(max(at_least, min(pause, left - _FIRST_PAUSE)))
            left = max(ends_at - clock.monotonic(), _FIRST_PAUSE / 2)
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def _passes(error: Refused | Unreachable) -> bool:
    """Tell whether what is in the way of an answer may pass by itself."""
    if isinstance(error, Refused):
        return error.status in _PASSING
    return not isinstance(error, Untrusted)


def _asked_pause(error: Refused | Unreachable) -> float:
    """Return the seconds that the server asks to wait."""
    return (error.retry_after or 0.0) if isinstance(error, Refused) else 0.0


def _id(job: str | PredictionJob) -> str:
    return job.job if isinstance(job, PredictionJob) else job


def _path(job: str | PredictionJob) -> str:
    return f"{_PREFIX}/{quote(_id(job), safe='')}"


def _checked_key(key: str) -> str:
    if not (key.isascii() and key.isprintable() and " " not in key and 0 < len(key) <= _MOST_KEY):
        shown = key[:128]
        allowed = f"1 to {_MOST_KEY} printable ASCII characters without blanks"
        raise UserError(f"idempotency_key has the value {shown!r}, allowed are {allowed}.")
    return key
