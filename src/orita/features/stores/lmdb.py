"""The embedded online store: LMDB, memory-mapped, shared by processes, safe after a crash."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from orita.core.errors import OritaError, Unavailable, UserError
from orita.features.stores.batches import Batch, checked_batch, pieces
from orita.features.stores.store import Change, StoreSize

__all__ = ["LmdbStore"]

_MEBIBYTE = 1 << 20
_RECORDS = b"records"
_OFFSETS = b"offsets"
_PIECE = 10_000
_PAGE = 500
_AHEAD = 64
_READERS = 512
_LOCK, _DATA = _FILES = ("lock.mdb", "data.mdb")
_LOCK_BYTES = 64 * _READERS + 4096
# LMDB calls a write that the disk took in part an input/output error.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

Result = TypeVar("Result")


class LmdbStore:
    """Records in one LMDB environment, which a process opens once and its threads share.

    It reserves address space and reserves more when that is full; the file grows only as it fills. Replacing the map
    breaks off the reads that other threads of the process have under way, so these are done again.

    Args:
        folder: where it lives; made if absent, unless read-only.
        readonly: open for reading beside a writer; the store must exist.
        capacity: bytes of address space to begin with.
    """

    def __init__(self, folder: Path, *, readonly: bool = False, capacity: int = 1024 * _MEBIBYTE) -> None:
        if readonly and not (folder / _DATA).exists():
            raise UserError(f"there is no online store in {folder}: run 'orita run etl' first.")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._map = threading.Lock()  # held by writers, and by whoever replaces the map
        self._pausing = False
        # A reader without the right to write the lock file sees only stores that nobody writes.
        shared = not readonly or os.access(folder, os.W_OK)
        try:
            if shared:
                _make(folder, capacity)
            self._environment = lmdb.open(
                str(folder),
                map_size=capacity,
                readonly=readonly,
                lock=shared,
                readahead=False,
                max_readers=_READERS,
                max_dbs=2,
            )
            if shared:
                self._environment.reader_check()  # places of readers that were killed are free again
            self._records, self._offsets = self._opened(readonly)
        except (lmdb.Error, OSError) as error:
            raise self._failed(error) from error

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the record of each key, in order, None where there is none; one consistent read."""
        found = self._read(lambda transaction: _found(transaction, keys))
        return list(map(found.get, keys))

    def get_with(
        self, keys: Sequence[bytes], head: bytes, most: int, chosen: Callable[[list[bytes]], Sequence[bytes]]
    ) -> tuple[list[bytes | None], list[bytes | None] | None]:
        """Return the record of each key, and of those *chosen* among the keys that begin with *head*."""

        def read(transaction: Any) -> tuple[list[bytes | None], list[bytes | None] | None]:
            found = _found(transaction, keys)
            under = _under(transaction, head, most)
            if under is None:
                return list(map(found.get, keys)), None
            wanted = chosen(under)
            also = _found(transaction, wanted) if wanted else {}
            return list(map(found.get, keys)), list(map(also.get, wanted))

        return self._read(read)

    def apply(
        self,
        source: str,
        first: int,
        next: int,  # noqa: A002
        changes: Iterable[Change],
        *,
        also: Mapping[str, tuple[int, int]] = {},
    ) -> bool:
        """Make *changes* and move the offset of *source*, in one transaction, iff it is *first*; see the contract."""
        batch = checked_batch(source, first, next, changes, also)
        return self._write(lambda transaction: self._apply(transaction, batch))

    def offset(self, source: str) -> int | None:
        """Return the offset that *source* was last moved to, None if it never was."""
        if self._offsets is None:
            return None
        raw = self._read(lambda transaction: transaction.get(source.encode(), db=self._offsets))
        return None if raw is None else int.from_bytes(raw, "big")

    def put_many(self, records: Iterable[tuple[bytes, bytes]]) -> int:
        """Write records, in transactions of 10,000 synced one by one; return how many.

        Raises:
            OritaError: the disk is full; the piece at hand was not written.
        """
        count = 0
        for piece in pieces(records, _PIECE):
            self._write(lambda transaction, piece=piece: _put(transaction, piece))  # type: ignore[misc]
            count += len(piece)
        return count

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield every record whose key starts with *prefix*, by key.

        It reads a page at a time, so that a slow reader keeps no old pages of the file in use.
        """
        after: bytes | None = None
        while page := self._read(lambda transaction: _page(transaction, prefix, after)):  # noqa: B023 - called at once
            yield from page
            after = page[-1][0]

    def clear(self) -> None:
        """Delete all records and offsets, in one transaction."""

        def delete(transaction: Any) -> None:
            transaction.drop(self._records, delete=False)
            transaction.drop(self._offsets, delete=False)

        self._write(delete)

    def size(self) -> StoreSize:
        """Return the number of records, and the bytes of the file."""
        records = self._read(lambda transaction: transaction.stat(self._records)["entries"])
        return StoreSize(records, (self._folder / _DATA).stat().st_size)

    def close(self) -> None:
        """Release the memory map."""
        with self._map, self._quiet():
            self._environment.close()

    def _opened(self, readonly: bool) -> tuple[Any, Any]:
        while True:
            try:
                return self._databases(readonly)
            except lmdb.MapResizedError:  # another process has reserved more since the environment was opened
                self._environment.set_mapsize(0)

    def _databases(self, readonly: bool) -> tuple[Any, Any]:
        if not readonly:
            return self._environment.open_db(_RECORDS), self._environment.open_db(_OFFSETS)
        try:
            return (
                self._environment.open_db(_RECORDS, create=False),
                self._environment.open_db(_OFFSETS, create=False),
            )
        except lmdb.NotFoundError:  # written before stores kept offsets: records in the unnamed database
            return self._environment.open_db(None), None

    def _apply(self, transaction: Any, batch: Batch) -> bool:
        for source, (first, _) in batch.moves.items():
            stored = transaction.get(source, db=self._offsets)
            if first != (int.from_bytes(stored, "big") if stored else 0):
                return False
        for key in batch.deletes:
            transaction.delete(key)
        _put(transaction, batch.puts)
        for source, (_, after) in batch.moves.items():
            transaction.put(source, after.to_bytes(8, "big"), db=self._offsets)
        return True

    def _read(self, read: Callable[[Any], Result]) -> Result:
        """Call *read* with a transaction, and again with the map held where it was replaced meanwhile."""
        if not self._pausing:
            try:
                with self._environment.begin(self._records) as transaction:
                    return read(transaction)
            except lmdb.Error:
                pass
        with self._map:
            try:
                self._adopt()
                with self._environment.begin(self._records) as transaction:
                    return read(transaction)
            except lmdb.Error as error:
                raise self._failed(error) from error

    def _adopt(self) -> None:
        """Take over the map of another process that has reserved more."""
        try:
            self._environment.begin(self._records).abort()
        except lmdb.MapResizedError:
            self._replace_map(0)

    def _replace_map(self, size: int) -> None:
        """Map *size* bytes, or 0 for as many as another process has."""
        with self._quiet():
            self._environment.set_mapsize(size)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Let new reads of this process wait for the map.

        The library replaces a map, and breaks off a transaction, only at a moment when no thread is reading: readers
        that take turns would hold it up for ever.
        """
        self._pausing = True
        try:
            yield
        finally:
            self._pausing = False

    def _write(self, write: Callable[[Any], Result]) -> Result:
        """Call *write* with a transaction and commit it, as often as the map has to grow."""
        with self._map:
            while True:
                try:
                    return self._commit(write)
                except lmdb.MapResizedError:
                    self._replace_map(0)
                except lmdb.MapFullError:
                    self._environment.reader_check()  # pages that killed readers held are free again
                    self._replace_map(2 * self._environment.info()["map_size"])
                except lmdb.Error as error:
                    raise self._failed(error) from error

    def _commit(self, write: Callable[[Any], Result]) -> Result:
        transaction = self._environment.begin(self._records, write=True)
        try:
            result = write(transaction)
            transaction.commit()
        except BaseException:
            with self._quiet():
                transaction.abort()
            raise
        return result

    def _failed(self, error: lmdb.Error | OSError) -> OritaError:
        said = f"the online store in {self._folder} cannot be used: "
        if (error.errno if isinstance(error, OSError) else error.code) in _NO_SPACE:
            return Unavailable(
                f"{said}its disk is full, or broken; nothing of this batch was written, free some space and write it "
                "again."
            )
        return OritaError(f"{said}{' '.join(str(error).split()).rstrip('.')}.")


