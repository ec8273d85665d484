"""The past of a key as bytes: many are read, and written, at once.

A past is a run of float64: how many pieces each lane has, then the pieces of lane after lane, a row each; behind them
the bytes of sketches, filled up to a multiple of 8. A key without pieces has no past.

Legend: K keys, P of them with a past, L lanes, R pieces of a lane, W numbers of a piece.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from orita.features.state.lanes import Lane
from orita.features.state.pieces import Pieces

__all__ = ["read_pasts", "written_pasts"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_WORD = 8


def read_pasts(lanes: Sequence[Lane], records: Sequence[bytes | None]) -> list[Pieces]:
    """Return the pieces of each lane, those of ``records[k]`` as of key k."""
    key_P = np.array([k for k, raw in enumerate(records) if raw], np.int64)
    whole = b"".join([raw for raw in records if raw])
    numbers = np.frombuffer(whole)
    size_P = np.array([len(raw) // _WORD for raw in records if raw], np.int64)
    at_P = np.cumsum(size_P) - size_P
    count_PL = numbers[at_P[:, None] + np.arange(len(lanes))].astype(np.int64)
    at_P = at_P + len(lanes)
    rows = []
    for lane, count_P in zip(lanes, count_PL.T, strict=True):
        row_R = np.repeat(at_P, count_P) + _within(count_P) * lane.width
        rows.append(numbers[row_R + np.arange(lane.width)[:, None]])
        at_P = at_P + count_P * lane.width
    found = []
    byte_P = at_P * _WORD
    for lane, count_P, row_WR in zip(lanes, count_PL.T, rows, strict=True):
        sketches: tuple[bytes, ...] = ()
        if lane.kind == "sketches":
            sketches, byte_P = _read_sketches(whole, byte_P, count_P, row_WR[-1].astype(np.int64))
        found.append(Pieces(lane, np.repeat(key_P, count_P), tuple(row_WR), sketches))
    return found


def written_pasts(lanes: Sequence[Pieces], keys: int) -> list[bytes | None]:
    """Return the past of each key, None where there are no pieces.

    Args:
        lanes: the pieces of each lane, settled.
        keys: K.
    """
    count_LK = np.array([np.bincount(pieces.key_R, minlength=keys) for pieces in lanes], np.int64)
    sketched_K = np.zeros(keys, np.int64)
    for pieces in lanes:
        if pieces.sketches:
            sizes_K = np.bincount(pieces.key_R, weights=pieces.columns[-1], minlength=keys)
            sketched_K += sizes_K.astype(np.int64)
    widths_L = np.array([pieces.lane.width for pieces in lanes])
    some_K = count_LK.any(axis=0)
    size_K = np.where(some_K, len(lanes) + widths_L @ count_LK + -(-sketched_K // _WORD), 0)
    start_K = np.cumsum(size_K) - size_K
    numbers = np.zeros(int(size_K.sum()))
    header_K = start_K[some_K]
    numbers[header_K + np.arange(len(lanes))[:, None]] = count_LK[:, some_K]
    at_K = start_K + len(lanes)
    for pieces, count_K in zip(lanes, count_LK, strict=True):
        row_R = np.repeat(at_K, count_K) + _within(count_K) * pieces.lane.width
        for position, column in enumerate(pieces.columns):
            numbers[row_R + position] = column
        at_K = at_K + count_K * pieces.lane.width
    whole = bytearray(numbers.tobytes())
    byte_K = at_K * _WORD
    for pieces, count_K in zip(lanes, count_LK, strict=True):
        if pieces.sketches:
            byte_K = _write_sketches(whole, byte_K, count_K, pieces)
    joined = bytes(whole)
    begin, end = (start_K * _WORD).tolist(), ((start_K + size_K) * _WORD).tolist()
    return [joined[a:b] if b > a else None for a, b in zip(begin, end, strict=True)]


def _within(count_K: Integers) -> Integers:
    """Return the number of each piece among those of its key."""
    end_K = np.cumsum(count_K)
    return np.asarray(np.arange(int(end_K[-1]) if len(end_K) else 0) - np.repeat(end_K - count_K, count_K))


def _places(byte_K: Integers, count_K: Integers, size_R: Integers) -> tuple[Integers, Integers]:
    """Return where the bytes of each piece begin, and where those of each key end."""
    end_R = np.cumsum(size_R)
    before_K = np.concatenate([np.zeros(1, np.int64), end_R])[np.cumsum(count_K) - count_K]
    after_K = np.concatenate([np.zeros(1, np.int64), end_R])[np.cumsum(count_K)]
    start_R = end_R - size_R + np.repeat(byte_K - before_K, count_K)
    return start_R, byte_K + after_K - before_K


def _read_sketches(
    whole: bytes, byte_P: Integers, count_P: Integers, size_R: Integers
) -> tuple[tuple[bytes, ...], Integers]:
    start_R, after_P = _places(byte_P, count_P, size_R)
    found = (whole[start : start + size] for start, size in zip(start_R.tolist(), size_R.tolist(), strict=True))
    return tuple(found), after_P


def _write_sketches(whole: bytearray, byte_K: Integers, count_K: Integers, pieces: Pieces) -> Integers:
    start_R, after_K = _places(byte_K, count_K, pieces.columns[-1].astype(np.int64))
    for start, raw in zip(start_R.tolist(), pieces.sketches, strict=True):
        if raw:
            whole[start : start + len(raw)] = raw
    return after_K
