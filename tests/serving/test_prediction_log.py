from __future__ import annotations

import errno
import io
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.serving.patience import attempts

from orita.core.clock import to_micros
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.events import prediction_files
from orita.events.prediction_files import convert_segment, segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader, encode_frame, read_segment
from orita.events.predictions import prediction_log
from orita.serving.config import PredictionLogConfig
from orita.serving.log.backlog import LogBacklog
from orita.serving.log.prediction_log import PredictionLog
from orita.serving.log.segment_converter import SegmentConverter
from orita.serving.log.segment_file import SegmentFile, lock_abandoned
from orita.serving.protocols import LogStream

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)
STREAM = LogStream("feed", "v1.0.0", ("a", "b"))
OTHER, THIRD = LogStream("feed", "v2.0.0", ("a", "b")), LogStream("feed", "v3.0.0", ("a", "b"))


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stop wait for as long as a busy machine needs."""
    monkeypatch.setattr("orita.serving.log.segment_converter._STOP_SECONDS", 60.0)


def scored(number: int, items: int = 3, at: datetime = AT) -> ScoredRequest:
    """Return an answered request with the id ``r<number>``."""
    scores_N = np.linspace(0.9, 0.1, items, dtype=np.float32)
    return ScoredRequest(
        at_micros=to_micros(at),
        as_of_micros=to_micros(at),
        request_id=f"r{number}",
        salt=random.getrandbits(62),
        user_id=number,
        item_ids=list(range(items)),
        latency_ms=1.0,
        scores=scores_N.tobytes(),
        ranks=np.arange(1, items + 1, dtype=np.int32).tobytes(),
        features=np.zeros((items, 2), np.float32).tobytes(),
    )


def request_ids(home: Home) -> list[str]:
    """Return the request ids of the log, one a row."""
    ids: list[str] = prediction_log(home, columns=["request_id"])["request_id"].to_pylist()
    return ids


def segments(home: Home) -> list[Path]:
    """Return the segments that are not Parquet."""
    return sorted(segment_folder(home).glob("*"))


def parquet(home: Home) -> list[Path]:
    """Return the Parquet files of the log."""
    return sorted(home.predictions.glob("date=*/*.parquet"))


def test_an_orderly_stop_loses_nothing(home: Home) -> None:
    """After close every row is Parquet, once, and no segment is left."""
    log = PredictionLog(home)
    log.start()
    for number in range(500):
        log.append(STREAM, scored(number))
    log.close()
    assert sorted(request_ids(home)) == sorted(f"r{number}" for number in range(500) for _ in range(3))
    assert len(parquet(home)) == 1
    assert segments(home) == []


def test_rows_are_readable_before_they_are_parquet(home: Home) -> None:
    """What was flushed can be read while the segment is still written, and grows."""
    log = PredictionLog(home)
    log.start()
    try:
        for number in range(3):
            log.append(STREAM, scored(number, items=1))
            assert log.flush()
            assert request_ids(home) == [f"r{i}" for i in range(number + 1)]
        assert parquet(home) == []
        assert log.pending_rows == 0
    finally:
        log.close()


def test_a_log_without_answers_leaves_nothing(home: Home) -> None:
    """A server that answered nothing makes no file."""
    log = PredictionLog(home)
    log.start()
    log.close()
    assert segments(home) == []
    assert parquet(home) == []


def test_another_model_or_day_begins_another_segment(home: Home) -> None:
    """All rows of a file have one day and one model version."""
    log = PredictionLog(home)
    log.start()
    log.append(STREAM, scored(0))
    log.append(LogStream("feed", "v2.0.0", ("b",)), _one_feature(scored(1)))
    log.append(STREAM, scored(2, at=AT + timedelta(days=1)))
    log.close()
    assert [path.parent.name for path in parquet(home)] == [
        "date=2024-11-15",
        "date=2024-11-15",
        "date=2024-11-16",
    ]
    versions = prediction_log(home, columns=["request_id", "model_version"])
    pairs = set(zip(*(versions[name].to_pylist() for name in versions.column_names), strict=True))
    assert pairs == {("r0", "v1.0.0"), ("r1", "v2.0.0"), ("r2", "v1.0.0")}


def test_models_that_answer_by_turns_have_a_segment_each(home: Home) -> None:
    """A rollout does not cut the log into pieces: a file a model, of the few that answer; of more, the latest."""
    streams = [LogStream("feed", f"v1.{number}.0", ("a", "b")) for number in range(10)]
    log = PredictionLog(home, PredictionLogConfig(flush_ms=1))
    log.start()
    for number in range(60):
        log.append(streams[number % 2], scored(number))
        assert log.flush()
    assert len(segments(home)) == 2
    for number, stream in enumerate(streams, start=60):
        log.append(stream, scored(number))
        assert log.flush()
    log.close()
    assert len(parquet(home)) == 10
    assert sorted(request_ids(home)) == sorted([f"r{number}" for number in range(70)] * 3)


def _one_feature(request: ScoredRequest) -> ScoredRequest:
    values = {name: getattr(request, name) for name in request.__struct_fields__}
    return ScoredRequest(**{**values, "features": np.zeros((3, 1), np.float32).tobytes()})


def test_a_full_segment_becomes_parquet(home: Home) -> None:
    """Past its size a segment is closed and the next begun; no row is lost between them."""
    log = PredictionLog(home, PredictionLogConfig(segment_mib=0.01))
    log.start()
    for number in range(40):
        log.append(STREAM, scored(number, items=50))
        assert log.flush()
    log.close()
    assert len(parquet(home)) > 2
    assert sorted(set(request_ids(home))) == sorted(f"r{number}" for number in range(40))
    assert len(request_ids(home)) == 40 * 50


def test_an_old_segment_becomes_parquet(home: Home) -> None:
    """Past its age a segment becomes Parquet without a further request."""
    log = PredictionLog(home, PredictionLogConfig(segment_seconds=0.01, flush_ms=1))
    log.start()
    try:
        log.append(STREAM, scored(0))
        waited = threading.Event()
        while not parquet(home) or segments(home):
            waited.wait(0.01)
        assert request_ids(home) == ["r0"] * 3
    finally:
        log.close()


def test_days_that_are_past_go(home: Home) -> None:
    """A server lets days go that are older than it is to keep, when it has converted a segment."""
    log = PredictionLog(home, PredictionLogConfig(segment_seconds=0.01, flush_ms=1, retention_days=30))
    log.start()
    log.append(STREAM, scored(0))
    assert log.flush()
    while request_ids(home):
        threading.Event().wait(0.01)
    log.close()
    assert parquet(home) == segments(home) == []


def test_room(home: Home) -> None:
    """There is room up to the bound; past it rows are shed, or dropped and counted, as configured."""
    shed = PredictionLog(home, PredictionLogConfig(max_pending_rows=4096))
    assert shed.room(4096)
    assert not shed.room(4097)
    shed.append(STREAM, scored(0, items=4000))
    assert shed.room(96)
    assert not shed.room(97)
    drop = PredictionLog(home, PredictionLogConfig(max_pending_rows=4096, when_full="drop"))
    drop.append(STREAM, scored(0, items=4000))
    assert drop.room(97)
    drop.append(STREAM, scored(1, items=97))
    assert (drop.pending_rows, drop.dropped_rows) == (4000, 97)


def test_whoever_had_room_is_logged(home: Home) -> None:
    """Where requests are shed nothing that was answered is lost: several had the same room before one was logged."""
    log = PredictionLog(home, PredictionLogConfig(max_pending_rows=4096))
    assert [log.room(2000) for _ in range(8)] == [True] * 8
    for number in range(8):
        log.append(STREAM, scored(number, items=2000))
    assert not log.room(1), "who comes now has none"
    log.start()
    log.close()
    assert log.dropped_rows == 0
    assert sorted(set(request_ids(home))) == [f"r{number}" for number in range(8)]


def test_the_flush_interval_is_bounded() -> None:
    """Nobody can configure a log that loses more than 100 ms of answers."""
    assert PredictionLogConfig().flush_ms <= 100
    with pytest.raises(ValueError, match="less than or equal to 100"):
        PredictionLogConfig(flush_ms=101)


def test_a_disk_that_fails_and_recovers(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be written the rows wait and it is told once; then each is there once, torn writes too."""
    monkeypatch.setattr("orita.serving.log.prediction_log._RETRY_SECONDS", 0.01)
    sync, tries, broken = SegmentFile.sync, [0], threading.Event()

    def failing(self: SegmentFile) -> None:
        if broken.is_set():
            tries[0] += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(self)

    monkeypatch.setattr(SegmentFile, "sync", failing)
    with capture_logs() as told:
        log = PredictionLog(home, PredictionLogConfig(flush_ms=1))
        log.start()
        log.append(STREAM, scored(0))
        assert log.flush()
        broken.set()
        log.append(STREAM, scored(1))
        while tries[0] < 3:
            threading.Event().wait(0.01)
        assert log.pending_rows == 3
        # A row that was written and could not be made durable is there until it is taken back.
        assert any(set(request_ids(home)) == {"r0"} for _ in attempts())
        broken.clear()
        assert log.flush()
        log.close()
    assert sorted(request_ids(home)) == ["r0"] * 3 + ["r1"] * 3
    assert [entry["event"] for entry in told] == ["prediction_log_cannot_write"]
    assert told[0]["alert"] is True


