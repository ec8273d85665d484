"""Profiles as a table: one row a column, segment and slice of time; any reader of Parquet sees the exact part, and any
DataSketches library the sketches.

Legend: C columns of numbers, whose joint moments lie in lists, one row of each matrix with the row of its column.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.errors import NotFound, UserError
from orita.core.files import atomic_file
from orita.monitoring.profiles.bins import BinCounts, CategoryBins, NumberBins
from orita.monitoring.profiles.column import ColumnProfile
from orita.monitoring.profiles.comoments import CoMoments
from orita.monitoring.profiles.distinct import DistinctSketch
from orita.monitoring.profiles.frequent import FrequentSketch
from orita.monitoring.profiles.moments import Moments
from orita.monitoring.profiles.profiler import Key
from orita.monitoring.profiles.quantiles import QuantileSketch
from orita.monitoring.profiles.table import TableProfile

__all__ = ["About", "is_stored", "read_profiles", "tabled", "untabled", "write_profiles"]

_METADATA = b"orita.profiles"
_FORMAT = 1
_MOMENTS = pa.struct(
    [
        ("count", pa.int64()),
        *((name, pa.float64()) for name in ("mean", "m2", "m3", "m4", "minimum", "maximum")),
    ]
)
_BINNED = pa.struct(
    [
        ("edges", pa.list_(pa.float64())),
        ("values", pa.list_(pa.string())),
        ("counts", pa.list_(pa.int64())),
        ("missing", pa.int64()),
        ("unseen", pa.int64()),
    ]
)
_MATRICES = ("n", "mean", "m2", "c")
_TOGETHER = pa.struct([("names", pa.list_(pa.string())), *((name, pa.list_(pa.float64())) for name in _MATRICES)])
_SCHEMA = pa.schema(
    [
        ("slice", pa.timestamp("us", tz="UTC")),
        ("segment", pa.string()),
        ("table_rows", pa.int64()),
        ("column", pa.string()),
        ("kind", pa.string()),
        ("type", pa.string()),
        *((name, pa.int64()) for name in ("rows", "nulls", "nans", "infinite")),
        ("moments", _MOMENTS),
        ("lengths", _MOMENTS),
        ("kll", pa.binary()),
        ("hll", pa.binary()),
        ("frequent", pa.binary()),
        ("frequent_left_out", pa.int64()),
        ("binned", _BINNED),
        ("together", _TOGETHER),
    ]
)


@dataclass(frozen=True, slots=True)
class About:
    """What stored profiles are of.

    Attributes:
        source: the table, file, log or stream, in words.
        by: the column of segments, "" without.
        every_micros: length of a slice, 0: one for all times.
        made_at: ISO 8601, UTC.
        offsets: of a stream, by partition, the offset after the last row that is in.
    """

    source: str
    by: str = ""
    every_micros: int = 0
    made_at: str = ""
    offsets: Mapping[str, int] | None = None


def tabled(parts: Mapping[Key, TableProfile], about: About) -> pa.Table:
    """Return *parts* as rows of a table, with *about* in its metadata."""
    rows = [_row(key, part, column) for key, part in parts.items() for column in part.columns.values()]
    told = json.dumps({"format": _FORMAT, **asdict(about)})
    return pa.Table.from_pylist(rows, _SCHEMA.with_metadata({_METADATA: told.encode()}))


def untabled(table: pa.Table) -> tuple[dict[Key, TableProfile], About]:
    """Return what `tabled` was given.

    Raises:
        UserError: the table is none of profiles of a known format.
    """
    told: dict[str, Any] = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    if told.pop("format", None) != _FORMAT:
        raise UserError(f"the table has no profiles of format {_FORMAT}: make them with 'orita profile … --out FILE'.")
    parts: dict[Key, TableProfile] = {}
    moments: dict[Key, dict[str, Any]] = {}
    slices = table["slice"].cast(pa.int64()).to_pylist()
    for at, row in zip(slices, table.drop_columns(["slice"]).to_pylist(), strict=True):
        key = Key(at, row["segment"])
        part = parts.setdefault(key, TableProfile(row["table_rows"]))
        part.columns[row["column"]] = _column(row)
        if row["together"] is not None:
            moments.setdefault(key, {})[row["column"]] = row["together"]
    for key, several in moments.items():
        parts[key].together = _together(several)
    return parts, About(**told)


def write_profiles(path: Path, parts: Mapping[Key, TableProfile], about: About) -> None:
    """Write profiles to a Parquet file, whole or not at all."""
    with atomic_file(path) as partial:
        pq.write_table(tabled(parts, about), partial, compression="zstd")


def read_profiles(path: Path) -> tuple[dict[Key, TableProfile], About]:
    """Return the profiles that `write_profiles` wrote.

    Raises:
        NotFound: there is no such file.
        UserError: it holds none.
    """
    if not path.exists():
        raise NotFound(f"no profiles at {path}: make them with 'orita profile … --out {path}'.")
    try:
        return untabled(pq.read_table(path))
    except pa.ArrowInvalid as error:
        raise UserError(f"{path} is not a Parquet file ({error}): make the profiles again.") from None


def is_stored(path: Path) -> bool:
    """Tell whether *path* is a Parquet file of profiles."""
    if not path.is_file():
        return False
    try:
        return _METADATA in (pq.read_schema(path).metadata or {})
    except pa.ArrowInvalid:
        return False


def _row(key: Key, part: TableProfile, column: ColumnProfile) -> dict[str, Any]:
    return {
        "slice": key.slice,
        "segment": key.segment,
        "table_rows": part.rows,
        "column": column.name,
        **{name: getattr(column, name) for name in ("kind", "type", "rows", "nulls", "nans", "infinite")},
        "moments": asdict(column.moments),
        "lengths": asdict(column.lengths),
        "kll": column.quantiles.to_bytes(),
        "hll": column.distinct.to_bytes(),
        "frequent": column.frequent.to_bytes(),
        "frequent_left_out": column.frequent.left_out,
        "binned": None if column.binned is None else _binned_row(column.binned),
        "together": _together_row(column.name, part.together),
    }


def _binned_row(binned: BinCounts) -> dict[str, Any]:
    numeric = isinstance(binned.bins, NumberBins)
    return {
        "edges": list(binned.bins.edges) if isinstance(binned.bins, NumberBins) else None,
        "values": None if numeric or not isinstance(binned.bins, CategoryBins) else list(binned.bins.values),
        "counts": binned.counts_B.tolist(),
        "missing": binned.missing,
        "unseen": binned.unseen,
    }


def _together_row(name: str, together: CoMoments | None) -> dict[str, Any] | None:
    if together is None or name not in together.names:
        return None
    at = together.names.index(name)
    matrices = {"n": together.n_CC, "mean": together.mean_CC, "m2": together.m2_CC, "c": together.c_CC}
    return {"names": list(together.names), **{key: matrix[at].tolist() for key, matrix in matrices.items()}}


def _column(row: Mapping[str, Any]) -> ColumnProfile:
    found = ColumnProfile(
        row["column"],
        **{name: row[name] for name in ("kind", "type", "rows", "nulls", "nans", "infinite")},
        moments=Moments(**row["moments"]),
        lengths=Moments(**row["lengths"]),
        quantiles=QuantileSketch.from_bytes(row["kll"]),
        distinct=DistinctSketch.from_bytes(row["hll"]),
        frequent=FrequentSketch.from_bytes(row["frequent"], row["frequent_left_out"]),
    )
    if (binned := row["binned"]) is not None:
        values = binned["values"]
        bins = NumberBins(tuple(binned["edges"])) if values is None else CategoryBins(tuple(values))
        counts_B = np.array(binned["counts"], dtype=np.int64)
        found.binned = BinCounts(bins, counts_B, binned["missing"], binned["unseen"])
    return found


def _together(rows: Mapping[str, Mapping[str, Any]]) -> CoMoments:
    names = tuple(next(iter(rows.values()))["names"])
    matrices = (np.array([rows[name][key] for name in names], dtype=np.float64) for key in _MATRICES)
    return CoMoments(names, *matrices)
