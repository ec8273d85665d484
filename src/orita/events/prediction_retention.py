"""What the prediction log lets go: days that are past what ``serving.log.retention_days`` keeps, whole.

What a running server still writes never goes: a segment is locked (``flock``) as long as its writer lives, and one that
is locked stays whatever its day. Readers may be at work meanwhile: a file that they opened stays readable to them.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from orita.core.errors import UserError
from orita.core.files import sync_directory
from orita.core.home import Home
from orita.events.prediction_files import parquet_files, segment_folder, sweep_partials, write_ahead_files
from orita.events.prediction_tail import read_header

__all__ = ["Retained", "retain_predictions"]


@dataclass(frozen=True, slots=True)
class Retained:
    """What was let go, and from which day on everything stays.

    Attributes:
        first: the first day that is kept.
        files: segments that went.
        size: their bytes.
        days: the days they were of, oldest first.
        held: segments of older days that stay, as a running server has them open.
    """

    first: date
    files: int
    size: int
    days: tuple[date, ...]
    held: int


def retain_predictions(home: Home, days: int, now: datetime) -> Retained:
    """Delete the days of the prediction log that are past; killed at any point it may run again.

    Args:
        home: whose log.
        days: how many whole UTC days are kept beside the present one, at least 1.
        now: the present, aware, in UTC.

    Raises:
        UserError: *days* is less than 1.
    """
    if days < 1:
        raise UserError(f"days is {days}, allowed are 1 and more: the present day is still being written.")
    first = now.date() - timedelta(days=days)
    gone: list[tuple[date, int]] = []
    held = 0
    for path in write_ahead_files(home):  # before Parquet: one of these may become Parquet meanwhile
        day = _day_of_segment(path)
        if day is not None and day < first:
            size = _delete_abandoned(path)
            held += size is None
            gone += [(day, size)] if size else []
    left = {path.parent for path in sweep_partials(home)}  # of segments that went above, or long ago
    for path in list(parquet_files(home)):
        day = _day_of_folder(path.parent)
        if day < first:
            left.add(path.parent)
            with suppress(FileNotFoundError):  # somebody else lets go of the same days
                size = path.stat().st_size
                path.unlink()
                gone.append((day, size))
    for folder in left:
        if _day_of_folder(folder) < first:
            with suppress(OSError):  # not empty: a server is just converting a segment of that day
                folder.rmdir()
    for folder in (home.predictions, segment_folder(home)):
        if gone and folder.is_dir():
            sync_directory(folder)
    return Retained(first, len(gone), sum(size for _, size in gone), tuple(sorted({day for day, _ in gone})), held)


def _day_of_folder(folder: Path) -> date:
    return date.fromisoformat(folder.name.removeprefix("date="))


def _day_of_segment(path: Path) -> date | None:
    """Return the day of a segment's rows; None of one that became Parquet meanwhile, or whose header is damaged."""
    try:
        begun = read_header(path)
    except FileNotFoundError:
        return None
    return begun[0].day if begun is not None else None


def _delete_abandoned(path: Path) -> int | None:
    """Delete a segment that nobody writes or converts; return its bytes, None where somebody does, 0 if it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
        if found.st_nlink == 0:  # it became Parquet between open and lock
            return 0
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return None
    finally:
        os.close(descriptor)
    return found.st_size
