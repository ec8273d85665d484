"""The embedded online store: LMDB, memory-mapped, shared by processes, safe after a crash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import lmdb

from orita.core.errors import OritaError, UserError

__all__ = ["LmdbStore"]

_MEBIBYTE = 1 << 20


class LmdbStore:
    """Records in one LMDB environment.

    Args:
        folder: where it lives; made if absent, unless read-only.
        readonly: open for reading; the store must exist.
        capacity: bytes of address space to reserve; the file grows only as it fills.
    """

    def __init__(self, folder: Path, *, readonly: bool = False, capacity: int = 1024 * _MEBIBYTE) -> None:
        if readonly and not (folder / "data.mdb").exists():
            raise UserError(f"there is no online store in {folder}: run 'orita run etl' first.")
        folder.mkdir(parents=True, exist_ok=True)
        self._environment = lmdb.open(
            str(folder),
            map_size=capacity,
            readonly=readonly,
            lock=not readonly,
            readahead=False,
            max_readers=512,
        )

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the record of each key, in order, None where there is none."""
        with self._environment.begin() as transaction:
            get = transaction.get
            return [get(key) for key in keys]

    def put_many(self, records: Iterable[tuple[bytes, bytes]]) -> int:
        """Write records in one transaction, synced on return; return how many.

        Raises:
            OritaError: the reserved capacity or the disk is full; nothing was written.
        """
        try:
            with self._environment.begin(write=True) as transaction, transaction.cursor() as cursor:
                _, added = cursor.putmulti(records, overwrite=True)
        except lmdb.MapFullError as error:
            raise OritaError("the online store is full: its capacity is smaller than the state to write.") from error
        except lmdb.DiskError as error:
            raise OritaError(f"the online store could not be written: {error}.") from error
        return int(added)

    def close(self) -> None:
        """Release the memory map."""
        self._environment.close()
