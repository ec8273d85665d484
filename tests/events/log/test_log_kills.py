"""Writers and consumers that are killed, writers in several processes, and a disk that is full."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from orita.core.home import Home
from orita.events.log.embedded import EmbeddedLog

# Two threads append groups of seven numbered rows each, and say which are acknowledged; a point of the code may kill.
_WRITER = """
import importlib, os, signal, sys, threading
from pathlib import Path
import pyarrow as pa
from orita.core.home import Home
from orita.events.log.embedded import EmbeddedLog

home, begin, turns, module, name, call = sys.argv[1:]
log = EmbeddedLog(Home(Path(home)), segment_bytes=20_000)
if module:
    owner = importlib.import_module(module)
    *classes, name = name.split(".")
    for part in classes:
        owner = getattr(owner, part)
    original, calls = getattr(owner, name), iter(range(int(call), -1, -1))
    def killing(*arguments, **options):
        if next(calls) == 0:
            if name == "pwritev":
                os.pwrite(arguments[0], bytes(arguments[1][0])[:20], arguments[2])
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)
    setattr(owner, name, killing)

def write(thread):
    for turn in range(int(turns)):
        first = int(begin) + turn * 7
        rows = {"thread": [thread] * 7, "n": list(range(first, first + 7))}
        log.append("s", pa.table(rows), key=["thread"])
        os.write(1, b"%d %d\\n" % (thread, first))

