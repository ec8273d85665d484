"""Where predictions lie: the folder layout, how a segment becomes Parquet, and which parts there are now.

Below ``home.predictions``: ``_wal/<segment>.wal``, written by servers, and ``date=<day>/<segment>.parquet``
that each becomes. A segment's Parquet appears as a whole before its write-ahead file goes; so a reader that
lists write-ahead files first and Parquet second sees every row, and drops by its name the part that it sees
twice. A part that `orita.events.prediction_retention` lets go after it was listed has no rows any more.

What of a segment cannot be read, as another version of Orita wrote it, stays in its write-ahead file. Readers pass it
over and say so in the log; everything else is there as ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orita.core.errors import OritaError
from orita.core.files import PARTIAL, atomic_file, sync_directory
from orita.core.home import Home
from orita.events.prediction_segment import Segment, prediction_schema, read_segment, segment_table
from orita.events.prediction_tail import read_header

__all__ = [
    "Part",
    "convert_segment",
    "parquet_files",
    "parts_of_day",
    "prediction_days",
    "prediction_parts",
    "segment_folder",
    "sweep_partials",
    "write_ahead_files",
]

_WAL = ".wal"
_PARQUET = ".parquet"
_DAY = "date="
_GROUP_ROWS = 65_536
"""Rows of a group in Parquet: who looks for one request reads the groups that may have it, not the file."""
_BEFORE = {
    "level": (1, pa.int8()),
    "cached": (False, pa.bool_()),
    "objective": (None, pa.string()),
    "rollout": (None, pa.string()),
    "variant": (None, pa.string()),
    "placement_propensity": (1.0, pa.float32()),
    "split_since": (None, pa.timestamp("us", tz="UTC")),
}
"""What files say that were written before these columns were."""
_NUMBER = "row of the file"


def segment_folder(home: Home) -> Path:
    """Return the folder of the segments that are not Parquet yet; its name hides it from Parquet readers."""
    return home.predictions / "_wal"


def convert_segment(home: Home, segment: Path) -> Path | None:
    """Turn a segment that nobody writes any more into Parquet; return its path, None if it held no row.

    It may be killed at any point and run again: the same segment gives the same file.

    Raises:
        OritaError: something of the segment cannot be read; it is kept as it is.
    """
    content = read_segment(segment)
    target = None
    if content is None:
        raise OritaError(f"{segment} has a damaged header: its rows cannot be read, and it is kept as it is.")
    if content.fault is not None:
        raise OritaError(f"{segment} cannot be read as a whole ({content.fault}), and it is kept as it is.")
    if content.requests:
        header = content.header
        target = _parquet_path(home, header.name, header.day)
        rows = segment_table(header, content.requests)
        if not header.features:
            rows = rows.drop_columns(["features"])  # Parquet has no struct without fields
        with atomic_file(target, alone=True) as partial:  # whoever converts has locked the segment
            pq.write_table(
                rows, partial, compression="zstd", use_dictionary=_repetitive(rows), row_group_size=_GROUP_ROWS
            )
        sync_directory(home.predictions)
    segment.unlink(missing_ok=True)
    sync_directory(segment.parent)
    return target


def sweep_partials(home: Home) -> list[Path]:
    """Delete the half-written Parquet files that nobody writes any more, as their segment is gone; return them.

    What a killed conversion leaves has the name of its segment: as long as that is there, the next conversion writes
    over it.
    """
    gone = []
    for partial in list(home.predictions.glob(f"{_DAY}*/{PARTIAL}*{_PARQUET}")):
        segment = segment_folder(home) / f"{partial.stem.removeprefix(PARTIAL)}{_WAL}"
        if not segment.exists():
            with suppress(OSError):  # what cannot be deleted stays until it can be
                partial.unlink()
                gone.append(partial)
    return gone


@dataclass(frozen=True, slots=True)
class Part:
    """One segment as it is now: rows that were read from its write-ahead file, or a Parquet file."""

    name: str
    day: date
    source: pa.Table | Path
    model_version: str | None = None

    def read(
        self, names: Sequence[str], wanted: pc.Expression | None = None, *, features: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the columns *names* of the rows that are *wanted*, by default all; none where it was let go.

        Features are most of a file: they are read in those groups of rows only that hold a wanted one.

        Args:
            names: of columns.
            wanted: which rows, by columns that are asked for, the time, version, system or level.
            features: which are needed in the column ``features``, by default all. More may come, and all of them do
                where one was not logged, so that whoever reads can say what was.
        """
        needed = list(dict.fromkeys([*names, "timestamp", "model_version", "system", "level"]))
        if isinstance(self.source, Path):
            try:
                with pq.ParquetFile(self.source) as file:
                    rows = _chosen_rows(file, needed, wanted, features)
            except FileNotFoundError:
                rows = _chosen(prediction_schema(()).empty_table().drop_columns(["features"]), needed, wanted)
        else:
            rows = _chosen(self.source, needed, wanted)
        if "features" in names and "features" not in rows.column_names:
            empty = pa.nulls(len(rows), pa.struct([]))
            rows = rows.append_column("features", empty)
        return rows.select(list(names))


