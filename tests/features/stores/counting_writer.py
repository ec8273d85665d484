"""A worker to be killed: counts numbered events, reading, adding and applying batch by batch.

python counting_writer.py lmdb FOLDER TARGET SEED [MOST]    |    redis URL TARGET SEED [MOST]

Prints the offset after every batch that was acknowledged. Batches have 1 to MOST (40) events.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from orita.core.errors import OritaError
from orita.features.stores.store import OnlineStore

__all__ = ["SOURCE", "count", "counted", "keys_of"]

SOURCE = "interactions/3"


def keys_of(event: int) -> tuple[bytes, bytes]:
    """Return the two counters that an event adds to."""
    return b"item %d" % (event * event % 13), b"pair %d/%d" % (event % 11, event % 97)


def counted(end: int) -> dict[bytes, bytes]:
    """Return every counter after the events below *end*."""
    counts: dict[bytes, int] = {}
    for event in range(end):
        for key in keys_of(event):
            counts[key] = counts.get(key, 0) + 1
    return {key: b"%d" % count for key, count in counts.items()}


def count(store: OnlineStore, target: int, draw: random.Random, most: int, tell: Callable[[int], None]) -> None:
    """Count events up to *target*; where the store fails, try again from what it says."""
    while True:
        try:
            first = store.offset(SOURCE) or 0
            if first >= target:
                return
            after = min(first + draw.randint(1, most), target)
            keys = [key for event in range(first, after) for key in keys_of(event)]
            found = store.get_many(keys)
            counts = {key: int(raw or b"0") for key, raw in zip(keys, found, strict=True)}
            for key in keys:
                counts[key] += 1
            if store.apply(SOURCE, first, after, [(key, b"%d" % number) for key, number in counts.items()]):
                tell(after)
        except OritaError:
            time.sleep(0.01)


def _open(kind: str, where: str) -> OnlineStore:
    if kind == "lmdb":
        from orita.features.stores.lmdb import LmdbStore

        return LmdbStore(Path(where), capacity=1 << 16)
    from orita.features.stores.redis import RedisConfig, RedisStore

    return RedisStore(RedisConfig(url=where), system="counted")


def _tell(offset: int) -> None:
    sys.stdout.write(f"{offset}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    kind, where, target, seed, *rest = sys.argv[1:]
    most = int(rest[0]) if rest else 40
    count(_open(kind, where), int(target), random.Random(int(seed)), most, _tell)
