"""Profiles of a stream of the event log, as it grows: slices of time in files, committed together with offsets.

A folder has a Parquet file for each slice that rows came for, and ``state.json``, which names them together with the
offset after the last row that is in them. Files are written first, under new names; one rename of ``state.json`` then
commits all of it. So a follower may be killed at any moment: each row counts once, and what no state names is swept by
the next. Only slices that rows came for since the last commit are in memory.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from orita.core.errors import UserError
from orita.core.files import atomic_file
from orita.core.home import Home
from orita.core.names import check_name
from orita.events.log.log import EventLog
from orita.monitoring.profiles.profiler import Key, Profiler, Slicing
from orita.monitoring.profiles.stored import About, read_profiles, write_profiles
from orita.monitoring.profiles.table import TableProfile

__all__ = ["GROUP", "StreamProfiles", "follow_stream", "kept_slicing"]

GROUP = "profiles"
"""The consumer group of followers; one at a time follows a stream."""

_STATE, _LOCK = "state.json", ".lock"
_FORMAT = 1
_ROWS = 1 << 16
_COMMIT_ROWS = 1 << 19
_WAIT_SECONDS = 0.05


@dataclass(slots=True)
class StreamProfiles:
    """What is kept of a stream.

    Attributes:
        folder: where.
        slicing: how its rows are parted.
        offsets: by partition, the offset after the last row that is in.
        files: by slice (microseconds since the Unix epoch; None: rows without a time), the file that holds it.
        turn: how many commits there were.
    """

    folder: Path
    slicing: Slicing
    offsets: dict[int, int] = field(default_factory=dict)
    files: dict[int | None, str] = field(default_factory=dict)
    turn: int = 0

    @classmethod
    def open(cls, home: Home, stream: str, slicing: Slicing) -> StreamProfiles:
        """Return what is kept of *stream*, nothing before the first commit.

        Raises:
            UserError: what is kept was parted otherwise.
        """
        found = cls(_folder(home, stream), slicing)
        path = found.folder / _STATE
        if not path.exists():
            return found
        state = json.loads(path.read_text(encoding="utf-8"))
        kept = (state["by"], state["time"], state["every_micros"])
        if kept != found._parting():
            raise UserError(
                f"profiles of stream {stream!r} are kept by {kept[0] or 'no column'}, in slices of {kept[1]} of "
                f"{kept[2] / 1e6:g} s: follow it so, or delete {found.folder} to begin anew."
            )
        found.offsets = {int(partition): offset for partition, offset in state["offsets"].items()}
        found.files = {None if at == "none" else int(at): name for at, name in state["files"].items()}
        found.turn = state["turn"]
        return found

    def read(self, start: int | None = None, end: int | None = None) -> dict[Key, TableProfile]:
        """Return the profiles of slices that begin in [*start*, *end*), microseconds since the Unix epoch; None: all.

        Rows without a time are in where neither is given.
        """
        parts: dict[Key, TableProfile] = {}
        for at, name in self.files.items():
            if at is None:
                inside = start is None and end is None
            else:
                inside = (start is None or at >= start) and (end is None or at < end)
            if inside:
                parts |= read_profiles(self.folder / name)[0]
        return parts

    def commit(self, parts: dict[Key, TableProfile], offsets: dict[int, int]) -> None:
        """Add *parts* to what is kept, with the offsets up to which it then holds the stream, or neither."""
        turn, files = self.turn + 1, dict(self.files)
        for at in sorted({key.slice for key in parts}, key=lambda at: (at is None, at or 0)):
            merged = read_profiles(self.folder / files[at])[0] if at in files else {}
            for key, part in parts.items():
                if key.slice == at:
                    merged.setdefault(key, TableProfile()).merge(part)
            files[at] = f"{'none' if at is None else at}-{turn}.parquet"
            about = About(self.folder.name, self.slicing.by or "", self.slicing.every_micros or 0)
            write_profiles(self.folder / files[at], merged, about)
        by, time, every = self._parting()
        state = {
            "format": _FORMAT,
            "turn": turn,
            "by": by,
            "time": time,
            "every_micros": every,
            "offsets": {str(partition): offset for partition, offset in sorted(offsets.items())},
            "files": {"none" if at is None else str(at): name for at, name in files.items()},
        }
        with atomic_file(self.folder / _STATE) as partial:
            partial.write_text(json.dumps(state, indent=1), encoding="utf-8")
        self.turn, self.files, self.offsets = turn, files, dict(offsets)
        self.tidy()

    def tidy(self) -> None:
        """Delete files that the state does not name: those of earlier commits, and of one that was killed."""
        named = set(self.files.values())
        for path in self.folder.glob("*.parquet"):
            if path.name not in named:
                path.unlink(missing_ok=True)

    def _parting(self) -> tuple[str | None, str | None, int]:
        return self.slicing.by, self.slicing.time, self.slicing.every_micros or 0


def kept_slicing(home: Home, stream: str) -> Slicing | None:
    """Return how the kept profiles of *stream* are parted, None before the first commit."""
    path = _folder(home, stream) / _STATE
    if not path.exists():
        return None
    state = json.loads(path.read_text(encoding="utf-8"))
    every = timedelta(microseconds=state["every_micros"]) if state["every_micros"] else None
    return Slicing(state["by"], state["time"], every)


def follow_stream(
    home: Home,
    log: EventLog,
    stream: str,
    slicing: Slicing | None = None,
    *,
    until: Callable[[], bool] | None = None,
    commit_rows: int = _COMMIT_ROWS,
) -> StreamProfiles:
    """Profile the rows of *stream* from where what is kept ends; return what is kept then.

    Args:
        home: keeps the profiles.
        log: has the rows.
        stream: which.
        slicing: by default an hour of the column ``timestamp``.
        until: asked after each commit and each wait; None: it ends with what the log held at the call.
        commit_rows: so many rows are committed together, at most.

    Raises:
        UserError: the profiles are kept otherwise, or a column changed its kind.
        OffsetRetired: rows that are not in the profiles are gone from the log.
    """
    slicing = slicing or Slicing(time="timestamp", every=timedelta(hours=1))
    with _alone(home, stream):
        kept = StreamProfiles.open(home, stream, slicing)
        kept.tidy()
        _follow(kept, log, stream, until or _caught_up(kept, log, stream), commit_rows)
    return kept


def _follow(kept: StreamProfiles, log: EventLog, stream: str, ended: Callable[[], bool], commit_rows: int) -> None:
    with log.consumer(stream, GROUP, position=kept.offsets.get) as consumer:
        profiler, offsets, rows = Profiler(kept.slicing), dict(kept.offsets), 0
        while not ended():
            batches = consumer.poll(_ROWS, 0 if rows else _WAIT_SECONDS)
            for batch in batches:
                profiler.update(batch.rows)
                offsets[batch.partition] = batch.next
                rows += batch.rows.num_rows
            if rows and (not batches or rows >= commit_rows):
                kept.commit(profiler.parts, offsets)
                consumer.commit()
                profiler, rows = Profiler(kept.slicing), 0


@contextmanager
def _alone(home: Home, stream: str) -> Iterator[None]:
    folder = _folder(home, stream)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another process profiles stream {stream!r} into {folder}: let it, or stop it first."
            ) from None
        yield


def _folder(home: Home, stream: str) -> Path:
    check_name("stream", stream)
    return home.profiles / "streams" / stream


def _caught_up(kept: StreamProfiles, log: EventLog, stream: str) -> Callable[[], bool]:
    ends = {partition: log.end(stream, partition) for partition in range(log.partitions(stream))}

    def caught_up() -> bool:
        return all(kept.offsets.get(partition, log.start(stream, partition)) >= end for partition, end in ends.items())

    return caught_up
