"""Store keys: the ids of entities as bytes that cannot collide.

Each id is self-delimiting (its kind, then its length where it varies), so that the pairs (1, 11) and (11, 1), or
('a', 'bc') and ('ab', 'c'), have different keys. Integers sort by value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError

__all__ = ["encode_id", "encode_ids", "encode_rows"]

_LONGEST = 100


def encode_id(value: int | str) -> bytes:
    """Return the bytes of one id: an int in [−2⁶³, 2⁶³), or a string (long ones by their BLAKE2b digest).

    Raises:
        UserError: the int does not fit.
    """
    if isinstance(value, str):
        raw = value.encode()
        if len(raw) <= _LONGEST:
            return b"s" + len(raw).to_bytes(1, "big") + raw
        return b"h" + hashlib.blake2b(raw, digest_size=32).digest()
    if not -(1 << 63) <= value < 1 << 63:
        raise UserError(f"the id {value} is too large: ids that are numbers go from -{1 << 63} to {(1 << 63) - 1}.")
    return b"i" + (value + (1 << 63)).to_bytes(8, "big")


def encode_ids(values: Sequence[int | str]) -> list[bytes]:
    """Return the bytes of each id."""
    return [encode_id(value) for value in values]


def encode_rows(prefix: bytes, columns: Sequence[npt.NDArray[np.generic]], rows: int) -> list[bytes]:
    """Return a key a row: *prefix*, then the ids of each column (int64, or objects of str), in order."""
    if not columns:
        return [prefix] * rows
    if all(column.dtype == np.int64 for column in columns):
        return _integer_rows(prefix, columns)
    encoded = [encode_ids(column.tolist()) for column in columns]
    return [prefix + b"".join(parts) for parts in zip(*encoded, strict=True)]


def _integer_rows(prefix: bytes, columns: Sequence[npt.NDArray[np.generic]]) -> list[bytes]:
    width = len(prefix) + 9 * len(columns)
    raw_NB = np.empty((len(columns[0]), width), np.uint8)
    raw_NB[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
    for position, column in enumerate(columns):
        at = len(prefix) + 9 * position
        raw_NB[:, at] = ord("i")
        shifted = column.astype(np.int64).view(np.uint64) ^ np.uint64(1 << 63)
        raw_NB[:, at + 1 : at + 9] = shifted.astype(">u8").view(np.uint8).reshape(-1, 8)
    whole = raw_NB.tobytes()
    return [whole[start : start + width] for start in range(0, len(whole), width)]
