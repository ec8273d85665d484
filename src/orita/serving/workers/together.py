"""What a worker tells the others, and what it answers for all of them: metrics, and who is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import structlog
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from orita.serving.service import Service
from orita.serving.telemetry.bounded import bounded
from orita.serving.telemetry.exposition import collected, exposed, from_files
from orita.serving.workers.board import Board, Seat, State
from orita.serving.workers.reports import (
    Report,
    added_up,
    counted,
    families_of,
    merged_answer,
    read_report,
    written,
)

__all__ = ["OtherWorkers", "Together", "WorkerStatus"]

_log = structlog.stdlib.get_logger("orita.serving")


class WorkerStatus(msgspec.Struct, frozen=True):
    """A worker as ``GET /health`` tells of it.

    Attributes:
        worker: its seat, from 1.
        pid: its process.
        status: ``starting``, ``answering`` or ``stopping``.
        model_version: which version answers there, null without one.
        starts: how many processes have sat there.
    """

    worker: int
    pid: int
    status: str
    model_version: str | None
    starts: int


class Together:
    """One worker among others.

    Attributes:
        board: what all of them share.
        seat: its own place.

    Args:
        board, seat: these.
        service: its parts.
    """

    def __init__(self, board: Board, seat: Seat, service: Service) -> None:
        self.board, self.seat, self._service = board, seat, service
        self._before = counted(read_report(seat.read()))  # by those who sat here before
        self._told = False
        if service.cache is not None:
            service.cache.share(OtherWorkers(board, seat))

    def answering(self) -> None:
        """Say that requests are answered here."""
        self.tick()
        if self.seat.state is State.STARTING:  # it may have been asked to stop meanwhile
            self.seat.state = State.ANSWERING

    def stopping(self) -> None:
        """Say that this worker was asked to stop."""
        self.seat.state = State.STOPPING

    def others_answer(self) -> bool:
        """Return whether requests are answered by another worker now."""
        return any(seat.state is State.ANSWERING for seat in self.board.seats if seat is not self.seat)

    def tick(self) -> None:
        """Say that the event loop turns, and what was counted; called ten times a second."""
        self.seat.beat()
        try:
            self.seat.report(written(self._own()))
        except Exception as error:  # whatever a metric does: this worker answers on, and does not count as hanging
            if not self._told:
                self._told = True
                _log.error("worker_report_failed", alert=True, worker=self.seat.number, error=repr(error))

    def answer(self) -> dict[str, Any]:
        """Return the JSON metrics of all workers."""
        own = msgspec.to_builtins(self._service.metrics.answer())
        return merged_answer(own, self._reports())

    def latencies_ms(self) -> npt.NDArray[np.float32]:
        """Return the latencies of the last answers of all workers, in no order."""
        return np.concatenate([np.frombuffer(report.latencies, np.float32) for report in self._reports()])

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics of all workers in the newest format that *accept* names, and its content type."""
        return exposed([*added_up(self._reports()), *self._workers(), *from_files(self._service)], accept)

    def statuses(self) -> list[WorkerStatus]:
        """Return who is there."""
        return [
            WorkerStatus(seat.number, seat.pid, seat.state.name.lower(), self._report(seat).version, seat.starts)
            for seat in self.board.seats
            if seat.pid
        ]

    def health(self, answer: msgspec.Struct) -> dict[str, Any]:
        """Return the answer of ``GET /health`` with what there is to say of the workers."""
        return {
            **msgspec.to_builtins(answer),
            "worker": self.seat.number,
            "pid": self.seat.pid,
            "workers": msgspec.to_builtins(self.statuses()),
        }

    def _own(self) -> Report:
        champion = self._service.follower.champion
        own = Report(
            version=champion.package.version if champion else None,
            families=families_of(bounded(collected(self._service))),
            answer=msgspec.to_builtins(self._service.metrics.answer()),
            latencies=self._service.metrics.recent_latencies_ms().astype(np.float32).tobytes(),
        )
        if not self._before.families:
            return own
        totals = {name: own.answer.get(name, 0) + value for name, value in self._before.answer.items()}
        both = families_of(added_up([own, self._before]))
        return msgspec.structs.replace(own, families=both, answer={**own.answer, **totals})

    def _report(self, seat: Seat) -> Report:
        return self._own() if seat is self.seat else read_report(seat.read())

    def _reports(self) -> list[Report]:
        """Return the reports of all seats: of those that nobody sits at, what was counted."""
        return [
            self._report(seat) if seat.state in (State.ANSWERING, State.STOPPING) else counted(read_report(seat.read()))
            for seat in self.board.seats
        ]

    def _workers(self) -> Iterator[Metric]:
        answering = sum(seat.state is State.ANSWERING for seat in self.board.seats)
        yield GaugeMetricFamily("workers", "Processes that answer.", value=answering)
        starts = sum(seat.starts for seat in self.board.seats)
        yield CounterMetricFamily("worker_starts", "Processes that were started.", value=starts)


class OtherWorkers:
    """The others as a cache knows them; see `orita.serving.cache.store.Others`."""

    def __init__(self, board: Board, seat: Seat) -> None:
        self._notes = seat.notes
        others = [other.notes for other in board.seats if other is not seat]
        self._read = [(notes, notes.end) for notes in others]

    def tell(self, tags: Sequence[bytes], /) -> None:
        """Let the others know that *tags* are invalidated."""
        self._notes.write(tags)

    def told(self) -> Sequence[bytes] | None:
        """Return what they told of since the last call, None where that was too much."""
        found: list[bytes] = []
        missed = False
        for at, (notes, begin) in enumerate(self._read):
            if notes.end == begin:
                continue
            tags, end = notes.since(begin)
            self._read[at] = notes, end
            found += tags or ()
            missed = missed or tags is None
        return None if missed else found
