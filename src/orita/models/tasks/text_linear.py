"""The predictor of ``task: text``: hashed n-grams, and a linear model that is the mean of two learners.

Legend: N rows, D features, K classes.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.core.progress import Bar
from orita.models.ranker import FitContext, FitReport
from orita.models.tasks.config import Task, TextSection
from orita.models.tasks.labels import check_classes, check_labels
from orita.models.tasks.predictor import Answers, TextRows
from orita.models.tasks.softmax import softmax
from orita.models.tasks.temperature import fit_temperature
from orita.models.tasks.text_features import TextFeatures
from orita.models.tasks.text_learners import log_count_ratios, mean_of, regress, to_matrix
from orita.models.tasks.text_model import TextModel
from orita.models.tasks.text_recipe import TextRecipe
from orita.stats.classification import multiclass_log_loss, weighted_f1

__all__ = ["TextLinear"]

Logits = npt.NDArray[np.float64]
_Part = tuple[TextRows, TextRows]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Settings, the weighted F1 that they reached on rows they had not learnt from, and the temperature found there."""

    recipe: TextRecipe
    strength: float
    bayes_strength: float
    bayes_share: float
    f1: float = float("nan")
    temperature: float = 1.0


Tried = dict[tuple[TextRecipe, bool, float], Logits]
"""``logits_NK`` by recipe, whether of the learner on log-count ratios, and strength."""


class TextLinear:
    """Chooses among the declared settings on held-out rows, then learns once more from all rows it was given.

    Attributes:
        task: ``text``.
        classes: their names.
    """

    task: Task = "text"

    def __init__(self, classes: tuple[str, ...], section: TextSection) -> None:
        self.classes = check_classes("text", classes)
        self._section = section
        self._model: TextModel | None = None

    def fit(self, train: TextRows, val: TextRows, context: FitContext) -> FitReport:
        """Try the declared settings on held-out rows, keep the best weighted F1, learn again from *train* and *val*.

        Without held-out rows there must be one setting only, and probabilities keep the temperature 1.

        Raises:
            UserError: a class has too few rows, or several settings were given and no rows to choose by.
        """
        check_labels(train.y_N, self.classes, "training", every=True)
        check_labels(val.y_N, self.classes, "validation", every=False)
        section = self._section
        settings = [_Choice(*each) for each in _settings(section)]
        parts = _parts(train, val, section.folds, self.classes, context.seed)
        if not parts and len(settings) > 1:
            raise UserError(
                f"text was given 0 validation rows and {len(settings)} settings to choose from; give validation rows, "
                "folds of 2 or more, or one value each for recipes, strengths, bayes_strengths and bayes_shares."
            )
        history: list[dict[str, float]] = []
        fits = len(parts) * len(section.recipes) * (len(section.strengths) + len(section.bayes_strengths))
        with context.progress.bar(context.title, total=fits + 2) as bar:
            choice = self._choose(settings, parts, context.seed, bar, history) if parts else settings[0]
            rows = _joined(train, val) if section.refit else train
            self._model = self._learn(rows, choice, context.seed, bar)
        params: dict[str, object] = {
            "recipe": section.recipes.index(choice.recipe),
            "strength": choice.strength,
            "bayes_strength": choice.bayes_strength,
            "bayes_share": choice.bayes_share,
            "temperature": choice.temperature,
            "features": len(self._model.features),
            "rows": len(rows),
        }
        return FitReport(history, params)

    def predict(self, rows: TextRows) -> Answers:
        """Return ``probabilities_NK``."""
        return self._fitted().predict(rows.texts)

    def export(self, folder: Path) -> None:
        """Write ``text.json`` and ``text.safetensors`` into *folder*."""
        self._fitted().write(folder)

    def _choose(
        self, settings: Sequence[_Choice], parts: Sequence[_Part], seed: int, bar: Bar, history: list[dict[str, float]]
    ) -> _Choice:
        started, classes = time.perf_counter(), len(self.classes)
        tried = [self._try(learnt, judged, seed, bar) for learnt, judged in parts]
        y_N = np.concatenate([judged.y_N for _, judged in parts])
        logits = {key: np.concatenate([each[key] for each in tried]) for key in tried[0]}
        choices = []
        for setting in settings:
            plain_NK = logits[setting.recipe, False, setting.strength]
            bayes_NK = logits[setting.recipe, True, setting.bayes_strength]
            logits_NK = (1 - setting.bayes_share) * plain_NK + setting.bayes_share * bayes_NK
            f1 = weighted_f1(y_N, logits_NK.argmax(axis=1), classes)
            temperature = fit_temperature(logits_NK, y_N)
            choices.append(replace(setting, f1=f1, temperature=temperature))
            loss = multiclass_log_loss(y_N, softmax(logits_NK / temperature))
            seconds = time.perf_counter() - started
            history.append({"epoch": len(choices), "val_f1": f1, "val_log_loss": loss, "seconds": seconds})
        return max(choices, key=lambda choice: choice.f1)

    def _try(self, learnt: TextRows, judged: TextRows, seed: int, bar: Bar) -> Tried:
        section, classes, tried = self._section, len(self.classes), Tried()
        for recipe in section.recipes:
            features, matrix_ND = self._features(recipe, learnt)
            judged_ND = to_matrix(features.rows(judged.texts), len(features))
            ratio_DK = log_count_ratios(matrix_ND, learnt.y_N, classes)
            for bayes, strengths in ((False, section.strengths), (True, section.bayes_strengths)):
                for strength in strengths:
                    ratio = ratio_DK if bayes else None
                    fitted = regress(matrix_ND, learnt.y_N, classes, strength=strength, seed=seed, ratio_DK=ratio)
                    tried[recipe, bayes, strength] = fitted.logits(judged_ND)
                    bar.advance()
        return tried

    def _learn(self, rows: TextRows, choice: _Choice, seed: int, bar: Bar) -> TextModel:
        classes = len(self.classes)
        features, matrix_ND = self._features(choice.recipe, rows)
        plain = regress(matrix_ND, rows.y_N, classes, strength=choice.strength, seed=seed)
        bar.advance()
        ratio_DK = log_count_ratios(matrix_ND, rows.y_N, classes)
        bayes = regress(matrix_ND, rows.y_N, classes, strength=choice.bayes_strength, seed=seed, ratio_DK=ratio_DK)
        bar.advance()
        learnt = mean_of(plain, bayes, choice.bayes_share)
        return TextModel(
            self.classes,
            features,
            learnt.weights_DK.astype(np.float32),
            learnt.bias_K.astype(np.float32),
            choice.temperature,
        )

    def _features(self, recipe: TextRecipe, rows: TextRows) -> tuple[TextFeatures, Any]:
        features = TextFeatures.fit(recipe, rows.texts, max_features=self._section.max_features)
        return features, to_matrix(features.rows(rows.texts), len(features))

    def _fitted(self) -> TextModel:
        if self._model is None:
            raise UserError("the text predictor has not been fitted; call fit before predict or export.")
        return self._model


