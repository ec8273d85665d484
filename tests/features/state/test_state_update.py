"""Events counted in batches, and what time alone changes: windows that end, tiles, sessions, caps, delays."""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.features.state.keeping import ITEM, MINUTE, PAID, SHOP, USER, Kept, plan_with

from orita.core.errors import OritaError, UserError
from orita.features.declarations import Expression
from orita.features.plan import plan_of
from orita.features.state.attributes import attribute_changes
from orita.features.state.lanes import lanes_of
from orita.features.state.layout import VALID_UNTIL, past_prefix, row_prefix
from orita.features.state.pasts import read_pasts, written_pasts
from orita.features.state.rows import rows_read
from orita.features.state.update import refuse_residuals, state_changes

BY_USER = {
    "exact": PAID.sum("amount").by(USER).over("10m"),
    "hop": PAID.sum("amount").by(USER).over("10m", hop="5m"),
    "part": PAID.count().by(USER).tumbling("10m"),
    "visit": PAID.count().by(USER).session("10m"),
    "late": PAID.count().by(USER).delayed("10m"),
    "all": PAID.count().by(USER),
}


def row(kept: Kept, record: int = 0) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the row of the only key of a record."""
    prefix = row_prefix(kept.plan, kept.plan.records[record])
    (raw,) = [raw for key, raw in kept.records.items() if key.startswith(prefix)]
    return np.frombuffer(raw)


def test_windows_end_by_time_alone() -> None:
    """Without any further event, requests see windows begin and end at their boundaries, to the microsecond."""
    kept = Kept(plan_with(**BY_USER))
    kept.count([{"minute": 3, "amount": 1.0}, {"minute": 8, "amount": 2.0}])
    seen = kept.read(13)
    assert (seen["exact"], seen["hop"], seen["part"], seen["visit"], seen["late"]) == (3, 3, 0, 2, 0)
    seen = kept.read(13, micros=1)
    assert (seen["exact"], seen["late"]) == (2, 1)
    assert kept.read(15)["hop"] == 2, "the beginning of the window has come to the tile from 5 on"
    assert kept.read(15, micros=-1)["hop"] == 3
    assert (kept.read(18, micros=-1)["visit"], kept.read(18)["visit"]) == (2, 0)
    assert kept.read(9)["part"] == 2
    assert kept.read(1000) == {"exact": 0, "hop": 0, "part": 0, "visit": 0, "late": 2, "all": 2}


@pytest.mark.parametrize(
    ("name", "until"), [("exact", 13 * MINUTE + 1), ("hop", 15 * MINUTE), ("part", 10 * MINUTE), ("visit", 18 * MINUTE),
                        ("late", 13 * MINUTE + 1), ("all", np.inf)],
)  # fmt: skip
def test_a_row_says_until_when_it_holds(name: str, until: float) -> None:
    """A row holds until its next change, so that requests read the past only when there is something to see."""
    kept = Kept(plan_with(**{name: BY_USER[name]}))
    kept.count([{"minute": 3, "amount": 1.0}, {"minute": 8, "amount": 2.0}])
    assert row(kept)[VALID_UNTIL] == until


def test_what_lasts_for_ever_has_no_past() -> None:
    """Lifetime counts take one row a key, and nothing else."""
    kept = Kept(plan_with(n=PAID.count().by(USER), mean=PAID.mean("amount").by(USER, ITEM)))
    kept.count([{"minute": 1, "amount": 2.0}])
    assert sorted(key[:1] for key in kept.records) == [b"\x00", b"\x01"]


def test_events_become_tiles_and_old_ones_are_dropped() -> None:
    """A thousand events of a window with a hop take as many pieces as it has hops; beyond it nothing is kept."""
    kept = Kept(plan_with(hop=PAID.count().by(USER).over("1h", hop="10m")))
    for minute in range(0, 1000, 7):
        kept.count([{"minute": minute, "micros": i} for i in range(20)])
    (raw,) = [raw for key, raw in kept.records.items() if key[0] & 0x80]
    assert len(raw) < 8 * (1 + 3 * 8)
    assert kept.read(1000)["hop"] == 20 * len([m for m in range(0, 1000, 7) if m >= 940])


def test_a_past_that_nobody_needs_is_deleted() -> None:
    """Once no window shows an event of a filter any more, its key has no past."""
    kept = Kept(plan_with(big=PAID.count().by(USER).over("1h").where(PAID.amount > 5)))
    kept.count([{"minute": 0, "amount": 9.0}])
    assert any(key[0] & 0x80 for key in kept.records)
    kept.count([{"minute": 100, "amount": 1.0}])
    assert not any(key[0] & 0x80 for key in kept.records)


def test_a_cap_counts_the_latest_of_what_passes_the_filter() -> None:
    """Only so many events are kept as the cap needs, of those that the aggregate's own filter lets through."""
    over = PAID.count().by(USER).over("7d", cap=3)
    kept = Kept(
        plan_with(large=over.where(PAID.amount > 10), every=over, sum=PAID.sum("amount").by(USER).over("7d", cap=2))
    )
    kept.count([{"minute": m, "amount": 100.0 if m < 5 else float(m)} for m in range(10)])
    seen = kept.read(11)
    assert (seen["large"], seen["every"], seen["sum"]) == (3, 3, 17)
    kept.count([{"minute": 4, "micros": 5, "amount": 100.0}, {"minute": 8, "micros": 5, "amount": 1.0}])
    assert kept.read(11)["sum"] == 10, "a late event that is among the latest two"


