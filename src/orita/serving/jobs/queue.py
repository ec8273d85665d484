"""What jobs need of a queue: taken in once, lent to one worker at a time, ended once.

A job goes ``queued`` → ``running`` → ``succeeded`` or ``failed``, or ``queued`` → ``cancelled``. One that ended and has
somebody to be told of it is lent again, in the stage ``callback``, until that is settled.

A worker has a *lease*: the job, until when, and a token that rises each time the job is lent. A lease that runs out is
given to whoever asks next; what the old worker then writes carries an old token, and is refused. So a job may be
answered twice, where a worker was lost or slow, but it ends once, with one result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from orita.core.errors import Unavailable, UserError

__all__ = [
    "LOST",
    "Job",
    "JobError",
    "JobQueue",
    "KeyReused",
    "Lease",
    "NewJob",
    "QueueBounds",
    "QueueFull",
    "QueueSize",
]

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Stage = Literal["answer", "callback"]


class QueueFull(Unavailable):
    """As many jobs are open as may be, or their bytes; nothing was taken in."""


class KeyReused(UserError):
    """The idempotency key names a job of another body."""


class JobError(msgspec.Struct, frozen=True):
    """Why a job failed.

    Attributes:
        code: stable, for machines.
        message: one sentence.
    """

    code: str
    message: str


LOST = msgspec.json.encode(
    JobError("worker_lost", "every worker that began this job was lost before its end: send jobs of fewer requests.")
)
"""The error of a job whose workers were all lost."""


class NewJob(msgspec.Struct, frozen=True):
    """A job to be taken in.

    Attributes:
        id: a UUID version 7.
        requests: what is asked, a JSON array.
        count: how many they are.
        digest: of the body; a key may be used again for the same body only.
        key: the caller's idempotency key.
        callback_url: who is told of the end.
        trace: the place of the request that handed it in (`orita.serving.http.trace_context.TraceContext.kept`); empty
            where it was in no trace.
    """

    id: str
    requests: bytes
    count: int
    digest: bytes
    key: str | None = None
    callback_url: str | None = None
    trace: str = ""


class Job(msgspec.Struct, frozen=True):
    """A job as it is.

    Attributes:
        id: its id.
        state: where it is.
        count: of its requests.
        attempts: how often it was begun.
        submitted_micros: when it was taken in, microseconds since the Unix epoch.
        ended_micros: when it ended; None before.
        content: its results, a JSON array, or its `JobError`; empty while there is neither.
        callback: whether somebody was told; None: nobody is to be.
        callback_url: who.
    """

    id: str
    state: State
    count: int
    attempts: int
    submitted_micros: int
    ended_micros: int | None
    content: bytes
    callback: Literal["pending", "delivered", "failed"] | None
    callback_url: str | None


class Lease(msgspec.Struct, frozen=True):
    """A job that a worker has, for a while.

    Attributes:
        job: its id.
        stage: what is to be done.
        token: rises each time the job is lent.
        attempt: of this stage, from 1.
        requests: what is asked, a JSON array; empty in the stage ``callback``.
        trace: as of `NewJob`.
    """

    job: str
    stage: Stage
    token: int
    attempt: int
    requests: bytes
    trace: str = ""


@dataclass(frozen=True, slots=True)
class QueueBounds:
    """What a queue holds, and for how long.

    Attributes:
        most_open: jobs that wait or run.
        most_bytes: of requests and results.
        keep_seconds: for ended jobs.
        lease_seconds: of one lease.
        attempts: leases of a job in the stage ``answer``; then it has failed.
        calls: likewise in the stage ``callback``.
    """

    most_open: int
    most_bytes: int
    keep_seconds: float
    lease_seconds: float
    attempts: int
    calls: int

    def leases(self, stage: Stage) -> int:
        """Return how often a job is lent in *stage*."""
        return self.attempts if stage == "answer" else self.calls


@dataclass(frozen=True, slots=True)
class QueueSize:
    """How much a queue holds.

    Attributes:
        open: jobs that wait or run.
        ended: jobs that ended.
        bytes: of all.
        running: of those open, the ones that a worker has.
        oldest_seconds: since the one was taken in that has been open for longest; 0 where none is.
    """

    open: int
    ended: int
    bytes: int
    running: int
    oldest_seconds: float


class JobQueue(Protocol):
    """Keeps jobs; `orita.testing.check_job_queue` checks one. Threads and processes may share it.

    Every method raises `Unavailable` where the queue is away. What a method has returned survives the process, however
    that ends.
    """

    def submit(self, new: NewJob, /) -> Job:
        """Take in *new*, or return the job that its key names already.

        Raises:
            QueueFull: there is no room.
            KeyReused: the key names a job of another body.
        """
        ...

    def find(self, job: str, /) -> Job | None:
        """Return a job, None where it is not known, or not any more."""
        ...

    def latest(self, count: int, /) -> list[Job]:
        """Return the last jobs taken in, the last first, without their content."""
        ...

    def cancel(self, job: str, /) -> Job | None:
        """Cancel a job that waits; return it as it is then, whatever its state."""
        ...

    def take(self, stage: Stage, /) -> Lease | None:
        """Lend what has been due for longest, a lost lease before all others; None: nothing is due.

        A job that was lent as often as may be ends here: it has failed.
        """
        ...

    def renew(self, lease: Lease, /) -> bool:
        """Lengthen *lease*, from now; False: it is not the latest any more."""
        ...

    def finish(self, lease: Lease, state: Literal["succeeded", "failed"], content: bytes, /) -> bool:
        """End a job in the stage ``answer``; False: *lease* is not the latest, and nothing was written."""
        ...

    def settle(self, lease: Lease, outcome: Literal["delivered", "failed"], /) -> bool:
        """End the stage ``callback``; see `finish`."""
        ...

    def give_back(self, lease: Lease, seconds: float, /, *, counted: bool = True) -> bool:
        """Let a job be taken again in *seconds*; see `finish`.

        Args:
            lease: the job.
            seconds: from now.
            counted: whether the attempt counts; not where the worker only stops in order.
        """
        ...

    def forget(self) -> int:
        """Drop the jobs that have been kept for long enough; return how many."""
        ...

    def size(self) -> QueueSize:
        """Return how much is kept."""
        ...

    def close(self) -> None:
        """Let the queue go."""
        ...
