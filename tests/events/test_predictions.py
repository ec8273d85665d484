from __future__ import annotations

import csv
import json
import os
import struct
import threading
import uuid
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from orita.core.clock import to_micros
from orita.core.errors import NotFound, OritaError, UserError
from orita.core.home import Home
from orita.events import prediction_files
from orita.events.prediction_files import convert_segment, segment_folder, sweep_partials
from orita.events.prediction_listing import latest_requests
from orita.events.prediction_segment import (
    ScoredRequest,
    SegmentHeader,
    encode_frame,
    encode_header,
    read_segment,
)
from orita.events.prediction_tail import read_header, read_on
from orita.events.prediction_view import find_request
from orita.events.predictions import export_csv, prediction_days, prediction_log, prediction_schema

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path)


def request(
    number: int, items: list[int | str], *, features: int = 2, at: datetime = AT, user: int | str = 7
) -> ScoredRequest:
    """Return a request of *items*, ranked in their order, the first feature of the first item missing."""
    x_NF = np.arange(len(items) * features, dtype=np.float32).reshape(len(items), features)
    if features:
        x_NF[0, 0] = np.nan
    return ScoredRequest(
        at_micros=to_micros(at) + number,
        as_of_micros=to_micros(at - timedelta(days=1)),
        request_id=f"r{number}",
        salt=number,
        user_id=user,
        item_ids=items,
        latency_ms=1.5,
        scores=np.linspace(0.9, 0.1, len(items), dtype=np.float32).tobytes(),
        ranks=np.arange(1, len(items) + 1, dtype=np.int32).tobytes(),
        features=x_NF.tobytes(),
    )


def segment(home: Home, name: str, requests: list[ScoredRequest], *, version: str = "v1", features: str = "ab") -> Path:
    """Write a segment as a server would, its day from its name."""
    header = SegmentHeader(name, date.fromisoformat(name[:10]), "feed", version, tuple(features))
    path = segment_folder(home) / f"{name}.wal"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_header(header) + b"".join(map(encode_frame, requests)))
    return path


def test_nothing_logged(home: Home) -> None:
    """An empty log is an empty table of the log's columns."""
    log = prediction_log(home)
    assert log.num_rows == 0
    assert log.schema.names == prediction_schema(()).names
    assert prediction_days(home) == []


def test_the_row_of_an_item(home: Home) -> None:
    """Each item is one row that tells all the contract's columns; a missing feature is null."""
    segment(home, "2024-11-15-a", [request(3, [1001, 1002])])
    first, second = prediction_log(home).to_pylist()
    assert uuid.UUID(first.pop("prediction_id")).version == 7
    assert first == {
        "timestamp": AT + timedelta(microseconds=3),
        "user_id": "7",
        "item_id": "1001",
        "score": pytest.approx(0.9),
        "rank": 1,
        "model_version": "v1",
        "latency_ms": 1.5,
        "features": {"a": None, "b": 1.0},
        "request_id": "r3",
        "position": 1,
        "propensity": 1.0,
        "as_of": AT - timedelta(days=1),
        "system": "feed",
        "level": 1,
        "cached": False,
        "objective": None,
        "rollout": None,
        "variant": None,
        "placement_propensity": 1.0,
        "split_since": None,
    }
    assert (second["item_id"], second["rank"], second["features"]) == ("1002", 2, {"a": 2.0, "b": 3.0})


def test_what_chose_the_model_and_the_order(home: Home) -> None:
    """Rollout and variant are of a request; probabilities of places are of its items, and 1 where nothing explored."""
    chosen = msgspec.structs.replace(
        request(4, [5, 6]),
        rollout="0190",
        variant="v2",
        split_micros=to_micros(AT),
        propensities=np.array([0.25, 1], np.float32).tobytes(),
        placements=np.array([0.25, 0.5], np.float32).tobytes(),
    )
    path = segment(home, "2024-11-15-a", [request(3, [1]), chosen])
    for _ in range(2):
        names = ["rollout", "variant", "split_since", "propensity", "placement_propensity"]
        rows = [tuple(row.values()) for row in prediction_log(home, columns=names).to_pylist()]
        assert rows == [(None, None, None, 1, 1), ("0190", "v2", AT, 0.25, 0.25), ("0190", "v2", AT, 1, 0.5)]
        found = find_request(home, "r4")
        assert (found.rollout, found.variant) == ("0190", "v2")
        if path.exists():
            convert_segment(home, path)


