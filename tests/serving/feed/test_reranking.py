"""From scores to values: boosts and freshness by their formulas, and rules by what the configuration says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.serving.feed.made import AT_MICROS, TOPICS, made_items

from orita.core.config import load
from orita.core.errors import UserError
from orita.serving.feed.config import FeedConfig
from orita.serving.feed.reranking import Reranking
from orita.serving.feed.rules import BoostRule

PLAIN = {"diversity": {"method": "off"}}
ROWS = np.arange(1, 9)
NEW = np.zeros(8, np.bool_)


def configured(**settings: Any) -> FeedConfig:
    """Return a configuration without diversity, but for *settings*."""
    return FeedConfig.model_validate({**PLAIN, **settings})


def order(config: FeedConfig, scores: list[float]) -> list[int]:
    """Return the order of eight items whose topics take turns."""
    items = made_items(8)
    placed = Reranking(config, "topic").order(items, ROWS, NEW, np.array(scores, np.float32), AT_MICROS)
    return [int(place) for place in placed]


def test_freshness_by_its_formula() -> None:
    """A score counts 1 + weight · 0.5 ^ (age ÷ half-life) times; an item of unknown age as it is."""
    items = made_items(8)  # 8 days old, 7, … 1
    config = configured(freshness={"weight": 2, "half_life_days": 1})
    value_C = Reranking(config, "topic").values(items, ROWS, np.full(8, 0.5, np.float32), AT_MICROS)
    np.testing.assert_allclose(value_C, 0.5 * (1 + 2 * 0.5 ** np.arange(8.0, 0, -1)), rtol=1e-6)
    items._created_I[0] = np.nan
    assert Reranking(config, "topic").values(items, ROWS, np.full(8, 0.5, np.float32), AT_MICROS)[0] == 0.5


def test_boosts_multiply() -> None:
    """Every rule that names an item's value counts, also where an item has several values."""
    rules = [
        {"kind": "boost", "attribute": "topic", "values": ["food", "news"], "factor": 2},
        {"kind": "boost", "attribute": "tags", "values": ["old"], "factor": 0.5},
    ]
    value_C = Reranking(configured(rules=rules), None).values(made_items(8), ROWS, np.ones(8, np.float32), AT_MICROS)
    assert value_C.tolist() == [0.5, 1, 1, 0.5, 1, 2, 2, 1]


def test_a_cap_and_a_pin_from_the_configuration() -> None:
    """The best of a topic stands where it is pinned, and no window has more of a topic than allowed."""
    scores = [0.9, 0.1, 0.2, 0.3, 0.8, 0.15, 0.25, 0.35]
    assert order(configured(), scores) == [0, 4, 7, 3, 6, 2, 5, 1]
    pinned = {"kind": "pin", "attribute": "topic", "values": ["food"], "position": 2}
    assert order(configured(rules=[pinned]), scores) == [0, 5, 4, 7, 3, 6, 2, 1]
    capped = {"kind": "cap", "attribute": "topic", "most": 1, "window": 4}
    found = order(configured(rules=[capped]), scores)
    assert found == [0, 7, 6, 5, 4, 3, 2, 1]
    assert all(len({place % len(TOPICS) for place in found[at : at + 4]}) == 4 for at in range(5))


def test_diversity_is_by_topic_unless_others_are_named() -> None:
    """The second place goes to the better item that is unlike the first by what was named."""
    scores = [0.9, 0.1, 0.89, 0.1, 0.88, 0.1, 0.1, 0.1]
    assert order(configured(diversity={"strength": 0.5, "method": "mmr"}), scores)[:2] == [0, 2]  # 4 has the topic of 0
    by_tags = configured(diversity={"strength": 0.5, "method": "mmr", "attributes": ["tags"]})
    assert order(by_tags, scores)[:2] == [0, 4]  # 2 has both tags of 0, 4 one of them
    both = configured(diversity={"strength": 0.5, "method": "dpp", "attributes": ["tags", "topic"]})
    assert order(both, scores)[:2] == [0, 2]
    assert order(configured(diversity={"strength": 0}), scores)[:3] == [0, 2, 4]


def test_a_feed_has_as_many_items_as_configured() -> None:
    """Of the candidates no more than a session are put in order."""
    assert len(order(configured(session_items=3), [0.5] * 8)) == 3


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("limit=101", "allowed are numbers up to most_limit, which is 100"),
        ("rules=[{kind: cap, attribute: topic, most: 5, window: 5}]", "allowed are numbers below window, which is 5"),
        ("rules=[{kind: hide, attribute: topic}]", "'hide'"),
        ("rules=[{kind: boost, attribute: topic, values: ['1'], factor: 0}]", "greater than 0"),
        ("rules=[{kind: exclude, attribute: topic, values: ['1'], value: 1}]", "is not a known key"),
        ("diversity.method=random", "'mmr', 'dpp' or 'off'"),
        ("diversity.strength=1.5", "less than or equal to 1"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_key(setting: str, sentence: str) -> None:
    """The sentence names the key, its origin, the value, and what is allowed."""
    with pytest.raises(UserError) as refused:
        load(FeedConfig, overrides=[setting], environment={})
    assert sentence in str(refused.value)


def test_values_may_be_written_as_numbers() -> None:
    """A declared value such as '13' needs no quotes in YAML."""
    rules = "[{kind: boost, attribute: topic, values: [13, art], factor: 2}]"
    (rule,) = load(FeedConfig, overrides=[f"rules={rules}"], environment={}).value.rules
    assert isinstance(rule, BoostRule) and (rule.values, rule.factor) == (("13", "art"), 2.0)


def test_two_pins_of_one_position_are_refused() -> None:
    """Only one item can stand there."""
    pin = "{kind: pin, attribute: topic, values: ['1'], position: 3}"
    with pytest.raises(UserError, match="two rules pin position 3"):
        load(FeedConfig, overrides=[f"rules=[{pin}, {pin}]"], environment={})


def test_a_word_that_yaml_reads_as_false_is_off() -> None:
    """``method: off`` in a file, or on the command line, says off."""
    assert FeedConfig.model_validate({"diversity": {"method": False}}).diversity.method == "off"
