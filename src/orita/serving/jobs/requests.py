"""What a caller may ask of jobs, and what is answered: each request of a job is a body of ``POST /predict``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Generic, Literal, TypeVar

import msgspec

from orita.core.clock import from_micros
from orita.serving.http.decoding import BodyDecoder
from orita.serving.http.refusal import Refused
from orita.serving.jobs.config import JobsConfig
from orita.serving.jobs.queue import Job, JobError, NewJob, State
from orita.serving.predict.predictor import PredictAnswer
from orita.serving.predict.requests import Asked

__all__ = ["PREFIX", "JobAnswer", "JobRequests", "JobResult", "job_answer", "numbered", "split_requests"]

PREFIX = "/api/v1/jobs"

R = TypeVar("R")

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_error = msgspec.json.Decoder(JobError).decode


class _Whole(msgspec.Struct, frozen=True):
    """A body, as far as it is of the job: what else it has is of its one request."""

    requests: list[msgspec.Raw] | None = None
    callback_url: str | None = None


class JobResult(msgspec.Struct, frozen=True):
    """The answer to one request of a job.

    Attributes:
        request_id: its id in the prediction log, to join feedback to it.
        answer: what ``POST /predict`` would have answered.
    """

    request_id: str
    answer: PredictAnswer


class JobAnswer(msgspec.Struct, Generic[R], frozen=True):
    """A job as it is.

    Attributes:
        job: its id.
        state: ``queued``, ``running``, ``succeeded``, ``failed`` or ``cancelled``.
        url: where to ask for it.
        requests: how many it has.
        attempts: how often it was begun.
        submitted_at: when it was taken in.
        ended_at: when it ended; null before.
        results: of a job that succeeded, one for each request, in their order.
        error: of a job that failed.
        callback: whether the ``callback_url`` was told: ``pending``, ``delivered`` or ``failed``; null: the job has not
            ended, or nobody is to be told.
    """

    job: str
    state: State
    url: str
    requests: int
    attempts: int
    submitted_at: datetime
    ended_at: datetime | None
    results: R | None
    error: JobError | None
    callback: Literal["pending", "delivered", "failed"] | None


class JobRequests:
    """Decodes bodies into jobs, and refuses what is too much or what no prediction could be of.

    Args:
        config: what is allowed.
        check: decodes one request, or refuses it, as ``POST /predict`` does.
        check_url: refuses a callback URL.
    """

    def __init__(self, config: JobsConfig, check: Callable[[bytes], Asked], check_url: Callable[[str], object]) -> None:
        self._most = config.max_requests
        self._check = check
        self._check_url = check_url
        self._whole = BodyDecoder(_Whole, "user_id and item_ids, or requests")

    def job(self, body: bytes | bytearray, job: str, key: str | None, trace: str = "") -> NewJob:
        """Return the job that *body* asks for.

        Args:
            body: of the request.
            job: the id to give it.
            key: the header ``Idempotency-Key``, None where it is absent.
            trace: as of `NewJob`.

        Raises:
            Refused: it is not JSON, or a field is missing, unknown or has a wrong value.
        """
        if key is not None and not _KEY.fullmatch(key):
            shown = key[:128].encode("ascii", "backslashreplace").decode()
            allowed = "1 to 255 printable ASCII characters without blanks"
            raise Refused(422, "invalid_value", f"the header Idempotency-Key is {shown!r}, allowed are {allowed}.")
        whole = self._whole(body)
        if whole.callback_url is not None:
            self._check_url(whole.callback_url)
        requests = [bytes(raw) for raw in self._requests(body, whole.requests)]
        for number, request in enumerate(requests):
            try:
                self._check(request)
            except Refused as refused:
                raise refused if whole.requests is None else numbered(refused, number) from None
        joined = b"[" + b",".join(requests) + b"]"
        digest = hashlib.sha256(body).digest()
        return NewJob(job, joined, len(requests), digest, key, whole.callback_url, trace)

    def _requests(self, body: bytes | bytearray, several: list[msgspec.Raw] | None) -> list[msgspec.Raw]:
        fields = _fields(body)
        fields.pop("callback_url", None)
        if several is None:
            if "requests" in fields:
                message = "requests is null: leave it out and give the fields of one request, or give at least one."
                raise Refused(422, "invalid_value", message)
            return [msgspec.Raw(msgspec.json.encode(fields))]
        del fields["requests"]
        if fields:
            beside = next(iter(fields))
            message = f"the field {beside!r} stands beside requests: give the fields of one request, or requests."
            raise Refused(422, "invalid_value", message)
        if not several:
            raise Refused(422, "invalid_value", "requests is empty: give at least one.")
        if len(several) > self._most:
            message = f"requests has {len(several)} requests, allowed are {self._most}: send several jobs."
            raise Refused(422, "job_too_long", message)
        return several


def split_requests(requests: bytes) -> list[bytes]:
    """Return the single bodies in the array *requests*."""
    return [bytes(raw) for raw in _split(requests)]


def numbered(refused: Refused, number: int) -> Refused:
    """Return *refused*, saying of which request of the job it is."""
    message = f"requests[{number}]: {refused.message}"
    return Refused(refused.status, refused.code, message, retry_after=refused.retry_after)


def job_answer(job: Job) -> JobAnswer[msgspec.Raw]:
    """Return *job* for its caller; its results stay the bytes that they are."""
    return JobAnswer(
        job=job.id,
        state=job.state,
        url=f"{PREFIX}/{job.id}",
        requests=job.count,
        attempts=job.attempts,
        submitted_at=from_micros(job.submitted_micros),
        ended_at=None if job.ended_micros is None else from_micros(job.ended_micros),
        results=msgspec.Raw(job.content) if job.state == "succeeded" else None,
        error=_error(job.content) if job.state == "failed" else None,
        callback=job.callback,
    )