def test_an_answer_below_level_1(home: Home) -> None:
    """It has no features, and whoever asks for what the model said does not get it; before and after conversion."""
    below = msgspec.structs.replace(request(4, [5, 6]), features=b"", level=3)
    path = segment(home, "2024-11-15-a", [request(3, [1]), below])
    for _ in range(2):
        rows = prediction_log(home, columns=["item_id", "level", "features"]).to_pylist()
        assert [(row["item_id"], row["level"]) for row in rows] == [("1", 1), ("5", 3), ("6", 3)]
        assert rows[1]["features"] == {"a": None, "b": None}
        assert prediction_log(home, levels=(1,))["item_id"].to_pylist() == ["1"]
        assert (find_request(home, "r4").level, find_request(home, "r3").level) == (3, 1)
        if path.exists():
            convert_segment(home, path)


def test_rows_of_before_there_were_levels(home: Home) -> None:
    """Files and frames that lack the columns are of level 1, and not cached."""
    converted = convert_segment(home, segment(home, "2024-11-15-a", [request(1, [1])]))
    assert converted is not None
    pq.write_table(pq.ParquetFile(converted).read().drop_columns(["level", "cached"]), converted)
    frame = msgspec.msgpack.encode(msgspec.structs.astuple(request(2, [2]))[:10])
    path = segment(home, "2024-11-15-b", [])
    path.write_bytes(path.read_bytes() + struct.pack("<II", len(frame), zlib.crc32(frame)) + frame)
    rows = prediction_log(home, levels=(1,), columns=["item_id", "level", "cached"]).to_pylist()
    assert rows == [{"item_id": item, "level": 1, "cached": False} for item in ("1", "2")]
    assert find_request(home, "r1").level == find_request(home, "r2").level == 1


def test_the_same_rows_before_and_after_conversion(home: Home) -> None:
    """Parquet holds exactly the rows that the write-ahead part showed, in the same order and types."""
    path = segment(home, "2024-11-15-a", [request(i, [1, 2, 3]) for i in range(20)])
    before = prediction_log(home)
    target = convert_segment(home, path)
    assert target == home.predictions / "date=2024-11-15" / "2024-11-15-a.parquet"
    assert not path.exists()
    assert prediction_log(home).equals(before)


def test_a_kill_between_rename_and_delete_doubles_nothing(home: Home) -> None:
    """While a segment is both Parquet and write-ahead file its rows are seen once."""
    path = segment(home, "2024-11-15-a", [request(i, [1, 2]) for i in range(5)])
    content = path.read_bytes()
    convert_segment(home, path)
    path.write_bytes(content)
    once = prediction_log(home)
    assert once.num_rows == 10
    convert_segment(home, path)
    assert prediction_log(home).equals(once)


def test_a_torn_tail_is_dropped(home: Home) -> None:
    """A segment cut at any byte shows its whole frames and nothing else."""
    frames = [encode_frame(request(i, [1, 2])) for i in range(3)]
    path = segment(home, "2024-11-15-a", [])
    start = path.read_bytes()
    whole = start + b"".join(frames)
    ends = [len(start) + sum(map(len, frames[: i + 1])) for i in range(3)]
    for cut in [*range(0, len(start), 7), *range(len(start), len(whole) + 1, 13), *ends]:
        path.write_bytes(whole[:cut])
        assert prediction_log(home, columns=["item_id"]).num_rows == 2 * sum(end <= cut for end in ends)


def test_a_flipped_byte_ends_the_segment(home: Home) -> None:
    """A frame that does not match its checksum is not shown, nor is what follows it."""
    path = segment(home, "2024-11-15-a", [request(i, [1, 2]) for i in range(3)])
    content = bytearray(path.read_bytes())
    content[-3] ^= 0xFF
    path.write_bytes(content)
    assert prediction_log(home).num_rows == 4


@pytest.mark.parametrize("at", [2, 20])
def test_what_the_disk_changed_is_told_and_loses_nothing_else(home: Home, at: int) -> None:
    """In the length of a frame, or in what it holds: the answers behind it are there, and the segment is kept."""
    path = segment(home, "2024-11-15-a", [request(i, [1]) for i in range(5)])
    content = bytearray(path.read_bytes())
    header = read_header(path)
    assert header is not None
    content[header[1] + len(encode_frame(request(0, [1]))) + at] ^= 1
    path.write_bytes(content)
    assert prediction_log(home)["request_id"].to_pylist() == ["r0", "r2", "r3", "r4"]
    with pytest.raises(OritaError, match=r"is damaged\), and it is kept as it is"):
        convert_segment(home, path)
    assert path.exists()


