"""How texts become features, as a declaration: part of the configuration and of every package of a text model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from orita.core.config import Section
from orita.core.errors import closest
from orita.models.tasks.text_steps import STEPS

__all__ = ["STANDARD_STEPS", "TextRecipe", "TextView"]

STANDARD_STEPS = ("nfc", "lower", "urls", "mentions", "elongations", "joiners", "tokens", "unmarked")
_LONGEST_GRAM = 8


def _known_step(name: str) -> str:
    if name not in STEPS:
        raise ValueError(f"it is not a step. {closest(name, STEPS)}")
    return name


Step = Annotated[str, AfterValidator(_known_step)]


class TextView(Section):
    """One way to look at a text: the steps that clean it, and the n-grams that are cut from it.

    Training keeps the n-grams that stand in *min_texts* training texts or more.
    """

    steps: Annotated[tuple[Step, ...], Field(max_length=32)] = STANDARD_STEPS
    unit: Literal["characters", "words"]
    shortest: Annotated[int, Field(ge=1, le=_LONGEST_GRAM)] = 1
    longest: Annotated[int, Field(ge=1, le=_LONGEST_GRAM)]
    min_texts: Annotated[int, Field(ge=1)] = 2

    @model_validator(mode="after")
    def _check(self) -> TextView:
        if self.shortest > self.longest:
            raise ValueError(f"shortest is {self.shortest}, allowed is up to longest, {self.longest}")
        if "tokens" not in self.steps:
            raise ValueError("steps leave out 'tokens', which parts the words that n-grams are cut from; add it")
        return self


class TextRecipe(Section):
    """The views of a text, side by side, and how many characters of it are read."""

    views: Annotated[tuple[TextView, ...], Field(min_length=1, max_length=8)] = (
        TextView(unit="characters", shortest=1, longest=5),
        TextView(unit="words", shortest=1, longest=2),
    )
    longest_text: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
