"""Declarations in words."""

from __future__ import annotations

import pytest

from orita import INTERACTION, Column, Entity, Source
from orita.features.declarations import Expression
from orita.features.registry.words import in_words

USER = Entity("user", key="user_id", table="users", attributes=[Column("joined", "time")])
ITEM = Entity("item", key="item_id")
SHOWN = Source("shown", INTERACTION)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (SHOWN.count(), "number of events in shown, of all shown"),
        (SHOWN.ratio("click").by(ITEM).smooth(0.2, 5),
         "shown.click ÷ number of events, by item, smoothed towards 0.2 with weight 5"),
        (SHOWN.ratio("click", "dwell_time").by(ITEM), "shown.click ÷ shown.dwell_time, by item"),
        (SHOWN.quantile("dwell_time", 0.9).by(USER).session("30m"),
         "0.9 quantile of shown.dwell_time, by user, over session 30m"),
        (SHOWN.sum("click").by(USER, ITEM).over("7d").delayed("1d").where(SHOWN.dwell_time > 3).ttl("30d"),
         "sum of shown.click, by user and item, over 7d, delayed 1d, where dwell_time > 3, missing once the latest "
         "event is 30d old"),
        (SHOWN.decayed_mean("click", "2h").by(ITEM), "decayed mean (half-life 2h) of shown.click, by item"),
        (SHOWN.last_time().by(USER).decay("3d"), "0.5 ^ (age ÷ 3d) of the time of the latest event in shown, by user"),
        (USER["joined"].age(), "days since user.joined"),
        (SHOWN.context.device.one_hot("mobile"), "a flag for each of mobile of device of the request"),
        (SHOWN.context.hour_of_day(), "hour of the request, UTC"),
    ],
)  # fmt: skip
def test_a_declaration_reads_as_a_phrase(expression: Expression, words: str) -> None:
    """What is computed, of which column, by which keys, over which events: nothing that was declared is left out."""
    assert in_words(expression) == words
