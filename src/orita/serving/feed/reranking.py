"""From the scores of candidates to the order in which they are shown: freshness, rules, what was seen, diversity.

The value of an item is its score · the factors of the rules that boost it · (1 + w · 0.5 ^ (age ÷ half-life)).

Legend: C candidates, given as rows of `Items`; R rows; E numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from orita.serving.feed.arranging import Arranger
from orita.serving.feed.caps import Cap, Caps
from orita.serving.feed.config import FeedConfig
from orita.serving.feed.diversity import diversity_of
from orita.serving.feed.items import Items
from orita.serving.feed.rules import BoostRule, CapRule, PinRule

__all__ = ["Reranking"]

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]
Rows = npt.NDArray[np.intp]


class Reranking:
    """Puts candidates in order.

    Args:
        config: by which rules.
        topic: the attribute that diversity goes by where none is named; None: there is none.
    """

    def __init__(self, config: FeedConfig, topic: str | None) -> None:
        self._config = config
        named = config.diversity.attributes
        self._attributes: Sequence[str] = named if named or topic is None else (topic,)
        self._boosts = [rule for rule in config.rules if isinstance(rule, BoostRule)]
        self._pins = [rule for rule in config.rules if isinstance(rule, PinRule)]
        self._caps = [rule for rule in config.rules if isinstance(rule, CapRule)]

    def order(self, items: Items, row_C: Rows, seen_C: Flags, score_C: Floats, at: int) -> Places:
        """Return which candidates are shown in which order, as many as a feed may have.

        Args:
            items: what is known of them.
            row_C: the candidates.
            seen_C: which of them the user has seen.
            score_C: what the model says of each, 0 or more.
            at: the time of the request, microseconds since the Unix epoch.
        """
        value_C = self.values(items, row_C, score_C, at)
        config = self._config.diversity
        caps = [Cap(items.attributes[r.attribute].flags(row_C), r.most, r.window) for r in self._caps]
        pins = {r.position - 1: items.attributes[r.attribute].among(r.values, row_C) for r in self._pins}
        diversity = diversity_of(config, self._vectors(items, row_C))
        strength = 0.0 if diversity is None else config.strength
        arranger = Arranger(seen_C, Caps(caps) if caps else None, pins, diversity, strength)
        return arranger.order(value_C, self._config.session_items)

    def values(self, items: Items, row_C: Rows, score_C: Floats, at: int) -> Floats:
        """Return ``value_C``: the scores with boosts and freshness, before they are compared with one another."""
        value_C = score_C.astype(np.float32)
        for rule in self._boosts:
            value_C[items.attributes[rule.attribute].among(rule.values, row_C)] *= rule.factor
        fresh = self._config.freshness
        if fresh.weight:
            young_C = np.exp2(-items.ages(row_C, at) / fresh.half_life_days)
            value_C *= 1 + np.float32(fresh.weight) * np.nan_to_num(young_C)
        return value_C

    def _vectors(self, items: Items, row_C: Rows) -> Floats:
        """Return ``vector_CE``: the product of two is the share of the attributes in which they are alike."""
        names = [name for name in self._attributes if name in items.attributes]  # no feature may read the topic
        if self._config.diversity.method == "off" or not names:
            return np.zeros((len(row_C), 0), np.float32)
        parts = []
        for name in names:
            flag_CV = items.attributes[name].flags(row_C)
            length_C1 = np.sqrt(flag_CV.sum(axis=1, keepdims=True) * len(names))
            parts.append(flag_CV / np.maximum(length_C1, 1))
        return np.concatenate(parts, axis=1)
