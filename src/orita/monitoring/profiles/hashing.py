"""The hash that DataSketches gives a number or a text, of whole arrays: MurmurHash3 x64 128, seed 9001.

A sketch that takes a value at a time is asked only for those that can change it; which ones, the hash tells. Legend:
N values, L bytes of the longest text. Source: Appleby (2011), MurmurHash3, in the public domain.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["LONGEST_TEXT", "hashed_numbers", "hashed_texts", "number_bits"]

Words = npt.NDArray[np.uint64]

LONGEST_TEXT = 64
"""Bytes of the longest text that `hashed_texts` takes."""

_SEED = np.uint64(9001)
_C1, _C2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_F1, _F2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_ADD1, _ADD2, _FIVE = np.uint64(0x52DCE729), np.uint64(0x38495AB5), np.uint64(5)
_33, _64 = np.uint64(33), np.uint64(64)
_BLOCK = 16


def number_bits(x_N: npt.NDArray[np.float64]) -> Words:
    """Return the bits that stand for each number; −0 and 0 are one value."""
    return (x_N + 0.0).view(np.uint64)


def hashed_numbers(bits_N: Words) -> tuple[Words, Words]:
    """Return both halves of the hash of each 8-byte word."""
    h1_N = _mixed(bits_N, _C1, 31, _C2)
    h1_N ^= _SEED
    return _finished(h1_N, np.full(len(bits_N), _SEED), np.uint64(8))


def hashed_texts(texts: pa.Array) -> tuple[Words, Words]:
    """Return both halves of the hash of the UTF-8 bytes of each text.

    Args:
        texts: large_string without nulls, of 1 to `LONGEST_TEXT` bytes each.
    """
    words_NW, length_N = _padded(texts)
    whole_N = length_N // _BLOCK
    h1_N, h2_N = np.full(len(texts), _SEED), np.full(len(texts), _SEED)
    for block in range(int(whole_N.max(initial=0))):
        full_N = whole_N > block
        k1_N, k2_N = words_NW[full_N, 2 * block], words_NW[full_N, 2 * block + 1]
        a_N, b_N = h1_N[full_N] ^ _mixed(k1_N, _C1, 31, _C2), h2_N[full_N]
        a_N = (_turned(a_N, 27) + b_N) * _FIVE + _ADD1
        b_N = (_turned(b_N ^ _mixed(k2_N, _C2, 33, _C1), 31) + a_N) * _FIVE + _ADD2
        h1_N[full_N], h2_N[full_N] = a_N, b_N
    # What is left of a text is padded with zeros, and a word of zeros changes nothing.
    rows_N = np.arange(len(texts))
    h1_N ^= _mixed(words_NW[rows_N, 2 * whole_N], _C1, 31, _C2)
    h2_N ^= _mixed(words_NW[rows_N, 2 * whole_N + 1], _C2, 33, _C1)
    return _finished(h1_N, h2_N, length_N.astype(np.uint64))


def _padded(texts: pa.Array) -> tuple[Words, npt.NDArray[np.int64]]:
    """Return the bytes of each text as words, zeros behind its end, and how many bytes it has."""
    _, offsets, data = texts.buffers()
    begin_N = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    length_N = np.diff(begin_N)
    width = (int(length_N.max(initial=0)) // _BLOCK + 1) * _BLOCK
    raw = np.concatenate([np.frombuffer(data, np.uint8), np.zeros(width, np.uint8)])
    place_L = np.arange(width)
    bytes_NL = raw[begin_N[:-1, None] + place_L]
    bytes_NL[place_L >= length_N[:, None]] = 0
    return bytes_NL.view("<u8").astype(np.uint64, copy=False), length_N


def _turned(x_N: Words, by: int) -> Words:
    return (x_N << np.uint64(by)) | (x_N >> (_64 - np.uint64(by)))


def _mixed(k_N: Words, first: np.uint64, by: int, second: np.uint64) -> Words:
    turned_N = _turned(k_N * first, by)
    turned_N *= second
    return turned_N


def _finished(h1_N: Words, h2_N: Words, length: Words | np.uint64) -> tuple[Words, Words]:
    h1_N ^= length
    h2_N ^= length
    h1_N += h2_N
    h2_N += h1_N
    _avalanche(h1_N)
    _avalanche(h2_N)
    h1_N += h2_N
    h2_N += h1_N
    return h1_N, h2_N


def _avalanche(x_N: Words) -> None:
    x_N ^= x_N >> _33
    x_N *= _F1
    x_N ^= x_N >> _33
    x_N *= _F2
    x_N ^= x_N >> _33
