"""The best rows of each user: of every step first, then of all, sorted through the disk where memory is too small.

Legend: N rows of a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.sql import literal, quoted
from orita.events.engine import open_engine
from orita.pipelines.scoring.rules import NUMBER
from orita.pipelines.scoring.scored import ids_of

__all__ = ["best_of_all", "best_of_step"]


def best_of_step(rows: pa.Table, user: Sequence[str], top: int) -> pa.Table:
    """Return of each user the *top* rows of highest score, of equal ones those that come first, in their order.

    What is not among the best here is not among the best of all, so that only these have to be kept.
    """
    codes = pc.dictionary_encode(pa.chunked_array([pa.array(ids_of(rows, user))]).combine_chunks()).indices
    code_N = np.asarray(codes.to_numpy(zero_copy_only=False), np.int64)
    score_N = rows["score"].to_numpy()
    order_N = np.lexsort((np.arange(len(rows)), -score_N, code_N))
    sorted_N = code_N[order_N]
    first_N = np.searchsorted(sorted_N, sorted_N)
    kept_N = np.sort(order_N[np.arange(len(rows)) - first_N < top])
    return rows if len(kept_N) == len(rows) else rows.take(pa.array(kept_N))


def best_of_all(
    files: Sequence[Path], schema: pa.Schema, user: Sequence[str], top: int, folder: Path, memory_mb: int
) -> Iterator[pa.Table]:
    """Yield the rows of *files* that are among the *top* of their user, with their ``rank`` from 1, user by user.

    Args:
        files: as `best_of_step` leaves them.
        schema: the columns of the output, ``rank`` among them.
        user: the columns that are a user's id.
        top: how many of each.
        folder: where what does not fit memory is sorted.
        memory_mb: MiB that sorting may take.
    """
    if not files:
        return
    by = ", ".join(quoted(name) for name in user)
    named = ", ".join(quoted(name) for name in schema.names)
    read = f"read_parquet([{', '.join(literal(str(file)) for file in files)}])"
    place = f"row_number() OVER (PARTITION BY {by} ORDER BY score DESC, {quoted(NUMBER)})"
    query = f"SELECT {named} FROM (SELECT *, {place} AS rank FROM {read}) WHERE rank <= {top} ORDER BY {by}, rank"
    with open_engine(folder, memory_mb) as connection, connection.sql(query).to_arrow_reader(1 << 16) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch]).cast(schema)
