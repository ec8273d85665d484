"""The keys of a task beside ranking: what is asked, of which classes, and how it is learnt."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orita.core.config import Section
from orita.models.config import LightGBMSection
from orita.models.tasks.encoder_section import EncoderSection
from orita.models.tasks.text_recipe import TextRecipe

__all__ = ["Task", "TaskSection", "TextSection"]

Task = Literal["binary", "multiclass", "regression", "text"]

_Strength = Annotated[float, Field(gt=0.0, le=10_000.0)]
_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class TextSection(Section):
    """Settings of ``task: text``; where several values are given, rows that a model did not learn from choose.

    *recipes* say how texts become features, at most *max_features* a view. *strengths* and *bayes_strengths* weigh the
    loss against the penalty (liblinear's C) for the plain learner and for the one on log-count ratios; *bayes_shares*
    is the share of the latter in their mean. With *folds* of 2 or more the choice is made by cross-validation over
    training and validation rows, otherwise on the validation rows alone. With *refit* the model learns again from all
    these rows after the choice.

    With *encoder* all of that is left aside, and a pretrained encoder is tuned instead (extra ``transformers``).
    """

    recipes: Annotated[tuple[TextRecipe, ...], Field(min_length=1, max_length=8)] = (TextRecipe(),)
    max_features: Annotated[int, Field(ge=1, le=10_000_000)] = 1_000_000
    strengths: Annotated[tuple[_Strength, ...], Field(min_length=1, max_length=16)] = (5.0, 10.0, 20.0)
    bayes_strengths: Annotated[tuple[_Strength, ...], Field(min_length=1, max_length=16)] = (4.0,)
    bayes_shares: Annotated[tuple[_Share, ...], Field(min_length=1, max_length=16)] = (0.0, 0.25, 0.5)
    folds: Annotated[int, Field(ge=0, le=20)] = 0
    refit: bool = True
    encoder: EncoderSection | None = None


class TaskSection(Section):
    """The ``task`` section: the task, the names of its classes (none for regression), and the type of model.

    ``type`` concerns tables; a text is answered by a linear model on its n-grams.
    """

    task: Task = "binary"
    classes: tuple[str, ...] = ()
    type: Literal["linear", "lightgbm"] = "lightgbm"
    linear_penalty: Annotated[float, Field(ge=0.0, le=1e6)] = 1.0
    lightgbm: LightGBMSection = LightGBMSection()
    text: TextSection = TextSection()