def test_a_late_event_joins_two_sessions() -> None:
    """A session that a pause had closed is part of the current one once an event in the pause arrives."""
    kept = Kept(
        plan_with(visit=PAID.count().by(USER).session("10m"), first=PAID.first("amount").by(USER).session("10m"))
    )
    kept.count([{"minute": 0, "amount": 1.0}])
    kept.count([{"minute": 15, "amount": 2.0}])
    assert kept.read(16) == {"visit": 1, "first": 2}
    kept.count([{"minute": 7, "amount": 3.0}])
    assert kept.read(16) == {"visit": 3, "first": 1}


def test_late_events_land_in_their_tile() -> None:
    """An event that arrives late counts where its time says, and takes nothing back."""
    kept = Kept(
        plan_with(**{n: BY_USER[n] for n in ("hop", "part", "exact", "all")}, last=PAID.last("amount").by(USER))
    )
    kept.count([{"minute": 21, "amount": 1.0}])
    kept.count([{"minute": 20, "amount": 10.0}, {"minute": 12, "amount": 100.0}, {"minute": 3, "amount": 1000.0}])
    assert kept.read(22) == {"hop": 111, "part": 2, "exact": 111, "all": 4, "last": 1}


def test_events_of_one_instant_are_ordered_by_the_bytes_of_their_ids() -> None:
    """First and last of one instant go by id, whichever came first; also under a cap."""
    for order in (1, -1):
        kept = Kept(plan_with(
            last=PAID.last("amount").by(USER), first=PAID.first("amount").by(USER),
            capped=PAID.sum("amount").by(USER).over("1h", cap=1), tile=PAID.last("amount").by(USER).tumbling("1h"),
        ))  # fmt: skip
        for event_id, amount in [("é", 3.0), ("b", 2.0), ("a", 1.0)][::order]:
            kept.count([{"minute": 1, "event_id": event_id, "amount": amount}])
        assert kept.read(2) == {"last": 3, "first": 1, "capped": 3, "tile": 3}


def test_distinct_values_stop_at_their_cap() -> None:
    """Different values are counted up to the cap; no more are kept than that takes."""
    lifetime = PAID.count_distinct("units", cap=4).by(USER)
    kept = Kept(plan_with(ever=lifetime, hop=lifetime.over("1h", hop="10m"), days=PAID.distinct_days().by(USER)))
    for start in range(0, 40, 5):
        kept.count([{"minute": 1 + unit, "units": unit % 7} for unit in range(start, start + 5)])
    seen = kept.read(50)
    assert (seen["ever"], seen["hop"], seen["days"]) == (4, 4, 1)
    lane = kept.plan.records[0]
    past = next(raw for key, raw in kept.records.items() if key.startswith(past_prefix(kept.plan, lane)))
    assert len(past) < 8 * (3 + 4 + 2 * 4 * 7 + 1)


def test_a_key_of_several_columns_and_missing_parts() -> None:
    """(1, 11) and (11, 1) are two keys; an event that lacks a part belongs to none."""
    kept = Kept(plan_with(n=PAID.count().by(SHOP)))
    parts = [(1, 11), (11, 1), (1, 11), (None, 11), (1, None)]
    kept.count([{"minute": i, "chain": a, "branch": b} for i, (a, b) in enumerate(parts)])
    asked = [{"chain": 1, "branch": 11}, {"chain": 11, "branch": 1}, {"chain": 11, "branch": 11}, {"chain": 1}]
    assert [kept.read(9, context=context)["n"] for context in asked] == [2, 1, 0, 0]


def test_an_empty_batch_changes_nothing() -> None:
    """No events, no changes."""
    kept = Kept(plan_with(**BY_USER))
    assert state_changes(kept.plan, kept.get_many, []) == []


