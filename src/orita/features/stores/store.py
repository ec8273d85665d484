"""The contract of an online store: records by key, read many at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

__all__ = ["OnlineStore"]


class OnlineStore(Protocol):
    """Keeps the latest record of every key; keys are up to 255 bytes, records any bytes."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the record of each key, in order, None where there is none; one consistent read."""
        ...

    def put_many(self, records: Iterable[tuple[bytes, bytes]]) -> int:
        """Write records, all or none, durable on return; return how many."""
        ...

    def close(self) -> None:
        """Release the store; it is not used afterwards."""
        ...
