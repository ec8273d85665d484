"""Texts as tokens of a pretrained encoder: the tokenizer is a file of data, read by the library that wrote it.

Legend: N texts, B texts of a batch, T tokens of its longest text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.core.extras import require

__all__ = ["TOKENIZER_FILE", "Tokenizer", "Tokens", "by_length", "padded"]

TOKENIZER_FILE = "tokenizer.json"

Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """From texts to numbers of tokens.

    Attributes:
        content: the bytes of ``tokenizer.json``.
        max_tokens: what is longer is cut, the marks of beginning and end stay.
        where: what errors call the file.
    """

    content: bytes
    max_tokens: int
    where: str
    _library: Any

    @classmethod
    def of(cls, content: bytes, max_tokens: int, where: str) -> Tokenizer:
        """Read *content*; *where* is what errors call it.

        Raises:
            UserError: it is not a tokenizer.
            MissingExtra: the library is not installed.
        """
        library = require("tokenizers", extra="transformers")
        try:
            read = library.Tokenizer.from_str(content.decode("utf-8"))
            read.no_padding()
            read.enable_truncation(max_tokens)
        except Exception as error:  # the library raises plain exceptions
            raise UserError(f"{where} is not a tokenizer: {' '.join(str(error).split())[:200]}.") from None
        return cls(content, max_tokens, where, read)

    @property
    def most(self) -> int:
        """The highest number of a token."""
        return max(self._library.get_vocab(with_added_tokens=True).values(), default=0)

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text, at least one; half a surrogate pair is read as a question mark.

        Raises:
            UserError: the tokenizer is such that it cannot cut texts, as with marks that its vocabulary lacks.
        """
        given = [text.encode("utf-8", "replace").decode() for text in texts]
        try:
            encoded = self._library.encode_batch_fast(given)
        except BaseException as error:  # a panic of the library is no Exception
            if not (isinstance(error, Exception) or type(error).__name__ == "PanicException"):
                raise
            raise UserError(f"{self.where} cannot cut texts: {' '.join(str(error).split())[:200]}.") from None
        return [np.array(each.ids or [0], np.int64) for each in encoded]


def padded(tokens: Sequence[Tokens]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return ``tokens_BT``, short texts filled up with 0, and ``mask_BT``, 1 where a token is a text's own."""
    longest = max(map(len, tokens))
    tokens_BT, mask_BT = np.zeros((2, len(tokens), longest), np.int64)
    for row, own in enumerate(tokens):
        tokens_BT[row, : len(own)], mask_BT[row, : len(own)] = own, 1
    return tokens_BT, mask_BT


def by_length(tokens: Sequence[Tokens], size: int) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the positions of texts of like length, *size* at a time, so that little is filled up."""
    order_N = np.argsort([len(own) for own in tokens], kind="stable")
    for start in range(0, len(tokens), size):
        yield order_N[start : start + size]