def test_a_live_segment_is_left_alone(home: Home) -> None:
    """A starting server converts what dead ones left, never what a living one writes."""
    live = PredictionLog(home)
    live.start()
    live.append(STREAM, scored(0))
    assert live.flush()
    dead = SegmentFile(segment_folder(home), SegmentHeader(f"2024-11-15-{uuid7()}", AT.date(), *_stream()))
    dead.append(encode_frame(scored(1)))
    dead.sync()
    dead.close()
    other = PredictionLog(home)
    other.start()
    other.close()
    assert len(parquet(home)) == 1
    assert len(segments(home)) == 1
    assert lock_abandoned(segments(home)[0]) is None
    live.append(STREAM, scored(2))
    live.close()
    assert sorted(request_ids(home)) == ["r0"] * 3 + ["r1"] * 3 + ["r2"] * 3


def _stream() -> tuple[str, str, tuple[str, ...]]:
    return STREAM.system, STREAM.model_version, STREAM.features


def test_what_cannot_be_converted_stays_readable(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """When Parquet cannot be written the rows stay in their segment, the next server converts them."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, capture_logs() as told:
        patched.setattr("orita.serving.log.segment_conversion.convert_segment", full)
        log = PredictionLog(home)
        log.start()
        log.append(STREAM, scored(0))
        log.close()
    assert [entry["event"] for entry in told] == ["prediction_segment_not_converted"]
    assert request_ids(home) == ["r0"] * 3
    again = PredictionLog(home)
    again.start()
    again.close()
    assert request_ids(home) == ["r0"] * 3
    assert len(parquet(home)) == 1


@pytest.fixture
def priorities(home: Home, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of each process that converts, the priority with which it began; there is something to convert."""
    seen: dict[int, int] = {}

    class Told(subprocess.Popen[str]):
        def communicate(self, *args: Any, **given: Any) -> tuple[str, str]:
            if self.pid not in seen:
                seen[self.pid] = os.getpriority(os.PRIO_PROCESS, self.pid)
                found.append(seen[self.pid])
            return super().communicate(*args, **given)

    found: list[int] = []
    segment_folder(home).mkdir(parents=True)
    (segment_folder(home) / ".new-2024-11-15-x").write_bytes(b"ORITA")
    monkeypatch.setattr("orita.serving.log.segment_converter.subprocess.Popen", Told)
    return found


@pytest.mark.parametrize(
    ("waiting", "segment", "priority"),
    [(0, 64, 19), (600, 64, 10), (5000, 64, 0), (2000, 1024, 19), (9000, 1024, 10), (17_000, 1024, 0)],
)
def test_what_falls_behind_gives_way_less(
    home: Home, monkeypatch: pytest.MonkeyPatch, priorities: list[int], waiting: int, segment: int, priority: int
) -> None:
    """What converts has what others leave over; the more waits, the more it takes, but two segments are not behind."""
    monkeypatch.setattr(SegmentConverter, "waiting_bytes", waiting * 1024 * 1024)
    SegmentConverter(home, segment_bytes=segment * 1024 * 1024)._turn()
    assert priorities == [os.getpriority(os.PRIO_PROCESS, 0) if priority == 0 else priority]
    assert segments(home) == []


def test_what_does_not_end_gives_way_less(home: Home, monkeypatch: pytest.MonkeyPatch, priorities: list[int]) -> None:
    """A process that gets no processor ends after a while, however little waits, and the next one has a tenth."""
    monkeypatch.setattr("orita.serving.log.segment_converter._PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr("orita.serving.log.segment_converter._LOOK_SECONDS", 0.001)
    with capture_logs() as told:
        SegmentConverter(home)._turn()
    assert priorities == [19, 10]
    assert segments(home) == []
    assert told == []


def test_what_is_written_does_not_wait(home: Home) -> None:
    """Segments of living servers do not count as waiting, however large; what a killed one left does."""
    live = SegmentFile(segment_folder(home), SegmentHeader(f"2024-11-15-{uuid7()}", AT.date(), *_stream()))
    live.append(b"x" * 1000)
    log = PredictionLog(home)
    assert log.unconverted_bytes == 0
    size = live.size
    live.close()
    assert log.unconverted_bytes == size


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(0)", None),
        ("os.kill(os.getpid(), signal.SIGTERM)", None),
        ("os.kill(os.getpid(), signal.SIGKILL)", "the process that makes Parquet was killed (SIGKILL)"),
        ("raise MemoryError", "the process that makes Parquet ended with exit code 1"),
    ],
)
def test_how_conversion_ended_is_told_once(
    home: Home, monkeypatch: pytest.MonkeyPatch, code: str, said: str | None
) -> None:
    """A process that is killed for want of memory, or fails as nobody foresaw, is an alert; one told to end is none."""
    started = subprocess.Popen

    def other(command: list[str], **given: Any) -> subprocess.Popen[str]:
        return started([command[0], "-c", f"import os, signal\n{code}"], stderr=subprocess.DEVNULL, **given)

    segment_folder(home).mkdir(parents=True)
    (segment_folder(home) / ".new-2024-11-15-x").write_bytes(b"ORITA")
    monkeypatch.setattr("orita.serving.log.segment_converter.subprocess.Popen", other)
    converter = SegmentConverter(home)
    with capture_logs() as told:
        converter._turn()
        converter._turn()
    alert = {"event": "prediction_conversion_failed", "log_level": "error", "alert": True, "error": said}
    assert told == ([] if said is None else [alert])