def _settings(section: TextSection) -> Iterator[tuple[TextRecipe, float, float, float]]:
    return itertools.product(section.recipes, section.strengths, section.bayes_strengths, section.bayes_shares)


def _parts(train: TextRows, val: TextRows, folds: int, classes: tuple[str, ...], seed: int) -> list[_Part]:
    """Return the rows to learn from and to judge by: *folds* pairs, or one of *train* and *val*, or none."""
    if folds < 2:
        return [(train, val)] if len(val) else []
    rows = _joined(train, val)
    fold_N, random = np.zeros(len(rows), np.int64), np.random.default_rng(seed)
    for k, name in enumerate(classes):
        own = random.permutation(np.flatnonzero(rows.y_N == k))
        if len(own) < 2:
            raise UserError(
                f"the class {name!r} has {len(own)} row, and text.folds is {folds}: each class needs 2 rows or more "
                "for cross-validation; give more rows of it, or set text.folds to 0."
            )
        fold_N[own] = np.arange(len(own)) % folds
    return [(_take(rows, fold_N != fold), _take(rows, fold_N == fold)) for fold in range(folds)]


def _take(rows: TextRows, keep_N: npt.NDArray[np.bool_]) -> TextRows:
    return TextRows([text for text, keep in zip(rows.texts, keep_N, strict=True) if keep], rows.y_N[keep_N])


def _joined(train: TextRows, val: TextRows) -> TextRows:
    labels_N: npt.NDArray[np.int64] = np.concatenate([train.y_N, val.y_N])
    return TextRows([*train.texts, *val.texts], labels_N)
