"""A stream worker whose disk is full: it counts until LMDB may not grow its file, then is given space and goes on.

python -m tests.features.stream.filling_worker HOME EVENTS LIMIT     # prints one JSON object

It counts the events of ``made(EVENTS)``, which lie in the log, and asserts what is counted in between.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from tests.features.stream.counting_worker import SHOWN, counting_plan
from tests.features.stream.test_stream_worker import assert_counted, drain, made

from orita.core.errors import Unavailable
from orita.core.home import Home
from orita.events.log.embedded import EmbeddedLog
from orita.features.stores.lmdb import LmdbStore
from orita.features.stream.intake import offset_name
from orita.features.stream.worker import StreamWorker


def fill(worker: StreamWorker) -> str:
    """Count until that fails; return the sentence."""
    for _ in range(10_000):
        try:
            worker.step(0.02)
        except Unavailable as error:
            return str(error)
    raise AssertionError("the file did not fill")


def main() -> None:
    """Fill, fill again, get space, go on; assert what is counted in between."""
    root, count, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    events, log, store = made(count), EmbeddedLog(Home(root)), LmdbStore(root / "state", capacity=1 << 16)
    worker = StreamWorker(counting_plan(), log, store, "state", most_rows=100)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    sentences = [fill(worker), fill(worker)]
    full_at = store.offset(offset_name(SHOWN, 0)) or 0
    assert_counted(store, events[:full_at])
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    after = drain(worker)
    assert_counted(store, events)
    worker.close()
    store.close()
    sys.stdout.write(json.dumps({"sentences": sentences, "full_at": full_at, "after": after["counted"]}))


if __name__ == "__main__":
    main()
