"""What a feed knows of items and users, out of a real online store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from tests.serving.feed.published import ITEMS, NOW, TOPICS, features_of, feed_system, published_feed

from orita import INTERACTION, Entity, Source, system
from orita.core.clock import SystemClock, to_micros
from orita.core.errors import UserError
from orita.core.home import Home
from orita.features.keys import encode_id
from orita.features.online.following import OnlineFeatures
from orita.features.online.item_rates import ItemRates
from orita.features.schema import FeatureSchema
from orita.features.state.journal import TURN
from orita.features.state.layout import VALID_UNTIL, empty_row
from orita.features.stores.store import StoreAway
from orita.features.system import System
from orita.serving.feed.config import FeedConfig
from orita.serving.feed.item_reading import ItemReading
from orita.serving.feed.items import Items
from orita.serving.feed.reads import Asker, FeedReads
from orita.serving.feed.signals import signals_of
from orita.serving.http.refusal import Refused

AT = to_micros(NOW)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlineFeatures]:
    """The published features of 40 items."""
    home = Home(tmp_path_factory.mktemp("home"))
    published_feed(home)
    with closing(features_of(home)) as opened:
        yield opened


def items_read(features: OnlineFeatures, **settings: Any) -> Items:
    """Return all items as a feed with *settings* knows them."""
    config = FeedConfig.model_validate(settings)
    found = ItemReading(features, config, signals_of(features.plan.system, config)).items(AT, lambda: True)
    assert found is not None
    return found


def test_all_items_with_what_a_feed_goes_by(features: OnlineFeatures) -> None:
    """Popularity is clicks, age that of the item or of its first event, topics part items, each by popularity."""
    items = items_read(features)
    assert len(items) == ITEMS
    assert items.ids(items.popular)[0] == 0 and set(items.ids(items.popular)[1:3]) == {1, 2}
    assert items.ids(items.popular)[-1] == 39
    assert items.ids(items.newest)[:4] == [39, 38, 37, 36]  # that of 39 is the time of its first event
    ages = items.ages(items.rows([0, 38, 39, 777]), AT)
    np.testing.assert_allclose(ages[:3], [100, 62, 1.004], atol=0.002)
    assert np.isnan(ages[3])
    assert [items.ids(rows)[:2] for rows in items.topics] == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert items.attributes["topic"].among(["news"], items.rows([2, 3, 38])).tolist() == [True, False, False]
    assert items.rows(["7", 7, "seven"])[:2].tolist() == [8, 8]


def test_one_scan_serves_the_feed_and_the_click_rates(features: OnlineFeatures) -> None:
    """How often items were shown and chosen comes with it, as the store says; without a write none follows."""
    supplied: list[ItemRates | None] = []
    config, pieces = FeedConfig(), []
    reading = ItemReading(features, config, signals_of(features.plan.system, config), supplied.append)
    assert reading.supplies

    def goes_on() -> bool:
        pieces.append(1)
        return True

    first = reading.items(AT, goes_on)
    (rates,) = supplied
    expected = features.item_rates(lambda: True)
    assert rates is not None and expected is not None
    for told, known in ((rates.ids_N, expected.ids_N), (rates.shown_N, expected.shown_N)):
        np.testing.assert_array_equal(told, known)
    np.testing.assert_array_equal(rates.chosen_N, expected.chosen_N)
    assert rates.shown_N[rates.ids_N.tolist().index(0)] == 40
    scanned = len(pieces)
    assert reading.items(AT + 60_000_000, goes_on) is first
    assert supplied[1:] == [None] and len(pieces) == scanned


class Written:
    """Features whose store is written to: it has another turn, and one more item, whose row holds until *until*."""

    def __init__(self, features: OnlineFeatures) -> None:
        self.plan, self.reader, self._store = features.plan, features.reader, features.current().store
        self.store, self.turn, self.until = self, 0, np.inf
        (self._record,) = [r.record for r in self.plan.reads if r.entities == (self.plan.system.item,)]

    def current(self) -> Any:
        """Return itself as the rows, of which the store is read."""
        return self

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the turn."""
        assert list(keys) == [TURN]
        return [self.turn.to_bytes(8, "big")]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield what the store has, and after the first turn one item more."""
        yield from self._store.scan(prefix)
        if self.turn:
            row_W = empty_row(self._record)
            row_W[VALID_UNTIL] = self.until
            yield prefix + encode_id(1000), row_W.tobytes()


def test_what_the_stream_writes_is_read_anew(features: OnlineFeatures) -> None:
    """A new turn of the state, or a time that a row does not outlast: all items are read again, new ones among them."""
    config, written = FeedConfig(), Written(features)
    reading = ItemReading(written, config, signals_of(features.plan.system, config))

    def read(at: int) -> Items:
        found = reading.items(at, lambda: True)
        assert found is not None
        return found

    first = read(AT)
    written.turn, written.until = 1, AT + 1000
    second = read(AT)
    assert (len(first), len(second)) == (ITEMS, ITEMS + 1)
    assert read(AT + 999) is second
    assert read(AT + 1000) is not second


def test_rules_say_which_items_there_are(features: OnlineFeatures) -> None:
    """An excluded value is nowhere; where one is required, items without it, or without any, are not there."""
    rules = [{"kind": "exclude", "attribute": "topic", "values": ["art", "food"]}]
    assert {item % 4 for item in items_read(features, rules=rules).topic_ids if isinstance(item, int)} == {2, 3}
    assert 38 in items_read(features, rules=rules).ids(items_read(features, rules=rules).popular)
    rules += [{"kind": "require", "attribute": "tags", "values": ["round"]}]
    items = items_read(features, rules=rules)
    assert set(items.ids(items.popular)) == set(items.ids(items.newest)) == set(range(2, 40, 4))


def test_reading_ends_where_it_is_told_to(features: OnlineFeatures) -> None:
    """A server that stops does not wait for all items."""
    config = FeedConfig()
    reading = ItemReading(features, config, signals_of(features.plan.system, config))
    assert reading.items(AT, lambda: False) is None


def test_a_clock_behind_the_events_reads_as_well(features: OnlineFeatures) -> None:
    """Items whose latest event is of the future are read as of just after it."""
    config = FeedConfig()
    reading = ItemReading(features, config, signals_of(features.plan.system, config))
    found = reading.items(AT - 30 * 86_400_000_000, lambda: True)
    assert found is not None and found.ids(found.popular)[0] == 0


def test_ids_may_be_texts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """They come back as they are, and are known as users write them."""
    home = Home(tmp_path_factory.mktemp("texts"))
    published_feed(home, texts=True)
    with closing(features_of(home)) as features:
        items = items_read(features)
        assert items.ids(items.popular)[0] == "i00"
        reads = FeedReads(features, feed_system(), signals_of(feed_system(), FeedConfig()), 1.0, SystemClock())
        assert reads.seen(Asker(1, {}, AT), ["i01", "i03"]).tolist() == [True, False]


def test_a_system_that_knows_little_of_items_has_a_feed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without ages, topics and pairs there are popular items, and nothing was seen."""
    home, plain = Home(tmp_path_factory.mktemp("plain")), feed_system(plain=True)
    published_feed(home, declared=plain)
    with closing(features_of(home, plain)) as features:
        items = items_read(features)
        assert items.ids(items.popular)[:3] == [0, 1, 2]
        assert not len(items.newest) and not items.topics
        reads = FeedReads(features, plain, signals_of(plain, FeedConfig()), 1.0, SystemClock())
        assert not reads.knows_affinity
        assert reads.seen(Asker(1, {}, AT), [1, 2]).tolist() == [False, False]


