"""The predictor of ``task: text``: hashed n-grams, and a linear model that is the mean of two learners.

Legend: N rows, D features, K classes.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
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
from orita.stats.classification import multiclass_log_loss, weighted_f1

__all__ = ["TextLinear"]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Settings, the weighted F1 that they reached on validation rows, and the temperature found there."""

    strength: float
    bayes_strength: float
    bayes_share: float
    f1: float
    temperature: float


class TextLinear:
    """Chooses among the declared settings on validation rows, then learns once more from all rows it was given."""

    def __init__(self, classes: tuple[str, ...], section: TextSection) -> None:
        self._classes = check_classes("text", classes)
        self._section = section
        self._model: TextModel | None = None

    @property
    def task(self) -> Task:
        """The task, ``text``."""
        return "text"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._classes

    def fit(self, train: TextRows, val: TextRows, context: FitContext) -> FitReport:
        """Try the declared settings on *val*, keep the best weighted F1, and learn again from *train* and *val*.

        Without validation rows there must be one setting only, and probabilities keep the temperature 1.

        Raises:
            UserError: a class has no training row, or several settings were given and no rows to choose by.
        """
        check_labels(train.y_N, self._classes, "training", every=True)
        check_labels(val.y_N, self._classes, "validation", every=False)
        settings = len(self._section.strengths) * len(self._section.bayes_strengths) * len(self._section.bayes_shares)
        if len(val) == 0 and settings > 1:
            raise UserError(
                f"text was given 0 validation rows and {settings} settings to choose from; give validation rows, "
                "or one value each for strengths, bayes_strengths and bayes_shares."
            )
        history: list[dict[str, float]] = []
        learners = len(self._section.strengths) + len(self._section.bayes_strengths)
        with context.progress.bar(context.title, total=learners * (len(val) > 0) + 2) as bar:
            choice = self._choose(train, val, context.seed, bar, history)
            rows = _joined(train, val) if self._section.refit else train
            self._model = self._learn(rows, choice, context.seed, bar)
        params: dict[str, object] = {
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

    def _choose(self, train: TextRows, val: TextRows, seed: int, bar: Bar, history: list[dict[str, float]]) -> _Choice:
        section, classes = self._section, len(self._classes)
        if len(val) == 0:
            return _Choice(section.strengths[0], section.bayes_strengths[0], section.bayes_shares[0], float("nan"), 1.0)
        features, matrix_ND = self._features(train)
        judged_ND = to_matrix(features.rows(val.texts), len(features))
        ratio_DK = log_count_ratios(matrix_ND, train.y_N, classes)
        plain, bayes = {}, {}
        for strength in section.strengths:
            plain[strength] = regress(matrix_ND, train.y_N, classes, strength=strength, seed=seed).logits(judged_ND)
            bar.advance()
        for strength in section.bayes_strengths:
            learnt = regress(matrix_ND, train.y_N, classes, strength=strength, seed=seed, ratio_DK=ratio_DK)
            bayes[strength] = learnt.logits(judged_ND)
            bar.advance()
        started, choices = time.perf_counter(), []
        for one, other, share in itertools.product(section.strengths, section.bayes_strengths, section.bayes_shares):
            logits_NK = (1 - share) * plain[one] + share * bayes[other]
            f1 = weighted_f1(val.y_N, logits_NK.argmax(axis=1), classes)
            temperature = fit_temperature(logits_NK, val.y_N)
            choices.append(_Choice(one, other, share, f1, temperature))
            loss = multiclass_log_loss(val.y_N, softmax(logits_NK / temperature))
            seconds = time.perf_counter() - started
            history.append({"epoch": len(choices), "val_f1": f1, "val_log_loss": loss, "seconds": seconds})
        return max(choices, key=lambda choice: choice.f1)

    def _learn(self, rows: TextRows, choice: _Choice, seed: int, bar: Bar) -> TextModel:
        classes = len(self._classes)
        features, matrix_ND = self._features(rows)
        plain = regress(matrix_ND, rows.y_N, classes, strength=choice.strength, seed=seed)
        bar.advance()
        ratio_DK = log_count_ratios(matrix_ND, rows.y_N, classes)
        bayes = regress(matrix_ND, rows.y_N, classes, strength=choice.bayes_strength, seed=seed, ratio_DK=ratio_DK)
        bar.advance()
        learnt = mean_of(plain, bayes, choice.bayes_share)
        return TextModel(
            self._classes,
            features,
            learnt.weights_DK.astype(np.float32),
            learnt.bias_K.astype(np.float32),
            choice.temperature,
        )

    def _features(self, rows: TextRows) -> tuple[TextFeatures, Any]:
        section = self._section
        features = TextFeatures.fit(
            section.recipe, rows.texts, min_texts=section.min_texts, max_features=section.max_features
        )
        return features, to_matrix(features.rows(rows.texts), len(features))

    def _fitted(self) -> TextModel:
        if self._model is None:
            raise UserError("the text predictor has not been fitted; call fit before predict or export.")
        return self._model


def _joined(train: TextRows, val: TextRows) -> TextRows:
    labels_N: npt.NDArray[np.int64] = np.concatenate([train.y_N, val.y_N])
    return TextRows([*train.texts, *val.texts], labels_N)
