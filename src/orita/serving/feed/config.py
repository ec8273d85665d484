"""What can be set about the feed: the ``serving.feed`` section."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from orita.core.config import Section
from orita.serving.feed.rules import MOST_POSITIONS, PinRule, Rule

__all__ = [
    "MOST_CANDIDATES",
    "CursorConfig",
    "DiversityConfig",
    "ExplorationConfig",
    "FeedConfig",
    "FreshnessConfig",
    "SignalsConfig",
    "SourcesConfig",
]

MOST_CANDIDATES = 1000
_LEAST_SHARE = 1e-4

Share = Annotated[int, Field(ge=0, le=MOST_CANDIDATES)]


def _off(given: object) -> object:
    return "off" if given is False else given  # YAML reads the word as false


class SourcesConfig(Section):
    """How many candidates each source gives at most; 0 turns one off.

    Attributes:
        retriever: the deployed retriever, where there is one.
        topics: popular items that share an attribute with what the user engaged with.
        popular: the most popular items; they also fill up what the others leave.
        newest: the newest items.
        slow_ms: a source that takes longer five times in a row is left alone for a minute.
    """

    retriever: Share = 150
    topics: Share = 100
    popular: Share = 100
    newest: Share = 50
    slow_ms: Annotated[float, Field(gt=0, le=10_000)] = 50


class SignalsConfig(Section):
    """Which features tell what the feed needs to know; null: found among the declared ones.

    Attributes:
        popularity: features of the item; their product says how popular it is. Found: the count of its events, and the
            mean of the label among them.
        age: the feature with the item's age in days. Found: the age of a time attribute.
        seen: a feature of user and item that is above 0 where the user has seen it. Found: the count of their events.
        topic: the category attribute of the item that *topics* and diversity go by. Found: the first that is declared.
        affinity: features of the user and that attribute; their product says how much the user likes a value. Found:
            the count of the user's events with it, and the mean of the label among them.
    """

    popularity: tuple[str, ...] | None = None
    age: str | None = None
    seen: str | None = None
    topic: str | None = None
    affinity: tuple[str, ...] | None = None


class DiversityConfig(Section):
    """How much items that are shown near one another should differ.

    Attributes:
        method: ``mmr`` (maximal marginal relevance), ``dpp`` (determinantal point process), or ``off``.
        attributes: items are alike in as many of them as they share; none: the topic.
        strength: 0 orders by relevance alone, 1 by difference alone.
        window: how many items before it an item is compared with.
    """

    method: Annotated[Literal["mmr", "dpp", "off"], BeforeValidator(_off)] = "mmr"
    attributes: tuple[str, ...] = ()
    strength: Annotated[float, Field(ge=0, le=1)] = 0.1
    window: Annotated[int, Field(ge=1, le=50)] = 8


class FreshnessConfig(Section):
    """How much new items are preferred: a score counts 1 + *weight* · 0.5 ^ (age ÷ *half_life_days*) times."""

    weight: Annotated[float, Field(ge=0, le=100)] = 0.0
    half_life_days: Annotated[float, Field(gt=0, le=36_500)] = 3.0


class CursorConfig(Section):
    """What carries a feed from page to page.

    Attributes:
        seconds: how long a cursor can be used.
        max_bytes: its longest form; a feed of long ids ends earlier.
        key_file: the key that signs cursors, 32 bytes or more; null: one that the home keeps. Servers behind one
            address need the same.
    """

    seconds: Annotated[float, Field(gt=0, le=7 * 86_400)] = 1800
    max_bytes: Annotated[int, Field(ge=1024, le=256 * 1024)] = 32 * 1024
    key_file: Path | None = None


class ExplorationConfig(Section):
    """How much of the feed is shown otherwise than it is ranked, so that its log can tell of other orders.

    Attributes:
        share: of first pages in which two items change places: 0 (off), or 0.0001 and more, below a half.
        positions: how far from the top items may move.
        pairs: ``adjacent`` swaps neighbours, ``any`` any two of these positions.
    """

    share: Annotated[float, Field(ge=0, lt=0.5)] = 0.01
    positions: Annotated[int, Field(ge=2, le=50)] = 10
    pairs: Literal["adjacent", "any"] = "adjacent"

    @field_validator("share")
    @classmethod
    def _can_be_logged(cls, value: float) -> float:
        if 0 < value < _LEAST_SHARE:
            raise ValueError(
                f"share is {value:g}, allowed are 0 (off) and {_LEAST_SHARE:g} to 0.5: a log would hold too few"
            )
        return value


class FeedConfig(Section):
    """How ``POST /api/v1/feed`` answers.

    Attributes:
        enabled: whether it does; off, a server keeps nothing for it.
        limit: items of a page where the caller does not say.
        most_limit: most items of a page.
        candidates: most items that are scored for a feed.
        session_items: most items of a feed, all its pages together.
        refresh_seconds: between two looks at the items and at the deployed retriever.
        await_seconds: how long a server that starts is not ready, and leaves callers to its other workers, while it
            reads the items; then it answers feeds with 503 until it knows them.
        sources: where candidates come from.
        signals: which features tell what.
        seen: items that the user has seen come ``last``, are left out (``remove``), or are as others (``keep``).
        diversity: how much neighbours should differ.
        freshness: how much new items are preferred.
        exploration: how much is shown otherwise than it is ranked.
        rules: business rules.
        cursor: what carries a feed from page to page.
    """

    enabled: bool = True
    limit: Annotated[int, Field(ge=1, le=MOST_POSITIONS)] = 20
    most_limit: Annotated[int, Field(ge=1, le=MOST_POSITIONS)] = 100
    candidates: Annotated[int, Field(ge=1, le=MOST_CANDIDATES)] = 400
    session_items: Annotated[int, Field(ge=1, le=MOST_POSITIONS)] = 200
    refresh_seconds: Annotated[float, Field(gt=0, le=86_400)] = 30
    await_seconds: Annotated[float, Field(ge=0, le=600)] = 10
    sources: SourcesConfig = SourcesConfig()
    signals: SignalsConfig = SignalsConfig()
    seen: Literal["last", "remove", "keep"] = "last"
    diversity: DiversityConfig = DiversityConfig()
    freshness: FreshnessConfig = FreshnessConfig()
    exploration: ExplorationConfig = ExplorationConfig()
    rules: tuple[Rule, ...] = ()
    cursor: CursorConfig = CursorConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> FeedConfig:
        if self.limit > self.most_limit:
            raise ValueError(f"limit is {self.limit}, allowed are numbers up to most_limit, which is {self.most_limit}")
        positions = [rule.position for rule in self.rules if isinstance(rule, PinRule)]
        if twice := [position for position in positions if positions.count(position) > 1]:
            raise ValueError(f"two rules pin position {twice[0]}, allowed is one")
        return self
