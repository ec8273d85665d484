"""Where rows to profile come from: a lake table, a file, a folder of them, the prediction log; by batches, in turn."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.core.sql import literal
from orita.events.engine import draw_nothing
from orita.events.lake import Lake
from orita.events.prediction_files import prediction_parts
from orita.events.predictions import condition

__all__ = ["BATCH_ROWS", "PREDICTION_COLUMNS", "file_batches", "lake_batches", "prediction_batches"]

BATCH_ROWS = 1 << 16
"""Rows of a batch: its columns fit the second level of a processor's cache, in turn."""

PREDICTION_COLUMNS = (
    *("timestamp", "score", "rank", "position", "latency_ms", "propensity", "level", "cached"),
    *("model_version", "rollout", "variant", "objective", "features"),
)
"""What is profiled of the prediction log; ids and times of single answers are not."""

_READERS = {
    **dict.fromkeys((".csv", ".tsv"), "read_csv({}, sample_size = -1)"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "read_json_auto({})"),
}
_PARQUET = (".parquet", ".pq")


def lake_batches(home: Home, table: str, version: int | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a lake table as it is, or was at *version*.

    Raises:
        NotFound: there is none; the sentence lists what exists.
    """
    snapshot = Lake(home).snapshot(table, version)
    if not snapshot.files:
        yield pa.RecordBatch.from_pylist([], snapshot.schema)
        return
    rows = ds.dataset(list(snapshot.files), schema=snapshot.schema, format="parquet")
    yield from rows.to_batches(batch_size=BATCH_ROWS)


def file_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet, CSV or JSON-lines file, or of a folder of Parquet files.

    Raises:
        NotFound: there is no such path.
        UserError: it is of another format, or cannot be read.
    """
    if not path.exists():
        raise NotFound(f"{path} does not exist: check the path.")
    suffix = path.suffix.lower()
    try:
        if path.is_dir() or suffix in _PARQUET:
            yield from ds.dataset(path, format="parquet", partitioning="hive").to_batches(batch_size=BATCH_ROWS)
        elif suffix in _READERS:
            yield from _read(_READERS[suffix].format(literal(str(path))))
        else:
            known = ", ".join([*_PARQUET, *_READERS])
            raise UserError(f"{path} ends in {suffix or 'nothing'}: a profile reads files that end in {known}.")
    except (pa.ArrowInvalid, duckdb.Error) as error:
        raise UserError(
            f"{path} cannot be read ({' '.join(str(error).split())}): repair or leave out the file."
        ) from None


def prediction_batches(
    home: Home,
    *,
    system: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    model_version: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the logged predictions, a day after the other, with `PREDICTION_COLUMNS`; arguments as
    `orita.events.predictions.prediction_log`.

    Raises:
        NotFound: the log has none.
    """
    wanted = condition(start, end, model_version, system, None)
    rows = 0
    for part in prediction_parts(home, start, end):
        if model_version is None or part.model_version in (None, model_version):
            found = part.read(PREDICTION_COLUMNS, wanted)
            rows += len(found)
            yield from found.combine_chunks().to_batches(BATCH_ROWS)
    if not rows:
        raise NotFound("the prediction log has no such row: run 'orita serve' and ask it something.")


def _read(reader: str) -> Iterator[pa.RecordBatch]:
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        draw_nothing(connection)
        yield from connection.sql(f"FROM {reader}").to_arrow_reader(BATCH_ROWS)
