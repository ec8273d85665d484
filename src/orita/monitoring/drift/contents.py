"""What stands behind a request that is no single number: texts and embeddings of its item and its user.

Legend: N reference rows, M recent rows, D dimensions of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.stats.drift.text import words_of

__all__ = ["Texts", "Vectors", "text_lengths"]

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

_MOST_TEXTS = 6_000


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of both samples, at most 6,000 of each, in the order of time; None where there is none.

    Attributes:
        reference, recent: texts.
        reference_at, recent_at: the rows that they are of.
    """

    reference: tuple[str | None, ...]
    recent: tuple[str | None, ...]
    reference_at: Codes
    recent_at: Codes

    @classmethod
    def of(cls, reference: Sequence[str | None], recent: Sequence[str | None]) -> Texts:
        """Return the texts of all rows, evenly thinned to a bound."""
        places = [_evenly(len(texts)) for texts in (reference, recent)]
        kept = [tuple(texts[i] for i in at) for texts, at in zip((reference, recent), places, strict=True)]
        return cls(kept[0], kept[1], places[0], places[1])

    def owners(self, reference_N: Codes, recent_M: Codes) -> tuple[Codes, Codes]:
        """Return whose each text is, of whose each row is."""
        return reference_N[self.reference_at], recent_M[self.recent_at]


@dataclass(frozen=True, slots=True)
class Vectors:
    """The embeddings of both samples, a row each; a row with a value that is not finite has none.

    Attributes:
        reference_ND, recent_MD: vectors.
    """

    reference_ND: Floats
    recent_MD: Floats

    def one_each(self, reference_N: Codes, recent_M: Codes, *, seed: int) -> tuple[Floats, Floats]:
        """Return one vector for each item or user of as many rows of both samples.

        Of more rows more rare items come, which alone would tell the samples apart.
        """
        rng = np.random.default_rng(seed)
        rows = min(len(reference_N), len(recent_M))
        pairs = (self.reference_ND, reference_N), (self.recent_MD, recent_M)
        first, second = (_one_each(x, owners, rng.permutation(len(owners))[:rows]) for x, owners in pairs)
        return first, second

    def shown(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return where each row lies on the direction in which all vectors differ most, NaN without a vector."""
        pooled = np.concatenate([self.reference_ND, self.recent_MD]).astype(np.float64)
        whole = np.isfinite(pooled).all(axis=1)
        place = np.full(len(pooled), np.nan, dtype=np.float32)
        if whole.any():
            centred = pooled[whole] - pooled[whole].mean(axis=0)
            place[whole] = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
        return place[: len(self.reference_ND)], place[len(self.reference_ND) :]


def text_lengths(texts: Sequence[str | None]) -> npt.NDArray[np.float32]:
    """Return how many different words each text has, at most 200; NaN where it has none."""
    lengths = np.array([len(words_of(text)) for text in texts], dtype=np.float32)
    return np.where(lengths > 0, lengths, np.float32(np.nan))


def _one_each(values: Floats, owners: Codes, rows: npt.NDArray[np.intp]) -> Floats:
    _, first = np.unique(owners[rows], return_index=True)
    return values[np.sort(rows[first])]


def _evenly(count: int) -> Codes:
    kept = min(count, _MOST_TEXTS)
    return np.arange(kept, dtype=np.int64) * count // max(kept, 1)
