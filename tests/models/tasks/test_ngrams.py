"""Hashed n-grams: the hash is the standard one, and the grams are those that plain Python cuts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita.models.tasks.ngrams import LONGEST_SPAN, Grams, character_ngrams, word_ngrams

WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1, max_size=5), max_size=6)


def _fnv(content: bytes) -> int:
    state = 0xCBF29CE484222325
    for byte in content:
        state = (state ^ byte) * 0x100000001B3 % 2**64
    return state


def _hash(gram: str) -> int:
    state = _fnv(gram.encode("utf-32-le"))
    return (state >> 32) ^ (state & 0xFFFFFFFF)


def _characters(text: str, shortest: int, longest: int) -> Iterator[str]:
    padded = f" {text} "
    for n in range(shortest, longest + 1):
        for start in range(len(padded) - n + 1):
            gram = padded[start : start + n]
            if " " not in gram[1:-1] and gram.strip():
                yield gram


def _words(text: str, shortest: int, longest: int) -> Iterator[str]:
    words = text.split(" ") if text else []
    for n in range(shortest, longest + 1):
        for start in range(len(words) - n + 1):
            yield " ".join(words[start : start + n])[:LONGEST_SPAN]


def _counts(grams: Grams) -> Counter[tuple[int, int]]:
    return Counter(zip(*(part.tolist() for part in grams), strict=True))


def test_the_plain_hash_of_these_tests_is_the_published_one() -> None:
    """FNV-1a of 64 bits has the values that its authors publish."""
    assert [_fnv(text) for text in (b"", b"a", b"foobar")] == [
        0xCBF29CE484222325,
        0xAF63DC4C8601EC8C,
        0x85944171F73967E8,
    ]


@pytest.mark.parametrize(("gram", "expected"), [("good", 0x482B9E21), ("ọmọ", 0x5BB59D3F), ("😂", 0x200C55FA)])
def test_hashes_are_pinned(gram: str, expected: int) -> None:
    """The hash of a word never changes: packages that were written before must read the same."""
    assert word_ngrams([gram], 1, 1)[1].tolist() == [expected]


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS.map(" ".join), max_size=4), st.integers(1, 4), st.integers(0, 4))
def test_many_texts_at_once_are_the_grams_of_each(texts: list[str], shortest: int, more: int) -> None:
    """All texts together give, row by row, the n-grams that plain Python cuts from each."""
    longest = shortest + more
    for cut, plain in ((character_ngrams, _characters), (word_ngrams, _words)):
        expected = Counter(
            (row, _hash(gram)) for row, text in enumerate(texts) for gram in plain(text, shortest, longest)
        )
        assert _counts(cut(texts, shortest, longest)) == expected


def test_a_long_word_is_known_by_its_beginning() -> None:
    """Two words that agree in their first 64 characters have one hash, so no text asks for unbounded work."""
    texts = ["a" * LONGEST_SPAN, "a" * 5000, "a" * (LONGEST_SPAN - 1)]
    hashes = word_ngrams(texts, 1, 1)[1]
    assert hashes[0] == hashes[1] != hashes[2]


def test_no_texts_and_empty_texts_have_no_grams() -> None:
    """Nothing in, nothing out."""
    for cut in (character_ngrams, word_ngrams):
        for texts in ([], [""], ["", ""]):
            rows, hashes = cut(texts, 1, 3)
            assert len(rows) == len(hashes) == 0
            assert hashes.dtype == np.uint32


def test_half_a_surrogate_pair_is_read_as_unknown() -> None:
    """A text that cannot be encoded is still a text."""
    assert word_ngrams(["a\ud83d"], 1, 1)[1].tolist() == [_hash("a?")]
