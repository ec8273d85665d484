"""Where the differences lie: Parquet by day, and beside it one file that says which parts count and how far they go.

Below ``<home>/shadow/<tenant>/<system>/<rollout>/``: ``date=<day>/<id>.parquet`` and ``state.json``. A part is written
first; the new state, which names it together with the place in the log that it goes to, then takes the place of the
old one, as a whole. So each answer is in the parts once, whenever the process that writes is killed: what the state
does not name does not count, and goes when the next one begins.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct
from msgspec.structs import replace

from orita.core.errors import OritaError, UserError
from orita.core.files import atomic_file, remove_leftovers
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.delivery.shadow.records import SHADOW_SCHEMA

__all__ = [
    "Counts",
    "LogPlace",
    "SegmentPlace",
    "ShadowFiles",
    "ShadowState",
    "read_shadow",
    "read_state",
    "shadow_folder",
]

_STATE, _LOCK = "state.json", ".lock"
_SMALL_ROWS = 20_000
_MOST_SMALL = 60
_TRIES = 5


class SegmentPlace(Struct, frozen=True):
    """How far a segment of the prediction log was read: rows, bytes while it is written, and whether that is all."""

    rows: int = 0
    position: int = 0
    closed: bool = False


class LogPlace(Struct, frozen=True):
    """How far the log was read: segments by name, those up to *floor* to their end."""

    floor: str = ""
    segments: dict[str, SegmentPlace] = {}


class Counts(Struct, frozen=True):
    """What became of the answers of the champion.

    Attributes:
        seen: answers that the model itself gave.
        chosen: of them, those that the share of the rollout takes.
        scored: of them, those that the candidate scored.
        failed: those that it was asked for and did not score.
        unread: those whose features could not be found.
        dropped: those for which there was no processor time left, or no candidate loaded.
    """

    seen: int = 0
    chosen: int = 0
    scored: int = 0
    failed: int = 0
    unread: int = 0
    dropped: int = 0


class Part(Struct, frozen=True):
    """A file of rows of one day, the last of them of *last* (microseconds since the Unix epoch; 0: nobody noted it)."""

    file: str
    day: date
    rows: int
    last: int = 0


class ShadowState(Struct, frozen=True):
    """What counts.

    Attributes:
        parts: the files.
        place: how far the log was read.
        counts: by candidate.
        cpu_seconds: processor time that was spent.
        followed_seconds: for how long the log was followed.
        starts: how often a process of each candidate was started.
        trouble: why a candidate is not loaded, by candidate.
    """

    parts: tuple[Part, ...] = ()
    place: LogPlace = LogPlace()
    counts: dict[str, Counts] = {}
    cpu_seconds: float = 0.0
    followed_seconds: float = 0.0
    starts: dict[str, int] = {}
    trouble: dict[str, str] = {}


def shadow_folder(home: Home, system: str, rollout: str) -> Path:
    """Return where the differences of a rollout lie."""
    return home.shadow / system / rollout


class ShadowFiles:
    """Writes the differences of one rollout; nobody else may as long as this is open.

    Args:
        folder: of `shadow_folder`.

    Attributes:
        state: what counts now.

    Raises:
        UserError: another process writes them.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.state = read_state(folder)
        except BlockingIOError:
            os.close(self._lock)
            raise UserError(f"rollout {folder.name} is followed by another process: stop that one first.") from None
        except BaseException:
            os.close(self._lock)
            raise
        self._clean()

    def commit(self, rows: pa.Table | None, day: date | None, state: ShadowState) -> None:
        """Make *rows*, of one *day*, and *state* count, together; the parts of *state* are those of before."""
        parts = self.state.parts
        if rows is not None and len(rows):
            assert day is not None
            parts = (*parts, self._written(rows, day))
        self._replace(replace(state, parts=parts))
        self._merge()

    def let_go(self, days: int, today: date) -> None:
        """Delete the parts of days that are longer ago than *days*."""
        first = today - timedelta(days=days)
        gone = [part for part in self.state.parts if part.day < first]
        if gone:
            self._replace(replace(self.state, parts=tuple(part for part in self.state.parts if part.day >= first)))
            self._delete(gone)

    def close(self) -> None:
        """Let others write."""
        os.close(self._lock)

    def _written(self, rows: pa.Table, day: date) -> Part:
        file = f"date={day.isoformat()}/{uuid7()}.parquet"
        with atomic_file(self._folder / file) as partial:
            pq.write_table(rows, partial, compression="zstd")
        return Part(file, day, len(rows), pc.max(rows["timestamp"].cast(pa.int64())).as_py())

    def _replace(self, state: ShadowState) -> None:
        with atomic_file(self._folder / _STATE) as partial:
            partial.write_bytes(msgspec.json.encode(state))
        self.state = state

    def _merge(self) -> None:
        """Make one part of many small ones of a day."""
        by_day: dict[date, list[Part]] = {}
        for part in self.state.parts:
            if part.rows < _SMALL_ROWS:
                by_day.setdefault(part.day, []).append(part)
        for day, small in by_day.items():
            if len(small) > _MOST_SMALL:
                merged = self._written(pa.concat_tables(_read(self._folder, small, SHADOW_SCHEMA.names)), day)
                kept = [part for part in self.state.parts if part not in small]
                self._replace(replace(self.state, parts=(*kept, merged)))
                self._delete(small)

    def _delete(self, parts: Sequence[Part]) -> None:
        for part in parts:
            (self._folder / part.file).unlink(missing_ok=True)

    def _clean(self) -> None:
        """Delete what a process that was killed left and never made count."""
        remove_leftovers(self._folder)
        named = {self._folder / part.file for part in self.state.parts}
        for day in self._folder.glob("date=*"):
            remove_leftovers(day)
            for file in day.glob("*.parquet"):
                if file not in named:
                    file.unlink(missing_ok=True)


