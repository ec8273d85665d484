"""Rows of keys as one array, and back to bytes.

Legend: K keys, W numbers of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from orita.features.plan import Record
from orita.features.state.layout import empty_row

__all__ = ["GetMany", "rows_of", "sliced"]

Floats = npt.NDArray[np.float64]

GetMany = Callable[[Sequence[bytes]], Sequence[bytes | None]]
"""The records of some keys, None where there is none: `OnlineStore.get_many`."""


def rows_of(record: Record, found: Sequence[bytes | None]) -> Floats:
    """Return the rows of keys, those that are not *found* empty, [K, W]; it may be written to."""
    empty = empty_row(record).tobytes()
    whole = b"".join([empty if raw is None else raw for raw in found])
    return np.frombuffer(bytearray(whole)).reshape(len(found), record.width)


def sliced(state_KW: Floats) -> list[bytes]:
    """Return the bytes of each row."""
    whole, width = state_KW.tobytes(), state_KW.shape[1] * state_KW.itemsize
    return [whole[start : start + width] for start in range(0, len(whole), width)]