def test_what_a_user_saw_and_likes(features: OnlineFeatures) -> None:
    """Seen is what there was an event of; topics are liked by how much was clicked of them, and how often shown."""
    reads = FeedReads(features, feed_system(), signals_of(feed_system(), FeedConfig()), 1.0, SystemClock())
    assert reads.seen(Asker(1, {}, AT), [1, 2, 5, 6, 7]).tolist() == [True, False, True, True, False]
    liked = reads.affinity(Asker(1, {}, AT), [0, 1, 2, 3])
    np.testing.assert_allclose(liked, [0, 2 * 1 / 7, 3 * 4 / 8, 0], rtol=1e-5)  # (clicks + 0.2 · 5) ÷ (shown + 5)
    assert not reads.affinity(Asker("nobody", {}, AT), [0, 1, 2, 3]).any()
    assert reads.seen(Asker(1, {}, AT), []).tolist() == []


def test_a_time_before_what_is_known_is_refused(features: OnlineFeatures) -> None:
    """State cannot answer for an earlier time; the caller is told."""
    reads = FeedReads(features, feed_system(), signals_of(feed_system(), FeedConfig()), 1.0, SystemClock())
    with pytest.raises(Refused, match="is not after the latest event") as refused:
        reads.seen(Asker(1, {}, AT - 30 * 86_400_000_000), [1])
    assert (refused.value.status, refused.value.code) == (422, "invalid_value")


