"""From records to arrays: the keys of a request, of several kinds, in one read of the store.

Legend: N keys of a kind, W numbers of a record.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from orita.core.errors import OritaError
from orita.features.stores.store import OnlineStore

__all__ = ["Rows", "read_rows"]

Rows = tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]
"""``found_N`` and ``state_NW``; the array of state may be read-only."""


def read_rows(store: OnlineStore, kinds: Sequence[tuple[Sequence[bytes], bytes]]) -> list[Rows]:
    """Read records of float64 numbers, all kinds in one consistent read.

    Args:
        store: where to read.
        kinds: for each kind its keys, N of them, and the record (8 · W bytes) that stands for a missing one.

    Returns:
        For each kind, ``found_N`` and ``state_NW``.

    Raises:
        OritaError: a record has another width; it was written for other declarations.
    """
    wanted = kinds[0][0] if len(kinds) == 1 else [key for keys, _ in kinds for key in keys]
    records = store.get_many(wanted)
    found: list[Rows] = []
    start = 0
    for keys, missing in kinds:
        end = start + len(keys)
        found.append(_rows(records[start:end], missing))
        start = end
    return found


def _rows(records: list[bytes | None], missing: bytes) -> Rows:
    count = len(records)
    if None in records:
        found_N = np.array([record is not None for record in records], np.bool_)
        whole = b"".join([missing if record is None else record for record in records])
    else:
        found_N = np.ones(count, np.bool_)
        whole = b"".join(records)  # type: ignore[arg-type]  # none is None
    if len(whole) != count * len(missing):
        raise OritaError(f"a record has not {len(missing)} bytes: the store was written for other declarations.")
    return found_N, np.frombuffer(whole).reshape(count, len(missing) // 8)