ABOVE = PAID.mean(PAID.amount - PAID.mean("amount").by(ITEM).smooth(1.0, weight=1)).by(USER)


@pytest.mark.parametrize("above", [ABOVE, ABOVE.clip(0, 1), (PAID.count().by(USER) / (ABOVE + 1)).log()])
def test_residuals_are_refused_where_they_are_not_known(above: Expression) -> None:
    """A stream cannot know what other keys had at the time of an event: it names the feature, however deep that is."""
    kept = Kept(plan_with(n=PAID.count().by(USER), above=above))
    with pytest.raises(UserError, match="feature 'above' is of residuals, which a stream cannot count"):
        kept.count([{"minute": 1, "amount": 1.0}])
    with pytest.raises(UserError, match="feature 'above' is of residuals"):
        refuse_residuals(kept.plan)
    earlier = plan_of(plan_with(n=PAID.count().by(USER)).system.keep_earlier({"n@1": above}))
    with pytest.raises(UserError, match="feature 'n@1' is of residuals"):
        refuse_residuals(earlier)


WINDOWED = plan_with(
    **BY_USER,
    spread=PAID.std("amount").by(USER).over("20m", hop="5m").delayed("5m"),
    near=PAID.quantile("amount", 0.5).by(USER).over("20m", hop="5m"),
    kinds=PAID.approx_distinct("units").by(USER),
    sorts=PAID.count_distinct("units").by(USER).over("20m", hop="5m").ttl("15m"),
    newest=PAID.last("amount").by(USER).over("30m", cap=2).where(PAID.good.equals(1)),
)
some = st.lists(
    st.fixed_dictionaries({
        "minute": st.integers(-20, 40), "amount": st.sampled_from([None, 1.0, 2.5, -3.0]),
        "units": st.sampled_from([None, 1, 2, 3]), "good": st.integers(0, 1),
    }), min_size=1, max_size=14,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(drawn=some, pieces=st.lists(st.integers(1, 4), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_batches_of_any_size_and_order_make_one_state(
    drawn: list[dict[str, Any]], pieces: list[int], seed: int
) -> None:
    """State depends on the events alone, not on batches, order or restarts between them; reading changes nothing."""
    events = [{**event, "event_id": f"e{i}"} for i, event in enumerate(drawn)]
    whole, parted = Kept(WINDOWED), Kept(WINDOWED)
    whole.count(events)
    order = np.random.default_rng(seed).permutation(len(events)).tolist()
    step = 0
    while order:
        size = pieces[step % len(pieces)]
        parted.count([events[i] for i in order[:size]])
        order, step = order[size:], step + 1
        before = dict(parted.records)
        parted.read(41 + step)
        assert parted.records == before
    for minute in (41, 45, 47, 60, 100):
        expected, found = whole.read(minute), parted.read(minute)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-12, abs=1e-12, nan_ok=True), (name, minute)


def test_attributes_are_of_the_moment_of_counting_and_stay_beside_events() -> None:
    """Events are grouped by the attributes that their entity has in state, several values at once; rows keep both."""
    kept = Kept(plan_with(n=PAID.count().by(USER, ITEM["tags"]), tags=ITEM["tags"], seen=PAID.count().by(ITEM)))
    kept.count([{"minute": 1}])
    assert kept.read(2)["n"] == 0, "nothing is known of the item yet"
    tags = pa.table({"id": [1], "item_tags": pa.array([[0, 2]], pa.list_(pa.int64()))})
    kept.change(attribute_changes(kept.plan, kept.get_many, ITEM, tags))
    kept.count([{"minute": 2}])
    seen = kept.read(3)
    assert (seen["n"], seen["tags_a"], seen["tags_b"], seen["tags_c"], seen["seen"]) == (2, 1, 0, 1, 2)


def test_pasts_of_many_keys_are_read_together() -> None:
    """Pasts of several keys, some without any, come apart again as they were put together."""
    kept = Kept(WINDOWED)
    kept.count([{"user_id": user, "minute": m, "amount": 1.0, "units": m} for user in (1, 2, 5) for m in range(user)])
    record = kept.plan.records[0]
    raw = [r for key, r in sorted(kept.records.items()) if key.startswith(past_prefix(kept.plan, record))]
    asked = [raw[0], None, raw[1], raw[2], None]
    pieces = read_pasts(lanes_of(kept.plan, record), asked)
    assert written_pasts(pieces, len(asked)) == asked
    assert not isnan(kept.read(6)["near"])


def test_rows_of_another_width_are_an_error() -> None:
    """A record written for other declarations is not read as numbers of these."""
    with pytest.raises(OritaError, match="a record has not 24 bytes"):
        rows_read(bytes(24), [bytes(24), bytes(16), None])