threads = [threading.Thread(target=write, args=(thread,)) for thread in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def _start(home: Home, begin: int, turns: int, point: tuple[str, str, int] = ("", "", 0)) -> subprocess.Popen[str]:
    arguments = [str(home.root), str(begin), str(turns), point[0], point[1], str(point[2])]
    return subprocess.Popen([sys.executable, "-c", _WRITER, *arguments], stdout=subprocess.PIPE, text=True)


def _acknowledged(output: str) -> list[tuple[int, int]]:
    lines = output.splitlines(keepends=True)
    return [(int(a), int(b)) for a, b in (line.split() for line in lines if line.endswith("\n"))]


def _check(home: Home, acknowledged: list[tuple[int, int]]) -> None:
    """Every acknowledged row is there once, each thread's rows in order, no append half."""
    log = EmbeddedLog(home)
    found: dict[int, list[int]] = defaultdict(list)
    for partition in range(log.partitions("s")):
        offset = 0
        while (batch := log.read("s", partition, offset, 10_000)).rows.num_rows:
            assert batch.first == offset
            offset = batch.next
            for thread, n in zip(*(batch.rows.column(name).to_pylist() for name in ("thread", "n")), strict=True):
                found[thread].append(n)
        assert offset == log.end("s", partition)
    log.close()
    for thread, numbers in found.items():
        groups = [numbers[at : at + 7] for at in range(0, len(numbers), 7)]
        assert all(group == list(range(group[0], group[0] + 7)) for group in groups)
        firsts = [group[0] for group in groups]
        assert firsts == sorted(set(firsts))
        assert {first for who, first in acknowledged if who == thread} <= set(firsts)
    assert {who for who, _ in acknowledged} <= set(found)


def _kill_storm(home: Home, kills: int) -> None:
    log = EmbeddedLog(home)
    log.create("s", 1 + kills % 2)
    log.close()
    random_, acknowledged = random.Random(kills), []
    for number in range(kills):
        child = _start(home, number * 1_000_000, 100_000)
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(random_.uniform(0, 0.1))
        child.send_signal(signal.SIGKILL)
        acknowledged += _acknowledged(first + child.communicate()[0])
        assert child.returncode == -9
        if number % 10 == 9 or number < 3:
            _check(home, acknowledged)
    _check(home, acknowledged)


def test_ten_kills_lose_no_acknowledged_row(tmp_path: Path) -> None:
    """A writer that is killed at ten random moments: what it acknowledged is there once, in order, nothing half."""
    _kill_storm(Home(tmp_path), 10)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_kills_lose_no_acknowledged_row(tmp_path: Path) -> None:
    """The same at a hundred random moments."""
    _kill_storm(Home(tmp_path), 101)


_POINTS = {
    "amid a frame": ("os", "pwritev", 5),
    "before the sync": ("os", "fdatasync", 5),
    "between sync and acknowledgement": ("orita.events.log.partition", "Partition.advance", 5),
    "amid a new segment": ("orita.events.log.writer", "sync_directory", 2),
    "amid the first segment": ("orita.events.log.writer", "sync_directory", 0),
    "before the first schema": ("orita.events.log.schemas", "atomic_file", 0),
}


@pytest.mark.parametrize("point", _POINTS)
def test_a_kill_between_any_two_steps_loses_nothing(point: str, tmp_path: Path) -> None:
    """Killed at a given step of an append, the log holds what was acknowledged, and takes more."""
    home = Home(tmp_path)
    log = EmbeddedLog(home)
    log.create("s", 1)
    log.close()
    killed = _start(home, 0, 1000, _POINTS[point])
    acknowledged = _acknowledged(killed.communicate(timeout=60)[0])
    assert killed.returncode == -9
    _check(home, acknowledged)
    after = _start(home, 1_000_000, 20)
    acknowledged += _acknowledged(after.communicate(timeout=60)[0])
    assert after.returncode == 0
    _check(home, acknowledged)
    assert len(acknowledged) >= 40


def test_processes_append_at_once(tmp_path: Path) -> None:
    """Three processes of two threads append to the same partitions: nothing is lost, offsets are dense."""
    home = Home(tmp_path)
    log = EmbeddedLog(home)
    log.create("s", 2)
    children = [_start(home, number * 1_000_000, 100) for number in range(3)]
    acknowledged = [pair for child in children for pair in _acknowledged(child.communicate(timeout=60)[0])]
    assert len(acknowledged) == 3 * 2 * 100
    rows = []
    for partition in range(2):
        offset = 0
        while (batch := log.read("s", partition, offset, 10_000)).rows.num_rows:
            rows += batch.rows.to_pylist()
            offset = batch.next
    log.close()
    expected = {(who, first + i) for who, first in acknowledged for i in range(7)}
    assert len(rows) == len(expected)
    assert {(row["thread"], row["n"]) for row in rows} == expected


_CONSUMER = """
import sys
from pathlib import Path
from orita.core.home import Home
from orita.events.log.embedded import EmbeddedLog

log = EmbeddedLog(Home(Path(sys.argv[1])))
with log.consumer("s", "g") as consumer:
    while True:
        consumer.poll(10, 0.02)
        print(*sorted(consumer.partitions), flush=True)
"""


@contextmanager
def _consuming(home: Home) -> Iterator[IO[str]]:
    child = subprocess.Popen([sys.executable, "-c", _CONSUMER, str(home.root)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        yield child.stdout
    finally:
        child.kill()
        child.communicate()


def test_partitions_of_a_killed_consumer_are_taken_over(tmp_path: Path) -> None:
    """Another process's consumer takes half of the partitions; once it is killed, they come back."""
    home, deadline = Home(tmp_path), time.monotonic() + 60
    log = EmbeddedLog(home)
    log.create("s", 4)
    with log.consumer("s", "g") as consumer:
        with _consuming(home) as output:
            theirs: frozenset[int] = frozenset()
            while len(theirs) != 2 or len(consumer.partitions) != 2:
                assert time.monotonic() < deadline
                consumer.poll(10)
                theirs = frozenset(map(int, output.readline().split()))
                assert not theirs & consumer.partitions
            assert theirs | consumer.partitions == {0, 1, 2, 3}
        while len(consumer.partitions) != 4:
            assert time.monotonic() < deadline
            consumer.poll(10, 0.02)
    log.close()


# Appends until the disk is full, twice after the space is given back; says what was acknowledged.
_FULL = """
import json, os, resource, sys
from pathlib import Path
import pyarrow as pa
from orita.core.home import Home
from orita.events.log.embedded import EmbeddedLog
from orita.events.log.log import AppendFailed

home, limits = Path(sys.argv[1]), json.loads(sys.argv[2])
log = EmbeddedLog(Home(home))
log.create("s", 2)
ballast, acknowledged, sentences = home / "ballast", [], []
if not limits:
    ballast.write_bytes(bytes(600_000))
for limit in limits or [0, 0]:
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    begin = 1_000_000 * len(sentences)
    while True:
        rows = {"u": list(range(9)), "n": list(range(begin, begin + 9)), "noise": [os.urandom(700) for _ in range(9)]}
        try:
            log.append("s", pa.table(rows), key=["u"])
        except AppendFailed as error:
            sentences.append(str(error))
            ends = [log.end("s", 0), log.end("s", 1)]
            break
        acknowledged.append(begin)
        begin += 9
    ballast.unlink(missing_ok=True)
print(json.dumps([acknowledged, sentences]))
"""


def _fill(folder: Path, limits: list[int]) -> None:
    child = subprocess.run(
        [sys.executable, "-c", _FULL, str(folder), json.dumps(limits)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert child.returncode == 0, child.stderr
    acknowledged, sentences = json.loads(child.stdout)
    assert len(sentences) == 2
    assert all("make room below" in sentence for sentence in sentences)
    assert {begin // 1_000_000 for begin in acknowledged} == {0, 1}, "appends did not go on once there was room"
    log, found = EmbeddedLog(Home(folder)), []
    for partition in range(2):
        offset = 0
        while (batch := log.read("s", partition, offset, 100)).rows.num_rows:
            found += batch.rows.column("n").to_pylist()
            offset = batch.next
    log.close()
    assert len(found) == len(set(found))
    assert {begin + i for begin in acknowledged for i in range(9)} <= set(found)


def test_a_full_disk_is_an_error_and_no_damage(tmp_path: Path) -> None:
    """A file that may not grow ends an append with a sentence; rows are whole, and appends go on when it may."""
    _fill(tmp_path, [50_000, 90_000])


def test_a_full_file_system_is_an_error_and_no_damage(tmp_path: Path) -> None:
    """The same on a real file system of 1 MB, where this process may mount one."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    mounted = subprocess.run(command, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this process may not mount a file system; the limit on file sizes is tested everywhere")
    try:
        _fill(tmp_path, [])
    finally:
        subprocess.run(["umount", tmp_path], check=True)
