"""Did texts change? Their words, counted in hashed cells, with whole texts relabelled.

Legend: T words, each counted once a text; N reference texts, M current texts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.stats.drift.cells import counted_rows
from orita.stats.drift.column import ColumnTest, column_test
from orita.stats.drift.repeats import Repeats

__all__ = ["changed_word", "text_test", "words_of"]

Codes = npt.NDArray[np.int64]

_WORD = re.compile(r"\w+")
_MOST_WORDS = 200


def words_of(text: str | None) -> list[str]:
    """Return the different words of a text (letters and digits, case folded), the first 200."""
    return list(dict.fromkeys(_WORD.findall(text.casefold())))[:_MOST_WORDS] if text else []


def changed_word(reference: Sequence[str | None], current: Sequence[str | None]) -> tuple[str, float, float]:
    """Return the word whose share of texts changed most, with its share before and now; empty where there is none."""
    before, now = (Counter(word for text in texts for word in words_of(text)) for texts in (reference, current))
    n, m = max(len(reference), 1), max(len(current), 1)
    changes = ((abs(now[word] / m - before[word] / n), word) for word in before.keys() | now.keys())
    _, word = max(changes, default=(0.0, ""))
    return word, before[word] / n, now[word] / m


def text_test(
    reference: Sequence[str | None],
    current: Sequence[str | None],
    *,
    owners: tuple[Codes, Codes] | None = None,
    cells: int = 1024,
    seed: int = 0,
) -> ColumnTest:
    """Test whether the words of current texts come as often as those of reference texts.

    Each word (letters and digits, case folded; the first 200 different ones of a text) is counted once a text, in one
    of *cells* cells by its hash; a text without words is missing. What becomes more or less frequent, what is new
    (OOV) and what went missing are seen as in a column of categories. Test the lengths as a column beside it.

    Args:
        reference, current: texts in the order of time; None is missing.
        owners: the item or user of each text, [N] and [M], where these repeat: then whole items or users change sides.
            None: each text is of its own.
        cells: how many, ≥ 2; more of them tell more words apart, and need more texts.
        seed: fixes the relabellings.

    Raises:
        UserError: *cells* is below 2.
    """
    if cells < 2:
        raise UserError(f"cells is {cells}: give 2 or more, such as 1024.")
    (reference_T, of_text_N), (current_T, of_text_M) = (_words(texts, cells) for texts in (reference, current))
    if owners is None:
        owners = np.arange(len(reference)), np.arange(len(current)) + len(reference)
    repeats = Repeats.of(reference_T, current_T, owners[0][of_text_N], owners[1][of_text_M])
    result = column_test(counted_rows(reference_T, current_T, ordered=False), repeats=repeats, draws=5_000, seed=seed)
    return replace(result, n=len(reference), m=len(current))


def _words(texts: Sequence[str | None], cells: int) -> tuple[Codes, Codes]:
    """Return the cell of each word, 0 for a text without any, and the text that it is of."""
    found = [[1 + crc32(word.encode()) % cells for word in words_of(text)] for text in texts]
    codes = [np.array(words or [0], dtype=np.int64) for words in found]
    of_text = np.repeat(np.arange(len(codes)), [len(each) for each in codes])
    return (np.concatenate(codes) if codes else np.empty(0, np.int64)), of_text.astype(np.int64)
