"""N-grams of many texts at once, each as a 32-bit hash.

The hash is FNV-1a with 64 bits (Fowler, Noll, Vo; RFC 9923) over the UTF-32-LE bytes of the n-gram, folded to 32 bits
by XOR of its halves, as its authors advise. Texts are words parted by single spaces, as the step ``tokens`` leaves
them.

Legend: N texts, C characters of all texts, M n-grams, W words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["LONGEST_SPAN", "Grams", "character_ngrams", "hash_spans", "word_ngrams"]

LONGEST_SPAN = 64
"""A longer n-gram of words is known by its first 64 characters: a bound on the work that one text can ask for."""

_PRIME, _BASIS = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)
_BYTE, _HALF = np.uint64(0xFF), np.uint64(32)
_SPACE = 32

Hashes = npt.NDArray[np.uint32]
Grams = tuple[npt.NDArray[np.int64], Hashes]
"""``rows_M``, the text that each n-gram stands in, and ``hashes_M``."""


def character_ngrams(texts: Sequence[str], shortest: int, longest: int) -> Grams:
    """Return the n-grams of *shortest* … *longest* characters within words.

    A word is taken with a space before and after it, so its beginning and its end are told apart from its middle; an
    n-gram of two words' ends does not occur.
    """
    codes_C, text_C = _characters([f" {text} " for text in texts])
    space_C = codes_C == _SPACE
    spaces_C = np.cumsum(space_C) - space_C  # before each character
    hash_C = np.full(len(codes_C), _BASIS)
    rows, hashes = [], []
    for n in range(1, longest + 1):
        count = len(codes_C) - n + 1
        if count <= 0:
            break
        hash_C = _step(hash_C[:count], codes_C[n - 1 :])
        if n < shortest:
            continue
        last_C = np.arange(n - 1, n - 1 + count)
        within_C = text_C[:count] == text_C[last_C]
        if n <= 2:
            within_C &= ~(space_C[:count] & space_C[last_C])
        else:
            within_C &= spaces_C[last_C] == spaces_C[1 : 1 + count]
        rows.append(text_C[:count][within_C])
        hashes.append(_fold(hash_C[within_C]))
    return _together(rows, hashes)


def word_ngrams(texts: Sequence[str], shortest: int, longest: int) -> Grams:
    """Return the n-grams of *shortest* … *longest* words, as the characters from the first to the last of them."""
    codes_C, text_C = _characters([f"{text} " for text in texts])
    ends_W = np.flatnonzero(codes_C == _SPACE)
    starts_W = np.concatenate(([0], ends_W[:-1] + 1)) if len(ends_W) else ends_W
    starts_W, ends_W = starts_W[ends_W > starts_W], ends_W[ends_W > starts_W]  # an empty text has no word
    text_W = text_C[starts_W]
    rows, hashes = [], []
    for n in range(shortest, longest + 1):
        count = max(len(starts_W) - n + 1, 0)
        within_W = text_W[:count] == text_W[n - 1 : n - 1 + count]
        start_M, end_M = starts_W[:count][within_W], ends_W[n - 1 : n - 1 + count][within_W]
        rows.append(text_W[:count][within_W])
        hashes.append(hash_spans(codes_C, start_M, np.minimum(end_M - start_M, LONGEST_SPAN)))
    return _together(rows, hashes)


def hash_spans(
    codes_C: npt.NDArray[np.uint32], starts_M: npt.NDArray[np.int64], lengths_M: npt.NDArray[np.int64]
) -> Hashes:
    """Return the 32-bit hash of each span of characters; the work is that of the characters in the spans."""
    order_M = np.argsort(-lengths_M, kind="stable")
    starts_M, lengths_M = starts_M[order_M], lengths_M[order_M]
    hash_M = np.full(len(starts_M), _BASIS)
    for position in range(int(lengths_M[0]) if len(lengths_M) else 0):
        reach = int(np.searchsorted(-lengths_M, -position, side="left"))  # the spans longer than *position*
        hash_M[:reach] = _step(hash_M[:reach], codes_C[starts_M[:reach] + position])
    found_M = np.empty(len(hash_M), np.uint32)
    found_M[order_M] = _fold(hash_M)
    return found_M


def _step(hash_M: npt.NDArray[np.uint64], codes_M: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """Return the hashes after one more character: its four bytes, the lowest first."""
    wide_M, next_M = codes_M.astype(np.uint64), hash_M.copy()
    for shift in (0, 8, 16, 24):
        next_M ^= (wide_M >> np.uint64(shift)) & _BYTE
        next_M *= _PRIME  # wraps at 64 bits, as it should
    return next_M


def _fold(hash_M: npt.NDArray[np.uint64]) -> Hashes:
    return ((hash_M >> _HALF) ^ hash_M).astype(np.uint32)


def _characters(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Return all code points in a row, and the text of each; half a surrogate pair is read as the sign for unknown."""
    encoded = [text.encode("utf-32-le", "replace") for text in texts]
    lengths_N = np.array([len(each) // 4 for each in encoded], np.int64)
    codes_C = np.frombuffer(b"".join(encoded), np.dtype("<u4"))
    return codes_C, np.repeat(np.arange(len(texts)), lengths_N)


def _together(rows: list[npt.NDArray[np.int64]], hashes: list[Hashes]) -> Grams:
    if not rows:
        return np.zeros(0, np.int64), np.zeros(0, np.uint32)
    return np.concatenate(rows), np.concatenate(hashes)