def test_room_that_was_never_written_is_no_damage(home: Home) -> None:
    """After a machine went down a file may end in zeros."""
    path = segment(home, "2024-11-15-a", [request(0, [1])])
    with path.open("ab") as file:
        file.write(bytes(4096))
    assert convert_segment(home, path) is not None
    assert prediction_log(home)["request_id"].to_pylist() == ["r0"]


def test_a_damaged_segment_is_kept(home: Home) -> None:
    """A segment whose header cannot be read is neither converted nor deleted, and does not stop readers."""
    damaged = segment(home, "2024-11-15-a", [request(0, [1])])
    damaged.write_bytes(b"X" + damaged.read_bytes()[1:])
    segment(home, "2024-11-15-b", [request(1, [2])])
    with pytest.raises(OritaError, match=r"2024-11-15-a\.wal has a damaged header"):
        convert_segment(home, damaged)
    assert damaged.exists()
    assert prediction_log(home)["request_id"].to_pylist() == ["r1"]


def test_a_frame_of_another_form_is_passed_over(home: Home) -> None:
    """What another version wrote stays where it is and is told; everything else is there, of its segment too."""
    mixed = segment(home, "2024-11-15-a", [request(0, [1])])
    with mixed.open("ab") as file:
        file.write(_frame([1, 2, 3]) + encode_frame(request(1, [2])))
    nothing = segment(home, "2024-11-15-b", [])
    nothing.write_bytes(b"ORITAPL1" + _frame({"name": "b"}))
    untabled = segment(home, "2024-11-15-c", [msgspec.structs.replace(request(2, [3]), scores=b"12345")])
    segment(home, "2024-11-15-d", [request(3, [4])])
    with capture_logs() as told:
        assert prediction_log(home)["request_id"].to_pylist() == ["r0", "r1", "r3"]
        assert find_request(home, "r1").item_ids == ("2",)
    assert {(line["event"], line["log_level"]) for line in told} == {("prediction_segment_unreadable", "warning")}
    assert sorted(Path(line["segment"]) for line in told) == [mixed, nothing, untabled]
    for path, reason in (
        (mixed, "has another form: Expected `array`"),
        (nothing, "damaged"),
        (untabled, "buffer size"),
    ):
        with pytest.raises((OritaError, ValueError), match=reason):
            convert_segment(home, path)
        assert path.exists()
    read = read_header(mixed)
    assert read is not None
    header, start = read
    assert header.name == "2024-11-15-a"
    assert read_header(nothing) is None
    answers = read_on(mixed, 0, start)
    assert [each.request_id for each in answers.requests] == ["r0", "r1"]
    assert (answers.rows, answers.position) == (2, mixed.stat().st_size)


def _frame(record: object) -> bytes:
    payload = msgspec.msgpack.encode(record)
    return struct.pack("<II", len(payload), zlib.crc32(payload)) + payload


