"""A worker whose disk is full: applies batches until LMDB may not grow its file, then is given space.

python full_disk.py FOLDER     # prints one JSON object
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from orita.core.errors import OritaError
from orita.features.stores.lmdb import LmdbStore


def fill(store: LmdbStore) -> str:
    """Apply batches of 100 records, each of its own number, until that fails; return the sentence."""
    for _ in range(10_000):
        at = store.offset("s") or 0
        changes = [(b"%d/%d" % (at % 40, number), b"%d" % at * 100) for number in range(100)]
        try:
            assert store.apply("s", at, at + 1, changes)
        except OritaError as error:
            return str(error)
        if at == 60:
            return ""
    raise AssertionError("the file did not fill")


def whole(store: LmdbStore) -> bool:
    """Say whether the store holds whole batches, as many as its offset says."""
    at = store.offset("s") or 0
    expected = {b"%d/%d" % (batch % 40, number): b"%d" % batch * 100 for batch in range(at) for number in range(100)}
    return dict(store.scan()) == expected


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    store = LmdbStore(folder, capacity=1 << 16)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    seen: dict[str, object] = {"sentences": [fill(store), fill(store)], "whole": whole(store)}
    seen["full_at"] = store.offset("s")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    seen |= {"later": fill(store), "at": store.offset("s"), "whole_later": whole(store)}
    store.close()
    store = LmdbStore(folder)
    seen["whole_reopened"] = whole(store)
    store.close()
    sys.stdout.write(json.dumps(seen))
