"""The keys of a task beside ranking: what is asked, of which classes, and how it is learnt."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orita.core.config import Section
from orita.models.config import LightGBMSection
from orita.models.tasks.text_recipe import TextRecipe

__all__ = ["Task", "TaskSection", "TextSection"]

Task = Literal["binary", "multiclass", "regression", "text"]

_Strength = Annotated[float, Field(gt=0.0, le=10_000.0)]
_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class TextSection(Section):
    """Settings of ``task: text``; where several values are given, validation rows choose.

    *strengths* and *bayes_strengths* weigh the loss against the penalty (liblinear's C) for the plain learner and for
    the one on log-count ratios; *bayes_shares* is the share of the latter in their mean. An n-gram is kept if it stands
    in *min_texts* training texts, up to *max_features* a view. With *refit* the model learns again from training and
    validation rows after the choice.
    """

    recipe: TextRecipe = TextRecipe()
    min_texts: Annotated[int, Field(ge=1)] = 2
    max_features: Annotated[int, Field(ge=1, le=10_000_000)] = 1_000_000
    strengths: Annotated[tuple[_Strength, ...], Field(min_length=1, max_length=16)] = (5.0, 10.0, 20.0)
    bayes_strengths: Annotated[tuple[_Strength, ...], Field(min_length=1, max_length=16)] = (4.0,)
    bayes_shares: Annotated[tuple[_Share, ...], Field(min_length=1, max_length=16)] = (0.0, 0.25, 0.5)
    refit: bool = True


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
