"""Profiles of a stream: each row once, whatever is killed and whenever; slices that merge to what the rows say."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from orita.core.errors import UserError
from orita.core.home import Home
from orita.events.log.embedded import EmbeddedLog
from orita.monitoring.profiles import streamed
from orita.monitoring.profiles.profiler import Key, Slicing, rolled_up
from orita.monitoring.profiles.streamed import StreamProfiles, follow_stream
from orita.monitoring.profiles.table import TableProfile

_START = datetime(2024, 11, 15, tzinfo=UTC)
_HOURS = Slicing(time="timestamp", every=timedelta(hours=1))


def pushed(log: EmbeddedLog, rows: int, seed: int, hours: int = 6) -> np.ndarray:
    """Append rows of some hours, one of them without a time; return their values."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    at = [_START + timedelta(seconds=int(s)) for s in rng.integers(0, hours * 3_600, rows)]
    table = pa.table(
        {
            "timestamp": pa.array([None, *at[1:]], pa.timestamp("us", "UTC")),
            "user_id": rng.integers(0, 50, rows),
            "x": x,
        }
    )
    log.append("events", table, key=["user_id"])
    return x


@pytest.fixture
def log(tmp_path: Path) -> EmbeddedLog:
    """A log with a stream of two partitions."""
    made = EmbeddedLog(Home(tmp_path))
    made.create("events", 2)
    return made


def whole_of(parts: Mapping[Key, TableProfile]) -> TableProfile:
    """Return the profile of all rows."""
    return next(iter(rolled_up(parts, segments=False).values()))


def test_rows_are_followed_from_where_it_was(log: EmbeddedLog, tmp_path: Path) -> None:
    """A second run adds what came since, late rows too; a third nothing."""
    first = pushed(log, 3_000, 0)
    assert whole_of(follow_stream(Home(tmp_path), log, "events").read()).rows == 3_000
    second = pushed(log, 2_000, 1, hours=8)
    for _ in range(2):
        kept = follow_stream(Home(tmp_path), log, "events")
        found = whole_of(kept.read())
        assert found.rows == 5_000
        assert found.columns["x"].moments.mean == pytest.approx(np.concatenate([first, second]).mean())
    assert {at for at in kept.files if at is not None} == {
        int((_START + timedelta(hours=hour)).timestamp() * 1e6) for hour in range(8)
    }
    assert None in kept.files
    one = int(_START.timestamp() * 1e6)
    assert whole_of(kept.read(one, one + 1)).rows < whole_of(kept.read()).rows
    assert log.committed("profiles", "events", 0) == kept.offsets[0]


@pytest.mark.parametrize("after", ["read_profiles", "write_profiles", "atomic_file"])
def test_a_kill_anywhere_counts_each_row_once(
    log: EmbeddedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """Ended while slices are merged, when some are written, and before the rename: the next run has each row once."""
    home = Home(tmp_path)
    pushed(log, 2_000, 0)
    follow_stream(home, log, "events")
    pushed(log, 2_000, 1)
    calls, real = [0], getattr(streamed, after)

    def killed(*arguments: object) -> object:
        calls[0] += 1
        if calls[0] == (1 if after == "atomic_file" else 3):
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(streamed, after, killed)
        with pytest.raises(KeyboardInterrupt):
            follow_stream(home, log, "events")
    assert whole_of(StreamProfiles.open(home, "events", _HOURS).read()).rows == 2_000
    kept = follow_stream(home, log, "events")
    assert whole_of(kept.read()).rows == 4_000
    assert {path.name for path in kept.folder.glob("*.parquet")} == set(kept.files.values())


def test_a_kill_after_the_commit_loses_nothing(
    log: EmbeddedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the state names is in, also where the log did not hear of it."""
    home = Home(tmp_path)
    pushed(log, 1_000, 0)

    def killed(kept: StreamProfiles) -> None:
        if kept.turn:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(StreamProfiles, "tidy", killed)
        with pytest.raises(KeyboardInterrupt):
            follow_stream(home, log, "events")
    assert log.committed("profiles", "events", 0) is None
    assert whole_of(follow_stream(home, log, "events").read()).rows == 1_000


def test_many_commits_are_one_profile(log: EmbeddedLog, tmp_path: Path) -> None:
    """However few rows a commit has."""
    values = pushed(log, 2_000, 0, hours=2)
    kept = follow_stream(Home(tmp_path), log, "events", commit_rows=1)
    assert whole_of(kept.read()).columns["x"].moments.maximum == values.max()


def test_one_process_follows(log: EmbeddedLog, tmp_path: Path) -> None:
    """A second one is refused while the first is there."""
    pushed(log, 10, 0)
    kept = follow_stream(Home(tmp_path), log, "events")
    with (kept.folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process profiles stream 'events'"):
            follow_stream(Home(tmp_path), log, "events")


def test_slices_do_not_change_their_length(log: EmbeddedLog, tmp_path: Path) -> None:
    """What is kept by the hour is not followed by the day; the sentence says what to do."""
    pushed(log, 10, 0)
    follow_stream(Home(tmp_path), log, "events")
    with pytest.raises(UserError, match=r"slices of timestamp of 3600 s: follow it so, or delete"):
        follow_stream(Home(tmp_path), log, "events", Slicing(time="timestamp", every=timedelta(days=1)))