def _make(folder: Path, capacity: int) -> None:
    """Make the files of a store that are not there yet, each whole and with its room on the disk.

    LMDB would make a data file that a full disk may cut short, which then is none for ever, and a lock file without
    room: it is mapped, and a page that the disk has no room for kills the process.
    """
    if all((folder / name).exists() for name in _FILES):
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as partial:
        with Path(partial, _LOCK).open("wb") as lock:
            os.posix_fallocate(lock.fileno(), 0, _LOCK_BYTES)
        lmdb.open(partial, map_size=capacity).close()
        for name in _FILES:
            with suppress(FileExistsError):  # another process was first
                (folder / name).hardlink_to(Path(partial, name))


def _found(transaction: Any, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return what there is of *keys*; one call for all is three times as quick as one for each."""
    with transaction.cursor() as cursor:
        return dict(cursor.getmulti(keys))


def _under(transaction: Any, head: bytes, most: int) -> list[bytes] | None:
    """Return the keys that begin with *head*, None where there are more than *most*."""
    with transaction.cursor() as cursor:
        if not cursor.set_range(head):
            return []
        under: list[bytes] = []
        following = cursor.iternext(keys=True, values=False)
        # In pieces, as one step of Python costs as much as ten keys.
        while piece := list(islice(following, min(_AHEAD, most + 1 - len(under)))):
            under += piece
            if not piece[-1].startswith(head):
                return under[: bisect_left(under, True, key=lambda key: not key.startswith(head))]
            if len(under) > most:
                return None
        return under


def _put(transaction: Any, records: list[tuple[bytes, bytes]]) -> None:
    with transaction.cursor() as cursor:
        cursor.putmulti(records)


def _page(transaction: Any, prefix: bytes, after: bytes | None) -> list[tuple[bytes, bytes]]:
    """Return the next records with *prefix*, those behind the key *after*."""
    with transaction.cursor() as cursor:
        if not cursor.set_range(prefix if after is None else after):
            return []
        if cursor.key() == after and not cursor.next():
            return []
        page: list[tuple[bytes, bytes]] = list(islice(cursor, _PAGE))
        if not page[-1][0].startswith(prefix):  # keys are in order, so that the last one speaks for all
            page = [(key, record) for key, record in page if key.startswith(prefix)]
        return page
