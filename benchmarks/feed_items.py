"""What does it cost to know all items? One look of a feed at the online store, which its click rates come from as well.

``scan_cpu_ms`` is the CPU time of a look at every item, without the rests between its pieces; ``unchanged_cpu_ms`` that
of one before which nothing was written; ``piece_cpu_ms`` is the most between two rests. ``held_ms`` is the longest that
another thread of the process waited for the interpreter meanwhile, and ``idle_held_ms`` the same without a look: both
grow where other work keeps the cores busy.
``table_bytes_an_item`` is what is kept in memory.

    python -m benchmarks.feed_items                     # makes a feed of 50,000 items first
    python -m benchmarks.feed_items --home .orita       # after make demo: the home of a project
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from benchmarks.serve import make_home

from orita.core.clock import SystemClock, to_micros
from orita.features.online.following import OnlineFeatures
from orita.project import open_project
from orita.serving.feed.config import FeedConfig
from orita.serving.feed.item_reading import ItemReading
from orita.serving.feed.signals import signals_of
from orita.serving.resilience.popularity import Popularity

_LOOKS = 5
_SWITCH_SECONDS = 0.0005  # as a server has it


@contextmanager
def longest_wait() -> Iterator[Callable[[], float]]:
    """Yield what returns the longest time, in seconds, for which a thread has waited for the interpreter since."""
    ended, longest = threading.Event(), [0.0]

    def beat() -> None:
        last = time.perf_counter()
        while not ended.is_set():
            time.sleep(0)
            now = time.perf_counter()
            longest[0], last = max(longest[0], now - last), now

    thread = threading.Thread(target=beat)
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    thread.start()
    try:
        yield lambda: longest[0]
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(before)


def reading_of(features: OnlineFeatures) -> tuple[ItemReading, Popularity]:
    """Return what reads the items for a feed, and takes the click rates."""
    config, popularity = FeedConfig(), Popularity(source=features)
    return ItemReading(features, config, signals_of(features.plan.system, config), popularity.supply), popularity


def looked(reading: ItemReading) -> float:
    """Look once; return the seconds of CPU time."""
    started = time.thread_time()
    assert reading.items(to_micros(SystemClock().now()), lambda: True) is not None
    return time.thread_time() - started


def longest_piece(reading: ItemReading) -> float:
    """Look once; return the most seconds of CPU time between two rests."""
    longest, last = 0.0, time.thread_time()

    def goes_on() -> bool:
        nonlocal longest, last
        now = time.thread_time()
        longest, last = max(longest, now - last), now
        return True

    reading.items(to_micros(SystemClock().now()), goes_on)
    goes_on()
    return longest


def held(features: OnlineFeatures, looks: int) -> float:
    """Return the longest wait of another thread during the best of so many looks, or of as many rests without one."""
    waits = []
    for _ in range(_LOOKS):
        with longest_wait() as waited:
            if looks:
                looked(reading_of(features)[0])
            else:
                time.sleep(0.2)
            waits.append(waited())
    return min(waits)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a home with online features")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home = options.home or folder / "home"
        if not options.home:
            make_home(home)
        features = stack.enter_context(closing(open_project(folder, home=home.absolute()).online_features(ahead=True)))
        features.refresh()
        scans = [looked(reading_of(features)[0]) for _ in range(_LOOKS)]
        tracemalloc.start()
        reading, popularity = reading_of(features)
        looked(reading)
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        items = reading.items(to_micros(SystemClock().now()), lambda: True)
        assert items is not None
        figures = {
            "items": len(items),
            "rates": 0 if popularity.table is None else len(popularity.table),
            "scan_cpu_ms": round(min(scans) * 1e3, 1),
            "piece_cpu_ms": round(min(longest_piece(reading_of(features)[0]) for _ in range(_LOOKS)) * 1e3, 2),
            "unchanged_cpu_ms": round(looked(reading) * 1e3, 3),
            "held_ms": round(held(features, 1) * 1e3, 2),
            "idle_held_ms": round(held(features, 0) * 1e3, 2),
            "table_bytes_an_item": round(kept / len(items)),
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
