"""The contract of an online store: the latest record of every key, beside the offsets that produced it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from orita.core.errors import Unavailable

__all__ = ["Change", "OnlineStore", "OrderedStore", "StoreAway", "StoreSize"]

Change = tuple[bytes, bytes | None]
"""A key and its new record, or None to delete it."""


class StoreAway(Unavailable):
    """The server of a store does not answer, or refuses, or has not what it had; it may be back later."""


@dataclass(frozen=True, slots=True)
class StoreSize:
    """How much a store holds: its records, and about how many bytes it takes on disk or in memory."""

    records: int
    bytes: int


class OnlineStore(Protocol):
    """Bytes to bytes: keys of 1 to 255 bytes, records any bytes. Threads may share a store.

    Every method raises `OritaError` where the store cannot be reached or written.
    """

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the record of each key, in order, None where there is none; one consistent read, one round trip."""
        ...

    def apply(
        self,
        source: str,
        first: int,
        next: int,  # noqa: A002 - it is what logs call it
        changes: Iterable[Change],
        *,
        also: Mapping[str, tuple[int, int]] = {},
    ) -> bool:
        """Make *changes* and move *source* from offset *first* to *next*, together or not at all, exactly once.

        It happens iff the offset stored for *source* is *first* (a source never seen stands at 0), and for every other
        name in *also* its own first; they all move. Otherwise, for a repeated batch or a writer that another has
        overtaken, nothing changes. Durable on return. Of two changes of one key the later counts.

        Who reads records, adds and writes them back asks `offset` before `get_many`: a batch of another writer in
        between is then refused. Writers of different sources that share keys take turns by a name of their own in
        *also*, such as ``{"turn": (n, n + 1)}`` where n is its offset before the read.

        Returns:
            Whether it happened. After an `OritaError` it may have: ask `offset`.

        Raises:
            UserError: an offset, the name of a source or a key is out of range.
        """
        ...

    def offset(self, source: str) -> int | None:
        """Return the offset that *source* was last moved to, None if it never was."""
        ...

    def put_many(self, records: Iterable[tuple[bytes, bytes]]) -> int:
        """Write records in pieces of some thousand, each wholly or not; return how many, durable. Moves no offset."""
        ...

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield every record whose key starts with *prefix*, in bounded memory and no promised order.

        Each comes once. While others write, a record may be as before or after, and one may come twice.
        """
        ...

    def clear(self) -> None:
        """Delete all records and offsets, at once."""
        ...

    def size(self) -> StoreSize:
        """Return how much it holds."""
        ...

    def close(self) -> None:
        """Release the store; it is not used afterwards."""
        ...


@runtime_checkable
class OrderedStore(Protocol):
    """An online store with its keys in order, so that those which begin alike are known without their records."""

    def get_with(
        self, keys: Sequence[bytes], head: bytes, most: int, chosen: Callable[[list[bytes]], Sequence[bytes]]
    ) -> tuple[list[bytes | None], list[bytes | None] | None]:
        """Return the record of each key as `get_many` does and, of the same moment, of those *chosen* that are there.

        Args:
            keys: what is read in any case.
            head: how the keys begin that *chosen* is given, in order, to choose from.
            most: so many at most; where there are more, None is returned for the second.
            chosen: called once.
        """
        ...
