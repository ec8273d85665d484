"""How a text is read before it is cut into n-grams: named steps, which a package declares in their order.

Every step is a function from text to text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

__all__ = ["STEPS", "read_texts"]

_URL = re.compile(r"(?:https?://|www\.)\S+")
_MENTION = re.compile(r"@\w+")
_ELONGATED = re.compile(r"(.)\1{2,}")
_JOINERS = str.maketrans(dict.fromkeys("\ufe0e\ufe0f\u200d"))
_MARKS = "\u0300-\u036f"
_TOKEN = re.compile(rf"@user|[^\W\d_](?:[^\W_]|[{_MARKS}'’])*|\d+|[^\w\s]")
_HOOKS = str.maketrans({"ɓ": "b", "ɗ": "d", "ƙ": "k", "ƴ": "y", "’": "'", "ʼ": "'"})


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _urls(text: str) -> str:
    return _URL.sub(" http ", text)


def _mentions(text: str) -> str:
    return _MENTION.sub(" @user ", text)


def _elongations(text: str) -> str:
    return _ELONGATED.sub(r"\1\1", text)


def _joiners(text: str) -> str:
    return _nfc(text.translate(_JOINERS))


def _tokens(text: str) -> str:
    return " ".join(_TOKEN.findall(text))


def _unmarked(text: str) -> str:
    letters = (c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return _nfc("".join(letters)).translate(_HOOKS)


STEPS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "nfc": _nfc,
        "lower": str.lower,
        "urls": _urls,
        "mentions": _mentions,
        "elongations": _elongations,
        "joiners": _joiners,
        "tokens": _tokens,
        "unmarked": _unmarked,
    }
)
"""The steps by name.

- ``nfc``: Unicode normalisation form C, so that one letter has one spelling.
- ``lower``: small letters.
- ``urls``: an address becomes the word ``http``.
- ``mentions``: ``@anyone`` becomes ``@user``.
- ``elongations``: three or more of one character become two (*soooo* → *soo*).
- ``joiners``: the invisible characters that vary or join emoji go, so that one picture has one spelling.
- ``tokens``: words, numbers and single signs (an emoji is one), parted by one space; the underscore is none of them.
- ``unmarked``: tone marks and dots go, and hooked letters lose their hooks (*ọ́* → *o*, *ɗ* → *d*): how tweets are
  mostly typed.
"""


def read_texts(texts: Iterable[str], steps: Iterable[str], *, longest: int) -> list[str]:
    """Return *texts* after *steps*, in their order; of each only the first *longest* characters are read."""
    functions = [STEPS[step] for step in steps]
    read = []
    for given in texts:
        text = given[:longest]
        for function in functions:
            text = function(text)
        read.append(text)
    return read