def test_a_segment_that_cannot_be_read_stops_no_other(home: Home) -> None:
    """It is told once, the others become Parquet, and days that are past go; a stop is as ever."""
    day = datetime.now(UTC).date()
    unread = SegmentFile(segment_folder(home), SegmentHeader(f"{day}-{uuid7()}", day, *_stream()))
    payload = b"\x93\x01\x02\x03"
    unread.append(struct.pack("<II", len(payload), zlib.crc32(payload)) + payload)
    unread.close()
    past = SegmentFile(segment_folder(home), SegmentHeader(f"2024-11-15-{uuid7()}", AT.date(), *_stream()))
    past.append(encode_frame(scored(0)))
    past.close()
    converter = SegmentConverter(home, retention_days=30)
    with capture_logs() as told:
        converter._turn()
        assert parquet(home) == []
        converter._turn()
        converter.close()
    assert segments(home) == [unread.path]
    assert [(entry["event"], entry["segment"]) for entry in told] == [
        ("prediction_segment_not_converted", str(unread.path))
    ]


def test_a_stop_does_not_wait_for_all_segments(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its time a stop begins no further segment; what is left is readable, and the next server converts it."""
    for number in range(3):
        left = SegmentFile(segment_folder(home), SegmentHeader(f"2024-11-15-{uuid7()}", AT.date(), *_stream()))
        left.append(encode_frame(scored(number)))
        left.close()

    def slowly(*given: Any) -> Path | None:
        monkeypatch.setattr("orita.serving.log.segment_converter.time.monotonic", lambda: now + 100)
        return convert_segment(*given)

    now = time.monotonic()
    with monkeypatch.context() as patched:
        patched.setattr("orita.serving.log.segment_conversion.convert_segment", slowly)
        SegmentConverter(home).close()
    assert (len(parquet(home)), len(segments(home))) == (1, 2)
    assert sorted(set(request_ids(home))) == ["r0", "r1", "r2"]
    monkeypatch.undo()
    SegmentConverter(home).close()
    assert (len(parquet(home)), len(segments(home))) == (3, 0)
    assert sorted(set(request_ids(home))) == ["r0", "r1", "r2"]


def test_a_stop_does_not_wait_for_a_process_that_cannot_die(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside processors that others want whole even a killed process may live on; its segment is left as it is."""
    monkeypatch.setattr("orita.serving.log.segment_converter.let_others_go_first", lambda pid: None)
    log = PredictionLog(home)
    live = SegmentFile(segment_folder(home), SegmentHeader(f"2024-11-15-{uuid7()}", AT.date(), *_stream()))
    live.append(encode_frame(scored(0)))
    begun, freed, waited = threading.Event(), threading.Event(), []

    class Undying:
        returncode, pid, stdout = None, os.getpid(), io.StringIO()

        def __init__(self, *_: object, **__: object) -> None:
            begun.set()

        def communicate(self, timeout: float) -> tuple[str, str]:
            raise subprocess.TimeoutExpired("it", timeout)

        def kill(self) -> None: ...

        def wait(self, timeout: float | None = None) -> None:
            waited.append(timeout)
            if timeout is not None:
                raise subprocess.TimeoutExpired("it", timeout)
            freed.set()

    monkeypatch.setattr("orita.serving.log.segment_converter.subprocess.Popen", Undying)
    log.start()
    assert begun.wait(60)
    log.close()
    assert freed.wait(60)
    assert waited[0] is not None
    assert waited[0] <= 60
    assert waited[1:] == [None]
    assert segments(home) == [live.path]
    live.close()


def test_after_a_pause_of_the_disk_its_room_is_given_back(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once all that waited is durable, not at every commit, and not again at once."""
    given, log = [], PredictionLog(home)
    monkeypatch.setattr("orita.serving.log.prediction_log.give_back", lambda: given.append(log.pending_rows))
    monkeypatch.setattr("orita.serving.log.prediction_log._CROWD_ROWS", 30)
    monkeypatch.setattr("orita.serving.log.prediction_log._GIVE_BACK_SECONDS", 3600.0)
    log._gave_back_at -= 3600
    for crowd in (9, 10, 10):  # of three rows each
        for number in range(crowd):
            log.append(STREAM, scored(number))
        log._commit()
        assert given == ([] if crowd == 9 else [0])
    log.start()
    log.close()


def test_what_was_killed_before_it_began_is_swept(home: Home) -> None:
    """A segment file that never got its name is removed at the next start."""
    folder = segment_folder(home)
    folder.mkdir(parents=True)
    (folder / ".new-2024-11-15-x").write_bytes(b"ORITA")
    log = PredictionLog(home)
    log.start()
    log.close()
    assert segments(home) == []


_WRITER = """
import sys, random
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_prediction_log import STREAM, scored
from orita.core.home import Home
from orita.serving.config import PredictionLogConfig
from orita.serving.log.prediction_log import PredictionLog
log = PredictionLog(Home(Path(sys.argv[1])), PredictionLogConfig(flush_ms=5, segment_mib=0.005))
log.start()
number = int(sys.argv[2])
while True:
    first = number
    for _ in range(random.randint(1, 20)):
        log.append(STREAM, scored(number))
        number += 1
    log.flush()
    sys.stdout.write("".join(f"r{i}\\n" for i in range(first, number)))
    sys.stdout.flush()
"""


def test_kills_lose_nothing_that_was_durable(home: Home) -> None:
    """After kill -9, again and again, every acknowledged row is there, no row twice, no id twice."""
    acknowledged: list[str] = []
    random_pause = random.Random(7)
    for run in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(home.root), str(run * 1_000_000), str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        acknowledged += [child.stdout.readline().strip() for _ in range(random_pause.randint(50, 400))]
        os.kill(child.pid, signal.SIGKILL)
        acknowledged += [line.strip() for line in child.stdout if line.endswith("\n")]
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        _check(home, acknowledged)
    log = PredictionLog(home)
    log.start()
    log.close()
    _check(home, acknowledged)
    assert segments(home) == []


def _check(home: Home, acknowledged: list[str]) -> None:
    rows = prediction_log(home, columns=["prediction_id", "request_id"])
    there = rows["request_id"].to_pylist()
    assert set(acknowledged) <= set(there)
    assert len(there) == 3 * len(set(there))
    assert len(set(rows["prediction_id"].to_pylist())) == len(there)


class Disk:
    """What a disk answers to the log: each call takes the next error of its list, 0 for none, or goes through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.errors: dict[str, list[int]] = {"fdatasync": [], "ftruncate": [], "fsync": []}
        self.calls: dict[str, int] = dict.fromkeys(self.errors, 0)
        for name in self.errors:
            monkeypatch.setattr(f"orita.serving.log.segment_file.os.{name}", self._call(name, getattr(os, name)))

    def _call(self, name: str, real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: int) -> None:
            self.calls[name] += 1
            if self.errors[name] and (number := self.errors[name].pop(0)):
                raise OSError(number, os.strerror(number))
            real(*arguments)

        return call


@pytest.mark.parametrize("cut", [[errno.EIO], [errno.EIO] * 3, []])
def test_a_group_that_failed_is_there_once(home: Home, monkeypatch: pytest.MonkeyPatch, cut: list[int]) -> None:
    """Whether or not a segment can be cut back after a failed sync, its rows are written elsewhere only once it was."""
    monkeypatch.setattr("orita.serving.log.prediction_log._RETRY_SECONDS", 0.01)
    disk = Disk(monkeypatch)
    log = PredictionLog(home, PredictionLogConfig(flush_ms=1))
    with capture_logs() as told:
        log.start()
        log.append(STREAM, scored(0))
        assert log.flush()
        disk.errors = {"fdatasync": [errno.EIO], "ftruncate": list(cut), "fsync": []}
        for number in range(1, 6):
            log.append(STREAM, scored(number))
        assert log.flush()
        rows = prediction_log(home, columns=["prediction_id"])["prediction_id"].to_pylist()
        assert len(rows) == len(set(rows)) == 18
        log.close()
    assert sorted(request_ids(home)) == sorted(f"r{number}" for number in range(6) for _ in range(3))
    events = ["prediction_log_cannot_write"] + ["prediction_segment_not_cut_back"] * bool(cut)
    assert [entry["event"] for entry in told] == events


def test_a_disk_that_stays_broken_has_each_row_once_after_a_stop(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a segment can never be cut back, nothing is written to another; at a stop its rows are found there."""
    monkeypatch.setattr("orita.serving.log.prediction_log._RETRY_SECONDS", 0.01)
    disk = Disk(monkeypatch)
    log = PredictionLog(home, PredictionLogConfig(flush_ms=1))
    with capture_logs():
        log.start()
        disk.errors = {"fdatasync": [errno.EIO] * 1000, "ftruncate": [errno.EIO] * 1000, "fsync": []}
        log.append(STREAM, scored(0))
        _wait_for(lambda: disk.calls["ftruncate"] >= 3)
        assert len(segments(home)) == 1
        log.close()
    rows = prediction_log(home, columns=["prediction_id"])["prediction_id"].to_pylist()
    assert len(rows) == len(set(rows)) == 3


def test_who_reads_while_a_group_moves_finds_it_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the reading of two segments a group is cut off the older and written to the newer: it is there once."""
    older = SegmentFile(segment_folder(home), SegmentHeader(f"2024-11-15-{uuid7()}", AT.date(), *_stream()))
    newer = SegmentFile(segment_folder(home), SegmentHeader(f"2024-11-15-{uuid7()}", AT.date(), *_stream()))
    older.append(encode_frame(scored(0)))
    older.sync()
    group = encode_frame(scored(1))
    older.append(group)
    moved: list[Path] = []

    def reading(path: Path) -> object:
        found = read_segment(path)
        if not moved:
            moved.append(path)
            older.cut_back()
            newer.append(group)
            newer.sync()
        return found

    monkeypatch.setattr(prediction_files, "read_segment", reading)
    assert request_ids(home) in (["r0"] * 3, ["r0"] * 3 + ["r1"] * 3)
    assert sorted(request_ids(home)) == ["r0"] * 3 + ["r1"] * 3
    older.close()
    newer.close()


@pytest.mark.parametrize("when_full", ["shed", "drop"])
def test_a_log_that_cannot_be_written_takes_no_more(
    home: Home, monkeypatch: pytest.MonkeyPatch, when_full: Literal["shed", "drop"]
) -> None:
    """From the first failed commit on requests have no room, or their rows are counted; then it goes on by itself."""
    monkeypatch.setattr("orita.serving.log.prediction_log._RETRY_SECONDS", 0.01)
    monkeypatch.setattr("orita.serving.log.prediction_log._REFUSED_SECONDS", 0.01)
    wal = segment_folder(home)
    wal.parent.mkdir(parents=True)
    wal.write_text("this is no folder")
    log = PredictionLog(home, PredictionLogConfig(flush_ms=1, when_full=when_full))
    drops = when_full == "drop"
    with capture_logs():
        log.start()
        assert log.room(1)
        log.append(STREAM, scored(0))
        _wait_for(lambda: log.stuck)
        assert str(log.trouble) == "the prediction log cannot be written (File exists): free or mend its disk."
        assert log.room(1) is drops
        log.append(STREAM, scored(1))  # it had room before
        assert (log.pending_rows, log.dropped_rows) == ((3, 3) if drops else (6, 0))
        wal.unlink()
        assert log.flush()
        _wait_for(lambda: log.trouble is None)
        assert log.room(1)
        log.append(STREAM, scored(2))
        log.close()
    assert sorted(set(request_ids(home))) == (["r0", "r2"] if drops else ["r0", "r1", "r2"])


def test_a_disk_that_hangs(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that does not end leaves no room once its rows have waited too long, until it ends."""
    held, going = threading.Event(), threading.Event()
    sync = SegmentFile.sync

    def hanging(self: SegmentFile) -> None:
        held.set()
        assert going.wait(60)
        sync(self)

    monkeypatch.setattr(SegmentFile, "sync", hanging)
    log = PredictionLog(home, PredictionLogConfig(flush_ms=1, max_pending_seconds=0.2))
    log.start()
    assert log.room(1)
    log.append(STREAM, scored(0))
    assert held.wait(60)
    _wait_for(lambda: log.stuck)
    assert not log.room(1)
    assert log.trouble is not None
    assert "has waited" in log.trouble
    going.set()
    assert log.flush()
    _wait_for(lambda: log.room(1))
    log.close()
    assert request_ids(home) == ["r0"] * 3


def test_a_slow_disk_shows_no_version_without_the_other(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a commit has of all models can be read before any of it is synced, and is durable only after its own."""
    entered, going = threading.Semaphore(0), threading.Semaphore(0)
    sync = SegmentFile.sync

    def slow(self: SegmentFile) -> None:
        entered.release()
        assert going.acquire(timeout=60)
        sync(self)

    monkeypatch.setattr(SegmentFile, "sync", slow)
    log = PredictionLog(home, PredictionLogConfig(flush_ms=1))
    log.start()
    log.append(STREAM, scored(0))
    assert entered.acquire(timeout=60)
    for number in range(1, 401):  # more than are encoded at a time
        log.append(STREAM if number % 4 else OTHER, scored(number))
    going.release()
    assert entered.acquire(timeout=60)
    assert sorted(request_ids(home)) == sorted(f"r{number}" for number in range(401) for _ in range(3))
    assert log.pending_rows == 1200
    going.release()
    assert entered.acquire(timeout=60)
    assert log.pending_rows == 300
    going.release()
    assert log.flush()
    log.close()
    assert len(request_ids(home)) == 1203


@pytest.mark.parametrize("cut", [[], [errno.EIO, errno.EIO]])
def test_of_two_models_each_row_is_there_once_whichever_sync_fails(
    home: Home, monkeypatch: pytest.MonkeyPatch, cut: list[int]
) -> None:
    """What was synced before the failure stays; what was appended and not synced is taken back, and written again."""
    monkeypatch.setattr("orita.serving.log.prediction_log._RETRY_SECONDS", 0.01)
    disk = Disk(monkeypatch)
    streams = (STREAM, OTHER, THIRD)
    for failing in range(3):  # 0: the first model's sync fails, 1: the second's …
        log = PredictionLog(home, PredictionLogConfig(flush_ms=1))
        for number, stream in enumerate(streams, start=10 * failing):
            log.append(stream, scored(number))
        disk.errors = {"fdatasync": [*[0] * failing, errno.EIO], "ftruncate": list(cut), "fsync": []}
        with capture_logs():
            log.start()
            assert log.flush()
            assert disk.errors["fdatasync"] == []
            log.close()
    assert sorted(request_ids(home)) == sorted(f"r{10 * n + m}" for n in range(3) for m in range(3) for _ in range(3))


def test_a_log_that_was_idle_is_not_late(home: Home) -> None:
    """The first row after a long rest counts from when it came."""
    backlog = LogBacklog(10, 0.2)
    backlog.add(1)
    assert backlog.seconds < 100
    backlog.committed(1)
    assert (backlog.rows, backlog.seconds) == (0, 0.0)


def test_a_process_that_was_held_up_is_not_late() -> None:
    """Seconds in which nothing ran count as a moment; a disk that is slow while requests come is found out."""
    at = 100.0
    backlog = LogBacklog(10, 1.0, lambda: at)
    backlog.add(1)
    seen = []
    for seconds in (30, 0.2, 0.2, 0.2, 0.2):
        at += seconds
        seen.append(backlog.stuck)
    assert seen == [False, False, False, False, True]
    assert backlog.seconds == pytest.approx(1.05)
    backlog.clean(backlog.now())
    assert backlog.trouble is None


def test_without_room_for_one_request_the_log_says_so(home: Home) -> None:
    """Whoever was refused has a log that says so for a second, also while smaller requests would have room."""
    log = PredictionLog(home, PredictionLogConfig(max_pending_rows=4096))
    log.append(STREAM, scored(0, items=4000))
    assert log.room(96)
    assert "without room" not in str(log.trouble)
    assert not log.room(97)
    assert "without room" in str(log.trouble)


def test_a_segment_that_somebody_deletes(home: Home) -> None:
    """What was answered after the deletion is written to a new segment, not into a file that nobody can read."""
    log = PredictionLog(home, PredictionLogConfig(flush_ms=1))
    with capture_logs() as told:
        log.start()
        log.append(STREAM, scored(0))
        assert log.flush()
        for segment in segments(home):
            segment.unlink()
        log.append(STREAM, scored(1))
        assert log.flush()
        log.close()
    assert request_ids(home) == ["r1"] * 3
    assert [entry["event"] for entry in told] == ["prediction_log_cannot_write"]


def _wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        threading.Event().wait(0.005)
