"""Rows with their scores: what the model makes of a block, and which rows it has no score for.

Legend: N rows of a block, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.features.history.threads import at_once
from orita.models.examples import Ids
from orita.models.package import Package
from orita.pipelines.scoring.rules import BAD, KEPT, NUMBER
from orita.pipelines.scoring.wanted import Wanted

__all__ = ["Scored", "checked", "ids_of", "output_schema", "package_scores", "ready_matrix", "with_scores"]

_BLOCK_ROWS = 1 << 14


@dataclass(frozen=True, slots=True)
class Scored:
    """A block that was scored.

    Attributes:
        rows: `NUMBER`, ids, the time where rows have one, copies, ``score`` (float32), in the order of the input.
        bad: rows without a score, as `BAD`.
        cold: by what is not known of them, how many rows.
    """

    rows: pa.Table
    bad: pa.Table
    cold: Mapping[str, int]


def package_scores(
    package: Package,
    wanted: Wanted,
    rows: pa.Table,
    x_NF: npt.NDArray[np.float32],
    objective: Mapping[str, float] | None,
) -> npt.NDArray[np.float32]:
    """Return ``scores_N`` of *rows*, by a thread a processor: a graph runs on one thread, and holds no lock.

    Args:
        package: the model.
        wanted: which columns are ids.
        rows: as `Judged.rows` has them.
        x_NF: the features of each.
        objective: as of `Package.score`.
    """
    users_N, items_N = ids_of(rows, wanted.user), ids_of(rows, wanted.item)
    blocks = [slice(start, start + _BLOCK_ROWS) for start in range(0, max(len(rows), 1), _BLOCK_ROWS)]
    return np.concatenate(at_once(lambda b: package.score(users_N[b], items_N[b], x_NF[b], objective), blocks))


def with_scores(wanted: Wanted, rows: pa.Table, scores_N: npt.NDArray[np.float32]) -> pa.Table:
    """Return of *rows*, as `Judged.rows` has them, `NUMBER`, what comes out, and ``score``, whatever it is."""
    made = {NUMBER: rows[NUMBER]}
    for name in dict.fromkeys((*wanted.keys, *wanted.keep)):
        made[name] = rows[KEPT + name if KEPT + name in rows.column_names else name]
    return pa.table({**made, "score": pa.array(scores_N, pa.float32())})


def checked(package: Package, wanted: Wanted, table: pa.Table) -> Scored:
    """Return the rows of `with_scores` whose score is a number, those whose score is none, and how many are unknown."""
    known = package.known(ids_of(table, wanted.user), ids_of(table, wanted.item))
    cold = {f"{what}_unknown_to_model": int(np.count_nonzero(~known_N)) for what, known_N in known.items()}
    scores_N = table["score"].to_numpy()
    finite_N = np.isfinite(scores_N)
    if finite_N.all():
        return Scored(table, BAD.empty_table(), cold)
    told = _without_score(table[NUMBER].filter(pa.array(~finite_N)), scores_N[~finite_N])
    return Scored(table.filter(pa.array(finite_N)), told, cold)


def ready_matrix(rows: pa.Table, names: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return ``x_NF``, the columns *names* of *rows*, which are numbers, NaN where a value is missing."""
    x_NF = np.empty((len(rows), len(names)), np.float32)
    for position, name in enumerate(names):
        x_NF[:, position] = pc.fill_null(pc.cast(rows[name], pa.float32(), safe=False), np.nan)
    return x_NF


def ids_of(rows: pa.Table, columns: Sequence[str]) -> Ids:
    """Return the ids of an entity as models know them: numbers or texts, of a key of several columns one text.

    Different keys are different texts: a stroke that is part of an id is told from one between two, as in training
    rows (`orita.features.history.rows`).
    """
    if len(columns) == 1:
        return _array(rows[columns[0]])
    texts = (pc.replace_substring(rows[name].cast(pa.string()), "\\", "\\\\") for name in columns)
    return _array(pc.binary_join_element_wise(*(pc.replace_substring(text, "/", "\\/") for text in texts), "/"))


def _array(column: pa.ChunkedArray) -> Ids:
    values: Ids = column.to_numpy()
    return values


def output_schema(wanted: Wanted, kinds: Mapping[str, pa.DataType], there: pa.Schema, *, ranked: bool) -> pa.Schema:
    """Return the columns of the output: ids, the time where rows have one, copies, the score, and the rank.

    Args:
        wanted: what comes out beside the score.
        kinds: the types of ids, by column.
        there: the columns of the input.
        ranked: whether rows have a rank among those of their user.
    """
    judged = {wanted.time: pa.timestamp("us", tz="UTC")} if wanted.time else {}
    types = {name: there.field(name).type for name in wanted.keep} | judged | dict(kinds)
    fields = [pa.field(name, types[name]) for name in dict.fromkeys((*wanted.keys, *wanted.keep))]
    made = [pa.field("score", pa.float32()), *([pa.field("rank", pa.int32())] if ranked else [])]
    return pa.schema([*fields, *made])


def _without_score(numbers: pa.ChunkedArray, scores_B: npt.NDArray[np.float32]) -> pa.Table:
    told = {
        NUMBER: numbers,
        "column": ["score"] * len(scores_B),
        "value": [str(score) for score in scores_B],
        "rule": ["range"] * len(scores_B),
        "allowed": ["a number: the model gave none"] * len(scores_B),
    }
    return pa.table({f.name: told.get(f.name, pa.nulls(len(scores_B), f.type)) for f in BAD}, schema=BAD)