def _chosen_rows(
    file: pq.ParquetFile, needed: Sequence[str], wanted: pc.Expression | None, features: Sequence[str] | None
) -> pa.Table:
    """Return the wanted rows of a file; arguments as of `Part.read`."""
    there = [name for name in needed if name in file.schema_arrow.names]
    if "features" not in there:
        return _chosen(file.read(columns=there), needed, wanted)
    rows = file.read(columns=[name for name in there if name != "features"])
    rows = _chosen(rows.append_column(_NUMBER, pa.array(np.arange(len(rows)))), needed, wanted)
    number_N = rows[_NUMBER].to_numpy()
    size_G = np.array([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)], np.int64)
    group_N = np.searchsorted(np.cumsum(size_G), number_N, side="right")
    read_G = np.zeros(len(size_G), np.bool_)
    read_G[group_N] = True
    skipped_G = np.cumsum(np.where(read_G, 0, size_G))  # rows that are not read, up to the end of each group
    logged = {field.name for field in file.schema_arrow.field("features").type}
    some = features is not None and logged.issuperset(features)
    columns = [f"features.{name}" for name in features] if some and features else ["features"]
    given = file.read_row_groups(np.flatnonzero(read_G).tolist(), columns=columns)
    return rows.append_column("features", given["features"].take(pa.array(number_N - skipped_G[group_N])))


def _chosen(rows: pa.Table, needed: Sequence[str], wanted: pc.Expression | None) -> pa.Table:
    """Return the wanted rows, with the columns of *needed* that were not there yet when they were written."""
    for name, (value, type_) in _BEFORE.items():
        if name in needed and name not in rows.column_names:
            rows = rows.append_column(name, pa.repeat(pa.scalar(value, type_), len(rows)))
    return rows if wanted is None else rows.filter(wanted)


def prediction_parts(home: Home, start: datetime | None = None, end: datetime | None = None) -> list[Part]:
    """Return the parts of the log that may have rows in [*start*, *end*), each once, in order of time."""
    first = _day(start) if start is not None else date.min
    last = _day(end - datetime.resolution) if end is not None else date.max
    return _parts(home, first, last)


def parts_of_day(home: Home, day: date) -> list[Part]:
    """Return the parts of a UTC day, in order of time; segments of other days are not decoded."""
    return _parts(home, day, day)


def _parts(home: Home, first: date, last: date) -> list[Part]:
    open_parts = list(_open_parts(home, first, last))
    closed = {path.stem: path for path in parquet_files(home)}
    found = [Part(name, _day_of(path), path) for name, path in closed.items()]
    found += [part for part in open_parts if part.name not in closed]
    return sorted((part for part in found if first <= part.day <= last), key=lambda part: part.name)


def _open_parts(home: Home, first: date, last: date) -> Iterator[Part]:
    # The newest first: what a failed commit left in a segment is cut off before it is written to a newer one, so that
    # who reads in this order finds it once.
    for path in reversed(write_ahead_files(home)):
        try:
            begun = read_header(path)
            if begun is not None and not first <= begun[0].day <= last:
                continue  # decoding a whole segment takes a second
            content = read_segment(path)
        except FileNotFoundError:
            continue  # it became Parquet after it was listed; the Parquet is listed later
        if content is None:
            _tell_unreadable(path, "its header is damaged")
        elif (part := _open_part(path, content)) is not None:
            yield part


def _open_part(path: Path, content: Segment) -> Part | None:
    """Return the part that a segment is, None where it has no rows or they make no table."""
    if content.fault is not None:
        _tell_unreadable(path, content.fault)
    if not content.requests:
        return None
    header = content.header
    try:
        rows = segment_table(header, content.requests)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # as NumPy and Arrow say it
        _tell_unreadable(path, str(error))
        return None
    return Part(header.name, header.day, rows, header.model_version)


def _tell_unreadable(segment: Path, reason: str) -> None:
    import structlog  # here, because nearly nobody who reads the log has to be told

    log = structlog.get_logger("orita.events")
    log.warning("prediction_segment_unreadable", segment=str(segment), error=reason)


def write_ahead_files(home: Home) -> list[Path]:
    """Return the segments that are not Parquet yet, in order of time; any may become Parquet at any moment."""
    return sorted(segment_folder(home).glob(f"*{_WAL}"))


def parquet_files(home: Home) -> Iterable[Path]:
    """Return the Parquet files there are now; list the write-ahead files before them, never after."""
    return (path for path in home.predictions.glob(f"{_DAY}*/*{_PARQUET}") if not path.name.startswith("."))


def _parquet_path(home: Home, name: str, day: date) -> Path:
    return home.predictions / f"{_DAY}{day.isoformat()}" / f"{name}{_PARQUET}"


def _day_of(parquet: Path) -> date:
    return date.fromisoformat(parquet.parent.name.removeprefix(_DAY))


def _day(at: datetime) -> date:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).date()


def prediction_days(home: Home) -> list[date]:
    """Return the UTC days that have predictions, oldest first."""
    return sorted({part.day for part in prediction_parts(home)})


def _repetitive(rows: pa.Table) -> list[str]:
    unique = ("prediction_id", "score")
    return [name for name in rows.column_names if name not in unique and name != "features"]
