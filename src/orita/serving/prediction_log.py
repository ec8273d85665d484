"""How answers become durable without a request waiting for it.

The path appends to a queue. A thread takes all that waits every ``flush_ms``, writes it behind the segment at
hand and syncs once for all of it (group commit). A segment that is full, old, of another day or of another
model is closed and becomes Parquet in a second thread. Whoever kills the process loses what came after the
last commit; an orderly stop loses nothing.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from datetime import date
from typing import NamedTuple

import structlog

from orita.core.clock import from_micros
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.events.prediction_files import segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader, encode_frame
from orita.serving.config import PredictionLogConfig
from orita.serving.protocols import LogStream
from orita.serving.segment_converter import SegmentConverter
from orita.serving.segment_file import SegmentFile

__all__ = ["PredictionLog"]

_log = structlog.stdlib.get_logger("orita.serving")

_MIB = 1024 * 1024
_GROUP = 256
_RETRY_SECONDS = 1.0
_MICROS_PER_DAY = 86_400_000_000


class _Place(NamedTuple):
    """Where rows belong: all rows of a segment have the same."""

    stream: LogStream
    day_number: int


class PredictionLog:
    """The prediction log of one server; `append` is called by one thread, the one that answers.

    Attributes:
        dropped_rows: rows that were not logged because the log was full (``when_full: drop``).
    """

    def __init__(self, home: Home, config: PredictionLogConfig | None = None) -> None:
        self._home = home
        self._config = config or PredictionLogConfig()
        self._queue: deque[tuple[LogStream, ScoredRequest]] = deque()
        self._taken: deque[tuple[LogStream, ScoredRequest]] = deque()
        # Each count is written by one thread only: what waits is their difference, and no lock is needed.
        self._appended_rows = 0
        self._durable_rows = 0
        self.dropped_rows = 0
        self._segment: SegmentFile | None = None
        self._place: _Place | None = None
        self._opened = 0.0
        self._failing = False
        self._stopping = threading.Event()
        self._committed = threading.Condition()
        self._converter = SegmentConverter(home, self._config.retention_days)
        self._thread = threading.Thread(target=self._run, name="orita-prediction-log", daemon=True)

    name = "what writes the prediction log"

    @property
    def alive(self) -> bool:
        """Whether it writes."""
        return self._thread.is_alive()

    @property
    def pending_rows(self) -> int:
        """Rows that were appended and are not durable yet."""
        return self._appended_rows - self._durable_rows

    def start(self) -> None:
        """Begin to write; segments that killed servers left become Parquet meanwhile."""
        self._converter.start()
        self._thread.start()

    def room(self, rows: int) -> bool:
        """Return whether a request of *rows* may be answered: there is room for it, or it may be dropped."""
        return self._fits(rows) or self._config.when_full == "drop"

    def append(self, stream: LogStream, request: ScoredRequest) -> None:
        """Take one answered request; it is durable after the next commit."""
        rows = len(request.item_ids)
        if not self._fits(rows):
            self.dropped_rows += rows
            return
        self._queue.append((stream, request))
        self._appended_rows += rows

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until all that was appended is durable; return whether it is, within *timeout* seconds."""
        target = self._appended_rows
        with self._committed:
            return self._committed.wait_for(lambda: self._durable_rows >= target, timeout)

    def close(self) -> None:
        """Make everything durable and Parquet, then stop; once nothing more is appended."""
        self._stopping.set()
        self._thread.join()
        self._converter.close()

    def _fits(self, rows: int) -> bool:
        return self._appended_rows - self._durable_rows + rows <= self._config.max_pending_rows

    def _run(self) -> None:
        pause = self._config.flush_ms / 1000
        while not self._stopping.wait(_RETRY_SECONDS if self._failing else pause):
            self._commit()
            if self._segment is not None and time.monotonic() - self._opened > self._config.segment_seconds:
                self._rotate()
        self._commit()
        if self._taken:
            _log.error("predictions_lost", alert=True, rows=self.pending_rows, reason="the log cannot be written")
        self._rotate()

    def _commit(self) -> None:
        """Make all that waits durable, group by group; what cannot be written waits on."""
        self._taken.extend(self._queue.popleft() for _ in range(len(self._queue)))
        while self._taken:
            place, group = self._next_group()
            try:
                self._write(place, group)
            except OSError as error:
                self._give_up_segment(error)
                return
            self._failing = False
            for _ in group:
                self._taken.popleft()
            with self._committed:
                self._durable_rows += sum(len(request.item_ids) for request in group)
                self._committed.notify_all()

    def _next_group(self) -> tuple[_Place, list[ScoredRequest]]:
        place = _place(*self._taken[0])
        group = itertools.takewhile(lambda entry: _place(*entry) == place, itertools.islice(self._taken, _GROUP))
        return place, [request for _, request in group]

    def _write(self, place: _Place, group: list[ScoredRequest]) -> None:
        segment = self._segment
        if segment is None or place != self._place or segment.size > self._config.segment_mib * _MIB:
            self._rotate()
            segment = self._open(place)
        segment.append(b"".join(map(encode_frame, group)))
        segment.sync()

    def _open(self, place: _Place) -> SegmentFile:
        stream = place.stream
        day = _day(place.day_number)
        name = f"{day.isoformat()}-{uuid7()}"
        header = SegmentHeader(name, day, stream.system, stream.model_version, stream.features)
        self._segment = SegmentFile(segment_folder(self._home), header)
        self._place, self._opened = place, time.monotonic()
        return self._segment

    def _rotate(self) -> None:
        if self._segment is not None:
            self._converter.give(self._segment)
            self._segment = self._place = None

    def _give_up_segment(self, error: OSError) -> None:
        # After a failed sync the kernel may have dropped the pages: only what was synced before counts. It
        # stays in its segment, and the group is written again, to another one.
        if not self._failing:
            _log.error("prediction_log_cannot_write", alert=True, error=str(error), pending_rows=self.pending_rows)
        self._failing = True
        if self._segment is not None:
            try:
                self._segment.cut_back()
            except OSError as second:
                _log.error("prediction_segment_not_cut_back", alert=True, error=str(second))
        self._rotate()


def _place(stream: LogStream, request: ScoredRequest) -> _Place:
    return _Place(stream, request.at_micros // _MICROS_PER_DAY)


def _day(day_number: int) -> date:
    return from_micros(day_number * _MICROS_PER_DAY).date()
