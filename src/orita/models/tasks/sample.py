"""Rows that a package keeps with the answers they must give: ``sample.parquet``.

Legend: N rows, F features, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.package.tables import SAMPLE_ROWS, read_table
from orita.models.tasks.predictor import Answers, TableRows, TextRows

__all__ = ["AnsweredSample", "read_sample", "sample_of", "write_sample"]

_TEXT = "text"
_LONGEST_TEXT = 10_000  # keeps the file far below what a package may hold

Given = npt.NDArray[np.float32] | Sequence[str]
"""What a model is asked: ``x_NF``, or texts."""


@dataclass(frozen=True, slots=True)
class AnsweredSample:
    """Rows and their answers: ``probabilities_NK``, or ``values_N``."""

    given: Given
    answers: Answers


def sample_of(rows: TableRows | TextRows) -> TableRows | TextRows:
    """Return the first 64 of *rows*, as a file can hold them: texts end after 10,000 characters and are valid UTF-8."""
    if isinstance(rows, TableRows):
        return TableRows(rows.schema, rows.x_NF[:SAMPLE_ROWS], rows.y_N[:SAMPLE_ROWS])
    texts = [text[:_LONGEST_TEXT].encode("utf-8", "replace").decode() for text in rows.texts[:SAMPLE_ROWS]]
    return TextRows(texts, rows.y_N[:SAMPLE_ROWS])


def write_sample(file: Path, sample: AnsweredSample, schema: FeatureSchema | None) -> None:
    """Write *sample*; *schema* names the columns of a table, None for texts."""
    answers_NK = sample.answers.reshape(len(sample.answers), -1)
    columns = {name: pa.array(answer_N, pa.float32()) for name, answer_N in _named(answers_NK)}
    if schema is None:
        given = {_TEXT: pa.array(list(sample.given), pa.string())}
    else:
        x_NF = np.asarray(sample.given, np.float32)
        given = {_column(name): pa.array(x_N, pa.float32()) for name, x_N in zip(schema.names, x_NF.T, strict=True)}
    pq.write_table(pa.table({**given, **columns}), file)


def read_sample(content: bytes, where: str, schema: FeatureSchema | None, classes: int) -> AnsweredSample:
    """Read what `write_sample` wrote.

    Args:
        content: the bytes of the file.
        where: what errors call it.
        schema: the columns of a table, None for texts.
        classes: K, or 0 where the answer is a number.

    Raises:
        UserError: it is no sample of such a model, or has no rows.
    """
    names = [_TEXT] if schema is None else [_column(name) for name in schema.names]
    answers = [name for name, _ in _named(np.zeros((0, classes or 1), np.float32))]
    allowed = dict.fromkeys(names, (pa.string() if schema is None else pa.float32(),))
    allowed |= dict.fromkeys(answers, (pa.float32(),))
    table = read_table(content, where, "rows with answers", [allowed], SAMPLE_ROWS)
    if len(table) == 0:
        raise UserError(f"{where} has 0 rows: a package proves itself by its answers, write it with some.")
    answers_NK = np.stack([table.column(name).to_numpy() for name in answers], axis=1)
    found = answers_NK if classes else answers_NK[:, 0]
    if schema is None:
        return AnsweredSample(table.column(_TEXT).to_pylist(), found)
    columns = [table.column(name).to_numpy() for name in names]
    x_NF = np.column_stack(columns) if columns else np.zeros((len(table), 0), np.float32)
    return AnsweredSample(x_NF, found)


def _column(name: str) -> str:
    return f"x_{name}"


def _named(answers_NK: Answers) -> list[tuple[str, npt.NDArray[np.float32]]]:
    return [(f"answer_{k}", answers_NK[:, k]) for k in range(answers_NK.shape[1])]