def read_state(folder: Path) -> ShadowState:
    """Return what counts of the differences in *folder*; nothing where there are none.

    Raises:
        OritaError: the file is damaged.
    """
    try:
        return msgspec.json.decode((folder / _STATE).read_bytes(), type=ShadowState)
    except FileNotFoundError:
        return ShadowState()
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise OritaError(f"{folder / _STATE} is damaged: {error}. Abort the shadow, then begin it anew.") from None


def read_shadow(
    folder: Path, columns: Sequence[str] | None = None, *, most_rows: int | None = None
) -> tuple[ShadowState, pa.Table]:
    """Return what counts of the differences in *folder*, and their rows, each once, while they are written.

    Args:
        folder: of `shadow_folder`.
        columns: the columns wanted, by default all.
        most_rows: about so many, the latest; None: all.

    Raises:
        OritaError: a file is damaged, or is gone.
    """
    names = list(columns or SHADOW_SCHEMA.names)
    for attempt in range(_TRIES):
        state = read_state(folder)
        try:
            tables = list(_read(folder, _latest(state.parts, most_rows), names))
        except FileNotFoundError:  # parts were made one, or let go, since the state was read
            if attempt == _TRIES - 1:
                raise OritaError(f"{folder} names parts that are not there: begin the shadow anew.") from None
            continue
        empty = pa.schema([SHADOW_SCHEMA.field(name) for name in names]).empty_table()
        return state, pa.concat_tables([empty, *tables])
    raise AssertionError("unreachable")


def _latest(parts: Sequence[Part], most_rows: int | None) -> list[Part]:
    """Return the latest parts, until they have so many rows, in the order of time."""
    chosen: list[Part] = []
    in_time = sorted(parts, key=lambda part: (part.day, part.last))
    for part in reversed(in_time):
        if most_rows is not None and sum(each.rows for each in chosen) >= most_rows:
            break
        chosen.append(part)
    return chosen[::-1]


def _read(folder: Path, parts: Sequence[Part], names: Sequence[str]) -> Iterator[pa.Table]:
    for part in parts:
        with pq.ParquetFile(folder / part.file) as file:
            yield file.read(columns=list(names), use_threads=False)
