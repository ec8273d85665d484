"""One answered request of the prediction log, found without reading the log: where explaining and replaying begin.

A request id that Orita made, and every prediction id, is a UUIDv7 and holds its time; a segment's name holds when it
was begun. So the parts nearest in time are looked at first, and the rest of the log only for an id that a caller made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import from_micros
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.core.progress import SILENT, Progress
from orita.core.sql import literal
from orita.events.engine import draw_nothing
from orita.events.logged_request import TAIL, LoggedRequest, latest_answer
from orita.events.prediction_files import parquet_files, write_ahead_files
from orita.events.prediction_segment import read_segment, segment_table

__all__ = ["find_request", "read_parquet_rows"]

_FIRST_BATCH = 2
_BATCH_GROWTH = 4
_SLACK = timedelta(seconds=2)
"""How far a caller's clock, or the time a request waited, may move an id from the segment that holds it."""


def find_request(home: Home, identity: str, *, progress: Progress = SILENT) -> LoggedRequest:
    """Return the request that has this id, or that one of its predictions has; while servers write and convert.

    Raises:
        NotFound: the log does not have it.
    """
    rows = _written(home, identity)  # before Parquet is listed: a segment that is neither does not exist
    files = list(parquet_files(home))
    with progress.bar("Look into the prediction log", total=len(files)) as bar:
        for column, batch in _batches(files, identity):
            if rows is not None:
                break
            rows = _converted(batch, column, identity)
            bar.advance(len(batch))
    if rows is None:
        raise NotFound(
            f"no request and no prediction has the id {identity!r} in the prediction log ({len(files):,} Parquet "
            "files): 'orita predictions list' shows the latest requests."
        )
    return latest_answer(rows)


def read_parquet_rows(files: Sequence[Path], select: str, where: str, *, alike: bool = True) -> pa.Table:
    """Return *select* of the rows of *files* that are *where*; a file that was let go meanwhile has none.

    Args:
        files: Parquet files of the log.
        select: SQL of what is wanted, up to before FROM.
        where: SQL of the condition, and what follows it.
        alike: whether all files have what is selected in one type, as they do but for ``features``.

    Raises:
        UserError: a file is no Parquet file any more.
    """
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        draw_nothing(connection)
        while there := [file for file in files if file.exists()]:
            listed = ", ".join(literal(str(file)) for file in there)
            options = f"filename = true, hive_partitioning = false, union_by_name = {not alike}"
            relation = f"read_parquet([{listed}], {options})"
            try:
                return connection.sql(f"{select} FROM {relation} WHERE {where}").to_arrow_table()
            except (duckdb.IOException, duckdb.InvalidInputException) as error:
                if all(file.exists() for file in there):
                    told = " ".join(str(error).split())
                    raise UserError(
                        f"the prediction log cannot be read ({told}): restore that file, or move it out of the log."
                    ) from None
    return pa.table({})


def _written(home: Home, identity: str) -> pa.Table | None:
    """Return the rows that are not Parquet yet."""
    salt = _salt_of(identity)
    for path in reversed(write_ahead_files(home)):
        try:
            if not _may_hold(path.read_bytes(), identity, salt):
                continue
            content = read_segment(path)
        except FileNotFoundError:
            continue  # it became Parquet after it was listed; Parquet is listed later
        if content is None:
            continue
        found = [each for each in content.requests if each.request_id == identity]
        if found:
            return segment_table(content.header, found)
        if rows := [each for each in content.requests if each.salt == salt]:
            return _holding(segment_table(content.header, rows), identity)
    return None


def _may_hold(content: bytes, identity: str, salt: int | None) -> bool:
    """Tell whether a segment's bytes may have the id: looking for them takes a hundredth of decoding the segment."""
    if identity.encode() in content:
        return True
    if salt is None:
        return False
    return salt < 2**32 or salt.to_bytes(8, "big") in content  # MessagePack has smaller numbers in fewer bytes


def _holding(rows: pa.Table, identity: str) -> pa.Table | None:
    return rows if pc.any(pc.equal(rows["prediction_id"], identity)).as_py() else None


def _salt_of(identity: str) -> int | None:
    """Return the random bits of a prediction id; None where *identity* cannot be one."""
    with suppress(ValueError):
        value = UUID(identity)
        if value.version == 7 and str(value) == identity:
            return value.int & (2**62 - 1)
    return None


def _batches(files: Sequence[Path], identity: str) -> Iterator[tuple[str, list[Path]]]:
    """Yield which column of which files to look at next, files growing in number."""
    at = _time_of(identity)
    if at is None:
        for batch in _growing(sorted(files, key=lambda file: file.stem, reverse=True)):
            yield "request_id", batch
        return
    days = {(at + timedelta(days=days)).date() for days in (-1, 0, 1)}
    near = sorted((file for file in files if _day(file) in days), key=lambda file: _distance(file, at))
    for batch in _growing(near):
        for column in ("request_id", "prediction_id"):
            yield column, batch
    chosen = set(near)
    for batch in _growing([file for file in reversed(files) if file not in chosen]):
        yield "request_id", batch


def _growing(files: Sequence[Path]) -> Iterator[list[Path]]:
    start, size = 0, _FIRST_BATCH
    while start < len(files):
        yield list(files[start : start + size])
        start, size = start + size, size * _BATCH_GROWTH


def _distance(file: Path, at: datetime) -> tuple[bool, timedelta]:
    """Order segments by how likely they hold what was answered at *at*: those begun before it, the latest first."""
    begun = _time_of(file.stem[len("2024-11-15-") :]) or datetime.combine(_day(file), datetime.min.time(), UTC)
    return begun > at + _SLACK, abs(at - begun)


def _day(file: Path) -> date:
    return date.fromisoformat(file.parent.name.removeprefix("date="))


def _time_of(identity: str) -> datetime | None:
    """Return the time that a UUID of version 7 holds, None of anything else."""
    with suppress(ValueError, OverflowError):
        value = UUID(identity)
        if value.version == 7:
            return from_micros((value.int >> 80) * 1000)
    return None


def _converted(files: Sequence[Path], column: str, identity: str) -> pa.Table | None:
    found = read_parquet_rows(files, "SELECT DISTINCT filename", f"{column} = {literal(identity)}")
    if not len(found):
        return None
    holding = [Path(name) for name in found["filename"].to_pylist()]
    if column == "request_id":
        wanted = f"request_id = {literal(identity)}"
    else:  # of the same answer: its ids end alike
        wanted = f"substr(prediction_id, {TAIL + 1}) = {literal(identity[TAIL:])}"
    rows = read_parquet_rows(holding, "SELECT * EXCLUDE (filename)", wanted, alike=len(holding) == 1)
    return rows if len(rows) else None
