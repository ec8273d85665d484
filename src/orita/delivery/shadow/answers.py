"""The answers of one version as the prediction log gets them, each once, from where somebody stopped reading.

Segments are listed as `orita.events.prediction_files` lays down: those that are written first, Parquet second, and
Parquet only when there may be more of it. A segment has the answers of one version of one system; those of others are
passed over unread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from orita.core.clock import Clock, to_micros
from orita.core.home import Home
from orita.core.ids import millis_of
from orita.delivery.shadow.kept import LogPlace, SegmentPlace
from orita.events.prediction_files import parquet_files, write_ahead_files
from orita.events.prediction_segment import SegmentHeader
from orita.events.prediction_tail import AnswersRead, ParquetSegment, read_header, read_on

__all__ = ["Answers", "NewAnswers"]

_SETTLED = timedelta(hours=1)
_DAY = len("2026-01-31")


@dataclass(frozen=True, slots=True)
class NewAnswers:
    """Some answers of a segment that were not read before.

    Attributes:
        segment: its name.
        day: of all of them.
        features: names of the columns of their features.
        read: the answers, and the place behind them.
    """

    segment: str
    day: date
    features: tuple[str, ...]
    read: AnswersRead


class Answers:
    """Reads the answers of *version* since a time, from *place* on.

    Args:
        home: whose log.
        system: whose answers.
        version: the model that gave them.
        since: when the first of them was given.
        place: how far others have read.
        clock: the time.
    """

    def __init__(
        self, home: Home, system: str, version: str, *, since: datetime, place: LogPlace, clock: Clock
    ) -> None:
        self._home, self._wanted = home, (system, version)
        self._since, self._clock = since, clock
        self._floor, self._segments = place.floor, dict(place.segments)
        self._headers: dict[str, tuple[SegmentHeader, int]] = {}
        self._others: set[str] = set()
        self._written: set[str] | None = None
        self._closed: dict[str, Path] = {}

    @property
    def place(self) -> LogPlace:
        """How far it was taken."""
        return LogPlace(self._floor, dict(self._segments))

    def take(self, answers: NewAnswers) -> None:
        """Go on behind *answers*."""
        self._segments[answers.segment] = SegmentPlace(answers.read.rows, answers.read.position)

    def new(self) -> Iterator[NewAnswers]:
        """Yield what is there behind the place, the oldest segment first; take each before asking for the next."""
        written = {path.stem: path for path in write_ahead_files(self._home)}
        if self._written != set(written):
            self._closed = {path.stem: path for path in parquet_files(self._home)}
            self._written = set(written)
            self._forget(written)
        for name in sorted({*written, *self._closed}):
            if self._unread(name):
                yield from self._of_segment(name, written.get(name))

    def _of_segment(self, name: str, written: Path | None) -> Iterator[NewAnswers]:
        if written is not None:
            try:
                yield from self._of_written(name, written)
            except FileNotFoundError:  # it became Parquet: the next look lists it
                self._written = None
        else:
            yield from self._of_parquet(name, self._closed[name])

    def _of_written(self, name: str, path: Path) -> Iterator[NewAnswers]:
        known = self._headers.get(name) or read_header(path)
        if known is None:
            return
        header, start = self._headers[name] = known
        if (header.system, header.model_version) != self._wanted:
            self._others.add(name)
            return
        while True:
            place = self._segments.get(name, SegmentPlace())
            position = max(place.position, start)
            if path.stat().st_size <= position:
                return
            read = read_on(path, place.rows, position)
            if not read.requests:
                return
            yield NewAnswers(name, header.day, header.features, read)

    def _of_parquet(self, name: str, path: Path) -> Iterator[NewAnswers]:
        try:
            segment = ParquetSegment.open(path)
        except FileNotFoundError:
            return
        if (segment.system, segment.model_version) != self._wanted:
            self._others.add(name)
            return
        if segment.last_micros >= to_micros(self._since):
            for read in segment.read_from(self._segments.get(name, SegmentPlace()).rows):
                yield NewAnswers(name, date.fromisoformat(name[:_DAY]), segment.features, read)
        self._segments[name] = SegmentPlace(segment.rows, 0, closed=True)

    def _unread(self, name: str) -> bool:
        if name <= self._floor or name in self._others or name[:_DAY] < self._since.astimezone(UTC).date().isoformat():
            return False
        return not self._segments.get(name, SegmentPlace()).closed

    def _forget(self, written: dict[str, Path]) -> None:
        """Let go of segments that are gone, and raise the floor over those that are read and old enough.

        A segment gets its name a moment before it is there: only what is an hour old has nothing older to come.
        """
        there = {*written, *self._closed}
        for held in (self._headers, self._segments):
            for name in [name for name in held if name not in there]:
                del held[name]
        self._others &= there
        settled = to_micros(self._clock.now() - _SETTLED) // 1000
        for name in sorted(there):
            reading = name in written and name not in self._others
            if self._unread(name) or reading or millis_of(name[_DAY + 1 :]) > settled:
                break
            self._floor = max(self._floor, name)
            self._segments.pop(name, None)