def test_without_the_store_nothing_was_seen() -> None:
    """A store that is away costs what is known of the user, not the feed."""

    class Away:
        def reader(self, schema: FeatureSchema, /) -> Away:
            return self

        def matrix(self, *asked: object) -> Any:
            raise StoreAway("it is away.")

        def refresh(self) -> bool:
            return False

    reads = FeedReads(Away(), feed_system(), signals_of(feed_system(), FeedConfig()), 1.0, SystemClock())
    assert reads.seen(Asker(1, {}, AT), [1, 2]).tolist() == [False, False]
    assert reads.affinity(Asker(1, {}, AT), [1, 2]).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rules": [{"kind": "exclude", "attribute": "topics", "values": ["art"]}]}, "Did you mean 'topic'?"),
        ({"rules": [{"kind": "exclude", "attribute": "topic", "values": ["arts"]}]}, "Did you mean 'art'?"),
        ({"rules": [{"kind": "cap", "attribute": "created_at", "most": 1, "window": 3}]}, "'created_at': no category"),
        ({"diversity": {"attributes": ["colour"]}}, "serving.feed.diversity.attributes names the attribute 'colour'"),
    ],
)
def test_what_is_not_declared_is_refused_by_its_name(
    features: OnlineFeatures, settings: dict[str, Any], sentence: str
) -> None:
    """Rules and diversity go by categories of the item that features read, and by their declared values."""
    with pytest.raises(UserError) as refused:
        items_read(features, **settings)
    assert sentence in str(refused.value)


def test_signals_are_found_among_the_declared_features() -> None:
    """In a system like the shipped feed nothing has to be configured."""
    found = signals_of(feed_system(), FeedConfig())
    assert found.popularity == ("item_popularity", "item_ctr")
    assert (found.age, found.seen, found.topic) == ("item_age_days", "pairs", "topic")
    assert found.affinity == ("user_topics", "user_topic_ctr")
    nothing = signals_of(feed_system(plain=True), FeedConfig())
    assert (nothing.popularity, nothing.age, nothing.seen, nothing.affinity) == (("times",), None, None, ())


def without_topics() -> System:
    """Return a system whose items have no attributes."""
    shown = Source("interactions", INTERACTION)
    made = system("feed", label=shown.click, rank=Entity("item", "item_id"), for_=Entity("user", "user_id"))
    made.features(ctr=shown.mean("click").by(Entity("user", "user_id")))
    return made


@pytest.mark.parametrize(
    ("signals", "declared", "sentence"),
    [
        ({"popularity": ["item_popular"]}, feed_system(), "Did you mean 'item_popularity'?"),
        ({"seen": "device"}, feed_system(), "'device' of 3 columns|which has 3 columns"),
        ({"topic": "created_at"}, feed_system(), "take a category attribute"),
        ({"topic": "topics"}, feed_system(), "no attribute of the item. Did you mean 'topic'?"),
        ({"affinity": ["ctr"]}, without_topics(), "and no topic"),
    ],
)
def test_signals_that_tell_nothing_are_refused(signals: dict[str, Any], declared: System, sentence: str) -> None:
    """The sentence names the key, and what there is."""
    with pytest.raises(UserError) as refused:
        signals_of(declared, FeedConfig.model_validate({"signals": signals}))
    assert any(part in str(refused.value) for part in sentence.split("|"))


def test_codes_of_an_attribute_are_flags(features: OnlineFeatures) -> None:
    """One for each declared value that an item has: of a category one at most, of a list any number."""
    items = items_read(features, diversity={"attributes": ["tags", "topic"]})

    topic, tags = items.attributes["topic"], items.attributes["tags"]
    assert topic.flags(items.rows([2, 38])).tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]
    assert topic.values == TOPICS
    assert tags.flags(items.rows([2, 3, 39])).tolist() == [[1, 1], [1, 0], [0, 0]]
