"""The Parquet files of a package: ids that a model knows, and rows with the scores that they must give.

Legend: N rows, F features, V ids, H heads.

A file is opened from the bytes that were hashed, its columns are compared with what they must be before any is read,
and Arrow's extension types, which could name code, never come to be: a column of one is of another type than allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.examples import Examples
from orita.models.package.files import shown
from orita.models.vocabulary import Vocabulary

__all__ = ["SAMPLE_ROWS", "Sample", "read_sample", "read_table", "read_vocabulary", "write_sample"]

SAMPLE_ROWS = 64
_MOST_IDS = 500_000_000
_IDS_A_BYTE, _LETTERS_A_BYTE = 2, 32
"""How dense a file of ids may be: 1, 2, 3 … take 4.3 bytes each as Orita writes them, and texts shrink to a third.

Parquet can say "the same again" for millions of rows in a few bytes: without a bound a small file asks for gigabytes
before anybody sees that its ids are not distinct."""
_ID_TYPES = (pa.int64(), pa.string())
_SCORE, _FINAL, _HEAD = "score", "final", "head_"


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows, the scores of the graph (``rows.y_N``), and what they are after the declared steps (``final_N``).

    Of a model with several heads also ``heads_NH``, whose first column the scores are.
    """

    rows: Examples
    final_N: npt.NDArray[np.float32]
    heads_NH: npt.NDArray[np.float32] | None = None

    @classmethod
    def of(cls, rows: Examples, outputs: npt.NDArray[np.float32], final_N: npt.NDArray[np.float32]) -> Sample:
        """Return *rows* with what the graph gives for them: ``scores_N``, or ``p_NH``."""
        if outputs.ndim == 1:
            return cls(replace(rows, y_N=outputs), final_N)
        return cls(replace(rows, y_N=outputs[:, 0]), final_N, outputs)

    @property
    def outputs(self) -> npt.NDArray[np.float32]:
        """What the graph gives."""
        return self.rows.y_N if self.heads_NH is None else self.heads_NH


def write_sample(file: Path, sample: Sample, heads: Sequence[str] = ()) -> None:
    """Write *sample*; *heads* are the names of its heads, where there are several."""
    rows = sample.rows
    outputs = () if sample.heads_NH is None else sample.heads_NH.T
    ids = [pa.array(i, pa.int64() if i.dtype != np.object_ else pa.string()) for i in (rows.users_N, rows.items_N)]
    columns = [pa.array(column_N, pa.float32()) for column_N in (*rows.x_NF.T, rows.y_N, *outputs, sample.final_N)]
    names = ["user_id", "item_id", *_feature_names(rows.schema), _SCORE, *_head_names(heads), _FINAL]
    pq.write_table(pa.table([*ids, *columns], names=names), file)


def read_sample(content: bytes, where: str, schema: FeatureSchema, heads: Sequence[str] = ()) -> Sample:
    """Read what `write_sample` wrote; a package of format 1 has no ``final``: it has no steps.

    Raises:
        UserError: it is not a sample of *schema*, or has no rows.
    """
    features = _feature_names(schema)
    allowed: dict[str, Sequence[pa.DataType]] = {"user_id": _ID_TYPES, "item_id": _ID_TYPES}
    allowed |= dict.fromkeys([*features, _SCORE], (pa.float32(),))
    whole = {**allowed, **dict.fromkeys([*_head_names(heads), _FINAL], (pa.float32(),))}
    table = read_table(content, where, "rows with scores", [whole] if heads else [allowed, whole], SAMPLE_ROWS)
    columns = [_array(table.column(name)) for name in features]
    if len(table) == 0:
        raise UserError(f"{where} has 0 rows: a package proves itself by its scores, write it with some.")
    x_NF = np.column_stack(columns) if columns else np.zeros((len(table), 0), np.float32)
    users_N, items_N = _array(table.column("user_id")), _array(table.column("item_id"))
    score_N = _array(table.column(_SCORE))
    final_N = _array(table.column(_FINAL)) if _FINAL in table.column_names else score_N
    outputs = np.column_stack([_array(table.column(name)) for name in _head_names(heads)]) if heads else None
    rows = Examples(schema, users_N, items_N, x_NF, score_N, np.zeros(len(table), np.int64))
    return Sample(rows, final_N, outputs)


