"""What a kill, a power cut or a broken disk leaves behind: cut, kept or named, never skipped."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.log import partition as partition_module
from orita.events.log.embedded import EmbeddedLog
from orita.events.log.frame import encode_rows
from orita.events.log.log import AppendFailed, BrokenLog


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with ten appends of ten rows in one partition."""
    home = Home(tmp_path)
    log = EmbeddedLog(home, ManualClock())
    log.create("s", 1)
    for begin in range(0, 100, 10):
        _append(log, begin, 10)
    log.close()
    return home


def _append(log: EmbeddedLog, begin: int, n: int) -> None:
    log.append("s", pa.table({"n": list(range(begin, begin + n))}), key=["n"])


def _numbers(home: Home, offset: int = 0) -> list[int]:
    log, found = EmbeddedLog(home, ManualClock()), []
    while (batch := log.read("s", 0, offset, 1000)).rows.num_rows:
        found += batch.rows.column("n").to_pylist()
        offset = batch.next
    log.close()
    return found


def _folder(home: Home) -> Path:
    return home.events / "s" / "00000"


def _segment(home: Home) -> Path:
    (path,) = _folder(home).glob("*.seg")
    return path


@pytest.fixture
def reboot(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the machine's kernel is another one."""
    monkeypatch.setattr(partition_module, "_boot", lambda: b"another boot    ")


@pytest.mark.parametrize("end", ["stale", "lost"])
def test_a_torn_tail_is_cut_after_a_power_cut(end: str, home: Home, request: pytest.FixtureRequest) -> None:
    """Wherever the last frame was cut, the whole frames before it are kept, and appends go on after them."""
    segment, end_file = _segment(home), _folder(home) / "end"
    before, end_before = segment.read_bytes(), end_file.read_bytes()
    _append(EmbeddedLog(home, ManualClock()), 100, 10)
    whole = segment.read_bytes()
    request.getfixturevalue("reboot")
    for cut in range(len(before), len(whole) + 1, 13):
        segment.write_bytes(whole[:cut])
        end_file.write_bytes(end_before if end == "stale" else b"")
        expected = list(range(110 if cut == len(whole) else 100))
        assert _numbers(home) == expected
        log = EmbeddedLog(home, ManualClock())
        _append(log, 500, 1)
        log.close()
        assert _numbers(home) == [*expected, 500]


def test_garbage_after_the_last_frame_is_cut(home: Home, reboot: None) -> None:
    """Blocks of zeros or noise that a power cut left at the end are no rows, and no error."""
    for noise in (bytes(5000), os.urandom(5000), b"OEL1" * 100):
        with _segment(home).open("ab") as file:
            file.write(noise)
        (_folder(home) / "end").write_bytes(b"")
        assert _numbers(home) == list(range(100))


def test_rows_are_not_seen_before_they_are_durable(home: Home) -> None:
    """A whole frame that was written and not synced is invisible, and the next writer cuts it off."""
    payload = encode_rows(pa.record_batch({"n": [666]}), 1)
    with _segment(home).open("ab") as file:
        file.write(payload.header(100, 0, 100) + bytes(payload.content))
    assert _numbers(home) == list(range(100))
    log = EmbeddedLog(home, ManualClock())
    _append(log, 100, 1)
    log.close()
    assert _numbers(home) == list(range(101))


def test_what_a_killed_writer_left_does_not_stay_in_a_full_segment(home: Home) -> None:
    """Bytes of a killed writer are cut even where the next append is shorter and the segment then ends."""
    with _segment(home).open("ab") as file:
        file.write(os.urandom(50_000))
    log = EmbeddedLog(home, ManualClock())
    _append(log, 100, 1)
    log.close()
    log = EmbeddedLog(home, ManualClock(), segment_bytes=1)
    _append(log, 101, 1)
    log.close()
    assert len(list(_folder(home).glob("*.seg"))) == 2
    assert _numbers(home) == list(range(102))


def test_a_refused_append_does_not_come_back(
    home: Home, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Rows that were written, not synced, and refused are gone after a power cut too."""
    log = EmbeddedLog(home, ManualClock())
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", _failing)
        with pytest.raises(AppendFailed):
            _append(log, 100, 10)
    request.getfixturevalue("reboot")
    assert _numbers(home) == list(range(100))


def _failing(descriptor: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def _flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)


def test_a_broken_frame_in_the_middle_is_named(home: Home) -> None:
    """A flipped bit in acknowledged rows is an error with file and byte; no row is skipped or made up."""
    segment = _segment(home)
    whole = segment.read_bytes()
    size = len(whole) // 10
    for position in range(size * 4, size * 5, 7):
        _flip(segment, position)
        with pytest.raises(BrokenLog, match=rf"{segment} is damaged: .*byte {size * 4}\D"):
            _numbers(home, offset=40)
        segment.write_bytes(whole)
    assert _numbers(home) == list(range(100))


@pytest.mark.parametrize("end", ["kept", "lost"])
def test_damage_is_not_taken_for_a_torn_tail(end: str, home: Home, reboot: None) -> None:
    """After a power cut a broken frame that later frames prove acknowledged is refused, and nothing is cut."""
    segment = _segment(home)
    size = segment.stat().st_size
    _flip(segment, size // 2)
    if end == "lost":
        (_folder(home) / "end").write_bytes(b"")
        with pytest.raises(BrokenLog, match="written after it was durable"):
            _append(EmbeddedLog(home, ManualClock()), 100, 1)
    else:
        with pytest.raises(BrokenLog, match="damaged"):
            _numbers(home)
    assert segment.stat().st_size == size


def test_a_segment_that_lost_its_end_is_refused(home: Home) -> None:
    """A segment that is shorter than its durable end is damage, for writers and for readers."""
    segment = _segment(home)
    os.truncate(segment, segment.stat().st_size - 1)
    with pytest.raises(BrokenLog, match="before its durable end"):
        _append(EmbeddedLog(home, ManualClock()), 100, 1)
    with pytest.raises(BrokenLog, match="damaged"):
        _numbers(home, offset=95)


def test_a_read_looks_at_a_small_part_of_a_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the index a read near the end of 4 MB looks at a few hundred kB; without it the rows are the same."""
    log = EmbeddedLog(Home(tmp_path), ManualClock())
    log.create("s", 1)
    noise = os.urandom(4000)
    for n in range(1000):
        log.append("s", pa.table({"n": [n], "noise": [noise]}), key=["n"])
    log.close()
    looked: list[int] = []
    pread = os.pread

    def counting(descriptor: int, length: int, position: int) -> bytes:
        raw = pread(descriptor, length, position)
        looked.append(len(raw))
        return raw

    monkeypatch.setattr(os, "pread", counting)
    log = EmbeddedLog(Home(tmp_path), ManualClock())
    assert log.read("s", 0, 990, 1).rows.column("n").to_pylist() == [990]
    assert sum(looked) < 600_000 < _segment(Home(tmp_path)).stat().st_size / 6
    (index,) = _folder(Home(tmp_path)).glob("*.idx")
    for damaged in (bytes(index.stat().st_size), os.urandom(100), b""):
        index.write_bytes(damaged)
        assert EmbeddedLog(Home(tmp_path), ManualClock()).read("s", 0, 990, 1).rows.column("n").to_pylist() == [990]


def test_a_read_is_bounded_in_memory(tmp_path: Path) -> None:
    """However many rows are asked for, one read returns some 16 MiB, and the rest comes with the next ones."""
    log = EmbeddedLog(Home(tmp_path), ManualClock())
    log.create("s", 1)
    for n in range(40):
        log.append("s", pa.table({"n": [n], "noise": [os.urandom(1 << 20)]}), key=["n"])
    first = log.read("s", 0, 0, 1_000_000)
    assert 10 <= first.rows.num_rows <= 17
    assert log.read("s", 0, first.next, 1_000_000).rows.column("n")[0].as_py() == first.next


@pytest.mark.parametrize("call", ["pwritev", "fdatasync", "pwrite"])
def test_a_failing_disk_leaves_the_partition_as_it_was(call: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever write or sync fails, the append says so, nothing of it is kept, and the next one works."""
    log = EmbeddedLog(home, ManualClock())
    real = getattr(os, call)

    def full(*arguments: Any) -> None:
        if call == "pwritev":
            real(arguments[0], [bytes(30)], arguments[2])
        raise OSError(errno.ENOSPC, "No space left on device")

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(AppendFailed, match=r"No space left on device.*make room"):
                _append(log, 100, 10)
    assert _numbers(home) == list(range(100))
    _append(log, 100, 10)
    log.close()
    assert _numbers(home) == list(range(110))


def test_appends_that_wait_together_share_a_sync(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a slow disk syncs, the appends of other threads gather, and the next sync is for all of them."""
    log, syncs = EmbeddedLog(home, ManualClock()), []

    def slow(descriptor: int) -> None:
        syncs.append(descriptor)
        time.sleep(0.02)

    monkeypatch.setattr(os, "fdatasync", slow)

    def write(thread: int) -> None:
        for turn in range(5):
            _append(log, 100 + thread * 5 + turn, 1)

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    log.close()
    assert sorted(_numbers(home)) == list(range(140))
    assert len(syncs) <= 20
