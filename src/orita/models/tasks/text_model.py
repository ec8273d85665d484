"""A linear model of texts as it is served: declarations in ``text.json``, numbers in ``text.safetensors``, NumPy.

probabilities = softmax(temperature⁻¹ · (features · weights + bias)).

Legend: N texts, D features, K classes, H hashes of a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from orita.core.config import Section
from orita.core.errors import UserError
from orita.models.package.manifest import Contents
from orita.models.package.strict_json import canonical_json
from orita.models.package.tensors import read_tensors, write_weights
from orita.models.tasks.config import Task
from orita.models.tasks.declared import check_texts, read_declared
from orita.models.tasks.predictor import Answers
from orita.models.tasks.softmax import softmax
from orita.models.tasks.text_features import SparseRows, TextFeatures
from orita.models.tasks.text_recipe import TextRecipe

__all__ = ["TENSORS_FILE", "TEXT_FILE", "TextModel"]

TEXT_FILE, TENSORS_FILE = "text.json", "text.safetensors"
_BLOCK_TEXTS = 2_048  # bounds the memory of a long list


class _Declared(Section):
    format: Literal[1] = 1
    task: Literal["text"] = "text"
    classes: tuple[str, ...] = Field(min_length=2, max_length=1_000)
    hash: Literal["fnv1a64-utf32le-folded32"] = "fnv1a64-utf32le-folded32"
    weighting: Literal["sublinear-tf-idf"] = "sublinear-tf-idf"
    temperature: float = Field(gt=0.0, allow_inf_nan=False)
    recipe: TextRecipe


@dataclass(frozen=True, slots=True)
class TextModel:
    """A fitted model; safe to share between threads.

    Attributes:
        classes: names of the K classes.
        features: from texts to sparse rows.
        weights_DK: float32.
        bias_K: float32.
        temperature: above 1 it makes probabilities more modest, below 1 bolder; it never changes their order.
    """

    classes: tuple[str, ...]
    features: TextFeatures
    weights_DK: npt.NDArray[np.float32]
    bias_K: npt.NDArray[np.float32]
    temperature: float

    @property
    def task(self) -> Task:
        """The task, ``text``."""
        return "text"

    def predict(self, texts: Sequence[str]) -> Answers:
        """Return ``probabilities_NK`` of *texts*.

        Raises:
            UserError: *texts* is one text, or holds something else than texts.
        """
        check_texts(texts)
        blocks = [texts[start : start + _BLOCK_TEXTS] for start in range(0, len(texts), _BLOCK_TEXTS)]
        logits = [self._logits(self.features.rows(block)) for block in blocks]
        logits_NK = np.concatenate([np.zeros((0, len(self.classes))), *logits])
        return softmax(logits_NK / self.temperature).astype(np.float32)

    def _logits(self, rows: SparseRows) -> npt.NDArray[np.float64]:
        weights = (self.weights_DK[rows.columns_M, k] for k in range(len(self.classes)))
        sums = [np.bincount(rows.rows_M, rows.values_M * weight_M, minlength=rows.count) for weight_M in weights]
        return np.stack(sums, axis=1).astype(np.float64) + self.bias_K.astype(np.float64)

    def write(self, folder: Path) -> None:
        """Write the two files into *folder*."""
        declared = _Declared(classes=self.classes, temperature=self.temperature, recipe=self.features.recipe)
        (folder / TEXT_FILE).write_bytes(canonical_json(declared.model_dump(mode="json")))
        tensors: dict[str, npt.NDArray[Any]] = {
            "rarity": self.features.rarity_D,
            "weights": np.ascontiguousarray(self.weights_DK),
            "bias": self.bias_K,
        }
        write_weights(folder / TENSORS_FILE, tensors | {f"hashes_{v}": h for v, h in enumerate(self.features.hashes)})

    @classmethod
    def read(cls, contents: Contents) -> TextModel:
        """Return the model that lies in a package, of its verified bytes; no code is run from it.

        Raises:
            UserError: a file is missing or is not what its name promises; the sentence names it.
        """
        declared = read_declared(_Declared, contents, TEXT_FILE)
        where = contents.where(TENSORS_FILE)
        tensors = read_tensors(contents.content(TENSORS_FILE), where)
        views, classes = len(declared.recipe.views), len(declared.classes)
        names = {"rarity", "weights", "bias", *(f"hashes_{view}" for view in range(views))}
        if set(tensors) != names:
            wrong = sorted(set(tensors) ^ names)
            raise UserError(f"{where} has missing or unknown tensors {wrong!a}, expected {sorted(names)}.")
        hashes = tuple(tensors[f"hashes_{view}"] for view in range(views))
        width = sum(hash_H.size for hash_H in hashes)
        expected: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
            "rarity": (np.float32, (width,)),
            "weights": (np.float32, (width, classes)),
            "bias": (np.float32, (classes,)),
            **{f"hashes_{view}": (np.uint32, (hash_H.size,)) for view, hash_H in enumerate(hashes)},
        }
        for name, (dtype, shape) in expected.items():
            _check_tensor(where, name, tensors[name], np.dtype(dtype), shape)
        features = TextFeatures(declared.recipe, hashes, tensors["rarity"])
        return cls(declared.classes, features, tensors["weights"], tensors["bias"], declared.temperature)


def _check_tensor(where: str, name: str, array: npt.NDArray[Any], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise UserError(
            f"{where}: the tensor {name!r} is {array.dtype} {list(array.shape)}, expected {dtype} {list(shape)}."
        )
    if dtype == np.float32 and not np.isfinite(array).all():
        raise UserError(f"{where}: the tensor {name!r} has numbers that are not finite; export the model again.")
    if dtype == np.uint32 and not (array[1:] > array[:-1]).all():
        raise UserError(f"{where}: the tensor {name!r} is not in strictly rising order; export the model again.")
