"""A checked batch in two: rows that pass, and rows that break an expectation, each with its reason. None is lost."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.monitoring.expectations.findings import Checked
from orita.monitoring.expectations.rows import Broken

__all__ = ["QUARANTINE", "parted"]

QUARANTINE = pa.schema(
    [
        ("source", pa.string()),
        ("row", pa.int64()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("rule", pa.string()),
        ("allowed", pa.string()),
        ("original", pa.string()),
    ]
)
"""The columns of ``orita ingest``'s quarantine: the row from 1, the first reason, every value as text in JSON."""


def parted(rows: pa.Table, checked: Checked) -> tuple[pa.Table, pa.Table]:
    """Return the rows that pass, as they are, and those for quarantine in the form of `QUARANTINE`.

    Args:
        rows: the batch.
        checked: its check.
    """
    assert len(checked.bad_N) == rows.num_rows, f"{len(checked.bad_N)} rows were checked, {rows.num_rows} are given"
    passed = rows.filter(pa.array(~checked.bad_N)) if rows.num_columns else rows
    at = np.flatnonzero(checked.bad_N)
    bad = rows.take(pa.array(at))
    reasons = _reasons(checked, at)
    originals = bad.to_pylist()
    told = [
        {
            "source": checked.source,
            "row": row + 1,
            "column": reason.column,
            "value": _text(original.get(reason.column)),
            "rule": reason.rule,
            "allowed": reason.allows,
            "original": json.dumps({name: _text(value) for name, value in original.items()}, ensure_ascii=False),
        }
        for row, reason, original in zip(at.tolist(), reasons, originals, strict=True)
    ]
    quarantined = pa.Table.from_pylist(told, QUARANTINE)
    assert passed.num_rows + quarantined.num_rows == rows.num_rows, "a row was lost"
    return passed, quarantined


def _reasons(checked: Checked, at: npt.NDArray[np.intp]) -> list[Broken]:
    """Return the first reason of each bad row."""
    errors = [each for each in checked.broken if each.severity == "error"]
    first = np.full(len(at), -1)
    for number in reversed(range(len(errors))):
        first[errors[number].mask_N[at]] = number
    return [errors[number] for number in first.tolist()]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