def read_vocabulary(content: bytes, where: str) -> Vocabulary:
    """Read what `Vocabulary.write` wrote.

    Raises:
        UserError: it is not a sorted column ``id`` of int64 or string, or says more than a file of its size can.
    """
    most = min(_MOST_IDS, _IDS_A_BYTE * len(content))
    _refuse_repeated_texts(content, where, most)
    ids_V = _array(read_table(content, where, "ids", [{"id": _ID_TYPES}], most).column("id"))
    if len(ids_V) > 1 and not np.all(ids_V[1:] > ids_V[:-1]):
        raise UserError(f"{where} holds ids that are not sorted and distinct; write the package again.")
    return Vocabulary(ids_V)


def _refuse_repeated_texts(content: bytes, where: str, most_rows: int) -> None:
    """Refuse texts that would fill far more memory than the file, each looked at once, however often it is repeated.

    Raises:
        UserError: they would.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content), memory_map=False, read_dictionary=["id"])
        # What is no column of texts, or has too many rows, is refused where the table is read.
        if file.schema_arrow.names != ["id"] or not pa.types.is_dictionary(file.schema_arrow.field(0).type):
            return
        if file.metadata.num_rows > most_rows:
            return
        chunks = file.read().column("id").chunks
        letters = sum(pc.sum(pc.binary_length(each.dictionary).take(each.indices)).as_py() or 0 for each in chunks)
    except (pa.ArrowException, OSError, ValueError, KeyError):  # no Parquet, no ids: the reading of the table says so
        return
    if letters > _LETTERS_A_BYTE * len(content):
        raise UserError(
            f"{where} has {len(content):,} bytes and {letters:,} bytes of ids, allowed are {_LETTERS_A_BYTE} times as "
            "many: ids are distinct, write the package again."
        )


def read_table(
    content: bytes, where: str, of: str, allowed: Sequence[Mapping[str, Sequence[pa.DataType]]], most_rows: int
) -> pa.Table:
    """Return the table in *content*, which has one of the sets of columns *allowed*, and no value missing.

    Raises:
        UserError: it is not a Parquet file of *of*, or has other columns, more rows, or missing values.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content), memory_map=False)
        schema, rows = file.schema_arrow, file.metadata.num_rows
        if not any(_is_of(schema, columns) for columns in allowed):
            expected = ", ".join(f"{n} ({' or '.join(map(str, types))})" for n, types in allowed[-1].items())
            raise UserError(f"{where} has the columns {_spelled(schema)}, expected {expected}.")
        if not 0 <= rows <= most_rows:
            raise UserError(f"{where} has {rows:,} rows, allowed are {most_rows:,}.")
        table = file.read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{where} is not a Parquet file of {of}: {shown(' '.join(str(error).split()))[:300]}") from None
    if missing := sum(column.null_count for column in table.columns):
        raise UserError(f"{where} holds {missing} missing value(s); write the package again.")
    return table


def _array(column_N: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a column that misses no value as an array; pyarrow's own way first imports pandas where it is there."""
    if pa.types.is_string(column_N.type):
        return np.array(column_N.to_pylist(), np.object_)
    return np.from_dlpack(column_N.combine_chunks())


def _is_of(schema: pa.Schema, columns: Mapping[str, Sequence[pa.DataType]]) -> bool:
    if schema.names != list(columns):
        return False
    return all(schema.field(position).type in types for position, types in enumerate(columns.values()))


def _spelled(schema: pa.Schema) -> str:
    return ascii([f"{field.name} ({field.type})" for field in schema])[:300]


def _feature_names(schema: FeatureSchema) -> list[str]:
    return [f"x_{name}" for name in schema.names]


def _head_names(heads: Sequence[str]) -> list[str]:
    return [f"{_HEAD}{name}" for name in heads]
