"""How answers become durable without a request waiting for it.

The path appends to a queue. A thread takes all that waits every ``flush_ms``, writes what each model answered behind
that model's segment, then syncs each segment once (group commit). A segment that is full, old or of a day that is over
is closed and becomes Parquet in a second thread; likewise the one that was written longest ago, where more models
answer than have one. Whoever kills the process loses what came after the last commit; an orderly stop loses nothing.

So that this stays little, nothing more is taken while a commit has failed, or is late: requests are shed, or answered
without a row where the configuration says so. What was taken before waits in memory, and is written once it can be; the
room that a pause of the disk took is given back after it.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import structlog

from orita.core.clock import from_micros
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.events.prediction_files import segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader, encode_frame
from orita.serving.background.parts import Background
from orita.serving.background.told_once import ToldOnce
from orita.serving.config import PredictionLogConfig
from orita.serving.heap import give_back
from orita.serving.log.backlog import LogBacklog
from orita.serving.log.segment_converter import SegmentConverter
from orita.serving.log.segment_file import SegmentFile
from orita.serving.protocols import LogStream

__all__ = ["PredictionLog"]

_log = structlog.stdlib.get_logger("orita.serving")

_MIB = 1024 * 1024
_GROUP = 256
"""Requests that are encoded at a time."""
_MOST_OPEN = 8
"""Segments that are written at a time: a champion and its challengers."""
_RETRY_SECONDS = 0.2
_REFUSED_SECONDS = 1.0  # so long after a row without room the log counts as too slow
_CROWD_ROWS = 10_000
"""Of which so many wait for a commit, their room is given back after it: some MiB, three commits at full speed."""
_GIVE_BACK_SECONDS = 10.0  # between two times, at least
_MICROS_PER_DAY = 86_400_000_000


class _Place(NamedTuple):
    """Where rows belong: all rows of a segment have the same."""

    stream: LogStream
    day_number: int


@dataclass(slots=True)
class _Open:
    """A segment that is written, and since when, in monotonic seconds."""

    segment: SegmentFile
    since: float


class PredictionLog:
    """The prediction log of one server; `append` is called by one thread, the one that answers.

    Attributes:
        dropped_rows: rows that were not logged because the log was full or stuck (``when_full: drop``).
        drops: whether it drops rows rather than have requests shed.
    """

    name = "what writes the prediction log"

    def __init__(self, home: Home, config: PredictionLogConfig | None = None) -> None:
        self._home = home
        self._config = config or PredictionLogConfig()
        self._queue: deque[tuple[LogStream, ScoredRequest]] = deque()
        self._taken: dict[_Place, list[ScoredRequest]] = {}
        self._backlog = LogBacklog(self._config.max_pending_rows, self._config.max_pending_seconds)
        self.drops = self._config.when_full == "drop"
        self.dropped_rows = 0
        self._refused_at = -_REFUSED_SECONDS
        self._open: dict[_Place, _Open] = {}  # the one that was written longest ago first
        self._unsynced: list[_Place] = []  # whose segments have rows that are not durable
        self._told = ToldOnce()
        self._crowded, self._gave_back_at = False, time.monotonic() - _GIVE_BACK_SECONDS
        self._stopping = threading.Event()
        self._committed = threading.Condition()
        self._converter = SegmentConverter(home, self._config.retention_days, self._config.segment_mib * _MIB)
        self._thread = threading.Thread(target=self._run, name="orita-prediction-log", daemon=True)

    @property
    def ended(self) -> bool:
        """Whether it began, was not asked to stop, and writes no more."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._stopping.is_set()

    @property
    def converter(self) -> Background:
        """What turns its segments into Parquet."""
        return self._converter.background

    @property
    def unconverted_bytes(self) -> int:
        """The size of what waits to become Parquet, of all servers of the home."""
        return self._converter.waiting_bytes

    @property
    def pending_rows(self) -> int:
        """Rows that were appended and are not durable yet."""
        return self._backlog.rows

    @property
    def stuck(self) -> bool:
        """Whether rows cannot be made durable in time."""
        return self._backlog.stuck

    @property
    def trouble(self) -> str | None:
        """Why it does not take all rows, as a sentence; None where it does."""
        if time.monotonic() - self._refused_at < _REFUSED_SECONDS and not self._backlog.stuck:
            return "the prediction log cannot keep up: in the last second there were rows without room."
        return self._backlog.trouble

    def start(self) -> None:
        """Begin to write; segments that killed servers left become Parquet meanwhile."""
        self._converter.start()
        self._thread.start()

    def room(self, rows: int) -> bool:
        """Return whether a request of *rows* may be answered: they will be logged, or may be dropped."""
        fits = self._fits(rows)
        return self.drops or (fits and not self._backlog.stuck)

    def append(self, stream: LogStream, request: ScoredRequest) -> None:
        """Take one answered request; it is durable after the next commit."""
        rows = len(request.item_ids)
        # Whoever had room was answered, so is taken unless rows may be dropped: several may have had the same room, and
        # a commit may have failed since. Beyond the bound are at most those who were being answered when it was met.
        if self.drops and (not self._fits(rows) or self._backlog.stuck):
            self.dropped_rows += rows
            return
        self._backlog.add(rows)
        self._queue.append((stream, request))

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until all that was appended is durable; return whether it is, within *timeout* seconds."""
        target = self._backlog.appended
        with self._committed:
            return self._committed.wait_for(lambda: self._backlog.durable >= target, timeout)

    def close(self) -> None:
        """Make everything durable, and Parquet as far as there is time, then stop; once nothing more is appended."""
        self._stopping.set()
        self._thread.join()
        self._converter.close()

    def _fits(self, rows: int) -> bool:
        fits = self._backlog.fits(rows)
        if not fits:
            self._refused_at = time.monotonic()
        return fits

    def _run(self) -> None:
        pause = self._config.flush_ms / 1000
        while not self._stopping.wait(_RETRY_SECONDS if self._backlog.failure else pause):
            self._commit()
        self._commit()
        if self._taken:
            _log.error("predictions_lost", alert=True, rows=self.pending_rows, reason="the log cannot be written")
        for place in list(self._open):
            self._rotate(place)

    def _commit(self) -> None:
        """Make all that waits durable; what cannot be written waits on."""
        began = self._backlog.now()
        self._crowded = self._crowded or self.pending_rows >= _CROWD_ROWS
        for stream, request in (self._queue.popleft() for _ in range(len(self._queue))):
            self._taken.setdefault(_place(stream, request), []).append(request)
        try:
            self._cut_back()
            self._write_taken()
            self._rotate_old()
        except OSError as error:
            self._failed(error)
        else:
            self._backlog.clean(began)
            self._told.over("prediction_log_cannot_write", "prediction_segment_not_cut_back")
            self._give_back()

    def _give_back(self) -> None:
        """Give back the room of what waited, where that was much, now and then."""
        now = time.monotonic()
        if self._crowded and now - self._gave_back_at >= _GIVE_BACK_SECONDS:
            self._crowded, self._gave_back_at = False, now
            give_back()

    def _write_taken(self) -> None:
        while self._taken:
            # All that waits is appended before anything is synced: a sync that takes long would show readers one
            # version without the other, and whoever compares them would take the rest for missing.
            places = list(itertools.islice(self._taken, _MOST_OPEN))
            for place in places:
                self._make_ready(place)
            for place in places:
                self._append(place)
            for place in places:
                self._sync(place)

    def _make_ready(self, place: _Place) -> None:
        """Have a segment open that has room, as the one that was written last."""
        held = self._open.pop(place, None)
        if held is not None:
            self._open[place] = held
        if held is None or held.segment.size > self._config.segment_mib * _MIB:
            self._rotate(place)
            self._begin(place)

    def _append(self, place: _Place) -> None:
        segment, waiting = self._open[place].segment, self._taken[place]
        self._unsynced.append(place)
        for first in range(0, len(waiting), _GROUP):
            segment.append(b"".join(map(encode_frame, waiting[first : first + _GROUP])))

    def _sync(self, place: _Place) -> None:
        self._open[place].segment.sync()
        self._unsynced.remove(place)
        rows = sum(len(request.item_ids) for request in self._taken.pop(place))
        with self._committed:
            self._backlog.committed(rows)
            self._committed.notify_all()

    def _begin(self, place: _Place) -> None:
        if len(self._open) >= _MOST_OPEN:
            self._rotate(next(iter(self._open)))
        stream, day = place.stream, _day(place.day_number)
        name = f"{day.isoformat()}-{uuid7()}"
        header = SegmentHeader(name, day, stream.system, stream.model_version, stream.features)
        self._open[place] = _Open(SegmentFile(segment_folder(self._home), header), time.monotonic())

    def _rotate_old(self) -> None:
        now, newest = time.monotonic(), max((place.day_number for place in self._open), default=0)
        for place, held in list(self._open.items()):
            if now - held.since > self._config.segment_seconds or place.day_number < newest:
                self._rotate(place)

    def _rotate(self, place: _Place) -> None:
        held = self._open.pop(place, None)
        if held is not None:
            self._converter.give(held.segment)

    def _failed(self, error: OSError) -> None:
        self._backlog.failure = error.strerror or str(error)
        self._told.tell("prediction_log_cannot_write", error, pending_rows=self.pending_rows)
        try:
            self._cut_back()
        except OSError as second:
            self._told.tell("prediction_segment_not_cut_back", second)

    def _cut_back(self) -> None:
        """After a failure, leave in each segment what was committed to it, then give it up.

        After a failed sync the kernel may have dropped the pages, so what was not committed is written again, to other
        segments. It must not be in both: until all are cut, and that is durable, nothing is written elsewhere.
        """
        while self._unsynced:
            place = self._unsynced[-1]
            self._open[place].segment.cut_back()
            self._rotate(place)
            self._unsynced.pop()


def _place(stream: LogStream, request: ScoredRequest) -> _Place:
    return _Place(stream, request.at_micros // _MICROS_PER_DAY)


def _day(day_number: int) -> date:
    return from_micros(day_number * _MICROS_PER_DAY).date()
