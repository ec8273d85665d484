"""Business rules of a feed, as declarations: which items are left out, boosted, pinned, and how many alike are shown.

serving:
  feed:
    rules:
      - {kind: exclude, attribute: topic, values: ["13"]}
      - {kind: boost, attribute: topic, values: ["7"], factor: 1.3}
      - {kind: pin, attribute: topic, values: ["5"], position: 1}
      - {kind: cap, attribute: topic, most: 2, window: 5}
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from orita.core.config import Section

__all__ = ["BoostRule", "CapRule", "ExcludeRule", "PinRule", "RequireRule", "Rule"]

MOST_POSITIONS = 1000

Values = Annotated[tuple[str, ...], Field(min_length=1)]


class _AttributeRule(Section):
    """A rule by an attribute of the item; its values may be written as numbers, as YAML reads them."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    attribute: str


class ExcludeRule(_AttributeRule):
    """Items whose *attribute* has one of *values* are never shown."""

    kind: Literal["exclude"]
    values: Values


class RequireRule(_AttributeRule):
    """Only items whose *attribute* has one of *values* are shown; an item without the attribute is not."""

    kind: Literal["require"]
    values: Values


class BoostRule(_AttributeRule):
    """The score of items whose *attribute* has one of *values* counts *factor* times; below 1 it holds them back."""

    kind: Literal["boost"]
    values: Values
    factor: Annotated[float, Field(gt=0, le=100)]


class PinRule(_AttributeRule):
    """At *position*, from 1, stands the best item whose *attribute* has one of *values*, if there is one."""

    kind: Literal["pin"]
    values: Values
    position: Annotated[int, Field(ge=1, le=MOST_POSITIONS)]


class CapRule(_AttributeRule):
    """Of any *window* items in a row, at most *most* have the same value of *attribute*, as far as items go."""

    kind: Literal["cap"]
    most: Annotated[int, Field(ge=1, le=MOST_POSITIONS)]
    window: Annotated[int, Field(ge=2, le=MOST_POSITIONS)]

    @model_validator(mode="after")
    def _binds(self) -> CapRule:
        if self.most >= self.window:
            raise ValueError(f"most is {self.most}, allowed are numbers below window, which is {self.window}")
        return self


Rule = Annotated[ExcludeRule | RequireRule | BoostRule | PinRule | CapRule, Field(discriminator="kind")]
"""One rule of a feed."""