def test_a_span_reads_the_segments_of_its_days(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of other days no segment is decoded; the end of a span is not in it, so a span of whole days has its own."""
    for day in (14, 15, 16):
        segment(home, f"2024-11-{day}-a", [request(day, [1], at=AT.replace(day=day))])
    seen: list[str] = []

    def reading(path: Path) -> object:
        seen.append(path.stem)
        return read_segment(path)

    monkeypatch.setattr(prediction_files, "read_segment", reading)
    midnight = AT.replace(hour=0, minute=0)
    for start, end, wanted in (
        (midnight, midnight + timedelta(days=1), ["2024-11-15-a"]),
        (AT, midnight + timedelta(days=1, seconds=1), ["2024-11-16-a", "2024-11-15-a"]),
        (None, midnight, ["2024-11-14-a"]),
        (AT + timedelta(days=9), None, []),
    ):
        rows = prediction_log(home, start=start, end=end)
        assert seen == wanted
        assert len(rows) == min(1, len(wanted))
        seen.clear()
    assert [each["request_id"] for each in latest_requests(home, day=midnight.date())] == ["r15"]
    export_csv(home, midnight.date(), home.root)
    assert seen == ["2024-11-15-a"] * 2
    assert latest_requests(home, day=date.max) == []


def test_what_a_killed_conversion_left_goes(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a Parquet file has its segment's name: the next conversion writes over it, and without a segment it goes."""
    path = segment(home, "2024-11-15-a", [request(0, [1])])

    def killed(_: pa.Table, partial: Path, **__: object) -> None:
        partial.write_bytes(b"PAR1 half")
        os._exit(9)

    with monkeypatch.context() as patched:
        patched.setattr(pq, "write_table", killed)
        child = os.fork()
        if child == 0:
            convert_segment(home, path)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    half = home.predictions / "date=2024-11-15" / ".partial-2024-11-15-a.parquet"
    older = half.with_name(".partial-o3fx967g.parquet")
    older.write_bytes(b"PAR1")
    assert half.exists()
    assert sweep_partials(home) == [older]
    assert half.exists(), "its segment is there, so somebody may be at it"
    converted = convert_segment(home, path)
    assert converted is not None
    assert list(half.parent.iterdir()) == [converted]
    half.write_bytes(b"PAR1")
    assert sweep_partials(home) == [half]


def test_prediction_ids_are_unique(home: Home) -> None:
    """No two rows share an id: not in a request of 4096 items, nor in requests of the same millisecond."""
    segment(home, "2024-11-15-a", [request(0, list(range(4096))), request(1, list(range(4096)))])
    ids = prediction_log(home, columns=["prediction_id"])["prediction_id"].to_pylist()
    assert len(set(ids)) == 8192
    assert ids[0] < ids[1] < ids[4095]
    assert {uuid.UUID(each).version for each in ids} == {7}


def test_ids_are_text_and_join_integers(home: Home) -> None:
    """Ids of any kind share one column of text; asked for as int64, those that are no integer are null."""
    mixed: list[int | str] = [5, "x9", "12"]
    segment(home, "2024-11-15-a", [request(0, mixed, user="u1"), request(1, ["12345678901234567890"])])
    assert prediction_log(home)["item_id"].to_pylist() == ["5", "x9", "12", "12345678901234567890"]
    numbers = prediction_log(home, ids="int64")
    assert numbers["item_id"].to_pylist() == [5, None, 12, None]
    assert numbers["user_id"].to_pylist() == [None, None, None, 7]
    with pytest.raises(UserError, match=r"ids 'int' is not an id type: use 'string' or 'int64'"):
        prediction_log(home, ids="int")  # type: ignore[arg-type]


def test_selection(home: Home) -> None:
    """Start is included, end is not; version, system and columns select."""
    convert_segment(home, segment(home, "2024-11-14-a", [request(0, [1], at=AT - timedelta(days=1))]))
    segment(home, "2024-11-15-b", [request(0, [2]), request(5, [3])])
    segment(home, "2024-11-15-c", [request(9, [4])], version="v2")

    def items(**selection: object) -> list[str]:
        rows = prediction_log(home, columns=["item_id"], **selection)  # type: ignore[arg-type]
        return [str(each) for each in rows["item_id"].to_pylist()]

    assert items() == ["1", "2", "3", "4"]
    assert items(start=AT) == ["2", "3", "4"]
    assert items(end=AT) == ["1"]
    assert items(start=AT + timedelta(microseconds=1), end=AT + timedelta(microseconds=9)) == ["3"]
    assert items(start=(AT + timedelta(microseconds=9)).replace(tzinfo=None)) == ["4"]
    assert items(model_version="v2") == ["4"]
    assert items(model_version="v3") == []
    assert items(system="ads") == []
    assert prediction_days(home) == [date(2024, 11, 14), date(2024, 11, 15)]
    with pytest.raises(UserError, match=r"column 'scores' is not in the prediction log\. Did you mean 'score'"):
        prediction_log(home, columns=["scores"])


def test_features_are_read_of_what_is_wanted(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file, those groups of rows that have some; of a file that has none, no group; of features, those needed."""
    monkeypatch.setattr(prediction_files, "_GROUP_ROWS", 2)
    convert_segment(home, segment(home, "2024-11-15-a", [request(n, [n, n + 10]) for n in range(4)]))
    convert_segment(home, segment(home, "2024-11-15-b", [request(9, [9, 19])], version="v2"))
    read: list[tuple[list[int], list[str]]] = []
    groups_of = pq.ParquetFile.read_row_groups

    def reading(file: pq.ParquetFile, groups: list[int], columns: list[str]) -> pa.Table:
        read.append((groups, columns))
        return groups_of(file, groups, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", reading)
    start, end = (AT + timedelta(microseconds=each) for each in (1, 4))
    rows = prediction_log(home, start=start, end=end, model_version="v1", columns=["item_id", "features"])
    assert read == [([1, 2, 3], ["features"]), ([], ["features"])]
    assert rows["item_id"].to_pylist() == ["1", "11", "2", "12", "3", "13"]
    assert rows["features"].to_pylist() == [{"a": None, "b": 1.0}, {"a": 2.0, "b": 3.0}] * 3
    part = prediction_files.prediction_parts(home)[0]
    last = pc.field("timestamp") == AT + timedelta(microseconds=3)
    some = [part.read(("features",), last, features=each)["features"].to_pylist() for each in (("b",), ("b", "c"))]
    assert some == [[{"b": 1.0}, {"b": 3.0}], [{"a": None, "b": 1.0}, {"a": 2.0, "b": 3.0}]]


def test_models_with_different_features(home: Home) -> None:
    """Rows of models with other features stand in one table; what a model did not use is null."""
    convert_segment(home, segment(home, "2024-11-15-a", [request(0, [1, 2])], features="ab"))
    convert_segment(home, segment(home, "2024-11-15-b", [request(1, [3], features=0)], features="", version="v2"))
    segment(home, "2024-11-15-c", [request(2, [4, 5], features=3)], features="bcd", version="v3")
    log = prediction_log(home)
    assert [field.name for field in log.schema.field("features").type] == ["a", "b", "c", "d"]
    assert log["features"].to_pylist() == [
        {"a": None, "b": 1.0, "c": None, "d": None},
        {"a": 2.0, "b": 3.0, "c": None, "d": None},
        {"a": None, "b": None, "c": None, "d": None},
        {"a": None, "b": None, "c": 1.0, "d": 2.0},
        {"a": None, "b": 3.0, "c": 4.0, "d": 5.0},
    ]
    assert prediction_log(home, model_version="v2")["item_id"].to_pylist() == ["3"]


def test_export(home: Home, tmp_path: Path) -> None:
    """A day becomes predictions_<date>.csv, with ISO times and each model's own features as JSON."""
    convert_segment(home, segment(home, "2024-11-15-a", [request(0, ["a,\"b'", 2])]))
    segment(home, "2024-11-15-b", [request(1, [3], features=0)], features="", version="v2")
    segment(home, "2024-11-16-c", [request(2, [4], at=AT + timedelta(days=1))])
    path = export_csv(home, date(2024, 11, 15), tmp_path / "out")
    assert path.name == "predictions_2024-11-15.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == prediction_schema(()).names
    assert [row["item_id"] for row in rows] == ["a,\"b'", "2", "3"]
    assert rows[0]["timestamp"] == "2024-11-15T10:30:00.000000Z"
    assert [json.loads(row["features"]) for row in rows] == [{"a": None, "b": 1}, {"a": 2, "b": 3}, {}]
    assert [float(row["score"]) for row in rows] == pytest.approx([0.9, 0.1, 0.9])


def test_export_of_a_day_without_predictions(home: Home, tmp_path: Path) -> None:
    """The sentence names the day and the days there are, and no file is left."""
    segment(home, "2024-11-15-a", [request(0, [1])])
    with pytest.raises(NotFound, match=r"no predictions were logged on 2023-01-01 \(UTC\)\. .*2024-11-15"):
        export_csv(home, date(2023, 1, 1), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_readable_while_segments_become_parquet(home: Home) -> None:
    """A reader beside a converter sees every row once, at every moment."""
    paths = [segment(home, f"2024-11-15-{i:03}", [request(i, [1, 2])]) for i in range(40)]
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            ids = prediction_log(home, columns=["prediction_id"])["prediction_id"].to_pylist()
            seen.append(len(ids) if len(set(ids)) == len(ids) else -1)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for path in paths:
            convert_segment(home, path)
    finally:
        done.set()
        reader.join()
    assert set(seen) == {80}


def test_a_conversion_in_the_middle_of_a_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that becomes Parquet between the two listings of a read is seen once, not twice and not never."""
    paths = [segment(home, f"2024-11-15-{i}", [request(i, [1, 2])]) for i in range(3)]

    def then_convert(listing: Callable[..., Iterable[object]]) -> Callable[..., list[object]]:
        def listed(*given: object) -> list[object]:
            found = list(listing(*given))
            while paths:
                convert_segment(home, paths.pop())
            return found

        return listed

    for name in ("_open_parts", "parquet_files"):
        monkeypatch.setattr(prediction_files, name, then_convert(getattr(prediction_files, name)))
    assert prediction_log(home)["request_id"].to_pylist() == ["r0", "r0", "r1", "r1", "r2", "r2"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.one_of(st.integers(0, 2**63 - 1), st.text(min_size=1)), min_size=1, max_size=5),
        max_size=6,
    )
)
def test_what_is_written_is_read(home: Home, items: list[list[int | str]]) -> None:
    """Any ids, in any number of requests, come back as they were, in order."""
    path = segment(home, "2024-11-15-a", [request(i, each) for i, each in enumerate(items)])
    content = read_segment(path)
    assert content is not None
    assert [list(each.item_ids) for each in content.requests] == items
    assert content.length == path.stat().st_size
    expected = [str(item) for each in items for item in each]
    assert prediction_log(home)["item_id"].to_pylist() == expected
    assert isinstance(prediction_log(home), pa.Table)
