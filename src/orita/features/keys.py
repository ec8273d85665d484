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
from orita.features.declaring.entities import Entity

__all__ = [
    "decoded_id",
    "decoded_numbers",
    "encode_id",
    "encode_ids",
    "encode_rows",
    "id_kind",
    "integer_bytes",
    "keys_behind",
]

Bytes = npt.NDArray[np.uint8]

_LONGEST = 100


def id_kind(entity: Entity, position: int) -> str:
    """Return under which name it is known whether ids are text: the entity's kind, and the part of a key of several."""
    return entity.kind if len(entity.columns) == 1 else f"{entity.kind}.{position}"


def encode_id(value: int | str) -> bytes:
    """Return the bytes of one id: an int in [−2⁶³, 2⁶³), or a string (long ones by their BLAKE2b digest).

    Raises:
        UserError: the int does not fit, or the text is none.
    """
    if isinstance(value, str):
        try:
            raw = value.encode()
        except UnicodeEncodeError:
            raise UserError(f"the id {value!r} is no text: it has a character that UTF-8 does not know.") from None
        if len(raw) <= _LONGEST:
            return b"s" + len(raw).to_bytes(1, "big") + raw
        return b"h" + hashlib.blake2b(raw, digest_size=32).digest()
    if not -(1 << 63) <= value < 1 << 63:
        raise UserError(f"the id {value} is too large: ids that are numbers go from -{1 << 63} to {(1 << 63) - 1}.")
    return b"i" + (value + (1 << 63)).to_bytes(8, "big")


def decoded_id(raw: bytes) -> int | str | tuple[int | str, ...] | None:
    """Return the id of which these are the bytes, None where they are a digest; several of a key of several parts."""
    parts: list[int | str] = []
    while raw:
        match raw[:1]:
            case b"i":
                part, raw = int.from_bytes(raw[1:9], "big") - (1 << 63), raw[9:]
                parts.append(part)
            case b"s":
                end = 2 + raw[1]
                parts.append(raw[2:end].decode())
                raw = raw[end:]
            case _:
                return None
    return parts[0] if len(parts) == 1 else tuple(parts)


def decoded_numbers(raw_N: Sequence[bytes], skip: int) -> npt.NDArray[np.int64] | None:
    """Return the ids of which the bytes behind the first *skip* are, None where not all are one whole number each."""
    width = skip + 9
    if set(map(len, raw_N)) != {width}:
        return None
    byte_NK = np.frombuffer(b"".join(raw_N), np.uint8).reshape(-1, width)
    if not (byte_NK[:, skip] == ord("i")).all():
        return None
    number_N = np.ascontiguousarray(byte_NK[:, skip + 1 :]).view(">u8")[:, 0].astype(np.uint64)
    return (number_N ^ np.uint64(1 << 63)).view(np.int64)


def encode_ids(values: Sequence[int | str]) -> list[bytes]:
    """Return the bytes of each id."""
    return [encode_id(value) for value in values]


def encode_rows(prefix: bytes, columns: Sequence[npt.NDArray[np.generic]], rows: int) -> list[bytes]:
    """Return a key a row: *prefix*, then the ids of each column (int64, or objects of str), in order."""
    if not columns:
        return [prefix] * rows
    if all(column.dtype == np.int64 for column in columns):
        return keys_behind(prefix, [integer_bytes(column.astype(np.int64)) for column in columns])
    encoded = [encode_ids(column.tolist()) for column in columns]
    return [prefix + b"".join(parts) for parts in zip(*encoded, strict=True)]


def integer_bytes(value_N: npt.NDArray[np.int64]) -> Bytes:
    """Return the bytes of ids that are numbers, [N, 9], as `encode_id` has them: they sort as the numbers do."""
    big_N = (value_N.view(np.uint64) ^ np.uint64(1 << 63)).astype(">u8")
    raw_NB = np.empty((len(value_N), 9), np.uint8)
    raw_NB[:, 0] = ord("i")
    raw_NB[:, 1:] = big_N.view(np.uint8).reshape(-1, 8)
    return raw_NB


def keys_behind(prefix: bytes, parts: Sequence[Bytes]) -> list[bytes]:
    """Return a key a row: *prefix*, then the bytes of each part's row."""
    whole_NB = np.empty((len(parts[0]), len(prefix) + sum(part.shape[1] for part in parts)), np.uint8)
    at = len(prefix)
    whole_NB[:, :at] = np.frombuffer(prefix, np.uint8)
    for part_NB in parts:
        whole_NB[:, at : at + part_NB.shape[1]] = part_NB
        at += part_NB.shape[1]
    return list(whole_NB.view(f"V{at}")[:, 0].tolist())
