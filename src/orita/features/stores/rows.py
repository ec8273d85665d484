"""From records to arrays: the keys of a request, of several kinds, in one read of the store.

Legend: N keys of a kind, W numbers of a record.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from orita.core.errors import OritaError
from orita.features.stores.store import OnlineStore

__all__ = ["read_rows"]

Floats = npt.NDArray[np.float64]


def read_rows(store: OnlineStore, kinds: Sequence[tuple[Sequence[bytes], bytes]]) -> list[Floats]:
    """Read records of float64 numbers, all kinds in one consistent read.

    Args:
        store: where to read.
        kinds: for each kind its keys, N of them, and the record (8 · W bytes) that stands for a missing one.

    Returns:
        For each kind, ``state_NW``; it may be read-only.

    Raises:
        OritaError: a record has another width; it was written for other declarations.
    """
    records = store.get_many([key for keys, _ in kinds for key in keys])
    found: list[Floats] = []
    start = 0
    for keys, missing in kinds:
        end = start + len(keys)
        whole = b"".join([missing if record is None else record for record in records[start:end]])
        if len(whole) != len(keys) * len(missing):
            raise OritaError(f"a record has not {len(missing)} bytes: the store was written for other declarations.")
        found.append(np.frombuffer(whole).reshape(len(keys), len(missing) // 8))
        start = end
    return found
