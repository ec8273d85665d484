"""Rows of keys as one array, and back to bytes.

Legend: K keys, W numbers of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from orita.core.errors import OritaError
from orita.features.plan import Record
from orita.features.state.layout import empty_row

__all__ = ["GetMany", "rows_of", "rows_read", "sliced"]

Floats = npt.NDArray[np.float64]

GetMany = Callable[[Sequence[bytes]], Sequence[bytes | None]]
"""The records of some keys, None where there is none: `OnlineStore.get_many`."""


def rows_of(record: Record, found: Sequence[bytes | None]) -> Floats:
    """Return the rows of keys, those that are not *found* empty, [K, W]; it may be written to."""
    return rows_read(empty_row(record).tobytes(), found).copy()


def rows_read(empty: bytes, found: Sequence[bytes | None]) -> Floats:
    """Return the rows of keys, [K, W]; *empty* is that of a key that is not *found*. It is read-only.

    Raises:
        OritaError: a row has another width; it was written for other declarations.
    """
    whole = b"".join([empty if raw is None else raw for raw in found])
    if len(whole) != len(found) * len(empty):
        raise OritaError(f"a record has not {len(empty)} bytes: the store was written for other declarations.")
    return np.frombuffer(whole).reshape(len(found), len(empty) // 8)


def sliced(state_KW: Floats) -> list[bytes]:
    """Return the bytes of each row."""
    whole, width = state_KW.tobytes(), state_KW.shape[1] * state_KW.itemsize
    return [whole[start : start + width] for start in range(0, len(whole), width)]
