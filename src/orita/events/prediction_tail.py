"""The prediction log as it grows: the answers behind a place in a segment, whether that is Parquet by now or not.

A place is counted in rows, which a segment and the Parquet file that it becomes have in the same order, and in bytes,
by which a segment that is still being written is read on without reading it again.

Legend: M rows, F features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orita.events.logged_request import TAIL
from orita.events.prediction_segment import SEGMENT_MAGIC, ScoredRequest, SegmentHeader, decode_header, next_frame

__all__ = ["AnswersRead", "ParquetSegment", "read_header", "read_on"]

_PIECE_BYTES, _PIECE_ANSWERS = 4 * 1024 * 1024, 500
_HEADER_BYTES = 64 * 1024
_BATCH_ROWS = 8_192
_SALT = (1 << 62) - 1
_COLUMNS = ("prediction_id", "timestamp", "as_of", "request_id", "user_id", "item_id", "latency_ms", "score", "rank")
_LATER_COLUMNS = ("level", "cached", "objective", "features")


@dataclass(frozen=True, slots=True)
class AnswersRead:
    """Some answers of a segment, and the place behind them.

    Attributes:
        requests: the answers.
        rows, position: the place behind them; the position means nothing in Parquet.
    """

    requests: tuple[ScoredRequest, ...]
    rows: int
    position: int


def read_header(path: Path) -> tuple[SegmentHeader, int] | None:
    """Return the header of the segment that is written at *path* and where it ends; None where it cannot be read.

    Raises:
        FileNotFoundError: it became Parquet meanwhile.
    """
    with path.open("rb") as file:
        size = _HEADER_BYTES
        while True:
            file.seek(0)
            content = file.read(size)
            if not content.startswith(SEGMENT_MAGIC):
                return None
            if (found := decode_header(memoryview(content))) is not None:
                return found
            if len(content) < size:
                return None
            size *= 4


def read_on(path: Path, rows: int, position: int, most_bytes: int = _PIECE_BYTES) -> AnswersRead:
    """Return the answers behind a place of the segment at *path*, about *most_bytes* of them, 500 at most, or one.

    A frame of another form is passed over, as `read_segment` does.

    Raises:
        FileNotFoundError: it became Parquet meanwhile.
    """
    decode = msgspec.msgpack.Decoder(ScoredRequest).decode
    found: list[ScoredRequest] = []
    with path.open("rb") as file:
        while True:
            file.seek(position)
            content = file.read(most_bytes)
            payload, ended = next_frame(memoryview(content), 0)
            if payload is not None or len(content) < most_bytes:
                break
            most_bytes *= 4  # one answer that is larger than a piece
    whole = 0
    while payload is not None and len(found) < _PIECE_ANSWERS:
        with suppress(msgspec.MsgspecError):
            found.append(decode(payload))
        whole = ended
        payload, ended = next_frame(memoryview(content), whole)
    return AnswersRead(tuple(found), rows + sum(len(each.item_ids) for each in found), position + whole)


@dataclass(frozen=True, slots=True)
class ParquetSegment:
    """A segment that became Parquet; all its rows have one system, one model version and one list of features.

    Attributes:
        path: the file.
        system, model_version: whose rows it has.
        features: names of the columns of features.
        rows: how many it has.
        last_micros: when the latest of its answers was given; the end of time where the file does not say.
    """

    path: Path
    system: str
    model_version: str
    features: tuple[str, ...]
    rows: int
    last_micros: int

    @classmethod
    def open(cls, path: Path) -> ParquetSegment:
        """Return what the file at *path* says of itself.

        Raises:
            FileNotFoundError: it was let go.
        """
        with pq.ParquetFile(path) as file:
            first = next(file.iter_batches(batch_size=1, columns=["system", "model_version"])).to_pylist()[0]
            schema, meta = file.schema_arrow, file.metadata
            names = [meta.schema.column(c).path for c in range(meta.num_columns)]
            place = names.index("timestamp")
            told = [meta.row_group(group).column(place).statistics for group in range(meta.num_row_groups)]
            known = all(each is not None and each.has_min_max for each in told)
            last = max(each.max_raw for each in told) if known else np.iinfo(np.int64).max
            features = (
                tuple(field.name for field in schema.field("features").type) if "features" in schema.names else ()
            )
            return cls(path, first["system"], first["model_version"], features, meta.num_rows, int(last))

    def read_from(self, rows: int) -> Iterator[AnswersRead]:
        """Yield the answers behind the first *rows* rows, a piece at a time; nothing where the file was let go."""
        try:
            file = pq.ParquetFile(self.path)
        except FileNotFoundError:
            return
        with file:
            there = [name for name in (*_COLUMNS, *_LATER_COLUMNS) if name in file.schema_arrow.names]
            groups, skipped = _groups_behind(file.metadata, rows)
            left = rows - skipped
            held: pa.Table | None = None
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=groups, columns=there, use_threads=False):
                table = pa.Table.from_batches([batch])
                if left >= len(table):
                    left -= len(table)
                    continue
                table, left = table.slice(left), 0
                held = table if held is None else pa.concat_tables([held, table]).combine_chunks()
                starts = _starts(held)
                if len(starts) > 1:  # the last answer may go on in the next batch
                    rows += int(starts[-1])
                    yield AnswersRead(tuple(self._requests(held, starts)), rows, 0)
                    held = held.slice(int(starts[-1]))
            if held is not None and len(held):
                starts = np.array([0, len(held)])
                yield AnswersRead(tuple(self._requests(held, starts)), rows + len(held), 0)

    def _requests(self, table: pa.Table, starts: npt.NDArray[np.int64]) -> Iterator[ScoredRequest]:
        """Yield the answers that begin at *starts*, but for the last of these, where one ends."""
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        items, ids = columns["item_id"].to_pylist(), columns["prediction_id"]
        scores_M = columns["score"].to_numpy(zero_copy_only=False).astype(np.float32)
        ranks_M = columns["rank"].to_numpy(zero_copy_only=False).astype(np.int32)
        x_MF, filled_M = self._features(columns, len(table))
        at_M, as_of_M = (columns[name].cast(pa.int64()).to_numpy() for name in ("timestamp", "as_of"))
        for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            level = _value(columns, "level", first, 1)
            objective = _value(columns, "objective", first, None)
            yield ScoredRequest(
                at_micros=int(at_M[first]),
                as_of_micros=int(as_of_M[first]),
                request_id=columns["request_id"][first].as_py(),
                salt=int(ids[first].as_py()[TAIL:].replace("-", ""), 16) & _SALT,
                user_id=columns["user_id"][first].as_py(),
                item_ids=items[first:last],
                latency_ms=columns["latency_ms"][first].as_py(),
                scores=scores_M[first:last].tobytes(),
                ranks=ranks_M[first:last].tobytes(),
                features=x_MF[first:last].tobytes() if filled_M[first:last].any() or level == 1 else b"",
                level=level,
                cached=bool(_value(columns, "cached", first, False)),
                objective=None if objective is None else msgspec.json.decode(objective, type=dict[str, float]),
            )

    def _features(self, columns: dict[str, Any], rows: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Return ``x_MF``, NaN where missing, and in which rows anything is there."""
        x_MF = np.empty((rows, len(self.features)), np.float32)
        for f, name in enumerate(self.features):
            values = pc.struct_field(columns["features"], name)
            x_MF[:, f] = pc.fill_null(values, np.nan).to_numpy(zero_copy_only=False)
        return x_MF, np.atleast_1d(np.isfinite(x_MF).any(axis=1))


def _groups_behind(metadata: pq.FileMetaData, rows: int) -> tuple[list[int], int]:
    """Return the row groups that have rows behind the first *rows*, and how many rows those before them have."""
    before, skipped = 0, 0
    while before < metadata.num_row_groups and skipped + metadata.row_group(before).num_rows <= rows:
        skipped += metadata.row_group(before).num_rows
        before += 1
    return list(range(before, metadata.num_row_groups)), skipped


def _starts(table: pa.Table) -> npt.NDArray[np.int64]:
    """Return where answers begin: rows of one share the end of their prediction ids."""
    tails_M = pc.utf8_slice_codeunits(table["prediction_id"], TAIL).to_numpy(zero_copy_only=False)
    changed = np.flatnonzero(tails_M[1:] != tails_M[:-1]) + 1
    return np.concatenate([[0], changed]).astype(np.int64)


def _value(columns: dict[str, Any], name: str, row: int, otherwise: Any) -> Any:
    """Return a value of a column that older files lack."""
    found = columns[name][row].as_py() if name in columns else None
    return otherwise if found is None else found
