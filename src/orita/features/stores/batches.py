"""What may be asked of `OnlineStore.apply` and `put_many`: the same in every store, checked before it is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from orita.core.errors import UserError
from orita.features.stores.store import Change

__all__ = ["LONGEST_KEY", "Batch", "checked_batch", "pieces"]

LONGEST_KEY = 255
_LONGEST_SOURCE = 200
_LAST_OFFSET = (1 << 63) - 1

Record = TypeVar("Record", bound=tuple[bytes, bytes | None])


@dataclass(frozen=True, slots=True)
class Batch:
    """A checked batch.

    Attributes:
        moves: offset before and after, by source.
        puts: new records, one a key, sorted by key.
        deletes: keys to delete.
    """

    moves: Mapping[bytes, tuple[int, int]]
    puts: list[tuple[bytes, bytes]]
    deletes: list[bytes]


def checked_batch(
    source: str, first: int, after: int, changes: Iterable[Change], also: Mapping[str, tuple[int, int]]
) -> Batch:
    """Return the batch that the arguments of `OnlineStore.apply` ask for, the last change of each key.

    Raises:
        UserError: an offset is not in 0 … 2⁶³ − 1 or does not rise, a source has no name or one over 200 bytes or
            comes twice, a key has not 1 to 255 bytes.
    """
    if source in also:
        raise UserError(f"the source {source!r} is in 'also' too: name each source once.")
    moves = {_name(source): _move(source, first, after)}
    moves |= {_name(other): _move(other, *offsets) for other, offsets in also.items()}
    latest = dict(changes)
    _check_keys(latest)
    puts = [(key, record) for key in sorted(latest) if (record := latest[key]) is not None]
    return Batch(moves, puts, [key for key, record in latest.items() if record is None])


def pieces(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    """Yield *records* in lists of at most *size*, their keys checked.

    Raises:
        UserError: a key has not 1 to 255 bytes.
    """
    remaining = iter(records)
    while piece := list(islice(remaining, size)):
        _check_keys(key for key, _ in piece)
        yield piece


def _check_keys(keys: Iterable[bytes]) -> None:
    for length in set(map(len, keys)):
        if not 0 < length <= LONGEST_KEY:
            raise UserError(f"a key has {length} bytes: a store takes 1 to {LONGEST_KEY}.")


def _name(source: str) -> bytes:
    raw = source.encode()
    if not 0 < len(raw) <= _LONGEST_SOURCE:
        raise UserError(f"the source {source!r} has {len(raw)} bytes: a store takes 1 to {_LONGEST_SOURCE}.")
    return raw


def _move(source: str, first: int, after: int) -> tuple[int, int]:
    if not 0 <= first < after <= _LAST_OFFSET:
        raise UserError(
            f"{source!r} cannot move from offset {first} to {after}: offsets go from 0 to {_LAST_OFFSET}, and rise."
        )
    return first, after
