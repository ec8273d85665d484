"""Texts as sparse rows: hashed n-grams that training saw often enough, weighted, each view of length 1.

weight = (1 + log count in the text) · (1 + log((1 + texts) ÷ (1 + texts with the n-gram))), the sublinear TF-IDF of
Manning, Raghavan and Schütze 2008, ch. 6; the rows of each of V views are then scaled to the length 1 ÷ √V.

Legend: N texts, M entries of the sparse matrix, D features, H distinct hashes of a view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.models.tasks.ngrams import Grams, character_ngrams, word_ngrams
from orita.models.tasks.text_recipe import TextRecipe
from orita.models.tasks.text_steps import read_texts

__all__ = ["SparseRows", "TextFeatures"]

_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True)
class SparseRows:
    """A sparse float32 matrix of ``count`` rows: the value ``values_M[i]`` at ``rows_M[i]``, ``columns_M[i]``."""

    count: int
    rows_M: npt.NDArray[np.int64]
    columns_M: npt.NDArray[np.int64]
    values_M: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Fitted features.

    Attributes:
        recipe: the views.
        hashes: of each view, the sorted hashes ``hash_H`` of its n-grams; view by view they are the columns.
        rarity_D: the second factor of the weight, by column.
    """

    recipe: TextRecipe
    hashes: tuple[npt.NDArray[np.uint32], ...]
    rarity_D: npt.NDArray[np.float32]

    @classmethod
    def fit(cls, recipe: TextRecipe, texts: Sequence[str], *, max_features: int) -> TextFeatures:
        """Return the features of *recipe* that *texts* show.

        Args:
            recipe: the views.
            texts: of the training rows.
            max_features: of each view, the n-grams of the most texts are kept.
        """
        kept, rarity = [], []
        for view, grams in zip(recipe.views, _grams_by_view(recipe, texts), strict=True):
            _, hash_M, _ = _counted(grams)
            hash_H, texts_H = np.unique(hash_M, return_counts=True)
            often_H = texts_H >= view.min_texts
            hash_H, texts_H = hash_H[often_H], texts_H[often_H]
            if len(hash_H) > max_features:
                most_H = np.sort(np.argsort(-texts_H, kind="stable")[:max_features])
                hash_H, texts_H = hash_H[most_H], texts_H[most_H]
            kept.append(hash_H)
            rarity.append(1 + np.log((1 + len(texts)) / (1 + texts_H)))
        return cls(recipe, tuple(kept), np.concatenate(rarity).astype(np.float32))

    def __len__(self) -> int:
        return len(self.rarity_D)

    def rows(self, texts: Sequence[str]) -> SparseRows:
        """Return the rows of *texts*; an n-gram that training did not keep has no entry."""
        rows, columns, values, start = [], [], [], 0
        for grams, hash_H in zip(_grams_by_view(self.recipe, texts), self.hashes, strict=True):
            row_M, hash_M, count_M = _counted(grams)
            place_M = np.searchsorted(hash_H, hash_M)
            known_M = place_M < len(hash_H)
            known_M[known_M] = hash_H[place_M[known_M]] == hash_M[known_M]
            row_M, column_M = row_M[known_M], start + place_M[known_M]
            value_M = (1 + np.log(count_M[known_M])) * self.rarity_D[column_M].astype(np.float64)
            square_N = np.bincount(row_M, value_M**2, minlength=len(texts)) * len(self.hashes)
            rows.append(row_M)
            columns.append(column_M)
            values.append((value_M / np.sqrt(square_N)[row_M]).astype(np.float32))
            start += len(hash_H)
        return SparseRows(len(texts), np.concatenate(rows), np.concatenate(columns), np.concatenate(values))


def _grams_by_view(recipe: TextRecipe, texts: Sequence[str]) -> Iterator[Grams]:
    """Yield the n-grams of each view; views with the same steps read the texts once."""
    read: dict[tuple[str, ...], list[str]] = {}
    for view in recipe.views:
        if view.steps not in read:
            read[view.steps] = read_texts(texts, view.steps, longest=recipe.longest_text)
        cut = character_ngrams if view.unit == "characters" else word_ngrams
        yield cut(read[view.steps], view.shortest, view.longest)


def _counted(
    grams: Grams,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Return each n-gram of each text once: its row, its hash, its count; sorted by row, then hash."""
    row_M, hash_M = grams
    both_M, count_M = np.unique((row_M.astype(np.uint64) << _HALF) | hash_M, return_counts=True)
    return (both_M >> _HALF).astype(np.int64), both_M.astype(np.uint32), count_M
