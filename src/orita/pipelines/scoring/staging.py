"""Text becomes Parquet once, so that a killed run goes on anywhere; ids that are all numbers become numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.files import atomic_file
from orita.core.progress import Progress
from orita.events.config import ValidationConfig
from orita.events.sources.delimited import Dialect, stage_rows
from orita.events.sources.opened import FAULT, ROW, TEXT
from orita.events.sources.probe import probe_text
from orita.events.whole_ids import are_whole
from orita.pipelines.scoring.source import Source
from orita.pipelines.scoring.wanted import Wanted

__all__ = ["BESIDE", "id_kinds", "stage_text"]

BESIDE = pa.schema([(ROW, pa.int64()), (FAULT, pa.string()), (TEXT, pa.string())])
"""Columns of text beside its own: the number of a row, and of a row that could not be parted, why and its text."""


def stage_text(source: Source, folder: Path, config: ValidationConfig, progress: Progress) -> Path:
    """Return the rows of the text *source* as a Parquet file in *folder*, made where it is not there yet.

    Raises:
        UserError: it is no UTF-8, was cut off, or a quotation mark is never closed.
    """
    staged, (file,) = folder / f"input-{source.digest[:16]}.parquet", source.files
    if staged.exists():
        return staged
    path = Path(file.path)
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    with progress.bar("Read the text", total=1) as bar, atomic_file(staged) as partial:
        probe_text(path, config.max_line_bytes)
        dialect = Dialect("\t") if plain.suffix == ".tsv" else Dialect(config.delimiter)
        stage_rows(path, source.schema.names, partial, dialect)
        bar.advance()
    return staged


def id_kinds(
    wanted: Wanted, schema: pa.Schema, stored: Mapping[str, pa.DataType], texts: Sequence[Path]
) -> dict[str, pa.DataType]:
    """Return the type of each column of ids: that of the events, else that of the input; one for all of its rows.

    Args:
        wanted: what is read.
        schema: the input's columns.
        stored: the types that events have, by column.
        texts: staged text, whose ids are numbers where all of them are whole numbers; empty: the input has types.
    """
    found = {}
    for column in wanted.columns:
        if column.type != "id":
            continue
        kind = schema.field(column.name).type
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)
        if texts:
            number = all(_whole(file, column.name) for file in texts)
        found[column.name] = stored.get(column.name, pa.int64() if number else pa.string())
    return found


def _whole(file: Path, column: str) -> bool:
    batches = pq.ParquetFile(file).iter_batches(columns=[column])
    return all(are_whole(pa.chunked_array([batch[column]])) for batch in batches)
