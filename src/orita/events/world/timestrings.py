"""Times and identifiers as text, written as blocks of bytes: no Python object a row.

Legend: N rows, R runs of equal times, W bytes of a text.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.events.world.arrays import Integers

__all__ = ["fixed_strings", "iso_strings", "uuid7_bytes"]

_DASHES = (8, 13, 18, 23)
_HEX_SLICES = ((0, 0, 8), (9, 8, 12), (14, 12, 16), (19, 16, 20), (24, 20, 32))


def fixed_strings(text_NW: npt.NDArray[np.uint8]) -> pa.StringArray:
    """Return N strings of equal length from their ASCII bytes ``text_NW``."""
    rows, width = text_NW.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text_NW)))


def iso_strings(micros_N: Integers) -> pa.StringArray:
    """Return ISO 8601 UTC texts with milliseconds, such as ``2024-01-01T00:00:00.000Z``."""
    # Rows of a page share their time: each run of equal times is formatted once.
    starts_R = np.flatnonzero(np.diff(micros_N, prepend=micros_N[:1] - 1))
    text = np.datetime_as_string((micros_N[starts_R] // 1000).view("datetime64[ms]"), unit="ms").astype("S23")
    bytes_RW = np.empty((len(starts_R), 24), np.uint8)
    bytes_RW[:, :23] = text.view(np.uint8).reshape(-1, 23)
    bytes_RW[:, 23] = ord("Z")
    return fixed_strings(np.repeat(bytes_RW, np.diff(starts_R, append=len(micros_N)), axis=0))


def uuid7_bytes(rng: np.random.Generator, micros_N: Integers) -> npt.NDArray[np.uint8]:
    """Return the 36 ASCII bytes of N UUIDs version 7 (RFC 9562): milliseconds, then 74 bits of *rng*."""
    rows = len(micros_N)
    raw_N16 = rng.integers(0, 256, (rows, 16), dtype=np.uint8)
    raw_N16[:, :6] = (micros_N // 1000).astype(">u8").view(np.uint8).reshape(-1, 8)[:, 2:]
    raw_N16[:, 6] = raw_N16[:, 6] & 0x0F | 0x70
    raw_N16[:, 8] = raw_N16[:, 8] & 0x3F | 0x80
    hex_N32 = _hex_pairs()[raw_N16].view(np.uint8)
    text_NW = np.empty((rows, 36), np.uint8)
    for at, first, last in _HEX_SLICES:
        text_NW[:, at : at + last - first] = hex_N32[:, first:last]
    text_NW[:, list(_DASHES)] = ord("-")
    return text_NW


@cache
def _hex_pairs() -> npt.NDArray[np.uint16]:
    """Return the two hexadecimal digits of each byte, as one number of 16 bits."""
    return np.frombuffer("".join(f"{value:02x}" for value in range(256)).encode(), np.uint16)
