"""Tables and stream together are the event log: where one hands over to the other, each event counts once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from tests.features.stream.counting_worker import SHOWN, counting_plan
from tests.features.stream.test_stream_worker import append, assert_counted, drain, made

from orita.core.errors import OritaError
from orita.core.home import Home
from orita.events.lake import Lake
from orita.events.log.embedded import EmbeddedLog
from orita.events.sink import sink
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.generation import Generation
from orita.features.generations.publish import publish
from orita.features.state.layout import RESERVED
from orita.features.stores.lmdb import LmdbStore
from orita.features.stream.intake import offset_name
from orita.features.stream.worker import StreamWorker

PLAN = counting_plan()


def published(home: Home, folder: Path, at_once: int = 7) -> Generation:
    """Publish what the lake has of the log."""
    snapshot = Lake(home).snapshot("interactions")
    offsets = {offset_name(SHOWN, p): at for p, at in Lake(home).offsets("interactions", snapshot.version).items()}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return publish(
            PLAN,
            connection,
            {"interactions": snapshot.sql},
            FolderGenerations(folder),
            tables={"interactions": snapshot.version},
            offsets=offsets,
            unique=True,
            at_once=at_once,
        )


def rows_of(store: LmdbStore) -> dict[bytes, Any]:
    """Return the records of keys, without what the engines keep for themselves."""
    return {key: np.frombuffer(row).tolist() for key, row in store.scan() if key[:1] < b"\x80"}


def test_the_stream_goes_on_where_the_tables_end(tmp_path: Path) -> None:
    """Half of the log comes by the lake, and its rows are retired; half by the stream; one event is in both halves."""
    home = Home(tmp_path)
    log, events = EmbeddedLog(home, segment_bytes=1), made(120)
    for first in range(0, 60, 20):
        append(log, events[first : first + 20])
    sink(home, log, "interactions", SHOWN.schema)
    generation = published(home, tmp_path / "online")
    append(log, [events[59], *events[60:]])
    log.retain("interactions", covered={p: at - 5 for p, at in Lake(home).offsets("interactions").items()}, max_bytes=1)
    assert any(log.start("interactions", p) for p in range(3)), "nothing was retired"
    with_store = LmdbStore(tmp_path / "online" / generation.name)
    worker = StreamWorker(PLAN, log, with_store, "g", most_rows=9)
    done = drain(worker)
    assert (done["counted"], done["duplicates"]) == (60, 1)
    assert_counted(with_store, events)
    worker.close()


def test_a_killed_publish_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publish that ends after any of its pieces leaves no half state, and the next one counts the rest only."""
    home = Home(tmp_path)
    log, events = EmbeddedLog(home), made(50)
    append(log, events)
    sink(home, log, "interactions", SHOWN.schema)
    whole = published(home, tmp_path / "whole")
    expected = rows_of(LmdbStore(tmp_path / "whole" / whole.name))
    applied = LmdbStore.apply
    calls = 0

    def failing(self: LmdbStore, *arguments: Any, **more: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            raise OritaError("killed")
        return applied(self, *arguments, **more)

    monkeypatch.setattr(LmdbStore, "apply", failing)
    folder, tries = tmp_path / "broken", 0
    while FolderGenerations(folder).current() is None:
        tries += 1
        try:
            published(home, folder)
        except OritaError:
            assert tries < 20
    monkeypatch.undo()
    made_of = FolderGenerations(folder).current()
    assert made_of is not None
    assert tries > 2
    assert (made_of.events, made_of.records, made_of.watermark) == (whole.events, whole.records, whole.watermark)
    assert rows_of(LmdbStore(folder / made_of.name)) == expected
    assert len(list(folder.glob("gen-*"))) == 1


def test_the_engines_keep_their_own_records_apart(tmp_path: Path) -> None:
    """What a worker remembers stands under keys that no record of a key can have."""
    log, store = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state")
    append(log, made(10))
    worker = StreamWorker(PLAN, log, store, "g")
    drain(worker)
    own = [key for key, _ in store.scan(RESERVED)]
    assert own
    assert all(key not in rows_of(store) for key in own)
    worker.close()
