"""Level 3 of a running server: what the online store counts, taken over beside the requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orita.core.errors import Unavailable
from orita.features.online.item_rates import ItemRates
from orita.serving.resilience.fallbacks import PopularityTable, write_popularity
from orita.serving.resilience.popularity import Popularity


class Counting:
    """A source of rates that may be away."""

    def __init__(self, rates: ItemRates | None) -> None:
        self.rates = rates
        self.away = False
        self.looks = 0

    def item_rates(self, goes_on: Callable[[], bool], /) -> ItemRates | None:
        """Return the rates."""
        self.looks += 1
        if self.away:
            raise Unavailable("the store is away.")
        return self.rates if goes_on() else None


def _rates(items: list[int | str], chosen: list[float], shown: list[float]) -> ItemRates:
    ids_N: Any = np.array(items, np.int64 if isinstance(items[0], int) else np.object_)
    return ItemRates(ids_N, np.array(chosen), np.array(shown))


def test_what_is_counted_is_taken_over_and_outlives_the_store() -> None:
    """A look replaces the table; while the source is away the one before goes on."""
    source = Counting(_rates([1, 2, 3], [1, 50, 30], [100, 100, 100]))
    popularity = Popularity(None, source)
    assert popularity.look()
    assert popularity.table is not None
    assert np.argsort(-popularity.table.scores([1, 2, 3])).tolist() == [1, 2, 0]
    source.away = True
    assert popularity.look()
    assert len(popularity.table) == 3
    source.away, source.rates = False, _rates([1, 2, 3, 4], [90, 50, 30, 0], [100, 100, 100, 0])
    assert popularity.look()
    assert np.argsort(-popularity.table.scores([1, 2, 3])).tolist() == [0, 1, 2]
    assert len(popularity.table) == 4


def test_who_counts_nothing_is_not_asked_again() -> None:
    """A source without rates has no level 3, and costs no more looks; neither does one beside a table."""
    source = Counting(None)
    assert not Popularity(None, source).look()
    beside = Popularity(PopularityTable([1], np.array([0.5], np.float32), 0.1), Counting(_rates([1], [1], [1])))
    beside.start()
    beside.close()
    assert beside.table is not None
    assert beside.table.scores([1, 9]).tolist() == pytest.approx([0.5, 0.1])


def test_it_looks_in_the_background() -> None:
    """Once started it takes up what is there, and stops when it is told to."""
    source = Counting(_rates(["a", "b"], [3, 1], [10, 10]))
    popularity = Popularity(None, source, seconds=0.01)
    popularity.start()
    while source.looks < 3:
        pass
    popularity.close()
    looks = source.looks
    assert popularity.table is not None
    assert np.argsort(-popularity.table.scores(["b", "a", "c"])).tolist()[0] == 1
    assert source.looks == looks


def test_what_the_feed_read_is_not_read_again() -> None:
    """What is supplied is taken up, and as long as that is fresh nobody looks; when it is no more, somebody does."""
    source = Counting(_rates([1, 2], [9, 1], [10, 10]))
    popularity = Popularity(None, source, seconds=0.3)
    popularity.supplied = True
    begun = time.monotonic()
    popularity.start()
    popularity.supply(_rates([1, 2], [1, 9], [10, 10]))
    assert popularity.table is not None and np.argsort(popularity.table.scores([1, 2])).tolist() == [0, 1]
    popularity.supply(None)
    assert source.looks == 0 or time.monotonic() - begun >= 0.3, "a busy machine may have come so late"
    while np.argsort(popularity.table.scores([1, 2])).tolist() != [1, 0]:
        time.sleep(0.01)
    popularity.close()
    assert source.looks >= 1
    published = PopularityTable([1], np.array([0.5], np.float32), 0.1)
    beside = Popularity(published, source)
    beside.supply(_rates([1], [1], [1]))
    assert beside.table is published


@pytest.mark.parametrize("items", [[3, 1, 2], ["c", "a", "b"]])
def test_a_table_is_as_it_was_written(tmp_path: Path, items: list[int | str]) -> None:
    """Written and read, or made at once, it has the same scores; what it does not know has the rate of all items."""
    clicks_N, shown_N = np.array([5.0, 0, 2]), np.array([10.0, 10, 10])
    write_popularity(tmp_path / "table", items, clicks_N, shown_N)
    asked: list[int | str] = [*reversed(items), "x", 77]
    read = PopularityTable.read(tmp_path / "table").scores(asked)
    np.testing.assert_allclose(read, PopularityTable.of(items, clicks_N, shown_N).scores(asked))
    rate = 7 / 30
    expected = [(c + 20 * rate) / (n + 20) for c, n in zip(clicks_N[::-1], shown_N[::-1], strict=True)]
    np.testing.assert_allclose(read, [*expected, rate, rate], rtol=1e-6)
