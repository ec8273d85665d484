"""An envelope as a Parquet file: a row for each batch of history, what is looked for in the file's metadata."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.errors import NotFound, UserError
from orita.core.files import atomic_file
from orita.monitoring.expectations.envelope import Envelope
from orita.monitoring.expectations.measured import Signal
from orita.monitoring.expectations.outlook import Outlook

__all__ = ["read_envelope", "write_envelope"]

_KEY = b"orita.envelope"
_FORM = 1
_FIGURES = {"y": "y_HK", "variance": "variance_HK", "count": "counts_HK", "of": "of_HK"}


class _Header(msgspec.Struct):
    form: int
    outlook: Outlook
    signals: list[Signal]


def write_envelope(file: Path, envelope: Envelope) -> None:
    """Write what `read_envelope` gives back, whole or not at all."""
    header = _Header(_FORM, envelope.outlook, list(envelope.signals))
    columns = {"end": pa.array(envelope.ends, pa.timestamp("us", "UTC"))}
    for name, field in _FIGURES.items():
        columns[name] = pa.array(list(getattr(envelope, field)), pa.list_(pa.float64()))
    table = pa.table(columns).replace_schema_metadata({_KEY: msgspec.json.encode(header)})
    with atomic_file(file) as partial:
        pq.write_table(table, partial, compression="zstd")


def read_envelope(file: Path) -> Envelope:
    """Return the envelope that *file* holds.

    Raises:
        NotFound: there is no such file.
        UserError: it holds something else.
    """
    if not file.exists():
        raise NotFound(f"the envelope {file} does not exist: 'orita quality infer TABLE' writes it from history.")
    try:
        table = pq.read_table(file)
        header = msgspec.json.decode((table.schema.metadata or {})[_KEY], type=_Header)
    except (pa.ArrowInvalid, KeyError, msgspec.DecodeError):
        raise UserError(f"{file} is no envelope: write it anew by 'orita quality infer TABLE'.") from None
    if header.form != _FORM:
        raise UserError(f"{file} is an envelope of form {header.form}, this version reads {_FORM}: infer it anew.")
    figures = {
        field: np.array(table[name].to_pylist(), dtype=np.float64).reshape(len(table), len(header.signals))
        for name, field in _FIGURES.items()
    }
    return Envelope(header.outlook, tuple(header.signals), tuple(table["end"].to_pylist()), **figures)
