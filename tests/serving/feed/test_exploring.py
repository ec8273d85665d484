"""Exploration of first pages: the logged probabilities are those of the draw, and rules hold whatever is drawn."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError
from tests.serving.feed.made import made_items
from tests.serving.feed.published import NOW
from tests.serving.patience import attempts

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.predictions import prediction_log
from orita.features.online.following import OnlineFeatures
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.feed.config import FeedConfig
from orita.serving.feed.exploring import Explored, Exploring
from orita.serving.feed.route import PATH
from orita.testing.asgi import AsgiClient
from orita.testing.serving import load_line_package

ITEMS = made_items(40)
ROWS = np.arange(1, 41)
NEW = np.zeros(40, np.bool_)
ORDER = np.arange(40)[::-1]


def exploring(seed: int = 0, rules: list[dict[str, Any]] | None = None, **asked: Any) -> Exploring:
    """Return an explorer of seeded draws."""
    config = FeedConfig.model_validate({"exploration": asked, "rules": rules or []})
    return Exploring(config, np.random.default_rng(seed))


def pages(explorer: Exploring, runs: int, limit: int, seen_C: Any = NEW, order_K: Any = ORDER) -> list[Explored]:
    """Return so many draws of one page."""
    return [explorer.shown(ITEMS, ROWS, seen_C, order_K, limit) for _ in range(runs)]


CASES: list[tuple[dict[str, Any], list[dict[str, Any]], list[int], int]] = [
    ({"share": 0.4, "positions": 4}, [], [], 6),
    ({"share": 0.3, "positions": 4, "pairs": "any"}, [], [], 6),
    ({"share": 0.4, "positions": 9}, [], [], 3),
    (
        {"share": 0.4, "positions": 5},
        [{"kind": "pin", "attribute": "topic", "values": ["art"], "position": 2}],
        [],
        6,
    ),
    ({"share": 0.4, "positions": 5}, [], [36, 37], 6),
    ({"share": 0.4, "positions": 6}, [{"kind": "cap", "attribute": "topic", "most": 1, "window": 4}], [], 6),
    ({"share": 0.4, "positions": 6}, [{"kind": "cap", "attribute": "tags", "most": 2, "window": 4}], [], 7),
]


@pytest.mark.parametrize(("asked", "rules", "seen", "limit"), CASES)
def test_orders_are_shown_as_often_as_the_log_says(
    asked: dict[str, Any], rules: list[dict[str, Any]], seen: list[int], limit: int
) -> None:
    """3,000 seeded pages: each order, and each item at each place, within 4.5 standard errors of the logged chance.

    The logged chances of all orders that were met add up to 1, so that none was forgotten.
    """
    seen_C = np.isin(np.arange(40), seen)
    # What was seen comes last: here behind the third place.
    order_K = np.concatenate([ORDER[~seen_C[ORDER]][:3], ORDER[seen_C[ORDER]]]) if seen else ORDER
    order_K = np.concatenate([order_K, np.setdiff1d(ORDER, order_K)[::-1]])
    runs = 3000
    met = pages(exploring(3, rules, **asked), runs, limit, seen_C, order_K)
    chances: dict[tuple[int, ...], float] = {}
    placed: dict[tuple[int, int], float] = {}
    orders: Counter[tuple[int, ...]] = Counter()
    places: Counter[tuple[int, int]] = Counter()
    for found in met:
        assert found.propensity_P is not None and found.placement_P is not None
        assert found.propensity_P.dtype == found.placement_P.dtype == np.float32
        assert len(found.propensity_P) == len(found.placement_P) == limit
        shown = tuple(found.place_K[:limit].tolist())
        orders[shown] += 1
        places.update(enumerate(shown))
        chances[shown] = float(np.prod(found.propensity_P, dtype=np.float64))
        placed |= dict(zip(enumerate(shown), found.placement_P.tolist(), strict=True))
        assert found.place_K[limit:].tolist() == order_K[limit:].tolist()
    assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
    for counts, told in ((orders, chances), (places, placed)):
        for what, chance in told.items():
            assert abs(counts[what] / runs - chance) <= 4.5 * np.sqrt(chance * (1 - chance) / runs) + 1e-9  # type: ignore[index]
    assert len(orders) > 1


def test_the_log_s_own_value_is_estimated_without_bias() -> None:
    """Weights of the logged policy to itself are 1; those to the order as ranked average to its known value.

    4,000 pages, rewards by item and place: the IPS estimate is within 4 of its standard errors.
    """
    value_PC = np.random.default_rng(5).random((5, 40))
    draws = pages(exploring(4, share=0.45, positions=5), 4000, 5)
    ranked = value_PC[np.arange(5), ORDER[:5]].sum()
    estimates = []
    for found in draws:
        assert found.propensity_P is not None
        shown = found.place_K[:5]
        target = float((shown == ORDER[:5]).all())  # the policy that never explores
        weight = target / float(np.prod(found.propensity_P, dtype=np.float64))
        estimates.append(weight * value_PC[np.arange(5), shown].sum())
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert error > 0
    assert abs(np.mean(estimates) - ranked) <= 4 * error


def test_a_pinned_place_and_what_was_seen_stay() -> None:
    """A position that a rule names is never moved, its probability is 1; what was seen stays behind what is new."""
    pin = {"kind": "pin", "attribute": "topic", "values": ["art"], "position": 1}
    seen_C = np.arange(40) < 37
    for found in pages(exploring(1, [pin], share=0.49, positions=6), 300, 8, seen_C):
        assert found.propensity_P is not None and found.placement_P is not None
        assert found.place_K[[0, 3, 4]].tolist() == [39, 36, 35]
        assert found.propensity_P[[0, 3, 4]].tolist() == found.placement_P[[0, 3, 4]].tolist() == [1, 1, 1]
        assert found.placement_P[1] < 1


@pytest.mark.parametrize("pairs", ["adjacent", "any"])
def test_caps_hold_after_a_swap(pairs: str) -> None:
    """Of any 4 items in a row at most 2 are of one kind, as before the swap; and something is still explored."""
    cap = {"kind": "cap", "attribute": "tags", "most": 2, "window": 4}
    topics = {"kind": "cap", "attribute": "topic", "most": 2, "window": 5}
    order_K = np.concatenate([[21, 22, 24, 23, 25, 26, 28, 27, 29, 30], np.arange(20)])
    round_ones = order_K % 2 == 0
    assert all(round_ones[at : at + 4].sum() <= 2 for at in range(8))
    met = set()
    for found in pages(exploring(2, [cap, topics], share=0.49, positions=8, pairs=pairs), 500, 10, order_K=order_K):
        shown = found.place_K[:10]
        met.add(tuple(shown.tolist()))
        assert all((shown[at : at + 4] % 2 == 0).sum() <= 2 for at in range(7))
        assert all(max(Counter((shown[at : at + 5] % 4).tolist()).values()) <= 2 for at in range(6))
    assert len(met) > 1


def test_off_and_short_pages() -> None:
    """A share of 0 logs nothing; a page of one item is certain; an empty one has nothing to say."""
    assert pages(exploring(share=0), 1, 5)[0].propensity_P is None
    alone = pages(exploring(share=0.4), 1, 1)[0]
    assert alone.propensity_P is not None and alone.propensity_P.tolist() == [1]
    empty = exploring().shown(ITEMS, ROWS[:0], NEW[:0], ORDER[:0], 5)
    assert empty.propensity_P is not None and empty.propensity_P.tolist() == []


def test_a_page_that_is_not_explored_shares_its_arrays() -> None:
    """Most pages cost no new array, and nobody can write to those they share."""
    explorer = exploring(share=0.0001)
    one, two = pages(explorer, 2, 20)
    assert one.propensity_P is two.propensity_P and one.place_K is ORDER
    assert one.propensity_P is not None
    with pytest.raises(ValueError, match="read-only"):
        one.propensity_P[0] = 0


@pytest.mark.parametrize("wrong", [{"share": 0.5}, {"share": 1e-5}, {"positions": 1}, {"pairs": "some"}])
def test_what_cannot_be_explored_is_refused(wrong: dict[str, Any]) -> None:
    """A share of a half or more, one that a log would never show, and one position are refused where they are set."""
    with pytest.raises(ValidationError):
        FeedConfig.model_validate({"exploration": wrong})


def test_neighbours_alone_change_places() -> None:
    """By default two items next to one another do, in one page of a hundred."""
    for found in pages(exploring(6, share=0.3), 200, 20):
        shown = found.place_K.tolist()
        moved = [at for at, (now, ranked) in enumerate(zip(shown, ORDER.tolist(), strict=True)) if now != ranked]
        assert moved == [] or (len(moved) == 2 and all(after - before == 1 for before, after in pairwise(moved)))
        assert max(moved, default=0) < 10


def test_a_server_logs_what_it_explored(published: Home, features: OnlineFeatures) -> None:
    """First pages have the probabilities of their orders, later pages are certain, and a score goes with its item."""
    feed = {"session_items": 30, "diversity": {"method": "off"}, "exploration": {"share": 0.4, "positions": 5}}
    config = ServingConfig.model_validate({"feed": feed})
    app = create_app(published, "feed", features, config, clock=ManualClock(NOW), load=load_line_package)
    with AsgiClient(app) as client:
        for _ in attempts():
            if client.post(PATH, json={"user_id": 0}).status == 200:
                break
        first = [client.post(PATH, json={"user_id": 7, "limit": 8}) for _ in range(40)]
        cursor = first[0].json()["data"]["cursor"]
        later = client.post(PATH, json={"user_id": 7, "limit": 8, "cursor": cursor})
    log = prediction_log(published)
    shown = set()
    for answer in first:
        assert [item["rank"] for item in answer.json()["data"]["predictions"]] == list(range(1, 9))
        rows = log.filter(pc.equal(log["request_id"], answer.headers["x-request-id"])).sort_by("position")
        assert rows["item_id"].to_pylist() == [str(i["item_id"]) for i in answer.json()["data"]["predictions"]]
        chance = float(np.prod(rows["propensity"].to_numpy()))
        assert chance == pytest.approx(0.6) or chance == pytest.approx(0.1)
        scores = rows["score"].to_numpy()
        assert (chance > 0.5) == bool((np.diff(scores) <= 0).all())
        assert (rows["placement_propensity"].to_numpy() < 1).sum() == 5
        shown.add(tuple(rows["item_id"].to_pylist()))
    assert 1 < len(shown) <= 5
    rows = log.filter(pc.equal(log["request_id"], later.headers["x-request-id"]))
    assert rows["propensity"].to_pylist() == rows["placement_propensity"].to_pylist() == [1.0] * 8
